"""Intervals for the difference of two arms' quantiles.

An exact order statistic in each arm, and an ellipse around the two *ranks* at which the true quantiles
stand among the measured values (Woodruff 1952 for one arm; here for two). The interval is the range that the difference
of the two order statistics takes over that ellipse. Nothing is assumed about the distribution between
the ranks: with hits at 2 ms, misses at 12 ms and the median in the gap, a density there is zero, and whatever
divides by it (delta method, jackknife) breaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from luckyhit.judge.stats.boundary import INF, Boundary
from luckyhit.judge.stats.intervals import Estimates, Interval, Margin, interval_by, no_margin, spread, spread_apart
from luckyhit.judge.table.rows import NS_PER_MS, Column, SinceDue
from luckyhit.judge.table.samples import Comparison, Side


class _Sorted:
    """The values of one arm in their order: sorted once, for all quantiles."""

    def __init__(self, values: Column, side: Side) -> None:
        self.units, self.block = side.units, side.block
        self.scale = 1.0
        if isinstance(values, SinceDue):
            finite, values, self.scale = values.there, values.ns, NS_PER_MS
            # No time is the least of all numbers.
            self.sorted = np.sort(values)[len(values) - int(np.count_nonzero(finite)) :]
        else:
            finite = np.isfinite(values)
            if np.isinf(values).any():
                values = np.where(finite, values, np.nan)
            # Those that aren't there come last.
            self.sorted = np.sort(values)[: int(np.count_nonzero(finite))]
        self.values, self.there = values, finite
        self.rows = self.units.counts(finite)

    def by_groups(self, level: float, groups: int) -> np.ndarray:
        """The quantile of each of so many groups of neighbouring units, in milliseconds; NaN for one without values."""
        units = len(self.block)
        groups = min(groups, units)
        group_of = self.units.index * groups // units
        return np.array([self._quantile_of(self.there & (group_of == group), level) for group in range(groups)])

    def _quantile_of(self, chosen: np.ndarray, level: float) -> float:
        values = self.values[chosen]
        if not len(values):
            return float("nan")
        place = max(int(np.ceil(level * len(values) - 1e-9)), 1) - 1
        return float(np.partition(values, place)[place]) / self.scale


class _Ranks:
    """The sorted values of one arm, and how surely a quantile's rank among them is known."""

    def __init__(self, values: _Sorted, level: float) -> None:
        self.sorted, self.scale = values.sorted, values.scale
        self.level = level
        count = len(self.sorted)
        value = self.sorted[max(int(np.ceil(level * count - 1e-9)), 1) - 1]
        self.value = float(value) / self.scale
        # Those above are fewer than those below, mostly by far.
        below = values.rows - values.units.counts(values.values > value)
        self.influence = (below - below.sum() / count * values.rows) / count
        self.spread = spread(self.influence, values.block)
        self.binomial = float(np.sqrt(level * (1 - level) / count))
        """The standard error of the rank if all requests were independent."""

    def at(self, multiples: np.ndarray, error: float) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper) order statistics, `multiples` times `error` in rank away from the level: with k values or more
        at or below the quantile, the k-th of them is; with k at most, the next one is above it."""
        rank = self._rank(multiples, error)
        return self._pick(np.ceil(rank)), self._pick(np.floor(rank) + 1)

    def near(self, multiples: np.ndarray, error: float) -> np.ndarray:
        """The same between two order statistics, by a line from one to the other: whole ranks would make an interval
        wider by a rank on either side, which is much for p99."""
        rank, count = self._rank(multiples, error), len(self.sorted)
        place = np.clip(rank - 0.5, 0, count - 1)
        below = np.floor(place).astype(np.int64)
        first, then = (self.sorted[np.minimum(index, count - 1)] / self.scale for index in (below, below + 1))
        value = first + (place - below) * (then - first)
        return np.where(rank < 0, -INF, np.where(rank > count, INF, value))

    def inside(self, radius: float, error: float) -> float:
        """The largest multiple of `error` up to `radius` with which the ranks on both sides are the sample's."""
        multiples = np.linspace(0, radius, 201)
        ranks = self._rank(np.concatenate([-multiples, multiples]), error).reshape(2, -1)
        beyond = ((ranks < 0) | (ranks > len(self.sorted))).any(axis=0)
        return float(multiples[max(int(np.argmax(beyond)) - 1, 0)] if beyond.any() else radius)

    def _rank(self, multiples: np.ndarray, error: float) -> np.ndarray:
        """The skewness of a binomial count is corrected for (Cornish and Fisher 1938): it matters for p99."""
        count = len(self.sorted)
        skew = (1 - 2 * self.level) / (self.binomial * count) * (error / self.binomial)
        corrected = multiples + skew * (multiples**2 - 1) / 6
        # Where the correction would turn back on itself, it ends.
        turned = 1 + skew * multiples / 3 < 0
        return np.asarray((self.level + error * np.where(turned, multiples, corrected)) * count)

    def _pick(self, rank: np.ndarray) -> np.ndarray:
        count = len(self.sorted)
        inside = np.clip(rank, 1, count).astype(np.int64)
        return np.where(rank < 1, -INF, np.where(rank > count, INF, self.sorted[inside - 1] / self.scale))

    def interval(self, boundary: Boundary, error_rate: float) -> Interval:
        reach = boundary.single(self.spread.degrees, error_rate)
        if not np.isfinite(reach * self.spread.error):
            return Interval(self.value, -INF, INF)
        low, high = self.at(np.array([-reach, reach]), max(self.spread.error, self.binomial))
        return Interval(self.value, float(low[0]), float(high[1]))


