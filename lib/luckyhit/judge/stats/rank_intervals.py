"""Intervals for the difference of two arms' quantiles.

An exact order statistic in each arm, and an ellipse around the two *ranks* of the true quantiles among the measured
values (Woodruff 1952 for one arm; here for two). The interval is the range of the difference of the two order
statistics over that ellipse. Nothing is assumed about the distribution between the ranks: with hits at 2 ms, misses at
12 ms and the median in the gap, the density there is zero, and methods that divide by it (delta method, jackknife)
break.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from luckyhit.judge.stats.boundary import INF, Boundary, Tested
from luckyhit.judge.stats.intervals import (
    Estimates,
    Interval,
    Margin,
    StandardError,
    interval_around,
    not_refuted,
    standard_error,
    welch_error,
)
from luckyhit.judge.table.column_forms import Column
from luckyhit.judge.table.rows import RequestTable
from luckyhit.judge.table.samples import FEWEST_BATCHES, Comparison, Side
from luckyhit.judge.table.unit_values import UnitValues
from luckyhit.records import nearest_rank

Values = Column | Callable[[RequestTable], Column]


class _Sorted:
    """The values of one arm, sorted once for all quantiles."""

    def __init__(self, values: Values, side: Side, quantiles: Sequence[float]) -> None:
        self.values = UnitValues(values, side)
        self.block, self.scale, self.rows = side.block, self.values.scale, self.values.rows
        self.sorted = self.values.in_order(quantiles)
        ranks = [nearest_rank(quantile, len(self.sorted)) for quantile in quantiles] if len(self.sorted) else []
        limits = [float(self.sorted[rank]) for rank in ranks]
        self.above = dict(zip(quantiles, self.values.above(limits), strict=False))

    def by_groups(self, quantile: float, groups: int) -> np.ndarray:
        """The quantile of each group of neighbouring units, in milliseconds; NaN for one without values."""
        units = len(self.block)
        groups = min(groups, units)
        return self._by_class(np.arange(units) * groups // units, groups, quantile)

    def by_blocks(self, quantile: float) -> np.ndarray:
        """The same of each block."""
        blocks, of_unit = np.unique(self.block, return_inverse=True)
        return self._by_class(of_unit, len(blocks), quantile)

    def _by_class(self, class_of: np.ndarray, classes: int, quantile: float) -> np.ndarray:
        by_class = self.values.by_class(class_of, classes)
        return np.array([_quantile_of(values, quantile) / self.scale for values in by_class])


def _quantile_of(values: np.ndarray, quantile: float) -> float:
    if not len(values):
        return float("nan")
    place = nearest_rank(quantile, len(values))
    return float(np.partition(values, place)[place])


class _Ranks:
    """The sorted values of one arm, and the standard error of a quantile's rank among them."""

    def __init__(self, values: _Sorted, quantile: float) -> None:
        self.sorted, self.scale = values.sorted, values.scale
        self.quantile = quantile
        count = len(self.sorted)
        value = self.sorted[nearest_rank(quantile, count)]
        self.value = float(value) / self.scale
        # Counted from above: those are far fewer.
        below = values.rows - values.above[quantile]
        self.influence = (below - below.sum() / count * values.rows) / count
        self.standard_error = standard_error(self.influence, values.block)
        self.binomial = float(np.sqrt(quantile * (1 - quantile) / count))
        """The standard error of the rank, were all requests independent."""

    def at(self, multiples: np.ndarray, error: float) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper) order statistics at `multiples` times `error` in rank from the quantile: with k values or more
        at or below the quantile, the k-th is one of them; with k at most, the next one is above it."""
        rank = self._rank(multiples, error)
        return self._pick(np.ceil(rank)), self._pick(np.floor(rank) + 1)

    def near(self, multiples: np.ndarray, error: float) -> np.ndarray:
        """The same, interpolated between order statistics: whole ranks would widen an interval by a rank on either
        side, which is much for p99."""
        rank, count = self._rank(multiples, error), len(self.sorted)
        place = np.clip(rank - 0.5, 0, count - 1)
        below = np.floor(place).astype(np.int64)
        first, then = (self.sorted[np.minimum(index, count - 1)] / self.scale for index in (below, below + 1))
        value = first + (place - below) * (then - first)
        return np.where(rank < 0, -INF, np.where(rank > count, INF, value))

    def inside(self, radius: float, error: float) -> float:
        """The largest multiple of `error`, up to `radius`, whose ranks on both sides are inside the sample."""
        multiples = np.linspace(0, radius, 201)
        ranks = self._rank(np.concatenate([-multiples, multiples]), error).reshape(2, -1)
        beyond = ((ranks < 0) | (ranks > len(self.sorted))).any(axis=0)
        return float(multiples[max(int(np.argmax(beyond)) - 1, 0)] if beyond.any() else radius)

    def _rank(self, multiples: np.ndarray, error: float) -> np.ndarray:
        """Corrected for the skewness of a binomial count (Cornish and Fisher 1938), which matters for p99."""
        count = len(self.sorted)
        skew = (1 - 2 * self.quantile) / (self.binomial * count) * (error / self.binomial)
        corrected = multiples + skew * (multiples**2 - 1) / 6
        # The correction ends where it would stop being monotone.
        turned = 1 + skew * multiples / 3 < 0
        return np.asarray((self.quantile + error * np.where(turned, multiples, corrected)) * count)

    def _pick(self, rank: np.ndarray) -> np.ndarray:
        count = len(self.sorted)
        inside = np.clip(rank, 1, count).astype(np.int64)
        return np.where(rank < 1, -INF, np.where(rank > count, INF, self.sorted[inside - 1] / self.scale))

    def interval(self, boundary: Boundary, error_rate: float) -> Interval:
        half_width = boundary.critical_value(self.standard_error.degrees_for(boundary), error_rate)
        if not np.isfinite(half_width * self.standard_error.value):
            return Interval(self.value, -INF, INF)
        low, high = self.at(np.array([-half_width, half_width]), max(self.standard_error.value, self.binomial))
        return Interval(self.value, float(low[0]), float(high[1]))


LEAST_RADIUS = 1.0
"""In standard errors of the ranks."""
FEWEST_BEYOND = 3
"""Values expected beyond a quantile: fewer say nothing about a tail."""
ERROR_RADIUS = 1.5
"""Of the ellipse behind the standard error, in standard errors of the ranks: a smaller one holds few values, a larger
one measures the tail."""
LEAST_PART = 0.1
"""Of the variance of a difference, the least that either arm contributes: a smaller estimate is luck."""
LEAP = 4.0
"""An interval that grows by this multiple of its radius' growth has met a gap."""
_ANGLES = np.linspace(0, 2 * np.pi, 361)[:-1]


