"""How many pairs, reads or windows decide a goal, by the bounds that will judge it.

Counts: the least number at which the bounds of no events lie inside the margin; for a goal that should get better also
the least at which a difference of the margin shows. Means and quantiles: the least number at which the interval of no
difference most likely lies inside the margin, given the variance of one pair. `INF`: no number is enough. See
`stats.forecast`, which answers the same for a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import floor, sqrt

from scipy.special import ndtr

from luckyhit.judge.stats.boundary import INF, Boundary, Tested
from luckyhit.judge.stats.forecast import Question, first_where
from luckyhit.judge.stats.proportions import PairedCounts, proportion_difference

MOST = 10**12
"""More than this is never."""
_CACHED = 4096
CHANCE = 0.8
"""That a run with as many pairs as it needs decides a goal on a mean or a quantile."""
TESTED: tuple[Tested, Tested] = ("nothing", "beyond")
"""What an estimate of no difference may refute: no difference, and that of the margin."""
OWN_PART = 0.5
"""Of the variance of a rank: the least that `stats.rank_intervals` assigns to one arm."""


@dataclass(frozen=True)
class IntervalRule:
    """How wide intervals are in the planned run. `paired`: both arms get the same slots and probes."""

    boundary: Boundary
    error_rate: float
    paired: bool


def smallest(enough: Callable[[int], bool]) -> float:
    """The least whole number from 1 that is enough, where every larger one is; INF where none up to MOST is."""
    last = 1
    while not enough(last):
        last *= 2
        if last > MOST:
            return INF
    return first_where(enough, last // 2 + 1, last)


@lru_cache(_CACHED)
def pairs_for_equality(margin: float, rule: IntervalRule) -> float:
    """At which the difference of two proportions lies inside the margin, where neither arm has an event."""
    if rule.paired:
        return smallest(lambda pairs: _decides(PairedCounts(0, 0, pairs), margin, rule))
    return smallest(lambda n: proportion_difference(0, n, 0, n, rule.boundary, rule.error_rate).high <= margin)


@lru_cache(_CACHED)
def pairs_for_difference(margin: float, rule: IntervalRule) -> float:
    """At which a difference of the margin shows, where the better arm has no event."""
    if rule.paired:
        return smallest(lambda pairs: _decides(PairedCounts(round(margin * pairs), 0, pairs), margin, rule))
    return smallest(
        lambda n: proportion_difference(floor(margin * n), n, 0, n, rule.boundary, rule.error_rate).high < 0
    )


def _decides(counts: PairedCounts, margin: float, rule: IntervalRule) -> bool:
    """Whether these counts decide a `better` goal."""
    bounds = counts.difference(rule.boundary, rule.error_rate)
    return bool(Question(margin, "better", 1, rule.boundary, rule.error_rate).decided(bounds.low, bounds.high))


@lru_cache(_CACHED)
def reads_for_limit(limit: float, rule: IntervalRule, error_rate: float) -> float:
    """At which the proportion of one arm is shown to be within a hard limit, where it has no event."""
    return smallest(lambda n: rule.boundary.proportion(0, n, error_rate)[1] <= limit) if limit > 0 else INF


@lru_cache(_CACHED)
def pairs_for_mean(variance: float, margin: float, rule: IntervalRule, pairs_per_unit: float) -> float:
    """At which, with the chance CHANCE, the interval of a difference of means (or quantiles) lies inside the margin,
    where there is none. `variance`: of the difference of one pair; `pairs_per_unit`: pairs in one batch, the unit of
    such intervals."""
    if variance == 0:
        return 1.0

    def enough(pairs: int) -> bool:
        error = sqrt(variance) / pairs**0.5
        degrees = pairs / pairs_per_unit - 1
        widths: list[float] = []
        for tested in TESTED:
            critical = rule.boundary.critical_value(degrees, rule.error_rate, margin / error, tested=tested)
            widths.append(critical * error)
        return _chance(error, widths[0], widths[1], margin) >= CHANCE

    return smallest(enough)


def _chance(error: float, half_width: float, from_margin: float, margin: float) -> float:
    """That an estimate of no difference decides a `better` goal. `half_width`: around 0, which it has to leave to be a
    change; `from_margin`: how far from the margin it has to be to lie inside."""
    outside = 2 * float(ndtr(-half_width / error)) if half_width < INF else 0.0
    inside = margin - from_margin
    if not inside > 0:
        return outside
    # The regions overlap once both are shorter than the margin.
    if inside >= half_width:
        return 1.0
    return outside + float(ndtr(inside / error) - ndtr(-inside / error))


@lru_cache(_CACHED)
def pairs_for_quantile(quantile: float, rule: IntervalRule, pairs_per_unit: float) -> float:
    """At which a quantile has a bound on its far side: enough values lie beyond it."""
    beyond = min(quantile, 1 - quantile)

    def enough(pairs: int) -> bool:
        degrees = pairs / pairs_per_unit - 1
        radius = rule.boundary.critical_value(degrees, rule.error_rate) if degrees > 0 else INF
        return radius * sqrt(OWN_PART * quantile * (1 - quantile) / pairs) <= beyond

    return smallest(enough)


@lru_cache(_CACHED)
def windows_for_quantile(quantile: float, rule: IntervalRule, error_rate: float) -> float:
    """The number of staleness windows at which their quantile has an upper bound."""
    return smallest(lambda n: rule.boundary.ranks(quantile, n, error_rate)[1] <= n)
