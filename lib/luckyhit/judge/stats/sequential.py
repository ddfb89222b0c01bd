"""Intervals that may be looked at after every unit, and hold at whatever moment one stops.

The ratio compares the likelihood of the data under a mixture of effects with that under one effect. For a true effect
it ever exceeds 1 / error_rate with at most the probability `error_rate` (Ville 1939). So the effects that it has not
refuted form an interval that is valid at any stopping time. Two mixtures are averaged:

- A normal one in units of the unknown standard deviation, which has the scale-invariant prior (Lai 1976, Annals of
  Statistics 4: 265; Wang and Ramdas 2025, Sequential Analysis 44: 56): the ratio in closed form from the t statistic
  alone. It is a mixture itself, of one tuned for a usual number of units and one for a tenth of it.
- Where a margin was declared, the two effects at the margin's distance from the tested one. That is Wald's sequential
  test (1945), the quickest for a difference of that size, with the standard deviation integrated out: a ratio of sums
  of squares. Which of both weighs more depends on the tested effect alone, never on the estimate (see `SIDES`).

The first is exact for independent normal units. The second takes the margin in measured standard errors, which is exact
only for a known standard deviation; batches of requests are nearly normal and nearly independent. `make bench-judge`
measures how often the intervals are wrong in spite of that.

Counts: a beta mixture of the proportions beyond each bound in the same ratio (Robbins 1970, Annals of Mathematical
Statistics 41: 1397), exact for independent reads. The excess of one proportion over another of the same pairs: a
Dirichlet mixture over both, where it is above 0, in the ratio to the likeliest proportions that far apart (Wasserman,
Ramdas and Balakrishnan 2020, PNAS 117: 16880), exact as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import log, log1p
from typing import ClassVar

import numpy as np
from scipy.special import betaincc, betaln, gammaln

from luckyhit.judge.stats.boundary import INF, Tested, excess_of_part

LARGEST_EXPONENT = 700.0
"""A float overflows beyond it."""

TUNED_FOR = 100
"""The number of units at which the interval is narrowest; with 10 times fewer or more it is at most a fifth wider than
one tuned for them."""
FEW_UNITS, FEW_UNITS_WEIGHT = 0.1, 0.2
"""The part tuned for so many times fewer units, and its weight. Without it a dozen units (whole blocks, where a busy
host slows one process for as long as a block) set no bounds at all, however well they agree; with it the intervals of
many units get wider by at most 3 %."""
_TYPICAL_ERROR_RATE = 0.002
"""Of each of five goals at 0.01; the tuning hardly depends on it."""
MARGIN_WEIGHT = 0.9
"""The weight of the margin in the mixture: the rest costs a difference of that size little, and lets intervals shrink
as the sample grows on."""
INWARD = 0.9
"""The part of that weight on the side of no difference, where the tested effect is nearer to the margin than to none:
EQUIVALENT hangs on refuting the margin where there is no difference, and nobody asks whether there is twice the margin.
With half on either side it took an eighth more pairs (a fifth, of a dozen units)."""
HOPED = 0.75
"""At no difference, the part on the side that a goal hopes for: what is hoped for shows 7 % sooner than with half on
either side, what is feared 13 % later."""
SIDES: dict[Tested, float] = {
    "nothing": 0.5,
    "hoped": HOPED,
    "feared": 1 - HOPED,
    "beyond": INWARD,
    "short": 1 - INWARD,
}
"""By the tested effect, the part on the estimate's side."""
_PRIOR = 0.25
"""Both parameters of the beta prior. Against the usual 1/2, bounds are narrower near 0 and 1, where proportions of
errors and stale reads lie, and hardly wider in the middle."""
_PRIOR_OF_NEITHER = 0.5
_PRIORS = 2 * _PRIOR + _PRIOR_OF_NEITHER
_MIXED = 0.55
"""The mixture's part of the error rate of an excess; the bound from the direction of pairs has the rest."""
_GRID = 100
_LEAST = 1e-300
_NEAR = 1e-8
"""The relative tolerance of a bound of a proportion; it errs on the wide side."""


