"""What the change did to each metric: both arms, the difference, and its interval.

The share of false verdicts that the case accepts is split evenly over all that gets a verdict (Bonferroni): each
goal, and each hard limit. Metrics without a goal get intervals at the same level; faults without one share a level of
their own (see `effect.Levels`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pandas as pd

from luckyhit.case.model import Goal
from luckyhit.judge.compare.effect import Effect, margin_of
from luckyhit.judge.freshness.classify import StaleShare, stale_difference
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.share_bounds import bounds_at, each_alone
from luckyhit.judge.stale.write_units import StalePairs, stale_units
from luckyhit.judge.stats.boundary import INF, Boundary
from luckyhit.judge.stats.intervals import Estimates, Interval, mean_estimates
from luckyhit.judge.stats.proportions import ArmCounts, PairedCounts
from luckyhit.judge.stats.rank_intervals import quantiles_estimates
from luckyhit.judge.table.request_values import sortable_values_of, values_of
from luckyhit.judge.table.rows import Column, SinceDue
from luckyhit.judge.table.samples import ARMS, Comparison
from luckyhit.records import METRICS, OF_FRESHNESS, OF_REQUESTS, Estimator, GoalName, MetricName, Note, kind_of
from luckyhit.text.wording import note

RARE = 20
"""Fewer events (or non-events) than this in an arm: the exact interval of a share is taken in as well."""

NEARLY_ALL = 0.99
"""Of the values of an arm are in pairs: then pairs tell of all."""


@dataclass(frozen=True, slots=True)
class RequestArms:
    """What metrics of requests are estimated from: `comparison` has the measured rows of both arms. `goals`: their
    margins, which a boundary may make use of. `error_rate`: of one interval; `fault_rate`: of one of the faults that
    `goals` don't declare, that of the others where None."""

    comparison: Comparison
    boundary: Boundary
    error_rate: float
    goals: Mapping[GoalName, Goal]
    fault_rate: float | None = None

    def rate(self, name: MetricName) -> float:
        """The error rate of this metric's interval."""
        undeclared = METRICS[name].fault and name not in self.goals
        return self.fault_rate if undeclared and self.fault_rate is not None else self.error_rate

    def values(self, name: MetricName) -> tuple[np.ndarray, np.ndarray]:
        """Of both arms, what each request counts as."""
        before, after = (values_of(name, side.rows) for side in self.comparison.sides)
        return before, after


def request_effects(
    comparison: Comparison,
    boundary: Boundary,
    error_rate: float,
    goals: Mapping[GoalName, Goal] | None = None,
    fault_rate: float | None = None,
) -> dict[GoalName, Effect]:
    """The metrics that requests show, each by its estimator: see RequestArms."""
    arms = RequestArms(comparison, boundary, error_rate, goals or {}, fault_rate)
    effects: dict[GoalName, Effect] = {}
    # One after the other: all of them at once would take as much room as the rows.
    for estimator, estimate in REQUEST_ESTIMATORS.items():
        names = [name for name in OF_REQUESTS if METRICS[name].estimator == estimator]
        effects |= dict(estimate(names, arms))
    return {name: effects[name] for name in OF_REQUESTS}


def _counted_means(names: Sequence[MetricName], arms: RequestArms) -> Iterator[tuple[MetricName, Effect]]:
    """Means of events and of small counts, which say too little of themselves near 0 and 1."""
    for name in names:
        values, rate = arms.values(name), arms.rate(name)
        estimates = _means_of(name, values, arms)
        if estimates is not None:
            estimates = _at_the_edge(estimates, values, arms.comparison, arms.boundary, rate, name)
        yield name, _effect(estimates, _Seen.of(values, arms.comparison), METRICS[name].unseen)


def _means(names: Sequence[MetricName], arms: RequestArms) -> Iterator[tuple[MetricName, Effect]]:
    for name in names:
        values = arms.values(name)
        estimates = _means_of(name, values, arms)
        yield name, _effect(estimates, _Seen.of(values, arms.comparison), METRICS[name].unseen, floor=0.0)


def _means_of(name: MetricName, values: tuple[np.ndarray, np.ndarray], arms: RequestArms) -> Estimates | None:
    return mean_estimates(values, arms.comparison, arms.boundary, arms.rate(name), margin_of(name, arms.goals))


