"""How far intervals reach that may be looked at after every unit, and hold at whatever moment one stops.

The likelihood of the units under a mixture of effects, against that under one effect, is a ratio that a true effect
lets grow beyond 1 / error_rate with at most the probability `error_rate`, ever (Ville 1939). So the effects it has not
refuted are an interval that is valid at any stopping time. The mixture is normal in units of the unknown spread, the
spread has the scale-invariant prior (Lai 1976, Annals of Statistics 4: 265; Wang and Ramdas 2025, Sequential Analysis
44: 56), which gives the ratio in closed form from the t statistic alone. For two numbers at once it is taken with two
means and the same spread.

That is exact for independent normal units; batches of requests are nearly that, and `make bench-judge` measures how
often the interval is wrong on streams that are not.
"""

from __future__ import annotations

import numpy as np

from luckyhit.judge.intervals import INF, LARGEST_EXPONENT

TUNED_FOR = 60
"""The number of units at which the interval is as narrow as it can be; at 10 times fewer or more it is at most a fifth
wider than one that was tuned for them."""
_TYPICAL_ERROR_RATE = 0.002
"""What five goals have each of a hundredth: the tuning hardly depends on it."""


class Sequential:
    """Intervals for any number of looks: a `Boundary`.

    `tuned_for`: the number of units at which they are narrowest. It has to be chosen before the first look.
    """

    def __init__(self, tuned_for: float = TUNED_FOR) -> None:
        if not tuned_for > 0:
            raise ValueError(f"tuned_for has to be above 0, not {tuned_for}")
        # The best mixture for n units: Howard, Ramdas, McAuliffe and Sekhon 2021, Annals of Statistics 49: 1055, in
        # the approximation of their proposition 3.
        doubled = 2 * np.log(1 / _TYPICAL_ERROR_RATE)
        self._weight = float(tuned_for / (doubled + np.log1p(doubled)))

    def single(self, degrees: float, error_rate: float) -> float:
        return self._reach(degrees, error_rate, 1)

    def joint(self, degrees: float, error_rate: float) -> float:
        return self._reach(degrees, error_rate, 2)

    def _reach(self, degrees: float, error_rate: float, means: int) -> float:
        """Where the ratio shrink^(means/2) * ((1 + T) / (1 + shrink T))^((degrees + means) / 2) reaches 1 / error_rate,
        T = t^2 / degrees. Infinite where it never does: too few units say nothing at this error rate."""
        if not degrees > 0:
            return INF
        shrink = self._weight / (degrees + 1 + self._weight)
        exponent = (2 * np.log(1 / error_rate) - means * np.log(shrink)) / (degrees + means)
        if exponent > LARGEST_EXPONENT:
            return INF
        grown = np.expm1(exponent)
        left = 1 - (grown + 1) * shrink
        return float(np.sqrt(degrees * grown / left)) if left > 0 else INF
