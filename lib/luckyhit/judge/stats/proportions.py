"""Counts out of totals: exact intervals of the difference of two proportions."""

from __future__ import annotations

from math import hypot
from typing import TYPE_CHECKING, NamedTuple

from luckyhit.judge.stats.boundary import Boundary

if TYPE_CHECKING:
    import numpy as np

SMALL_ARM = 10
"""With a smaller total in an arm, the difference gets the cruder interval that always covers."""


class Difference(NamedTuple):
    """Of proportions, after - before; `effect` is NaN where an arm has no reads."""

    effect: float
    low: float
    high: float


def proportion_difference(
    before: int, total_before: int, after: int, total_after: int, boundary: Boundary, error_rate: float
) -> Difference:
    """The difference of two proportions from counts, with an interval that holds near 0 and 1.

    It is the hull of two: MOVER (Zou and Donner 2008, Statistics in Medicine 27: 1693; the construction of Newcombe
    1998) over exact limits of each arm, which covers too seldom where the difference nears 1 (0.93 for 0.95), and that
    of Agresti and Caffo (2000, American Statistician 54: 280), which covers too seldom elsewhere. The hull covers at
    least as often as it should (computed exactly in the tests), and is hardly wider than MOVER's. With fewer than
    SMALL_ARM in an arm: the difference of limits of each arm that hold together.
    """
    if total_before == 0 or total_after == 0:
        return Difference(float("nan"), -1.0, 1.0)
    rate_before, rate_after = before / total_before, after / total_after
    effect = rate_after - rate_before
    small = min(total_before, total_after) < SMALL_ARM
    error_each = 1 - (1 - error_rate) ** 0.5 if small else error_rate
    low_before, high_before = boundary.proportion(before, total_before, error_each)
    low_after, high_after = boundary.proportion(after, total_after, error_each)
    if small:
        return Difference(effect, low_after - high_before, high_after - low_before)
    low = effect - hypot(rate_after - low_after, high_before - rate_before)
    high = effect + hypot(high_after - rate_after, rate_before - low_before)
    # Agresti and Caffo: one more of each kind in each arm, then the usual interval.
    middle_before, middle_after = (before + 1) / (total_before + 2), (after + 1) / (total_after + 2)
    variance = middle_before * (1 - middle_before) / (total_before + 2)
    variance += middle_after * (1 - middle_after) / (total_after + 2)
    half_width = boundary.critical_value(total_before + total_after - 2, error_rate) * variance**0.5
    middle = middle_after - middle_before
    return Difference(effect, max(-1.0, min(low, middle - half_width)), min(1.0, max(high, middle + half_width)))


OUTWARD, OUTWARD_PART, OUTWARD_MOST, INWARD = 0.42, 0.1, 0.02, 0.45
"""Parts of the error rate for the bounds of a difference that is not 0: three on its far side, one on its near side;
together at most the whole."""
LEAST_DIFFERENCE = 1e-12
"""The lower bound of a difference whose direction alone is known: less than one in any number of pairs."""