def _quantiles(names: Sequence[MetricName], arms: RequestArms) -> Iterator[tuple[MetricName, Effect]]:
    """Quantiles of the same values are estimated together: sorting them is what takes the time."""
    by_values: dict[tuple[str, str], list[MetricName]] = {}
    for name in names:
        by_values.setdefault((METRICS[name].value, METRICS[name].column), []).append(name)
    for alike in by_values.values():
        before, after = (sortable_values_of(alike[0], side.rows) for side in arms.comparison.sides)
        visible = _Seen.of((before, after), arms.comparison, means=False)
        margins = {METRICS[name].quantile or 0.5: margin_of(name, arms.goals) for name in alike}
        by_quantile = quantiles_estimates((before, after), arms.comparison, margins, arms.boundary, arms.error_rate)
        for name, estimates in zip(alike, by_quantile, strict=True):
            yield name, _effect(estimates, visible, METRICS[name].unseen, floor=0.0)


REQUEST_ESTIMATORS: dict[
    Estimator, Callable[[Sequence[MetricName], RequestArms], Iterator[tuple[MetricName, Effect]]]
] = {"share": _counted_means, "count": _counted_means, "mean": _means, "quantile": _quantiles}
"""How metrics of requests are compared. Those of the probe's reads: PROBE_ESTIMATORS, and `stale.probe_pairs`."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """How many values there are of how many, by arm; their means, and the number of pairs."""

    counts: tuple[int, ...]
    rows: tuple[int, ...]
    means: tuple[float | None, ...]
    pairs: int

    @classmethod
    def of(cls, values: tuple[Column, Column], comparison: Comparison, *, means: bool = True) -> _Seen:
        known = _there(values[0]), _there(values[1])
        counts = tuple(int(np.count_nonzero(mask)) for mask in known)
        # Only where one of the arms shows nothing, there is no estimate to take the other's from.
        alone = means and not all(counts)
        return cls(
            counts=counts,
            rows=tuple(map(len, values)),
            means=tuple(
                float(np.mean(value[mask])) if alone and mask.any() and isinstance(value, np.ndarray) else None
                for value, mask in zip(values, known, strict=True)
            ),
            pairs=_pairs(comparison, known),
        )


def _there(values: Column) -> np.ndarray:
    return values.there if isinstance(values, SinceDue) else np.isfinite(values)


def freshness_effects(
    before: Probed,
    after: Probed,
    within_s: float | None,
    boundary: Boundary,
    error_rate: float,
    pairs: StalePairs | None = None,
) -> dict[GoalName, Effect]:
    """The metrics that the freshness probe shows. `within_s` is None where the case has no probe. `pairs`: the writes
    that both arms tell of, the workload's among them; None where the arms were not measured side by side, and the
    probe's writes are counted in each.

    Units are far apart, mostly of keys of their own, so exact bounds of counts fit. Where several routes were polled, a
    window lasts until the last of them is fresh.
    """
    if within_s is None:
        return {name: Effect(notes=(note("not-visible-no-probe"),)) for name in OF_FRESHNESS}
    arms = ProbedArms(before, after, within_s, boundary, error_rate, pairs)
    return {name: PROBE_ESTIMATORS[METRICS[name].estimator](name, arms) for name in OF_FRESHNESS}


@dataclass(frozen=True, slots=True)
class ProbedArms:
    """What metrics of the freshness probe are estimated from: see `freshness_effects`."""

    before: Probed
    after: Probed
    within_s: float
    boundary: Boundary
    error_rate: float
    pairs: StalePairs | None = None


def _effect(estimates: Estimates | None, visible: _Seen, unseen: str, floor: float | None = None) -> Effect:
    if estimates is None:
        blind = [arm for arm, count in zip(ARMS, visible.counts, strict=True) if count == 0]
        arms = "either arm" if len(blind) == 2 else f"the {blind[0]} arm"
        hidden = note("not-visible-no-request", arms=arms, shown=unseen)
        return Effect(before=visible.means[0], after=visible.means[1], notes=(hidden,))
    shares = [count / rows if rows else 0.0 for count, rows in zip(visible.counts, visible.rows, strict=True)]
    notes: tuple[Note, ...] = ()
    if abs(shares[0] - shares[1]) > 0.05:
        notes = (note("seen-on-by-arm", before=shares[0], after=shares[1]),)
    elif min(shares) < 0.5:
        notes = (note("seen-on", share=min(shares)),)
    after = estimates.after
    return Effect(
        before=estimates.before.value,
        after=after.value,
        effect=estimates.difference.value,
        low=estimates.difference.low,
        high=estimates.difference.high,
        after_low=after.low if floor is None else max(after.low, floor),
        after_high=after.high,
        pairs=visible.pairs,
        notes=notes,
        error=estimates.error,
        degrees=estimates.degrees,
        counts=estimates.counts,
    )


def _at_the_edge(
    estimates: Estimates,
    values: tuple[np.ndarray, np.ndarray],
    comparison: Comparison,
    boundary: Boundary,
    error_rate: float,
    name: GoalName,
) -> Estimates:
    """Near 0 and 1 the spread over units says too little (none seen: no spread at all); counts say more.

    Errors are counted by the pairs that differ: they are rare in both arms. A hit ratio near 1 in one arm is often far
    from it in the other, and then the bounds of both arms say more. Which of both it is hangs on the metric alone, not
    on what was seen.
    """
    finite = [np.isfinite(value) for value in values]
    counted = [int(np.count_nonzero(mask)) for mask in finite]
    least = boundary.share(0, min(counted), error_rate)[1]
    intervals = [
        Interval(interval.value, min(interval.low, interval.value - least), max(interval.high, interval.value + least))
        for interval in (estimates.before, estimates.after, estimates.difference)
    ]
    if kind_of(name).unit != "share":
        return replace(estimates, before=intervals[0], after=intervals[1], difference=intervals[2])
    # A share's values are zeros and ones.
    ones = [mask & (value > 0) for value, mask in zip(values, finite, strict=True)]
    events = [(int(np.count_nonzero(one)), count) for one, count in zip(ones, counted, strict=True)]
    counts: PairedCounts | ArmCounts | None = None
    if min(min(count, total - count) for count, total in events) < RARE:
        exact = [boundary.share(*event, error_rate) for event in events]
        if kind_of(name).fault:
            counts = _paired_counts(ones, finite, comparison)
        if counts is None:
            counts = ArmCounts(*events[0], *events[1])
        apart = counts.difference(boundary, error_rate)
        exact.append((apart.low, apart.high))
        intervals = [
            Interval(interval.value, min(interval.low, low), max(interval.high, high))
            for interval, (low, high) in zip(intervals, exact, strict=True)
        ]
    floors = (0.0, 0.0, -1.0)
    inside = [
        Interval(interval.value, max(interval.low, floor), min(interval.high, 1.0))
        for interval, floor in zip(intervals, floors, strict=True)
    ]
    return replace(estimates, before=inside[0], after=inside[1], difference=inside[2], counts=counts)


def _paired_counts(
    ones: Sequence[np.ndarray], known: Sequence[np.ndarray], comparison: Comparison
) -> PairedCounts | None:
    """From the slots in which the arms differ; None where too many have a value in one arm only."""
    if not comparison.paired:
        return None
    first, second = comparison.same_slots
    both = known[0][first] & known[1][second]
    pairs = int(np.count_nonzero(both))
    if pairs < NEARLY_ALL * max(map(np.count_nonzero, known)):
        return None
    before, after = ones[0][first] & both, ones[1][second] & both
    only = int(np.count_nonzero(before & ~after)), int(np.count_nonzero(after & ~before))
    return PairedCounts(*only, pairs)


def _pairs(comparison: Comparison, known: tuple[np.ndarray, np.ndarray]) -> int:
    """How many slots have a value in both arms; those of the smaller arm, where arms are not paired."""
    if not comparison.paired:
        return min(int(np.count_nonzero(mask)) for mask in known)
    first, second = comparison.same_slots
    if known[0].all() and known[1].all():
        return len(first)
    return int(np.count_nonzero(known[0][first] & known[1][second]))


def _stale_reads(_: MetricName, probed: ProbedArms) -> Effect:
    """By the probe's units of each arm. Where there are pairs, these are what is compared."""
    pairs, boundary, error_rate = probed.pairs, probed.boundary, probed.error_rate
    arms = stale_units(probed.before, probed.within_s), stale_units(probed.after, probed.within_s)
    count = min(arm.reads for arm in arms) if pairs is None else pairs.pairs
    if count == 0:
        blind = " and ".join(name for name, arm in zip(ARMS, arms, strict=True) if not arm.reads)
        hidden = note("not-visible-no-late-read", arms=blind or "the same write in both")
        return Effect(before=arms[0].share, after=arms[1].share, notes=(hidden,))
    notes = []
    if pairs is None:
        before, after = arms[0].share, arms[1].share
        alone = [(arm.stale, arm.reads) for arm in arms]
        counts: ArmCounts | PairedCounts = ArmCounts(*alone[0], *alone[1])
        difference = stale_difference(*arms, error_rate, boundary)
        error = sqrt(sum(_variance_of_share(arm) for arm in arms))
    else:
        before, after = pairs.before / count, pairs.after / count
        alone = [(pairs.before, count), (pairs.after, count)]
        counts = PairedCounts(pairs.before_only, pairs.after_only, count)
        difference = counts.difference(boundary, error_rate)
        error = _error_of_pairs(pairs)
    of_arm = bounds_at(boundary, error_rate)
    bounds = [of_arm(*counted) for counted in alone]
    zero_bounds = [None if stale else high for (stale, _), (_, high) in zip(alone, bounds, strict=True)]
    if zero_bounds[1] is not None:
        notes.append(note("no-stale-read", reads=alone[1][1], at_most=zero_bounds[1]))
    if pairs is not None and pairs.probed and pairs.workload:
        notes.append(note("pairs-by-source", probe=pairs.probed, workload=pairs.workload))
    never = arms[0].never_committed, arms[1].never_committed
    if any(never):
        notes.append(note("values-nobody-wrote", before=never[0], after=never[1]))
    interval_and_bounds = difference.low, difference.high, *bounds[1]
    both = zero_bounds[0], zero_bounds[1]
    return Effect(
        before, after, difference.effect, *interval_and_bounds, count, tuple(notes), error, both, counts=counts
    )


