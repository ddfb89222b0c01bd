"""How many pairs, reads or windows it takes to decide a goal, by the very bounds that will judge it.

Counts: the least number at which the bounds of nothing seen lie inside the margin (no pair differs, no read is stale);
for a goal that should get better also the least at which a difference of the margin shows. Means and quantiles: the
least number at which the interval of no difference most likely lies inside the margin, with the variance of one pair.
All are `INF` where no number does (see `stats.forecast`, which says the same of a sample).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import floor, sqrt

from luckyhit.judge.stats.boundary import INF, Boundary
from luckyhit.judge.stats.forecast import pairs_needed_mean, pairs_needed_share
from luckyhit.judge.stats.proportions import share_difference

MOST = 10**8
"""More than this is never."""
_MOST_KNOWN = 4096
CHANCE = 0.8
"""That a run with as many pairs as it needs decides a goal on a mean or a quantile."""
OWN_SHARE = 0.5
"""Of the variance of a rank: the least that `stats.rank_intervals` takes for one arm's own."""


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


@lru_cache(_MOST_KNOWN)
def share_inside(margin: float, rule: Rule) -> float:
    """At which the difference of two shares lies inside the margin, where nothing was counted in either arm."""
    if rule.paired:
        return _or_never(pairs_needed_share(margin, rule.error_rate, rule.boundary))
    return least(lambda n: share_difference(0, n, 0, n, rule.boundary, rule.error_rate).high <= margin)


@lru_cache(_MOST_KNOWN)
def share_apart(margin: float, rule: Rule) -> float:
    """At which a difference of the margin shows, where the better arm has none of what is counted."""
    if rule.paired:
        return _or_never(pairs_needed_share(margin, rule.error_rate, rule.boundary, margin, -margin))
    return least(lambda n: share_difference(floor(margin * n), n, 0, n, rule.boundary, rule.error_rate).high < 0)


@lru_cache(_MOST_KNOWN)
def share_within(limit: float, rule: Rule, error_rate: float) -> float:
    """At which the share of one arm is shown to be within a hard limit, where nothing was counted."""
    return least(lambda n: rule.boundary.share(0, n, error_rate)[1] <= limit) if limit > 0 else INF


@lru_cache(_MOST_KNOWN)
def mean_inside(variance: float, margin: float, rule: Rule, per_unit: float) -> float:
    """At which, with the chance CHANCE, the interval of a difference of means (or quantiles) lies inside the margin,
    where there is none. `variance`: of the difference of one pair; `per_unit`: pairs in one batch, the unit of such
    intervals."""
    if variance == 0:
        return 1.0
    needed = pairs_needed_mean(
        sqrt(variance), margin, rule.error_rate, rule.boundary, pairs_per_unit=per_unit, chance=CHANCE
    )
    return _or_never(needed)


def _or_never(pairs: int | None) -> float:
    return INF if pairs is None else pairs


@lru_cache(_MOST_KNOWN)
def quantile_bounded(level: float, rule: Rule, per_unit: float) -> float:
    """At which a quantile has a bound on its far side: enough values lie beyond it."""
    beyond = min(level, 1 - level)

    def enough(pairs: int) -> bool:
        degrees = pairs / per_unit - 1
        reach = rule.boundary.single(degrees, rule.error_rate) if degrees > 0 else INF
        return reach * sqrt(OWN_SHARE * level * (1 - level) / pairs) <= beyond

    return least(enough)


@lru_cache(_MOST_KNOWN)
def windows_bounded(level: float, rule: Rule, error_rate: float) -> float:
    """The number of staleness windows at which their `level` quantile has an upper bound."""
    return least(lambda n: rule.boundary.ranks(level, n, error_rate)[1] <= n)


__all__ = [
    "Rule", "least", "mean_inside", "quantile_bounded", "share_apart", "share_inside", "share_within",
    "windows_bounded",
]  # fmt: skip