def quantile_estimates(
    values: tuple[Values, Values],
    comparison: Comparison,
    margins: Mapping[float, Margin],
    boundary: Boundary,
    error_rate: float,
) -> list[Estimates | None]:
    """The quantiles of `values` (0.95 for p95; the keys of `margins`) in each arm; None where an arm has no values.

    A quantile is an order statistic: the least value with at least that proportion at or below it. `values`: one for
    each row, or a function that makes those of some rows. Latencies may also be whole nanoseconds; estimates are in
    milliseconds either way.
    """
    arms = [_Sorted(value, side, list(margins)) for value, side in zip(values, comparison.sides, strict=True)]
    if not all(len(arm.sorted) for arm in arms):
        return [None for _ in margins]
    return [_quantile(arms, comparison, quantile, boundary, error_rate, margin) for quantile, margin in margins.items()]


def _quantile(
    arms: Sequence[_Sorted],
    comparison: Comparison,
    quantile: float,
    boundary: Boundary,
    error_rate: float,
    margin: Margin,
) -> Estimates:
    before, after = (_Ranks(values, quantile) for values in arms)
    if comparison.paired:
        errors, apart = _beside(before, after, comparison.before.block)
        degrees = apart.degrees_for(boundary)
        if apart.in_block <= 1 and not _blocks_are_units(comparison):
            of_blocks = _by_blocks(arms, before, after, boundary, error_rate, margin)
            if of_blocks is not None:
                return of_blocks
    else:
        errors = max(before.standard_error.value, before.binomial), max(after.standard_error.value, after.binomial)
        degrees = welch_error(before.standard_error, after.standard_error).degrees_for(boundary)
    radius = boundary.critical_value(degrees, error_rate)
    error = _difference(before, after, errors, ERROR_RADIUS).half_width / ERROR_RADIUS if 0 < radius < INF else INF
    declared = margin.amount(before.value)
    in_errors = declared / error if 0 < error < INF else INF
    groups: Interval | None = None

    def radius_at(rate: float, tested: Tested = "nothing") -> float:
        return boundary.critical_value(degrees, rate, in_errors, tested=tested)

    def around(rate: float, tested: Tested = "nothing") -> Interval:
        ranks = _difference(before, after, errors, radius_at(rate, tested))
        return _hull(ranks, groups) if groups is not None else ranks

    radius = radius_at(error_rate)
    if not all(_fits(ranks, error, radius) for ranks, error in zip((before, after), errors, strict=True)):
        groups = _by_groups(arms, quantile, comparison.paired, boundary, error_rate)
    # At a gap in the values, the rank of either arm alone can misplace the difference: half the error rate each.
    grown = radius_at(error_rate / 2) / radius if radius < INF else 1.0
    rate = error_rate if _no_gap(around(error_rate), around(error_rate / 2), grown) else error_rate / 2
    difference = not_refuted(partial(around, rate), declared, margin.hoped)
    return Estimates(
        before.interval(boundary, error_rate), after.interval(boundary, error_rate), difference, error, degrees
    )