def paired_difference(
    before_only: int, after_only: int, pairs: int, boundary: Boundary, error_rate: float
) -> Difference:
    """The difference of two proportions counted in the same `pairs`: `before_only` of them have the event in the before
    arm alone, `after_only` in the after arm alone.

    Only the pairs that differ matter (McNemar 1947, Psychometrika 12: 153), in three parts:

    - *Direction.* Whether the interval excludes 0 is the exact two-sided test of one half on the pairs that differ,
      with the whole error rate.
    - *Outward*, away from 0 on either side: the proportion of pairs that differ in that direction, since the others
      only lower it. Where many differ both ways that is far too much, so a second bound competes: the most pairs that
      differ, times twice the excess of that direction's part over one half. The smaller one counts.
    - *Inward*, towards 0, only where the direction is known: the least excess of one direction over the other
      (`Boundary.excess`). It never reaches 0.

    At a difference of 0 only the direction can be wrong, since the outward bounds never exclude 0. At any other, the
    bounds share the whole rate. A wrong direction needs no rate of its own: it is likely only where both directions are
    nearly as frequent, and there the outward bound, which covers one of them whole, is right. So the interval covers at
    least as often as it should: computed exactly in the tests for several numbers of pairs and error rates, it misses a
    difference other than 0 with less than half the rate.
    """
    if pairs == 0:
        return Difference(float("nan"), -1.0, 1.0)
    effect = (after_only - before_only) / pairs
    low, high = boundary.proportion(after_only, before_only + after_only, error_rate)
    if low > 0.5:
        inward = _inward(after_only, before_only, pairs, boundary, error_rate)
        return Difference(effect, inward, _outward(after_only, before_only, pairs, boundary, error_rate))
    if high < 0.5:
        inward = _inward(before_only, after_only, pairs, boundary, error_rate)
        return Difference(effect, -_outward(before_only, after_only, pairs, boundary, error_rate), -inward)
    most_less = _outward(before_only, after_only, pairs, boundary, error_rate)
    return Difference(effect, -most_less, _outward(after_only, before_only, pairs, boundary, error_rate))


def _outward(this_way: int, that_way: int, pairs: int, boundary: Boundary, error_rate: float) -> float:
    differing = this_way + that_way
    part = _most(this_way, differing, boundary, error_rate * OUTWARD_PART)
    most = _most(differing, pairs, boundary, error_rate * OUTWARD_MOST)
    return min(_most(this_way, pairs, boundary, error_rate * OUTWARD), max(0.0, (2 * part - 1) * most))


def _inward(more: int, fewer: int, pairs: int, boundary: Boundary, error_rate: float) -> float:
    """Above 0: more pairs are known to differ this way than that way."""
    return max(LEAST_DIFFERENCE, boundary.excess(more, fewer, pairs, error_rate * INWARD))


def _most(count: int, total: int, boundary: Boundary, error_rate: float) -> float:
    # Each of the two bounds is wrong with half of the rate asked for.
    return boundary.proportion(count, total, 2 * error_rate)[1]


class PairedCounts(NamedTuple):
    """The counts of a paired difference: pairs with the event in one arm alone, and all pairs."""

    before_only: int
    after_only: int
    pairs: int

    def difference(self, boundary: Boundary, error_rate: float) -> Difference:
        return paired_difference(self.before_only, self.after_only, self.pairs, boundary, error_rate)

    def grown(self, pairs: int, rng: np.random.Generator) -> PairedCounts:
        """A possible future with so many pairs: proportions are drawn as these counts leave them."""
        more = pairs - self.pairs
        before, after = (_more_of(count, self.pairs, more, rng) for count in (self.before_only, self.after_only))
        return PairedCounts(before, min(after, pairs - before), pairs)


class ArmCounts(NamedTuple):
    """The counts of an unpaired difference."""

    before: int
    total_before: int
    after: int
    total_after: int

    @property
    def pairs(self) -> int:
        return min(self.total_before, self.total_after)

    def difference(self, boundary: Boundary, error_rate: float) -> Difference:
        return proportion_difference(*self, boundary, error_rate)

    def grown(self, pairs: int, rng: np.random.Generator) -> ArmCounts:
        """A possible future with so many in the smaller arm: proportions are drawn as these counts leave them."""
        arms = ((self.before, self.total_before), (self.after, self.total_after))
        totals = [round(total * pairs / self.pairs) for _, total in arms]
        counts = [
            _more_of(count, total, later - total, rng) for (count, total), later in zip(arms, totals, strict=True)
        ]
        return ArmCounts(counts[0], totals[0], counts[1], totals[1])


_PRIOR = 0.1
"""Of a beta distribution: where there was no event, there will mostly be none in a few times as many pairs."""


def _more_of(count: int, total: int, more: int, rng: np.random.Generator) -> int:
    proportion = rng.beta(count + _PRIOR, total - count + _PRIOR)
    return count + int(rng.binomial(more, proportion))
