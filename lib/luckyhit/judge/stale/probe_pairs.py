"""Shares of the probe's reads by what is wrong with them: phantom reads, and stale reads by kind.

One unit is one probe (block, key and version). Its reads meet the same entry and so depend on each other: a `once`
probe has one read, and of a burst it counts whether any read had it. Side by side both arms get the same probes, and a
unit that tells in both is a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from luckyhit.judge.compare.effect import Effect, Levels
from luckyhit.judge.freshness.classify import late_mask
from luckyhit.judge.freshness.histories import truths, whole_numbers
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.stats.proportions import paired_difference, share_difference
from luckyhit.judge.table.samples import ARMS
from luckyhit.records import METRICS, GoalName, MetricName, ProbeReads
from luckyhit.text.wording import note

Units = dict[tuple[int, str, int], bool]
"""Of each probe (block, key, version) whether a read of it showed what the metric counts."""


@dataclass(frozen=True)
class _Reads:
    """The probe's reads of one arm as arrays of one length: which are late, and what they showed."""

    unit: list[tuple[int, str, int]]
    late: np.ndarray
    stale: np.ndarray
    fresh: np.ndarray
    never: np.ndarray
    shown: np.ndarray
    own: np.ndarray
    conditional: np.ndarray
    once: np.ndarray
    prestate: np.ndarray
    route: np.ndarray

    @classmethod
    def of(cls, probed: Probed, within_s: float) -> _Reads:
        reads = probed.classified
        outcome = reads["outcome"].to_numpy(dtype=object)
        shown, about = whole_numbers(reads["seen_version"]), whole_numbers(reads["probe"])
        return cls(
            unit=list(zip(reads["block"].tolist(), reads["key"].tolist(), about.value.tolist(), strict=True)),
            late=late_mask(reads, within_s),
            stale=outcome == "stale",
            fresh=outcome == "fresh",
            never=outcome == "never-committed",
            shown=shown.there,
            own=shown.there & about.there & (shown.value == about.value),
            conditional=truths(reads["conditional"]),
            once=reads["mode"].to_numpy(dtype=object) == "once",
            prestate=reads["prestate"].to_numpy(dtype=object),
            route=reads["route"].to_numpy(dtype=object),
        )

    def units(self, counted: np.ndarray, event: np.ndarray) -> Units:
        units: Units = {}
        for place in np.flatnonzero(counted).tolist():
            unit = self.unit[place]
            units[unit] = units.get(unit, False) or bool(event[place])
        return units

    def late_units(self, kind: np.ndarray) -> Units:
        """Of the reads past the bound that are of this kind: whether they were stale."""
        return self.units(self.late & kind & (self.stale | self.fresh), self.stale)


PROBE_READS: dict[ProbeReads, Callable[[_Reads], Units]] = {
    "plain": lambda reads: reads.late_units(~reads.conditional),
    "conditional": lambda reads: reads.late_units(reads.conditional),
    "in-flight": lambda reads: reads.late_units(reads.prestate == "in-flight"),
    "absent": lambda reads: reads.late_units(reads.prestate == "absent"),
    # Of the reads behind a write that had to be refused: whether they showed its value.
    "refused": lambda reads: reads.units(
        reads.once & (reads.prestate == "refused") & reads.shown, reads.own & reads.never
    ),
    # Of all reads that showed a version, bursts among them: whether no accepted write wrote it.
    "shown": lambda reads: reads.units(reads.shown, reads.never),
}
"""Of the reads that count, the units of which one showed what is wrong."""
READ_METRICS: dict[MetricName, ProbeReads] = {
    name: kind.reads for name, kind in METRICS.items() if kind.reads is not None
}
"""The shares of the probe's reads, with what counts for them (the estimator `probe-share`)."""


def units_of(probed: Probed, within_s: float) -> dict[GoalName, Units]:
    """The units of each of READ_METRICS in one arm."""
    reads = _Reads.of(probed, within_s)
    return {name: PROBE_READS[kind](reads) for name, kind in READ_METRICS.items()}


def read_effects(
    before: Probed, after: Probed, within_s: float | None, boundary: Boundary, levels: Levels, *, paired: bool
) -> dict[GoalName, Effect]:
    """READ_METRICS in both arms. `within_s` is None where the case has no probe; `paired`: both arms got the same
    probes at the same instants."""
    if within_s is None:
        return {name: Effect(notes=(note("not-visible-no-probe"),)) for name in READ_METRICS}
    first, second = units_of(before, within_s), units_of(after, within_s)
    return {
        name: share_effect(first[name], second[name], boundary, levels.at(name), paired=paired) for name in READ_METRICS
    }


def stale_of_route(
    before: Probed, after: Probed, route: str, within_s: float, boundary: Boundary, error_rate: float, *, paired: bool
) -> Effect:
    """Stale reads past the bound of one read route of the probe."""
    reads = [_Reads.of(arm, within_s) for arm in (before, after)]
    first, second = (arm.late_units(arm.route == route) for arm in reads)
    return share_effect(first, second, boundary, error_rate, paired=paired)


def share_effect(before: Units, after: Units, boundary: Boundary, error_rate: float, *, paired: bool) -> Effect:
    """The effect on the share of units that have it. Side by side the pairs alone count; else all units of each arm."""
    if paired:
        before = {unit: event for unit, event in before.items() if unit in after}
        after = {unit: after[unit] for unit in before}
    arms = before, after
    counts, totals = [sum(arm.values()) for arm in arms], [len(arm) for arm in arms]
    shares = [count / total if total else None for count, total in zip(counts, totals, strict=True)]
    if not min(totals):
        blind = " and ".join(name for name, total in zip(ARMS, totals, strict=True) if not total)
        return Effect(before=shares[0], after=shares[1], notes=(note("not-visible-no-read", arms=blind),))
    if paired:
        shared = sum(event and after[unit] for unit, event in before.items())
        only = counts[0] - shared, counts[1] - shared
        difference = paired_difference(*only, totals[0], boundary, error_rate)
        # One more pair of each kind: that none was seen does not mean no variance.
        parts = [(count + 1) / (totals[0] + 2) for count in only]
        error = sqrt((sum(parts) - (parts[1] - parts[0]) ** 2) / (totals[0] + 2))
    else:
        difference = share_difference(counts[0], totals[0], counts[1], totals[1], boundary, error_rate)
        middle = [(count + 1) / (total + 2) for count, total in zip(counts, totals, strict=True)]
        error = sqrt(sum(share * (1 - share) / (total + 2) for share, total in zip(middle, totals, strict=True)))
    # A hard limit lies on one side of the truth, so only one of these bounds can be wrong.
    low, high = boundary.share(counts[1], totals[1], min(2 * error_rate, 0.5))
    none_after = () if counts[1] else (note("none-after", reads=totals[1], at_most=high),)
    return Effect(
        before=shares[0],
        after=shares[1],
        effect=difference.effect,
        low=difference.low,
        high=difference.high,
        after_low=low,
        after_high=high,
        pairs=min(totals),
        notes=none_after,
        error=error,
    )


__all__ = ["PROBE_READS", "READ_METRICS", "Units", "read_effects", "share_effect", "stale_of_route", "units_of"]
