"""How many pairs, reads or windows it takes to decide a goal, by the very bounds that will judge it.

Counts: the least number at which the bounds of nothing seen lie inside the margin (no pair differs, no read is stale);
for a goal that should get better also the least at which a difference of the margin shows. Means and quantiles: the
least number at which the interval of no difference reaches no further than the margin, with the variance of one pair.
All are `INF` where no number does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, sqrt

from luckyhit.judge.boundary import INF, Boundary
from luckyhit.judge.proportions import paired_difference, share_difference

MOST = 10**8
"""More than this is never."""
_MOST_DIFFERING = 1000
OWN_SHARE = 0.5
"""Of the variance of a rank: the least that `intervals` takes for one arm's own."""


@dataclass(frozen=True)
class Rule:
    """How far intervals reach in the run that is planned. `paired`: slots and probes of both arms are the same."""

    boundary: Boundary
    error_rate: float
    paired: bool


def least(enough: Callable[[int], bool]) -> float:
    """The least whole number from 1 that is enough, where every larger one is; INF where none up to MOST is."""
    high = 1
    while not enough(high):
        high *= 2
        if high > MOST:
            return INF
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def share_inside(margin: float, rule: Rule) -> float:
    """At which the difference of two shares lies inside the margin, where nothing was counted in either arm."""
    if rule.paired:
        return least(lambda n: paired_difference(0, 0, n, rule.boundary, rule.error_rate).high <= margin)
    return least(lambda n: share_difference(0, n, 0, n, rule.boundary, rule.error_rate).high <= margin)


def share_apart(margin: float, rule: Rule) -> float:
    """At which a difference of the margin shows, where the better arm has none of what is counted."""
    if not rule.paired:
        return least(
            lambda n: share_difference(floor(margin * n), n, 0, n, rule.boundary, rule.error_rate).high < 0
        )
    # Which arm is better is told by the pairs that differ alone.
    for differing in range(1, _MOST_DIFFERING):
        if paired_difference(differing, 0, MOST, rule.boundary, rule.error_rate).high < 0:
            return ceil(differing / margin)
    return INF


def share_within(limit: float, rule: Rule, error_rate: float) -> float:
    """At which the share of one arm is shown to be within a hard limit, where nothing was counted."""
    return least(lambda n: rule.boundary.share(0, n, error_rate)[1] <= limit) if limit > 0 else INF


def mean_inside(variance: float, margin: float, rule: Rule, per_unit: float) -> float:
    """At which the interval of a difference of means reaches no further than the margin. `variance`: of the difference
    of one pair; `per_unit`: pairs in one batch, which the degrees of freedom are counted in."""

    def enough(pairs: int) -> bool:
        error = sqrt(variance / pairs)
        return _reach(pairs, per_unit, rule, margin / error if error else INF) * error <= margin

    return least(enough)


def quantile_bounded(level: float, rule: Rule, per_unit: float) -> float:
    """At which a quantile has a bound on its far side: enough values lie beyond it."""
    beyond = min(level, 1 - level)

    def enough(pairs: int) -> bool:
        reach = _reach(pairs, per_unit, rule, INF)
        return reach * sqrt(OWN_SHARE * level * (1 - level) / pairs) <= beyond

    return least(enough)


def windows_bounded(level: float, rule: Rule, error_rate: float) -> float:
    """The number of staleness windows at which their `level` quantile has an upper bound."""
    return least(lambda n: rule.boundary.ranks(level, n, error_rate)[1] <= n)


def _reach(pairs: int, per_unit: float, rule: Rule, margin: float) -> float:
    degrees = pairs / per_unit - 1
    return rule.boundary.single(degrees, rule.error_rate, margin) if degrees > 0 else INF


__all__ = [
    "Rule", "least", "mean_inside", "quantile_bounded", "share_apart", "share_inside", "share_within",
    "windows_bounded",
]  # fmt: skip
