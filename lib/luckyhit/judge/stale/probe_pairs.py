"""Proportions of the probe's reads by kind of fault: phantom reads, and kinds of stale reads.

One unit is one probe (block, key and version). Its reads meet the same entry and so depend on each other: a `once`
probe has one read, and a burst counts once if any of its reads shows the fault. Side by side both arms get the same
probes, and a unit that was read in both is a pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from luckyhit.judge.compare.effect import Effect, ErrorRates
from luckyhit.judge.freshness.classify import late_mask
from luckyhit.judge.freshness.histories import truths, whole_numbers
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.proportion_bounds import bounds_at
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.stats.proportions import paired_difference, proportion_difference
from luckyhit.judge.table.samples import ARMS
from luckyhit.records import METRICS, GoalName, MetricName, ProbeReads
from luckyhit.text.wording import note

Units = dict[tuple[int, str, int], bool]
"""By probe (block, key, version): whether a read of it showed the fault."""


@dataclass(frozen=True)
class _Reads:
    """The probe's reads of one arm as arrays of one length."""

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
            shown=shown.present,
            own=shown.present & about.present & (shown.value == about.value),
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
        """Of the reads past the bound of one kind: whether they were stale."""
        return self.units(self.late & kind & (self.stale | self.fresh), self.stale)


PROBE_READS: dict[ProbeReads, Callable[[_Reads], Units]] = {
    "plain": lambda reads: reads.late_units(~reads.conditional),
    "conditional": lambda reads: reads.late_units(reads.conditional),
    "in-flight": lambda reads: reads.late_units(reads.prestate == "in-flight"),
    "absent": lambda reads: reads.late_units(reads.prestate == "absent"),
    # Of the reads after a write that had to be refused: whether they showed its value.
    "refused": lambda reads: reads.units(
        reads.once & (reads.prestate == "refused") & reads.shown, reads.own & reads.never
    ),
    # Of all reads that showed a version, in bursts too: whether no accepted write wrote it.
    "shown": lambda reads: reads.units(reads.shown, reads.never),
}
"""The units of each kind of reads."""
READ_METRICS: dict[MetricName, ProbeReads] = {
    name: kind.reads for name, kind in METRICS.items() if kind.reads is not None
}
"""The metrics with the estimator `probe-share`, and the reads that count for them."""


def units_of(probed: Probed, within_s: float) -> dict[GoalName, Units]:
    """The units of each of READ_METRICS in one arm."""
    reads = _Reads.of(probed, within_s)
    return {name: PROBE_READS[kind](reads) for name, kind in READ_METRICS.items()}


def read_effects(
    before: Probed, after: Probed, within_s: float | None, boundary: Boundary, error_rates: ErrorRates, *, paired: bool
) -> dict[GoalName, Effect]:
    """READ_METRICS in both arms. `within_s`: None where the case has no probe; `paired`: both arms got the same probes
    at the same instants."""
    if within_s is None:
        return {name: Effect(notes=(note("not-visible-no-probe"),)) for name in READ_METRICS}
    first, second = units_of(before, within_s), units_of(after, within_s)
    return {
        name: proportion_effect(first[name], second[name], boundary, error_rates.at(name), paired=paired)
        for name in READ_METRICS
    }


def stale_of_route(
    before: Probed, after: Probed, route: str, within_s: float, boundary: Boundary, error_rate: float, *, paired: bool
) -> Effect:
    """Stale reads past the bound of one read route of the probe."""
    reads = [_Reads.of(arm, within_s) for arm in (before, after)]
    first, second = (arm.late_units(arm.route == route) for arm in reads)
    return proportion_effect(first, second, boundary, error_rate, paired=paired)


def proportion_effect(before: Units, after: Units, boundary: Boundary, error_rate: float, *, paired: bool) -> Effect:
    """The effect on the proportion of units with the fault. Side by side only pairs count, else all units of each
    arm."""
    if paired:
        before = {unit: event for unit, event in before.items() if unit in after}
        after = {unit: after[unit] for unit in before}
    arms = before, after
    counts, totals = [sum(arm.values()) for arm in arms], [len(arm) for arm in arms]
    proportions = [count / total if total else None for count, total in zip(counts, totals, strict=True)]
    if not min(totals):
        blind = " and ".join(name for name, total in zip(ARMS, totals, strict=True) if not total)
        return Effect(before=proportions[0], after=proportions[1], notes=(note("not-visible-no-read", arms=blind),))
    if paired:
        shared = sum(event and after[unit] for unit, event in before.items())
        only = counts[0] - shared, counts[1] - shared
        difference = paired_difference(*only, totals[0], boundary, error_rate)
        # With one more pair of each kind: none seen does not mean no variance.
        parts = [(count + 1) / (totals[0] + 2) for count in only]
        standard_error = sqrt((sum(parts) - (parts[1] - parts[0]) ** 2) / (totals[0] + 2))
    else:
        difference = proportion_difference(counts[0], totals[0], counts[1], totals[1], boundary, error_rate)
        middle = [(count + 1) / (total + 2) for count, total in zip(counts, totals, strict=True)]
        standard_error = sqrt(sum(part * (1 - part) / (total + 2) for part, total in zip(middle, totals, strict=True)))
    low, high = bounds_at(boundary, error_rate)(counts[1], totals[1])
    none_after = () if counts[1] else (note("none-after", reads=totals[1], at_most=high),)
    return Effect(
        before=proportions[0],
        after=proportions[1],
        effect=difference.effect,
        low=difference.low,
        high=difference.high,
        after_low=low,
        after_high=high,
        pairs=min(totals),
        notes=none_after,
        standard_error=standard_error,
    )