def _variance_of_share(arm: StaleShare) -> float:
    """With one read more of each kind, as Agresti and Caffo (2000) have it: none seen does not mean no variance."""
    share = (arm.stale + 1) / (arm.reads + 2)
    return share * (1 - share) / (arm.reads + 2)


def _error_of_pairs(pairs: StalePairs) -> float:
    """With half a pair more of each of the four kinds (Agresti and Min 2005, Statistics in Medicine 24: 729)."""
    count = pairs.pairs + 2
    effect = (pairs.after_only - pairs.before_only) / count
    return sqrt(((pairs.before_only + pairs.after_only + 1) / count - effect**2) / count)


def _staleness(name: MetricName, probed: ProbedArms) -> Effect:
    """A quantile of the staleness windows, by their upper ends: how long one has to expect to read old data."""
    quantile = METRICS[name].quantile or 0.5
    before, after, boundary, error_rate = (
        probed.before.windows,
        probed.after.windows,
        probed.boundary,
        probed.error_rate,
    )
    arms = dict(zip(ARMS, (before, after), strict=True))
    unseen = [f"{arm} arm" for arm, windows in arms.items() if windows.empty]
    values = [
        _window_quantile(windows, quantile, boundary, error_rate).value if len(windows) else INF
        for windows in arms.values()
    ]
    shown = [value if np.isfinite(value) else None for value in values]
    if unseen:
        hidden = note("not-visible-no-window", arms=" and the ".join(unseen))
        return Effect(before=shown[0], after=shown[1], notes=(hidden,))
    # Each arm's own bounds hold with half the error rate: together they bound the difference.
    first, second = (_window_quantile(arm, quantile, boundary, error_rate / 2) for arm in (before, after))
    alone = _window_quantile(after, quantile, boundary, each_alone(error_rate))
    stuck = [
        f"{int(windows['censored'].sum())} of {len(windows)} {arm}"
        for arm, windows in arms.items()
        if windows["censored"].any()
    ]
    known = shown[0] is not None and shown[1] is not None
    with np.errstate(invalid="ignore"):
        low, high = second.low - first.high, second.high - first.low
    return Effect(
        before=shown[0],
        after=shown[1],
        effect=second.value - first.value if known else None,
        low=low if not np.isnan(low) else -INF,
        high=high if not np.isnan(high) else INF,
        after_low=alone.low,
        after_high=alone.high,
        pairs=min(len(before), len(after)),
        notes=(note("windows-open", arms=", ".join(stuck)),) if stuck else (),
    )


def _window_quantile(windows: pd.DataFrame, level: float, boundary: Boundary, error_rate: float) -> Interval:
    """The quantile of windows by their upper ends; bounds by exact order statistics of lower and upper ends."""
    count = len(windows)
    lower = np.sort(windows["low_ms"].to_numpy(dtype=float))
    upper = np.sort(windows["high_ms"].where(~windows["censored"], INF).fillna(INF).to_numpy(dtype=float))
    first, last = boundary.ranks(level, count, error_rate)
    return Interval(
        float(upper[max(int(np.ceil(level * count)), 1) - 1]),
        float(lower[first - 1]) if first >= 1 else 0.0,
        float(upper[last - 1]) if last <= count else INF,
    )


PROBE_ESTIMATORS: dict[Estimator, Callable[[MetricName, ProbedArms], Effect]] = {
    "stale-share": _stale_reads,
    "window-quantile": _staleness,
}
"""How the metrics of `records.OF_FRESHNESS` are compared; those of kinds of reads: `stale.probe_pairs`."""
