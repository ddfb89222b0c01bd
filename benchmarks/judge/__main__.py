"""How often the judge is wrong where nothing changed, and how soon it is right where something did.

Simulated pairs of arms (`streams`), request by request, from a seed, looked at again and again while they grow
(`looks`), with five goals at once: hit ratio, three quantiles of latency, error rate. Beside it what others would have
said of the same latencies (`peers`).

1. Nothing changed: the share of streams in which any goal is called HELPED or HURT, at any look.
2. One metric is better by its margin, or all five are: the share of streams in which all of that is found within five
   times Wald's expected number of pairs, and the median number it took, in multiples of it. Wald's number is that of
   the slowest of the metrics, at the error rate that each of them has (`streams.wald_pairs`).
3. EQUIVALENT: how often all goals get it where nothing changed, and how often one does that changed by its margin.

    python benchmarks/judge [--streams 1000] [--seed 1] [--jobs 2]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from arguments import at_least
from looks import EACH, at_pairs, looks, said, settled
from peers import benchstat, kayenta, pyperf, welch
from streams import BLOCK_S, GOALS, KINDS, MARGINS, RATE, SECONDS, pair, wald_pairs

from luckyhit.judge import FixedSample
from luckyhit.judge.early_stopping import rate_fraction_of_look
from luckyhit.records import MetricName

ERROR_RATE = 0.01
BUDGET = 5
"""Times Wald's number."""
CHANGED = ("HELPED", "HURT")
OTHERS: dict[str, Callable[[np.ndarray, np.ndarray], bool]] = {
    "t, at the end": welch,
    "benchstat": benchstat,
    "Kayenta": kayenta,
    "pyperf": pyperf,
}
JUDGES = ("any time", "planned", "one look", "t, looked at", *OTHERS)
LONGEST = 150
"""Looks at a stream, at most: long ones are looked at more seldom."""
ONE_METRIC: tuple[tuple[MetricName, str], ...] = (
    ("hit_ratio", "white noise"),
    ("error_rate", "white noise"),
    *((name, "white noise") for name in MARGINS if name.startswith("latency")),
    ("latency_p50_ms", "AR(1), 0.5"),
    ("latency_p50_ms", "AR(1), 0.9"),
)  # type: ignore[assignment]


def wrong_about(kind: str, seed: int) -> list[bool]:
    """By judge, whether one stream in which nothing changed was called a change."""
    before, after = pair(kind, seed)
    found = dict.fromkeys(JUDGES, False)
    found["any time"] = any(set(CHANGED) & set(told.values()) for _, told in looks(before, after, GOALS, ERROR_RATE))
    planned = at_pairs(len(before), RATE * BLOCK_S)
    for number, pairs in enumerate(planned, 1):
        rate = ERROR_RATE * rate_fraction_of_look(number, len(planned))
        seen = [rows.take(np.arange(pairs)) for rows in (before, after)]
        found["planned"] |= bool(set(CHANGED) & set(said(seen[0], seen[1], GOALS, FixedSample(), rate).values()))
    found["one look"] = bool(set(CHANGED) & set(said(before, after, GOALS, FixedSample(), ERROR_RATE).values()))
    latencies = [rows.latency_ms for rows in (before, after)]
    for pairs in at_pairs(len(before)):
        found["t, looked at"] |= welch(*(seen[:pairs][np.isfinite(seen[:pairs])] for seen in latencies))
    for name, rule in OTHERS.items():
        found[name] = rule(*(seen[np.isfinite(seen)] for seen in latencies))
    return list(found.values())