LEAST_RADIUS = 1.0
"""In standard errors of the ranks."""
FEWEST_BEYOND = 3
"""Values expected beyond a quantile: fewer tell nothing of a tail."""
ERROR_RADIUS = 1.5
"""Of the ellipse that the standard error is taken from, in standard errors of the ranks: few values beside the quantile
tell little, those far out in a tail tell of the tail."""
LEAST_PART = 0.1
"""Of the variance of a difference, that either arm is held to have contributed: less is luck in the estimate."""
LEAP = 4.0
"""An interval of a difference of quantiles that grows by so many times what its radius grows has met a gap."""
_ANGLES = np.linspace(0, 2 * np.pi, 361)[:-1]


def quantile_estimates(
    values: tuple[Column, Column],
    comparison: Comparison,
    level: float,
    boundary: Boundary,
    error_rate: float,
    margin: Margin = no_margin,
) -> Estimates | None:
    """The `level` quantile (0.95 for p95) of `values` in each arm; None where an arm has no values.

    The quantile is an exact order statistic, the least value with at least that share at or below it.
    """
    return quantiles_estimates(values, comparison, {level: margin}, boundary, error_rate)[0]


def quantiles_estimates(
    values: tuple[Column, Column],
    comparison: Comparison,
    margins: Mapping[float, Margin],
    boundary: Boundary,
    error_rate: float,
) -> list[Estimates | None]:
    """The same for several levels (the keys of `margins`) of the same values, which are sorted once. Latencies may come
    as whole nanoseconds, too: estimates are in milliseconds either way."""
    arms = [_Sorted(value, side) for value, side in zip(values, comparison.sides, strict=True)]
    if not all(len(arm.sorted) for arm in arms):
        return [None for _ in margins]
    return [_quantile(arms, comparison, level, boundary, error_rate, margin) for level, margin in margins.items()]


def _quantile(
    arms: Sequence[_Sorted],
    comparison: Comparison,
    level: float,
    boundary: Boundary,
    error_rate: float,
    margin: Margin,
) -> Estimates:
    before, after = (_Ranks(values, level) for values in arms)
    if comparison.paired:
        errors, degrees = _beside(before, after, comparison.before.block)
    else:
        errors = max(before.spread.error, before.binomial), max(after.spread.error, after.binomial)
        degrees = spread_apart(before.spread, after.spread).degrees
    radius = boundary.single(degrees, error_rate)
    error = _difference(before, after, errors, ERROR_RADIUS).half_width / ERROR_RADIUS if 0 < radius < INF else INF
    in_errors = margin(before.value) / error if 0 < error < INF else INF
    # Where values leave a gap, the rank of either arm alone can put the difference wrong: half the error rate each.
    radii = [boundary.single(degrees, rate, in_errors) for rate in (error_rate, error_rate / 2)]
    near, far = (_difference(before, after, errors, radius) for radius in radii)
    if not all(_fits(ranks, error, radii[0]) for ranks, error in zip((before, after), errors, strict=True)):
        groups = _by_groups(arms, level, comparison.paired, boundary, error_rate)
        near, far = (_hull(ranks, groups) for ranks in (near, far))
    difference = near if _no_gap(near, far, radii[1] / radii[0] if radii[0] < INF else 1.0) else far
    return Estimates(
        before.interval(boundary, error_rate), after.interval(boundary, error_rate), difference, error, degrees
    )


GROUPS = 20
"""Of contiguous units, where the sample is too small for ranks alone: each still has a tail of its own."""