GROUPS = 20
"""Of contiguous units, for a sample too small for ranks alone: each still has a tail of its own."""


def _by_groups(
    arms: Sequence[_Sorted], quantile: float, paired: bool, boundary: Boundary, error_rate: float
) -> Interval:
    """The mean difference of the quantiles of GROUPS groups of units (fewer where units are fewer), with the standard
    error over them. It includes what lasts no longer than a group, such as a burst."""
    quantiles = [values.by_groups(quantile, GROUPS) for values in arms]
    shown = [np.isfinite(values) for values in quantiles]
    if paired:
        shown = [shown[0] & shown[1]] * 2
    quantiles = [values[mask] for values, mask in zip(quantiles, shown, strict=True)]
    if not all(len(values) for values in quantiles):
        return Interval(0.0, -INF, INF)
    before, after = ((values - values.mean()) / len(values) for values in quantiles)
    if paired:
        apart = standard_error(after - before, np.zeros(len(after), dtype=np.int64))
    else:
        apart = welch_error(
            *(standard_error(influence, np.zeros(len(influence), dtype=np.int64)) for influence in (before, after))
        )
    return interval_around(float(quantiles[1].mean() - quantiles[0].mean()), apart, boundary, error_rate)


def _blocks_are_units(comparison: Comparison) -> bool:
    """Whether arms took turns: then nothing had to be merged."""
    return len(np.unique(comparison.before.block)) == len(comparison.before.block)


def _by_blocks(
    arms: Sequence[_Sorted], before: _Ranks, after: _Ranks, boundary: Boundary, error_rate: float, margin: Margin
) -> Estimates | None:
    """The interval of the mean difference of quantiles of blocks, where each block has a level of its own (a busy host
    slows one process for as long as it lives). The ranks of all requests together then spread so far that the quantiles
    between them no longer grow evenly, and the interval gets half as long again. None where they are fewer than
    FEWEST_BATCHES, or show too little beyond the quantile each."""
    quantile = before.quantile
    of_blocks = [values.by_blocks(quantile) for values in arms]
    shown = np.isfinite(of_blocks[0]) & np.isfinite(of_blocks[1])
    count = int(np.count_nonzero(shown))
    beyond = min(len(ranks.sorted) for ranks in (before, after)) * min(quantile, 1 - quantile) / max(len(shown), 1)
    if count < FEWEST_BATCHES or beyond < FEWEST_BEYOND:
        return None
    apart = (of_blocks[1] - of_blocks[0])[shown]
    error = StandardError(float(np.std(apart, ddof=1)) / count**0.5, count - 1)
    declared = margin.amount(before.value)
    mean = interval_around(float(apart.mean()), error, boundary, error_rate, declared, margin.hoped)
    value = after.value - before.value
    return Estimates(
        before.interval(boundary, error_rate),
        after.interval(boundary, error_rate),
        Interval(value, min(mean.low, value), max(mean.high, value)),
        error.value,
        error.degrees_for(boundary),
    )