class Sequential:
    """Intervals for any number of looks: a `Boundary`.

    `tuned_for`: the number of units at which they are narrowest, chosen before the first look.
    """

    any_time: ClassVar[bool] = True

    def __init__(self, tuned_for: float = TUNED_FOR) -> None:
        if not tuned_for > 0:
            raise ValueError(f"tuned_for must be greater than 0 (got {tuned_for})")
        # The best mixture for n units: Howard, Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49: 1055, in
        # the approximation of their proposition 3.
        doubled = 2 * np.log(1 / _TYPICAL_ERROR_RATE)
        best = float(tuned_for / (doubled + np.log1p(doubled)))
        self._parts = ((best, 1 - FEW_UNITS_WEIGHT), (best * FEW_UNITS, FEW_UNITS_WEIGHT))

    def critical_value(
        self, degrees: float, error_rate: float, margin: float = INF, *, tested: Tested = "nothing"
    ) -> float:
        if not 0 < margin < INF:
            return self._half_width(degrees, error_rate)
        # Beyond this the normal mixture alone refutes. The margin's part falls off there, so the last crossing below it
        # is searched for, not the first.
        furthest = self._half_width(degrees, error_rate * (1 - MARGIN_WEIGHT))
        if not furthest < INF:
            return INF
        first, last = 0.0, furthest
        for _ in range(2):  # two grids are close enough, and quicker than a search step by step
            at = np.linspace(first, last, _GRID + 1)
            ratio = self._ratio(at, degrees, margin, SIDES[tested])
            left = int(np.flatnonzero(ratio < log(1 / error_rate))[-1])
            if left == _GRID:
                return furthest
            first, last = float(at[left]), float(at[left + 1])
        return last

    def proportion(self, count: int, total: int, error_rate: float) -> tuple[float, float]:
        # Each bound has half the error rate; the upper one is the lower one of the complement.
        return _lower_bound(count, total, error_rate / 2), 1 - _lower_bound(total - count, total, error_rate / 2)

    def excess(self, more: int, fewer: int, pairs: int, error_rate: float) -> float:
        if more <= fewer:
            return 0.0
        of_part = excess_of_part(self, more, fewer, pairs, error_rate * (1 - _MIXED))
        return max(of_part, _excess_refuted(more, fewer, pairs, error_rate * _MIXED))

    def ranks(self, quantile: float, total: int, error_rate: float) -> tuple[int, int]:
        # The numbers of values at or below the quantile that are not refuted.
        below = np.arange(total + 1)
        mixed = betaln(below + _PRIOR, total - below + _PRIOR) - betaln(_PRIOR, _PRIOR)
        ratio = mixed - below * log(quantile) - (total - below) * log1p(-quantile)
        left = np.flatnonzero(ratio < log(1 / error_rate))
        return int(left[0]), int(left[-1]) + 1

    def _half_width(self, degrees: float, error_rate: float) -> float:
        """Where the normal mixture refutes. The average of its parts exceeds each of them times its weight, so the
        first of these to refute is enough."""
        return min(_half_width(degrees, error_rate * part, _shrink(weight, degrees)) for weight, part in self._parts)

    def _ratio(self, t: np.ndarray | float, degrees: float, margin: float, side: float) -> np.ndarray:
        """Logarithm of the averaged ratio at `t` standard errors from the tested effect. `side`: the weight of the
        margin on the estimate's side."""
        squared = np.square(t) / degrees
        normal = np.logaddexp(*(_log_ratio(squared, degrees, weight) + log(part) for weight, part in self._parts))
        up, down = (np.log1p(squared) - np.log1p(np.square(t - apart) / degrees) for apart in (margin, -margin))
        at_margin = np.logaddexp(degrees / 2 * up + log(side), degrees / 2 * down + log1p(-side))
        return np.asarray(np.logaddexp(normal + np.log(1 - MARGIN_WEIGHT), at_margin + np.log(MARGIN_WEIGHT)))


def _shrink(weight: float, degrees: float) -> float:
    return weight / (degrees + 1 + weight)


def _log_ratio(squared: np.ndarray, degrees: float, weight: float) -> np.ndarray:
    """Of one normal mixture, at `squared` = t^2 / degrees."""
    shrink = _shrink(weight, degrees)
    return np.asarray(np.log(shrink) / 2 + (degrees + 1) / 2 * (np.log1p(squared) - np.log1p(shrink * squared)))


