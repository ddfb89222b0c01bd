"""How wide intervals are: for one look at a sample of fixed size here, for any number of looks in `sequential`.

Everything that turns a sample into an interval asks a `Boundary`, so that means, quantiles, counts and windows of one
result all follow the same rules of looking.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Protocol

import numpy as np
from scipy.special import bdtrik, betaincinv, stdtrit

INF = float("inf")
_APART = 0.28
"""The part of an excess's error rate that each of its two proportions gets."""


Tested = Literal["nothing", "hoped", "feared", "beyond", "short"]
"""Where an effect lies that an estimate may refute. Nearer to no difference than to the margin: nothing, or, where a
goal hopes for one direction, hoped and feared: the direction in which the estimate lies from the effect. Nearer to the
margin: beyond the estimate, or short of it, seen from no difference."""


class Boundary(Protocol):
    """Bounds at an error rate: an interval is wrong with at most the probability `error_rate`."""

    any_time: ClassVar[bool]
    """Whether that holds for all looks at a growing sample together."""

    def critical_value(
        self, degrees: float, error_rate: float, margin: float = INF, *, tested: Tested = "nothing"
    ) -> float:
        """How far from a tested effect an estimate refutes it, in standard errors. `degrees`: of freedom of the
        standard error; `margin`: the difference that matters, in standard errors too (infinite: none declared).
        `intervals.not_refuted` makes an interval of it."""

    def proportion(self, count: int, total: int, error_rate: float) -> tuple[float, float]:
        """Bounds of a proportion, given `count` out of `total`; (0, 1) where `total` is 0."""

    def excess(self, more: int, fewer: int, pairs: int, error_rate: float) -> float:
        """Lower bound of the difference of two proportions of the same `pairs`, given `more` and `fewer` of them; no
        pair counts for both. At most 0 where no difference is shown."""

    def ranks(self, quantile: float, total: int, error_rate: float) -> tuple[int, int]:
        """The ranks (from 1) among `total` sorted values between which the quantile lies. 0 and total + 1: no bound on
        that side."""


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval (Clopper and Pearson 1934); (0, 1) where `total` is 0."""
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return low, high


def excess_of_part(boundary: Boundary, more: int, fewer: int, pairs: int, error_rate: float) -> float:
    """See `Boundary.excess`: the fewest pairs that count for either, times twice the amount by which the part of the
    more frequent ones exceeds one half. Each of the two proportions has half of the rate: one side of an interval is
    wrong with half of what is asked for."""
    part = boundary.proportion(more, more + fewer, error_rate)[0]
    return (2 * part - 1) * boundary.proportion(more + fewer, pairs, error_rate)[0]


class FixedSample:
    """For one look at a sample whose size was fixed beforehand: Student's t, Clopper and Pearson's limits, and the
    order statistics that go with them."""

    any_time: ClassVar[bool] = False

    def critical_value(
        self, degrees: float, error_rate: float, margin: float = INF, *, tested: Tested = "nothing"
    ) -> float:
        return float(stdtrit(degrees, 1 - error_rate / 2)) if degrees > 0 else INF

    def proportion(self, count: int, total: int, error_rate: float) -> tuple[float, float]:
        return clopper_pearson(count, total, 1 - error_rate)

    def excess(self, more: int, fewer: int, pairs: int, error_rate: float) -> float:
        apart = self.proportion(more, pairs, 2 * error_rate * _APART)[0]
        apart -= self.proportion(fewer, pairs, 2 * error_rate * _APART)[1]
        return max(apart, excess_of_part(self, more, fewer, pairs, error_rate * (1 - 2 * _APART)))

    def ranks(self, quantile: float, total: int, error_rate: float) -> tuple[int, int]:
        first = int(np.ceil(bdtrik(error_rate / 2, total, quantile)))
        return first, min(int(np.ceil(bdtrik(1 - error_rate / 2, total, quantile))) + 1, total + 1)
