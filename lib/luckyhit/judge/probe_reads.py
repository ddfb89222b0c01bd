"""Shares of the probe's reads by what is wrong with them: phantom reads, and stale reads by kind.

One unit is one probe (block, key and version). Its reads meet the same entry and so depend on each other: a `once`
probe has one read, and of a burst it counts whether any read had it. Side by side both arms get the same probes, and a
unit that tells in both is a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TypeAlias

import numpy as np
import pandas as pd

from luckyhit.judge.boundary import Boundary
from luckyhit.judge.effect import Effect, Levels
from luckyhit.judge.freshness import late_among
from luckyhit.judge.histories import truths, whole_numbers
from luckyhit.judge.probed import Probed
from luckyhit.judge.proportions import paired_difference, share_difference
from luckyhit.judge.samples import ARMS
from luckyhit.judge.wording import percent
from luckyhit.records import GoalName

UNIT = ["block", "key", "probe"]
Units: TypeAlias = pd.Series
"""Of each probe (index: UNIT) whether a read of it showed what the metric counts."""


def _late(kind: Callable[[pd.DataFrame], np.ndarray]) -> Callable[[Probed, float], Units]:
    """Of the `once` reads past the bound that are of this kind: whether they were stale."""

    def units(probed: Probed, within_s: float) -> Units:
        late = late_among(probed.classified, within_s)
        outcome = late["outcome"].astype(object)
        return _units(late, kind(late) & outcome.isin(("fresh", "stale")).to_numpy(), outcome == "stale")

    return units


def _refused(probed: Probed, within_s: float) -> Units:
    """Of the `once` reads behind a write that had to be refused: whether they showed its value."""
    reads = probed.classified
    shown, about = whole_numbers(reads["seen_version"]), whole_numbers(reads["probe"])
    once = (reads["mode"].astype(object) == "once") & (reads["prestate"] == "refused")
    own = shown.there & about.there & (shown.value == about.value)
    return _units(reads, once.to_numpy(dtype=bool) & shown.there, own & (reads["outcome"] == "never-committed"))


def _phantom(probed: Probed, within_s: float) -> Units:
    """Of all reads that showed a version: whether no accepted write wrote it."""
    reads = probed.classified
    return _units(reads, whole_numbers(reads["seen_version"]).there, reads["outcome"] == "never-committed")


def _units(reads: pd.DataFrame, told: np.ndarray, event: pd.Series | np.ndarray) -> Units:
    frame = reads[UNIT].assign(event=np.asarray(event, dtype=bool))[told]
    return frame.groupby(UNIT, sort=True, observed=True)["event"].max().astype(bool)


READ_METRICS: dict[GoalName, Callable[[Probed, float], Units]] = {
    "stale_reads_plain": _late(lambda reads: ~truths(reads["conditional"])),
    "stale_reads_conditional": _late(lambda reads: truths(reads["conditional"])),
    "stale_reads_in_flight": _late(lambda reads: (reads["prestate"] == "in-flight").to_numpy(dtype=bool)),
    "stale_reads_absent": _late(lambda reads: (reads["prestate"] == "absent").to_numpy(dtype=bool)),
    "stale_reads_refused": _refused,
    "phantom_reads": _phantom,
}


def read_effects(
    before: Probed, after: Probed, within_s: float | None, boundary: Boundary, levels: Levels, *, paired: bool
) -> dict[GoalName, Effect]:
    """READ_METRICS in both arms. `within_s` is None where the case has no probe; `paired`: both arms got the same
    probes at the same instants."""
    if within_s is None:
        return {name: Effect(note="Not visible: the case has no freshness probe.") for name in READ_METRICS}
    return {
        name: share_effect(units(before, within_s), units(after, within_s), boundary, levels.at(name), paired=paired)
        for name, units in READ_METRICS.items()
    }


def stale_of_route(
    before: Probed, after: Probed, route: str, within_s: float, boundary: Boundary, error_rate: float, *, paired: bool
) -> Effect:
    """Stale reads past the bound of one read route of the probe."""
    units = _late(lambda reads: (reads["route"].astype(object) == route).to_numpy(dtype=bool))
    return share_effect(units(before, within_s), units(after, within_s), boundary, error_rate, paired=paired)


def share_effect(before: Units, after: Units, boundary: Boundary, error_rate: float, *, paired: bool) -> Effect:
    """The effect on the share of units that have it. Side by side the pairs alone count; else all units of each arm."""
    if paired:
        both = before.index.intersection(after.index)
        before, after = before.loc[both], after.loc[both]
    arms = before, after
    counts, totals = [int(arm.sum()) for arm in arms], [len(arm) for arm in arms]
    shares = [count / total if total else None for count, total in zip(counts, totals, strict=True)]
    if not min(totals):
        blind = " and ".join(name for name, total in zip(ARMS, totals, strict=True) if not total)
        return Effect(before=shares[0], after=shares[1], note=f"Not visible: no read of the probe tells it ({blind}).")
    if paired:
        first, second = (arm.to_numpy(dtype=bool) for arm in arms)
        only = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
        difference = paired_difference(*only, totals[0], boundary, error_rate)
        # One more pair of each kind: that none was seen does not mean no variance.
        parts = [(count + 1) / (totals[0] + 2) for count in only]
        error = sqrt((sum(parts) - (parts[1] - parts[0]) ** 2) / (totals[0] + 2))
    else:
        difference = share_difference(counts[0], totals[0], counts[1], totals[1], boundary, error_rate)
        middle = [(count + 1) / (total + 2) for count, total in zip(counts, totals, strict=True)]
        error = sqrt(sum(each * (1 - each) / (total + 2) for each, total in zip(middle, totals, strict=True)))
    # A hard limit lies on one side of the truth, so only one of these bounds can be wrong.
    low, high = boundary.share(counts[1], totals[1], min(2 * error_rate, 0.5))
    note = ""
    if not counts[1]:
        note = f"None among {totals[1]:,} after: the true share is below {percent(high)}."
    return Effect(
        before=shares[0],
        after=shares[1],
        effect=difference.effect,
        low=difference.low,
        high=difference.high,
        after_low=low,
        after_high=high,
        pairs=min(totals),
        note=note,
        error=error,
    )


__all__ = ["READ_METRICS", "read_effects", "share_effect", "stale_of_route"]