def _half_width(degrees: float, error_rate: float, shrink: float) -> float:
    """Where the ratio sqrt(shrink) * ((1 + T) / (1 + shrink T))^((degrees + 1) / 2) reaches 1 / error_rate, T = t^2 /
    degrees. Infinite where it never does: units are too few for this error rate."""
    if not degrees > 0:
        return INF
    exponent = (2 * np.log(1 / error_rate) - np.log(shrink)) / (degrees + 1)
    if exponent > LARGEST_EXPONENT:
        return INF
    grown = np.expm1(exponent)
    left = 1 - (grown + 1) * shrink
    return float(np.sqrt(degrees * grown / left)) if left > 0 else INF


def _excess_refuted(more: int, fewer: int, pairs: int, error_rate: float) -> float:
    """The largest excess of one proportion over the other that these counts refute, with all smaller ones."""
    neither = pairs - more - fewer
    observed = gammaln(more + _PRIOR) + gammaln(fewer + _PRIOR) + gammaln(neither + _PRIOR_OF_NEITHER)
    observed += log(betaincc(more + _PRIOR, fewer + _PRIOR, 0.5)) - gammaln(pairs + _PRIORS)
    before = 2 * gammaln(_PRIOR) + gammaln(_PRIOR_OF_NEITHER) - log(2) - gammaln(_PRIORS)

    def beyond(apart: float) -> float:
        return float(observed - before) - _likeliest(more, fewer, pairs, apart) - log(1 / error_rate)

    most = (more - fewer) / pairs
    if beyond(_LEAST) <= 0:
        return 0.0
    return _refuted_up_to(beyond, _LEAST, most)


def _likeliest(more: int, fewer: int, pairs: int, apart: float) -> float:
    """Logarithm of the largest likelihood of these counts under two proportions that lie `apart`: where its slope, a
    quadratic in the smaller proportion, is 0."""
    slope = (more + fewer) * (1 - apart) - 2 * (pairs - more) * apart
    lower = max((slope + math.sqrt(slope * slope + 8 * pairs * fewer * apart * (1 - apart))) / (4 * pairs), 0.0)
    proportions = ((more, lower + apart), (fewer, lower), (pairs - more - fewer, 1 - 2 * lower - apart))
    return sum(count * log(max(proportion, _LEAST)) for count, proportion in proportions if count)


def _lower_bound(count: int, total: int, error_rate: float) -> float:
    """The largest proportion that these counts refute, with all smaller ones: the mixture is over those above it."""
    if count == 0:
        return 0.0
    missing = total - count

    def beyond(proportion: float) -> float:
        # betaincc(a, b, x): the part of the beta distribution above x.
        observed = betaln(count + _PRIOR, missing + _PRIOR) + log(
            betaincc(count + _PRIOR, missing + _PRIOR, proportion)
        )
        before = betaln(_PRIOR, _PRIOR) + log(betaincc(_PRIOR, _PRIOR, proportion))
        likelihood = count * log(proportion) + (missing * log1p(-proportion) if missing else 0.0)
        return float(observed - before - likelihood) - log(1 / error_rate)

    # At most half a count below the observed proportion.
    most = max((count - 0.5) / total, _LEAST)
    if beyond(most) >= 0:
        return most
    if beyond(_LEAST) <= 0:
        return 0.0
    refuted, left = most / 2, most
    while beyond(refuted) <= 0:
        refuted, left = max(refuted / 4, _LEAST), refuted
    return _refuted_up_to(beyond, refuted, left)


def _refuted_up_to(beyond: Callable[[float], float], refuted: float, left: float) -> float:
    """Where `beyond`, above 0 at `refuted` and not at `left`, crosses 0: the near end, by Ridders' method (1979, IEEE
    Transactions on Circuits and Systems 26: 979). `scipy.optimize` has it, but takes half a second to import."""
    above, below = beyond(refuted), beyond(left)
    while left - refuted > _NEAR * left:
        middle = (refuted + left) / 2
        between = beyond(middle)
        guess = middle + (middle - refuted) * between / math.sqrt(between * between - above * below)
        for point, value in sorted([(middle, between), (guess, beyond(guess))]):
            if refuted < point < left:
                if value > 0:
                    refuted, above = point, value
                else:
                    left, below = point, min(value, -_LEAST)
                    break
    return refuted