def _hull(ranks: Interval, groups: Interval) -> Interval:
    return Interval(ranks.value, min(ranks.low, groups.low), max(ranks.high, groups.high))


def _fits(ranks: _Ranks, error: float, radius: float) -> bool:
    return not np.isfinite(radius * error) or ranks.inside(radius, error) >= radius


def _no_gap(near: Interval, far: Interval, grown: float) -> bool:
    """Whether the interval grows about as its radius does (`grown` times), on both sides. A gap that a wrong rank could
    step over shows as a leap; a truth on its other side is then inside the longer interval."""
    lengths = [(near.value - near.low, far.value - far.low), (near.high - near.value, far.high - far.value)]
    return all(np.isfinite(long) and long <= (1 + LEAP * (grown - 1)) * short for short, long in lengths)


def _difference(before: _Ranks, after: _Ranks, errors: tuple[float, float], radius: float) -> Interval:
    """The range of the difference of two quantiles over the ranks in an ellipse around the observed ones.

    A small sample may end inside the ellipse. Then the widest ellipse inside the sample is taken, and its range scaled
    to the radius asked for. There is no bound if even LEAST_RADIUS does not fit, or if fewer than FEWEST_BEYOND values
    are expected beyond the quantile.
    """
    value = after.value - before.value
    if not all(np.isfinite(radius * error) for error in errors):
        return Interval(value, -INF, INF)
    inside = min(ranks.inside(radius, error) for ranks, error in zip((before, after), errors, strict=True))
    beyond = min(len(ranks.sorted) * min(ranks.quantile, 1 - ranks.quantile) for ranks in (before, after))
    if inside < radius and (inside < LEAST_RADIUS or beyond < FEWEST_BEYOND):
        return Interval(value, -INF, INF)
    if inside < radius:
        whole, grown = _difference(before, after, errors, inside), radius / inside
        return Interval(value, value - grown * (value - whole.low), value + grown * (whole.high - value))
    with np.errstate(invalid="ignore"):
        apart = after.near(radius * np.sin(_ANGLES), errors[1]) - before.near(radius * np.cos(_ANGLES), errors[0])
    # inf - inf is NaN: nothing is known there.
    lowest, highest = np.where(np.isnan(apart), -INF, apart), np.where(np.isnan(apart), INF, apart)
    return Interval(value, min(float(lowest.min()), value), max(float(highest.max()), value))


def _beside(before: _Ranks, after: _Ranks, block: np.ndarray) -> tuple[tuple[float, float], StandardError]:
    """Errors of the two ranks, and that of their difference, where the arms were measured side by side.

    What moved the ranks of both arms alike (the same requests, a busy minute of the host, a drift) is no error of the
    comparison; what moved one of them is. So the errors come from the variance of the differences, split by the
    contribution of each arm.
    """
    apart = standard_error(after.influence - before.influence, block)
    if not np.isfinite(apart.value):
        return (INF, INF), apart
    total = float(np.sum((after.influence - before.influence) ** 2))
    common = float(np.sum(after.influence * before.influence))
    before_part = (float(np.sum(before.influence**2)) - common) / total if total > 0 else 0.5
    # The more both arms have in common, the less certain the split: then each gets nearer to half.
    both = float(np.sqrt(np.sum(before.influence**2) * np.sum(after.influence**2)))
    least = min(max(common / both if both > 0 else 0.0, LEAST_PART), 0.5)
    errors = []
    for ranks, part in ((before, max(before_part, least)), (after, max(1 - before_part, least))):
        # At least half of what independent requests would give: a smaller estimate is luck.
        errors.append(max(apart.value * part**0.5, ranks.binomial / 2))
    return (errors[0], errors[1]), apart
