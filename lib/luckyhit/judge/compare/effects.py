"""The effect of the change on each metric: both arms, the difference, and its interval.

The error rate that the case accepts is split evenly over all that gets a verdict (Bonferroni): each goal, and each hard
limit. Metrics without a goal get intervals at the same rate; faults without one share a rate of their own (see
`effect.ErrorRates`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np

from luckyhit.case.model import Goal
from luckyhit.judge.compare.effect import Effect, margin_of
from luckyhit.judge.compare.tallies import Tally, tallies
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.stats.intervals import Estimates, Interval, mean_estimates
from luckyhit.judge.stats.proportions import ArmCounts, PairedCounts
from luckyhit.judge.stats.rank_intervals import quantile_estimates
from luckyhit.judge.table.request_values import sortable_values_of, values_of
from luckyhit.judge.table.samples import ARMS, Comparison, Side
from luckyhit.records import (
    METRICS,
    OF_REQUESTS,
    Estimator,
    GoalName,
    MetricName,
    Note,
    kind_of,
)
from luckyhit.text.wording import note

RARE = 20
"""With fewer events (or non-events) in an arm, the interval includes the exact one of a proportion."""

NEARLY_ALL = 0.99
"""With this proportion of values in pairs, pairs stand for all."""


@dataclass(frozen=True)
class RequestArms:
    """What metrics of requests are estimated from. `comparison`: the measured rows of both arms; `goals`: their
    margins, which a boundary may use; `error_rate`: of one interval; `fault_rate`: of a fault without a goal,
    `error_rate` if None."""

    comparison: Comparison
    boundary: Boundary
    error_rate: float
    goals: Mapping[GoalName, Goal]
    fault_rate: float | None = None

    @cached_property
    def tallies(self) -> Mapping[MetricName, Tally]:
        """Of every metric; quantiles of the same values share that of one of them."""
        by_values: dict[tuple[str, str], MetricName] = {}
        for name in OF_REQUESTS:
            by_values.setdefault((METRICS[name].value, METRICS[name].column), name)
        made = tallies([*by_values.values()], self.comparison)
        return {name: made[by_values[METRICS[name].value, METRICS[name].column]] for name in OF_REQUESTS}

    def rate(self, name: MetricName) -> float:
        """The error rate of this metric's interval."""
        undeclared = METRICS[name].fault and name not in self.goals
        return self.fault_rate if undeclared and self.fault_rate is not None else self.error_rate


def request_effects(
    comparison: Comparison,
    boundary: Boundary,
    error_rate: float,
    goals: Mapping[GoalName, Goal] | None = None,
    fault_rate: float | None = None,
) -> dict[GoalName, Effect]:
    """The metrics of requests, each by its estimator: see RequestArms."""
    arms = RequestArms(comparison, boundary, error_rate, goals or {}, fault_rate)
    effects: dict[GoalName, Effect] = {}
    # One after the other: all at once would take as much memory as the rows.
    for estimator, estimate in REQUEST_ESTIMATORS.items():
        names = [name for name in OF_REQUESTS if METRICS[name].estimator == estimator]
        effects |= dict(estimate(names, arms))
    return {name: effects[name] for name in OF_REQUESTS}


def _counted_means(names: Sequence[MetricName], arms: RequestArms) -> Iterator[tuple[MetricName, Effect]]:
    """Means of events and of small counts, whose standard errors are too small near 0 and 1."""
    for name in names:
        tally = arms.tallies[name]
        estimates = _means_of(name, tally, arms)
        if estimates is not None:
            estimates = _at_the_edge(estimates, tally, name, arms)
        yield name, _effect(estimates, _Visible.of(name, tally, arms.comparison), METRICS[name].unseen)


def _means(names: Sequence[MetricName], arms: RequestArms) -> Iterator[tuple[MetricName, Effect]]:
    for name in names:
        tally = arms.tallies[name]
        estimates = _means_of(name, tally, arms)
        yield name, _effect(estimates, _Visible.of(name, tally, arms.comparison), METRICS[name].unseen, floor=0.0)


def _means_of(name: MetricName, tally: Tally, arms: RequestArms) -> Estimates | None:
    sums = tally.arms[0].units, tally.arms[1].units
    return mean_estimates(sums, arms.comparison, arms.boundary, arms.rate(name), margin_of(name, arms.goals))


