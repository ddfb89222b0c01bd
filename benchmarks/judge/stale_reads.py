"""How soon the judge tells of stale reads, and how often it is wrong: pairs of reads, as the probe gives them.

Simulated pairs of both arms, from a seed, looked at after every EACH of them, with one goal. Beside it the rule of two
shares apart, which this one replaced (`proportion_difference` of the same counts, under the same rules of looking).

1. Something changed, or nothing is wrong: the pairs until it is told, as the median, and their ratio; and the ratio of
   the probes that have to be planned for them, since of those more count than did (COUNTED_THEN).
2. Nothing changed, and both arms have the fault: the share of streams in which any look says HELPED or HURT. Either
   each arm is stale by its own chance, or mostly in the same pairs (an entry that neither invalidates).

    python benchmarks/judge/stale_reads.py [--streams 1000] [--seed 1]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from arguments import at_least

from luckyhit.case.freshness import Freshness
from luckyhit.case.model import Goal
from luckyhit.judge import Sequential
from luckyhit.judge.compare.effects import Effect
from luckyhit.judge.stats.proportions import Difference, paired_difference, proportion_difference
from luckyhit.judge.verdict import rule_on
from luckyhit.probe.probe_plan import counted_units
from luckyhit.records import Verdict

ERROR_RATE = 0.01
EACH, MOST = 20, 2000
COUNTED_THEN = 152 / 368
"""Of the planned probes of a run, while half of the delays lay within the bound and bursts did not count."""
PROBED = Freshness.model_validate(
    {
        "write": {"path": "/things/{key}", "body": {"price": "{version}"}},
        "reads": [{"path": "/things/{key}", "version": "$.price"}],
        "keys": {"first": 1, "last": 500},
        "within": "200ms",
        "rate": "15/s",
    }
)
SECONDS = 7.0
"""Of a block, for what counts now."""
CHANGED: tuple[Verdict, ...] = ("HELPED", "HURT")


@dataclass(frozen=True)
class Stream:
    """`before`, `after`: the shares of stale reads; `common`: of those that are in both arms alike."""

    name: str
    before: float
    after: float
    want: str
    margin: str
    right: Verdict
    common: float = 0.0


TOLD = (
    Stream("7 % before, none after", 0.07, 0.0, "better", "5 %", "HELPED"),
    Stream("7 % before, 1 % after", 0.07, 0.01, "better", "5 %", "HELPED"),
    Stream("30 % before, none after", 0.3, 0.0, "better", "5 %", "HELPED"),
    Stream("none before, 7 % after", 0.0, 0.07, "no-worse", "2 %", "HURT"),
    Stream("none in either arm", 0.0, 0.0, "no-worse", "5 %", "EQUIVALENT"),
    Stream("99 % in both, in the same pairs", 0.99, 0.99, "no-worse", "5 %", "EQUIVALENT", common=0.99),
)
NULL = (
    Stream("5 % each", 0.05, 0.05, "better", "5 %", "EQUIVALENT"),
    Stream("30 % each", 0.3, 0.3, "better", "5 %", "EQUIVALENT"),
    Stream("30 %, 25 % of them alike", 0.3, 0.3, "better", "5 %", "EQUIVALENT", common=0.25),
    Stream("90 % each", 0.9, 0.9, "better", "5 %", "EQUIVALENT"),
)


@cache
def paired(before: int, after: int, both: int, pairs: int) -> Difference:
    return paired_difference(before - both, after - both, pairs, Sequential(), ERROR_RATE)


@cache
def apart(before: int, after: int, both: int, pairs: int) -> Difference:
    return proportion_difference(before, pairs, after, pairs, Sequential(), ERROR_RATE)


Rule = Callable[[int, int, int, int], Difference]
RULES: dict[str, Rule] = {"pairs": paired, "two shares": apart}


def pairs_of(stream: Stream, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(stale before, stale after) of MOST pairs."""
    rng = np.random.default_rng([seed, int(1000 * stream.before), int(1000 * stream.after)])
    alike = rng.random(MOST) < stream.common
    left = 1 - stream.common
    arms = [
        alike | (rng.random(MOST) < ((share - stream.common) / left if left else 0.0))
        for share in (stream.before, stream.after)
    ]
    return arms[0], arms[1]


def looks(stream: Stream, rule: Rule, seed: int) -> tuple[int | None, list[Verdict]]:
    """(pairs at the first look that decides, None for none; the verdicts of all looks up to it)."""
    before, after = pairs_of(stream, seed)
    goal = Goal.model_validate({"want": stream.want, "margin": stream.margin})
    verdicts: list[Verdict] = []
    for pairs in range(EACH, MOST + 1, EACH):
        counts = int(before[:pairs].sum()), int(after[:pairs].sum()), int((before & after)[:pairs].sum())
        told = rule(*counts, pairs)
        shares = counts[0] / pairs, counts[1] / pairs
        effect = Effect(shares[0], shares[1], told.effect, told.low, told.high, pairs=pairs)
        verdicts.append(rule_on("stale_reads", effect, goal, 1.0, ERROR_RATE).metric.verdict or "INCONCLUSIVE")
        if verdicts[-1] != "INCONCLUSIVE":
            return pairs, verdicts
    return None, verdicts


def counted_now() -> float:
    """The share of the planned probes that count."""
    return sum(counted_units(PROBED, SECONDS).values()) / int(PROBED.rate * SECONDS if PROBED.rate is not None else 0)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--streams", type=at_least(1), default=1000)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    seeds = range(given.seed * 1_000_000, given.seed * 1_000_000 + given.streams)
    print(f"Pairs until it is told (median of {given.streams} streams), and % of them rightly within {MOST:,}:\n")
    print(f"{'':34}" + "".join(f"{rule:>12}{'right':>8}" for rule in RULES) + f"{'ratio':>8}{'probes':>8}", flush=True)
    counted = COUNTED_THEN / counted_now()
    for stream in TOLD:
        medians, text = [], ""
        for rule in RULES.values():
            found = [looks(stream, rule, seed) for seed in seeds]
            medians.append(float(np.median([pairs or np.inf for pairs, _ in found])))
            right = np.mean([verdicts[-1] == stream.right for _, verdicts in found])
            text += f"{medians[-1]:12,.0f}{100 * right:8.1f}"
        ratio = medians[0] / medians[1]
        print(f"{stream.name:34}{text}{ratio:8.2f}{ratio * counted:8.2f}", flush=True)
    print(f"\nNothing changed, both arms with the fault, but called a change: % of {given.streams} streams:\n")
    print(f"{'':34}" + "".join(f"{rule:>12}" for rule in RULES), flush=True)
    for stream in NULL:
        wrong = [np.mean([looks(stream, rule, seed)[1][-1] in CHANGED for seed in seeds]) for rule in RULES.values()]
        print(f"{stream.name:34}" + "".join(f"{100 * share:12.1f}" for share in wrong), flush=True)


if __name__ == "__main__":
    main()
