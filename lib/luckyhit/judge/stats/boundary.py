"""How far intervals reach: for one look at a sample whose size was fixed beforehand, or (`sequential`) for any number.

Everything that turns a sample into an interval asks a `Boundary`, so that means, quantiles, counts and windows of one
result all hold under the same rules of looking.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from scipy.special import bdtrik, betaincinv, stdtrit

INF = float("inf")
_APART = 0.28
"""Of the error rate of an excess: for the least share of the one kind, and for the largest of the other."""


class Boundary(Protocol):
    """What a sample says at an error rate: an interval is wrong with at most the probability `error_rate`."""

    any_time: ClassVar[bool]
    """Whether that holds for all looks at a growing sample together."""

    def single(self, degrees: float, error_rate: float, margin: float = INF) -> float:
        """Half-width of the interval of one number, in standard errors. `degrees`: of freedom of the standard error;
        `margin`: the difference that matters, in standard errors too (infinite where nobody said)."""

    def share(self, count: int, total: int, error_rate: float) -> tuple[float, float]:
        """Bounds of a share of which `count` out of `total` were seen; (0, 1) where `total` is 0."""

    def excess(self, more: int, fewer: int, pairs: int, error_rate: float) -> float:
        """By how much the share of which `more` of `pairs` were seen exceeds the one of which `fewer` of the same were
        seen, at least, where no pair counts for both; at most 0 where nothing says so."""

    def ranks(self, level: float, total: int, error_rate: float) -> tuple[int, int]:
        """The ranks (from 1) among `total` sorted values between which the `level` quantile lies. 0 and total + 1:
        there is no bound on that side."""


def clopper_pearson(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact binomial interval (Clopper and Pearson 1934): covers at least as often as `confidence` says.

    (0, 1) where `total` is 0.
    """
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return low, high


def excess_of_part(boundary: Boundary, more: int, fewer: int, pairs: int, error_rate: float) -> float:
    """See `Boundary.excess`: the fewest pairs that count for either, times twice what the part of the more frequent
    ones exceeds one half by. Each side of `share` is wrong with half of what it is asked for, and each of both shares
    has half of the rate."""
    part = boundary.share(more, more + fewer, error_rate)[0]
    return (2 * part - 1) * boundary.share(more + fewer, pairs, error_rate)[0]


class FixedSample:
    """For a sample size that was fixed beforehand, and one look: Student's t, Clopper and Pearson's
    limits of a share, and the order statistics that go with them."""

    any_time: ClassVar[bool] = False

    def single(self, degrees: float, error_rate: float, margin: float = INF) -> float:
        return float(stdtrit(degrees, 1 - error_rate / 2)) if degrees > 0 else INF

    def share(self, count: int, total: int, error_rate: float) -> tuple[float, float]:
        return clopper_pearson(count, total, 1 - error_rate)

    def excess(self, more: int, fewer: int, pairs: int, error_rate: float) -> float:
        apart = self.share(more, pairs, 2 * error_rate * _APART)[0]
        apart -= self.share(fewer, pairs, 2 * error_rate * _APART)[1]
        return max(apart, excess_of_part(self, more, fewer, pairs, error_rate * (1 - 2 * _APART)))

    def ranks(self, level: float, total: int, error_rate: float) -> tuple[int, int]:
        first = int(np.ceil(bdtrik(error_rate / 2, total, level)))
        return first, min(int(np.ceil(bdtrik(1 - error_rate / 2, total, level))) + 1, total + 1)


__all__ = ["INF", "Boundary", "FixedSample", "clopper_pearson", "excess_of_part"]
