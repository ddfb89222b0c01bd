"""Intervals for the difference of two arms' means and proportions, from units measured side by side or apart.

The influence of each unit on the difference (linearised ratio estimator: Cochran 1977, Sampling Techniques, ch. 6)
gives its standard error, and a `Boundary` the width. For quantiles see `stats.rank_intervals`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import numpy as np

from luckyhit.judge.stats.boundary import INF, Boundary, Tested
from luckyhit.judge.stats.proportions import ArmCounts, PairedCounts
from luckyhit.judge.table.samples import FEWEST_BATCHES, Comparison
from luckyhit.judge.table.unit_values import UnitSums

CORRELATED = 0.2
"""Neighbouring units with a higher correlation than this are merged into longer ones while there are enough."""
_STEP = 1e-4
"""Of a derivative taken from two values."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its bounds; infinite where the sample sets none."""

    value: float
    low: float
    high: float

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Estimates:
    """One metric: each arm on its own, and the difference after - before with its standard error (for an interval of
    ranks: that of a normal one as wide)."""

    before: Interval
    after: Interval
    difference: Interval
    standard_error: float = INF
    degrees: float = INF
    counts: PairedCounts | ArmCounts | None = None
    """The counts behind the difference's interval, where events were few."""


@dataclass(frozen=True, slots=True)
class StandardError:
    """`degrees`: of freedom, one less than the independent units it came from. `known`: those that are left of them for
    Student's t, where the error is less certain than so many normal units make it. `in_block`: the units that
    correlation left in each block; infinite where units have no blocks."""

    value: float
    degrees: float
    known: float = INF
    in_block: float = INF

    def degrees_for(self, boundary: Boundary) -> float:
        """What its critical value depends on. Intervals for any time count units, and are measured to be wide enough
        with that (`make bench-judge`)."""
        return self.degrees if boundary.any_time else min(self.degrees, self.known)


def standard_error(influence: np.ndarray, block: np.ndarray) -> StandardError:
    """Standard error of the sum of `influence` (one value for each unit; they add up to 0).

    Neighbouring units of one block are merged while their lag-1 correlation is above CORRELATED and at least
    FEWEST_BATCHES remain. The correlation that is left widens the error, and takes degrees of freedom, as in an AR(1)
    process that begins anew in each block: the processes do. With a dozen blocks or fewer, of which each has a level of
    its own, halves of blocks are correlated by 0.9. In an endless process that would mean 19 times the variance; in
    blocks of two halves it means twice, and as many units as there are blocks.
    """
    count = len(influence)
    if count < 2:
        return StandardError(INF, 0)
    merged, within = influence, block
    correlation = _lag_one(merged, within)
    size = 1
    while correlation > CORRELATED:
        size *= 2
        longer, group = _merge(influence, block, size)
        if len(longer) < FEWEST_BATCHES or len(longer) == len(merged):
            break
        merged, within = longer, group
        correlation = _lag_one(merged, within)
    units = len(merged)
    variance = units / (units - 1) * float(np.sum(merged**2))
    left, in_block = _shrunk(correlation, units), units / len(np.unique(within))
    degrees = units / _repeated(left**2, in_block) - 1
    known = _known(merged, degrees, left, in_block)
    return StandardError(float(np.sqrt(variance * _repeated(left, in_block))), degrees, known, in_block)


def _known(units: np.ndarray, degrees: float, left: float, in_block: float) -> float:
    """Twice the squared variance over the variance of that variance (Satterthwaite 1946, Biometrics Bulletin 2: 110).

    Rare events in clusters, such as values above p99, give few large units, so their variance varies by the kurtosis
    (Cramér 1946, Mathematical Methods of Statistics, ch. 27), and correlation that was estimated from n units has a
    variance of its own, 1 / n. Kurtosis that normal units show by chance (its standard error, the root of 24 / n) does
    not count."""
    count, power = len(units), float(np.sum(units**2))
    if not (power > 0 and degrees > 0):
        return degrees
    kurtosis = count * float(np.sum(units**4)) / power**2 - (24 / count) ** 0.5
    relative_variance = max(kurtosis - 1, 2) / degrees
    if left > 0:
        near, beyond = (log(_repeated(correlation, in_block)) for correlation in (left, left + _STEP))
        slope = (beyond - near) / _STEP
        relative_variance += slope**2 / count
    return 2 / relative_variance


def _repeated(correlation: float, units: float) -> float:
    """The variance of the sum of so many neighbours in an AR(1) process, in multiples of that of independent ones; with
    the square of the correlation, how many of them have the degrees of freedom of one (Bartlett 1946, Supplement to the
    Journal of the Royal Statistical Society 8: 27)."""
    left = 1 - correlation
    return float((1 + correlation) / left - 2 * correlation * (1 - correlation**units) / (units * left**2))


def _shrunk(correlation: float, units: int) -> float:
    """The correlation less half of what chance alone gives (1 / units, squared), after the positive-part estimator of
    James and Stein (1961), which subtracts all of it. Subtracting nothing gives independent units too much variance;
    all of it, correlated ones too little."""
    chance = 0.5 / units
    return min(correlation - chance / correlation, 0.9) if correlation > chance**0.5 else 0.0