def _quantiles(names: Sequence[MetricName], arms: RequestArms) -> Iterator[tuple[MetricName, Effect]]:
    """Quantiles of the same values are estimated together: putting them in order is what takes the time."""
    by_values: dict[tuple[str, str], list[MetricName]] = {}
    for name in names:
        by_values.setdefault((METRICS[name].value, METRICS[name].column), []).append(name)
    for alike in by_values.values():
        values = partial(sortable_values_of, alike[0])
        visible = _Visible.of_quantiles(arms.tallies[alike[0]])
        margins = {METRICS[name].quantile or 0.5: margin_of(name, arms.goals) for name in alike}
        by_quantile = quantile_estimates((values, values), arms.comparison, margins, arms.boundary, arms.error_rate)
        for name, estimates in zip(alike, by_quantile, strict=True):
            yield name, _effect(estimates, visible, METRICS[name].unseen, floor=0.0)


REQUEST_ESTIMATORS: dict[
    Estimator, Callable[[Sequence[MetricName], RequestArms], Iterator[tuple[MetricName, Effect]]]
] = {"share": _counted_means, "count": _counted_means, "mean": _means, "quantile": _quantiles}
"""How metrics of requests are compared. For the probe's reads see `probe_effects` and `stale.probe_pairs`."""


@dataclass(frozen=True, slots=True)
class _Visible:
    """By arm, the visible values and all rows, the means; and the number of pairs."""

    counts: tuple[int, ...]
    rows: tuple[int, ...]
    means: tuple[float | None, ...]
    pairs: int

    @classmethod
    def of(cls, name: MetricName, tally: Tally, comparison: Comparison) -> _Visible:
        counts = tuple(arm.count for arm in tally.arms)
        # Only where one arm shows nothing there is no estimate to take the other's mean from.
        alone = not all(counts)
        means = tuple(
            _mean_of(name, side) if alone and count else None
            for side, count in zip(comparison.sides, counts, strict=True)
        )
        return cls(counts, tuple(arm.rows for arm in tally.arms), means, tally.pairs)

    @classmethod
    def of_quantiles(cls, tally: Tally) -> _Visible:
        counts, rows = zip(*((arm.count, arm.rows) for arm in tally.arms), strict=True)
        return cls(counts, rows, (None, None), tally.pairs)


def _mean_of(name: MetricName, side: Side) -> float:
    values = values_of(name, side.rows)
    return float(np.mean(values[np.isfinite(values)]))


def _effect(estimates: Estimates | None, visible: _Visible, unseen: str, floor: float | None = None) -> Effect:
    if estimates is None:
        blind = [arm for arm, count in zip(ARMS, visible.counts, strict=True) if count == 0]
        arms = "either arm" if len(blind) == 2 else f"the {blind[0]} arm"
        hidden = note("not-visible-no-request", arms=arms, shown=unseen)
        return Effect(before=visible.means[0], after=visible.means[1], notes=(hidden,))
    parts = [count / rows if rows else 0.0 for count, rows in zip(visible.counts, visible.rows, strict=True)]
    notes: tuple[Note, ...] = ()
    if abs(parts[0] - parts[1]) > 0.05:
        notes = (note("seen-on-by-arm", before=parts[0], after=parts[1]),)
    elif min(parts) < 0.5:
        notes = (note("seen-on", share=min(parts)),)
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
        standard_error=estimates.standard_error,
        degrees=estimates.degrees,
        counts=estimates.counts,
    )


def _at_the_edge(estimates: Estimates, tally: Tally, name: MetricName, arms: RequestArms) -> Estimates:
    """Near 0 and 1 the standard error over units is too small (without an event it is 0), so bounds of counts widen the
    intervals.

    Errors are counted by the pairs that differ, since they are rare in both arms. A hit ratio near 1 in one arm is
    often far from it in the other, and then the bounds of both arms are narrower. The choice depends on the metric
    only, never on the data."""
    boundary, error_rate = arms.boundary, arms.rate(name)
    least = boundary.proportion(0, min(arm.count for arm in tally.arms), error_rate)[1]
    intervals = [
        Interval(interval.value, min(interval.low, interval.value - least), max(interval.high, interval.value + least))
        for interval in (estimates.before, estimates.after, estimates.difference)
    ]
    if kind_of(name).unit != "share":
        return replace(estimates, before=intervals[0], after=intervals[1], difference=intervals[2])
    events = [(arm.ones, arm.count) for arm in tally.arms]
    counts: PairedCounts | ArmCounts | None = None
    if min(min(count, total - count) for count, total in events) < RARE:
        exact = [boundary.proportion(*event, error_rate) for event in events]
        if kind_of(name).fault:
            counts = _paired_counts(tally, arms.comparison)
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


def _paired_counts(tally: Tally, comparison: Comparison) -> PairedCounts | None:
    """From the slots in which the arms differ; None where too many slots have a value in one arm only."""
    if not comparison.paired or tally.pairs < NEARLY_ALL * max(arm.count for arm in tally.arms):
        return None
    return PairedCounts(*tally.only, tally.pairs)