def pairs_to_find(names: Sequence[MetricName], kind: str, seed: int) -> tuple[float, bool]:
    """(pairs until all of these, better by their margins, are decided, in multiples of Wald's; whether rightly)."""
    wald = slowest(names, kind)
    before, after = pair(kind, seed, BUDGET * wald / RATE, better=names)
    each = max(EACH // 2, int(BUDGET * wald / LONGEST))
    pairs, told = settled(before, after, {name: GOALS[name] for name in names}, ERROR_RATE, each)
    return pairs / wald, set(told.values()) == {"HELPED"}


def slowest(names: Sequence[MetricName], kind: str) -> float:
    return max(wald_pairs(name, ERROR_RATE / len(names), kind) for name in names)


def called_equal(better: Sequence[MetricName], seed: int) -> tuple[bool, bool]:
    """(whether every goal got EQUIVALENT, whether any did that changed by its margin), with the same looks as above."""
    wald = slowest(list(GOALS), "white noise")
    before, after = pair("white noise", seed, BUDGET * wald / RATE, better=better)
    wrong = False
    for _, told in looks(before, after, GOALS, ERROR_RATE, int(BUDGET * wald / LONGEST)):
        wrong |= any(told[name] == "EQUIVALENT" for name in better)
        if set(told.values()) == {"EQUIVALENT"}:
            return True, wrong
    return False, wrong


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--streams", type=at_least(1), default=1000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=at_least(1), default=2)
    arguments.add_argument("--tables", default="123", help="which of the three")
    given = arguments.parse_args()
    seeds = range(given.seed * 1_000_000, given.seed * 1_000_000 + given.streams)
    started = time.monotonic()
    with ProcessPoolExecutor(given.jobs) as pool:

        def run(what: Callable[..., Any], *fixed: Any, count: int = given.streams) -> np.ndarray:
            return np.array(list(pool.map(partial(what, *fixed), seeds[:count], chunksize=5)), dtype=float)

        if "1" in given.tables:
            wrong_table(run, given.streams)
        if "2" in given.tables:
            # These take longer, and need not be told to a tenth of a percent.
            found_table(run, max(given.streams // 3, 1))
        if "3" in given.tables:
            equal, moved = run(called_equal, []), run(called_equal, list(GOALS))
            print(f"\nEQUIVALENT within {BUDGET} times Wald's number of pairs, % of {given.streams} streams:")
            print(f"all five goals, where nothing changed: {100 * equal[:, 0].mean():.1f}")
            print(f"any of them, where all changed by their margins: {100 * moved[:, 1].mean():.1f}")
    print(f"\n{time.monotonic() - started:.0f} s, {given.jobs} processes, seed {given.seed}.")


def wrong_table(run: Callable[..., np.ndarray], streams: int) -> None:
    print(f"Nothing changed, but called a change: % of {streams} streams of {SECONDS * RATE:,} pairs; five goals,")
    print(f"a look after every {EACH} pairs (at the end of blocks of {RATE * BLOCK_S}, where planned).\n")
    print(f"{'':18}" + "".join(f"{judge:>15}" for judge in JUDGES), flush=True)
    for kind in KINDS:
        wrong = 100 * run(wrong_about, kind).mean(axis=0)
        print(f"{kind:18}" + "".join(f"{share:15.1f}" for share in wrong), flush=True)


def found_table(run: Callable[..., np.ndarray], streams: int) -> None:
    print(
        f"\nBetter by the margin: rightly found, % of {streams} streams within {BUDGET} times Wald's number of pairs;"
    )
    print(
        f"the median number, in multiples of it.\n\n{'':32}{'found':>10}{'median':>10}{'Wald, pairs':>15}", flush=True
    )
    every: list[tuple[str, list[MetricName], str]] = [(name, [name], kind) for name, kind in ONE_METRIC]
    for what, names, kind in [*every, ("all five", list(GOALS), "white noise")]:
        found = run(pairs_to_find, names, kind, count=streams)
        share, median, wald = 100 * found[:, 1].mean(), np.median(found[:, 0]), slowest(names, kind)
        print(f"{what + ', ' + kind:32}{share:10.1f}{median:10.2f}{wald:15,.0f}", flush=True)


if __name__ == "__main__":
    main()