def _merge(influence: np.ndarray, block: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums over `size` neighbours of one block; a remainder at its end joins the last group."""
    blocks, first, index, count = np.unique(block, return_index=True, return_inverse=True, return_counts=True)
    within = np.arange(len(block)) - first[index]
    groups = np.maximum(count // size, 1)
    start = np.concatenate([[0], np.cumsum(groups)])
    group = start[index] + np.minimum(within // size, groups[index] - 1)
    return np.bincount(group, weights=influence, minlength=start[-1]), np.repeat(blocks, groups)


def _lag_one(values: np.ndarray, block: np.ndarray) -> float:
    """Correlation of neighbours inside blocks, corrected for its bias in short series."""
    beside = block[1:] == block[:-1]
    total = float(np.sum(values**2))
    if not beside.any() or total <= 0:
        return 0.0
    neighbours = float(np.mean((values[1:] * values[:-1])[beside]))
    return neighbours / (total / len(values)) + 1 / len(values)


def welch_error(before: StandardError, after: StandardError) -> StandardError:
    """Of the difference of two arms that were measured apart (Welch and Satterthwaite)."""
    variances = before.value**2, after.value**2
    if not all(np.isfinite(variances)):
        return StandardError(INF, 0)
    if sum(variances) == 0:
        return StandardError(0.0, min(before.degrees, after.degrees), min(before.known, after.known))

    def together(degrees: tuple[float, float]) -> float:
        parts = sum(v**2 / d for v, d in zip(variances, degrees, strict=True))
        return sum(variances) ** 2 / parts if parts else 1.0

    counted, known = (before.degrees, after.degrees), (before.known, after.known)
    return StandardError(float(np.sqrt(sum(variances))), together(counted), together(known))


def error_of_difference(before: np.ndarray, after: np.ndarray, comparison: Comparison) -> StandardError:
    """Standard error of a difference, from the contribution of each unit of either arm (signs included): pairwise where
    units were measured side by side, else arm by arm."""
    if comparison.paired:
        return standard_error(before + after, comparison.before.block)
    return welch_error(standard_error(before, comparison.before.block), standard_error(after, comparison.after.block))


def interval_around(
    value: float, error: StandardError, boundary: Boundary, error_rate: float, margin: float = INF, hoped: int = 0
) -> Interval:
    """The interval of one number. `margin`: the difference that matters; `hoped`: see Margin."""
    degrees = error.degrees_for(boundary)
    if not degrees > 0:
        return Interval(value, -INF, INF)
    in_errors = margin / error.value if error.value > 0 else INF

    def around(tested: Tested) -> Interval:
        half_width = boundary.critical_value(degrees, error_rate, in_errors, tested=tested) * error.value
        return Interval(value, value - half_width, value + half_width)

    return not_refuted(around, margin, hoped)


def not_refuted(around: Callable[[Tested], Interval], margin: float, hoped: int = 0) -> Interval:
    """All effects that an estimate does not refute, and those between them. `around`: the interval of those not
    refuted, were all of them where `tested` says (see `Boundary.critical_value`); `margin`: the difference that
    matters, where effects nearer to it than to none begin at its half; `hoped`: see Margin."""
    if not margin < INF:
        return around("nothing")
    usual = _usual(around, hoped)
    beyond, border = around("beyond"), margin / 2
    low, high = joined((usual.low, usual.high), (beyond.low, beyond.high), border)
    # The whole interval lies near the margin of one side, or farther off.
    if usual.low > border:
        low = min(low, max(around("short").low, border))
    if usual.high < -border:
        high = max(high, min(around("short").high, -border))
    return Interval(usual.value, float(low), float(high))


def _usual(around: Callable[[Tested], Interval], hoped: int) -> Interval:
    if not hoped:
        return around("nothing")
    # What lies below an estimate is refuted by an increase.
    below, above = around("hoped" if hoped > 0 else "feared"), around("feared" if hoped > 0 else "hoped")
    return Interval(below.value, below.low, above.high)


Bounds = tuple[np.ndarray | float, np.ndarray | float]


def joined(usual: Bounds, beyond: Bounds, border: float) -> Bounds:
    """(low, high) of intervals that are `usual` among effects nearer to none than `border`, and `beyond` among others,
    as far as these lie beyond the estimate."""
    low = np.minimum(beyond[0], np.maximum(usual[0], -border))
    return low, np.maximum(beyond[1], np.minimum(usual[1], border))


@dataclass(frozen=True, slots=True)
class Margin:
    """The difference that matters. `amount`: in the unit of the values, given the value of the before arm; `hoped`: 1
    where a goal hopes for an increase, -1 for a decrease, 0 where neither matters more."""

    amount: Callable[[float], float]
    hoped: int = 0


NO_MARGIN = Margin(lambda before: INF)
"""None was declared."""


def mean_estimates(
    sums: tuple[UnitSums, UnitSums],
    comparison: Comparison,
    boundary: Boundary,
    error_rate: float,
    margin: Margin = NO_MARGIN,
) -> Estimates | None:
    """Means, from the sums of each arm; None where an arm has none."""
    means, influences = [], []
    for arm in sums:
        if arm.count == 0:
            return None
        mean = float(arm.total.sum() / arm.count)
        means.append(mean)
        influences.append((arm.total - mean * arm.rows) / arm.count)
    errors = [
        standard_error(influence, side.block) for influence, side in zip(influences, comparison.sides, strict=True)
    ]
    apart = error_of_difference(-influences[0], influences[1], comparison)
    before, after = (
        interval_around(mean, error, boundary, error_rate) for mean, error in zip(means, errors, strict=True)
    )
    difference = interval_around(
        means[1] - means[0], apart, boundary, error_rate, margin.amount(means[0]), margin.hoped
    )
    return Estimates(before, after, difference, apart.value, apart.degrees_for(boundary))
