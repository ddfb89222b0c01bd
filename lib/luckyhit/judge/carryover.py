"""Carry-over in a crossover: whether a block still shows the arm that was measured before it.

In ABBA order half of the blocks of each arm follow their own arm, and half the other one. Without carry-over both kinds
have the same mean. Method: the difference of the two kinds within each arm, averaged over the arms, with the variance
that is left inside the four groups, by Student's t (Jones and Kenward, Design and Analysis of Cross-Over Trials, 3rd
edition, chapters 2 and 3, for sequences in which treatments follow themselves).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from luckyhit.case import Case
from luckyhit.judge.effects import QUANTILES
from luckyhit.judge.samples import Rows
from luckyhit.judge.verdict import amount_of
from luckyhit.judge.wording import NAMES, difference_text
from luckyhit.records import Guard, MetricName

NAME = "no carry-over"
LEVEL = 0.01
FEWEST = 2
"""Blocks of each of the four kinds."""


@dataclass(frozen=True, slots=True)
class CarryOver:
    """What following the other arm adds to a block's value, with its interval."""

    value: float
    low: float
    high: float


def carry_over(values: Mapping[int, float], arms: Mapping[int, int], level: float = LEVEL) -> CarryOver | None:
    """`values`: of each block (in the order of time) its value; `arms`: its arm, of all blocks. The first block follows
    the arm before, which the baseline was. None where there are too few blocks of one of the four kinds."""
    groups: dict[tuple[int, bool], list[float]] = {}
    previous = 0
    for block in sorted(arms):
        if block in values and np.isfinite(values[block]):
            groups.setdefault((arms[block], arms[block] != previous), []).append(values[block])
        previous = arms[block]
    kinds = [(arm, followed) for arm in (0, 1) for followed in (False, True)]
    if any(len(groups.get(kind, ())) < FEWEST for kind in kinds):
        return None
    means = {kind: float(np.mean(groups[kind])) for kind in kinds}
    estimate = sum(means[arm, True] - means[arm, False] for arm in (0, 1)) / 2
    inside = sum(float(np.sum((np.asarray(groups[kind]) - means[kind]) ** 2)) for kind in kinds)
    freedom = sum(len(groups[kind]) for kind in kinds) - len(kinds)
    error = sqrt(inside / freedom * sum(1 / len(groups[kind]) for kind in kinds) / 4)
    reach = float(stats.t.ppf(1 - level / 2, freedom)) * error
    return CarryOver(estimate, estimate - reach, estimate + reach)


def carry_over_guard(rows: Rows, case: Case, before: Mapping[MetricName, float | None]) -> Guard:
    """Whether a block of `rows` (measured ones, of the change's blocks) shows the arm before it, in any metric with a
    goal. `before`: what each metric is before the change, for relative margins."""
    arms = {int(block): int(rows.arm[rows.block == block][0]) for block in np.unique(rows.block)}
    found: list[str] = []
    small: list[str] = []
    unseen: list[str] = []
    for name, goal in case.goals.items():
        values = _by_block(rows, name, arms)
        effect = carry_over(values, arms)
        margin = amount_of(name, goal.margin, before.get(name))
        if effect is None or margin is None:
            unseen.append(NAMES[name])
            continue
        sure = effect.low > 0 or effect.high < 0
        told = f"{NAMES[name]} {difference_text(name, effect.value)}"
        (found if sure and abs(effect.value) > margin else small).append(told)
    if found:
        return Guard(
            name=NAME,
            ok=False,
            detail=f"Blocks that follow the other arm differ from those that follow their own: {', '.join(found)}.",
            remedy="Raise plan.washout and plan.warmup, so that nothing of the arm before is left.",
        )
    if not small:
        return Guard(name=NAME, ok=True, detail="Can't be told: too few blocks (raise plan.blocks to 4 or more).")
    rest = f" Can't be told for {', '.join(unseen)}." if unseen else ""
    return Guard(
        name=NAME, ok=True, detail=f"Following the other arm adds nothing beyond the margins: {', '.join(small)}.{rest}"
    )


def washed_out_guard(blocks: Sequence[Mapping[str, object]]) -> Guard | None:
    """Whether the hit ratio stood still before each block was measured; None where no block was washed out."""
    told = [(entry.get("block"), entry["washout"]) for entry in blocks if isinstance(entry.get("washout"), Mapping)]
    facts = [(block, washout) for block, washout in told if isinstance(washout, Mapping) and washout]
    if not facts:
        return None
    moving = [str(block) for block, washout in facts if washout.get("settled") is False]
    unseen = [block for block, washout in facts if washout.get("settled") is None]
    seconds = [float(washout.get("seconds") or 0.0) for _, washout in facts]
    detail = f"{len(facts)} wash-outs of {min(seconds):.3g} to {max(seconds):.3g} s"
    if moving:
        return Guard(
            name="washed out",
            ok=False,
            detail=f"{detail}; the hit ratio still moved before block {', '.join(moving)}",
            remedy="Raise plan.washout until the hit ratio stands still before a block is measured.",
        )
    how = "the hit ratio stood still"
    if unseen:
        how = f"too few answers told their cache status to see whether it stood still before {len(unseen)} of them"
    return Guard(name="washed out", ok=True, detail=f"{detail}; {how}")


def _by_block(rows: Rows, name: MetricName, arms: Mapping[int, int]) -> dict[int, float]:
    values = {"hit_ratio": rows.hit, "error_rate": rows.failed, "db_calls": rows.calls}.get(name)
    level = QUANTILES.get(name)
    if level is not None:
        values = rows.latency_ms
    if values is None:  # what the probe sees is too little in one block
        return {}
    found = {}
    for block in arms:
        inside = values[rows.block == block]
        inside = inside[np.isfinite(inside)]
        if len(inside):
            found[block] = float(np.mean(inside) if level is None else np.quantile(inside, level))
    return found


__all__ = ["CarryOver", "carry_over", "carry_over_guard", "washed_out_guard"]