def _by_groups(arms: Sequence[_Sorted], level: float, paired: bool, boundary: Boundary, error_rate: float) -> Interval:
    """The mean difference of the quantiles of GROUPS groups of units (fewer where there are fewer units, as where
    blocks are), and its spread over them: what lasts no longer than a group is in it, a burst in one of them too."""
    quantiles = [values.by_groups(level, GROUPS) for values in arms]
    shown = [np.isfinite(values) for values in quantiles]
    if paired:
        shown = [shown[0] & shown[1]] * 2
    quantiles = [values[mask] for values, mask in zip(quantiles, shown, strict=True)]
    if not all(len(values) for values in quantiles):
        return Interval(0.0, -INF, INF)
    before, after = ((values - values.mean()) / len(values) for values in quantiles)
    if paired:
        apart = spread(after - before, np.zeros(len(after), dtype=np.int64))
    else:
        apart = spread_apart(
            *(spread(influence, np.zeros(len(influence), dtype=np.int64)) for influence in (before, after))
        )
    return interval_by(float(quantiles[1].mean() - quantiles[0].mean()), apart, boundary, error_rate)


def _hull(ranks: Interval, groups: Interval) -> Interval:
    return Interval(ranks.value, min(ranks.low, groups.low), max(ranks.high, groups.high))


def _fits(ranks: _Ranks, error: float, radius: float) -> bool:
    return not np.isfinite(radius * error) or ranks.inside(radius, error) >= radius


def _no_gap(near: Interval, far: Interval, grown: float) -> bool:
    """Whether the interval grows about as its radius does (`grown` times), on both sides. A gap that a mistaken rank
    could step over would show as a leap; a truth on its other side is then inside the longer interval."""
    reaches = [(near.value - near.low, far.value - far.low), (near.high - near.value, far.high - far.value)]
    return all(np.isfinite(long) and long <= (1 + LEAP * (grown - 1)) * short for short, long in reaches)


def _difference(before: _Ranks, after: _Ranks, errors: tuple[float, float], radius: float) -> Interval:
    """The range of the difference of two quantiles over the ranks in an ellipse around those that were seen.

    A sample of few values ends before an ellipse that is wide enough. Then the widest ellipse inside the sample is
    taken, and its range grows as its radius would have. No bound without one that reaches LEAST_RADIUS, nor from fewer
    values than have FEWEST_BEYOND beyond the quantile.
    """
    value = after.value - before.value
    if not all(np.isfinite(radius * error) for error in errors):
        return Interval(value, -INF, INF)
    inside = min(ranks.inside(radius, error) for ranks, error in zip((before, after), errors, strict=True))
    beyond = min(len(ranks.sorted) * min(ranks.level, 1 - ranks.level) for ranks in (before, after))
    if inside < radius and (inside < LEAST_RADIUS or beyond < FEWEST_BEYOND):
        return Interval(value, -INF, INF)
    if inside < radius:
        whole, grown = _difference(before, after, errors, inside), radius / inside
        return Interval(value, value - grown * (value - whole.low), value + grown * (whole.high - value))
    with np.errstate(invalid="ignore"):
        apart = after.near(radius * np.sin(_ANGLES), errors[1]) - before.near(radius * np.cos(_ANGLES), errors[0])
    # inf - inf: nothing is known there.
    lowest, highest = np.where(np.isnan(apart), -INF, apart), np.where(np.isnan(apart), INF, apart)
    return Interval(value, min(float(lowest.min()), value), max(float(highest.max()), value))


def _beside(before: _Ranks, after: _Ranks, block: np.ndarray) -> tuple[tuple[float, float], float]:
    """Errors of the two ranks, and their degrees of freedom, where the arms were measured side by side.

    What moved the ranks of both arms alike (the same requests, a busy minute of the host, a drift) belongs to the
    conditions that they shared, and is no error of the comparison; what moved one of them is. So the errors come
    from the spread of the differences, split by what each arm contributed.
    """
    apart = spread(after.influence - before.influence, block)
    if not np.isfinite(apart.error):
        return (INF, INF), 0
    total = float(np.sum((after.influence - before.influence) ** 2))
    common = float(np.sum(after.influence * before.influence))
    share = (float(np.sum(before.influence**2)) - common) / total if total > 0 else 0.5
    # The more both arms have in common, the less surely it can be split: then each gets half at the least.
    both = float(np.sqrt(np.sum(before.influence**2) * np.sum(after.influence**2)))
    least = min(max(common / both if both > 0 else 0.0, LEAST_PART), 0.5)
    errors = []
    for ranks, part in ((before, max(share, least)), (after, max(1 - share, least))):
        # Not less than half of what independent requests would give: less is luck in the estimate.
        errors.append(max(apart.error * part**0.5, ranks.binomial / 2))
    return (errors[0], errors[1]), apart.degrees
