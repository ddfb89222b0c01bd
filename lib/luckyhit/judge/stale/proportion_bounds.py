"""Bounds of the proportion of stale reads in one arm: at one error rate everywhere.

A table, a figure and a sentence at different rates would show three bounds of the same zero.
"""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.case import Case
from luckyhit.judge.compare.effect import ErrorRates
from luckyhit.judge.early_stopping import boundary_of_look
from luckyhit.judge.stats.boundary import Boundary, FixedSample
from luckyhit.records import STALE_READS

ProportionBounds = Callable[[int, int], tuple[float, float]]
"""(bad, all) -> bounds of the proportion of bad ones; (0, 1) where there are none at all."""
UNCOMPARED = 0.05
"""The error rate of a bound where no two arms were compared."""


def one_sided_rate(error_rate: float) -> float:
    """For bounds compared with a hard limit: the truth is on one side of it, so only one bound can be wrong, and each
    has the whole error rate."""
    return min(2 * error_rate, 0.5)


def bounds_at(boundary: Boundary, error_rate: float) -> ProportionBounds:
    """Each of the two bounds is wrong with at most `error_rate`."""
    return lambda count, total: boundary.proportion(count, total, one_sided_rate(error_rate))


uncompared: ProportionBounds = bounds_at(FixedSample(), UNCOMPARED)
"""Where nothing was compared; with no bad one among n the upper bound is about 3 / n."""


def bounds_of_run(case: Case, blocks: int) -> ProportionBounds:
    """Those of the metric `stale_reads`. `blocks`: finished ones of the change."""
    if not blocks:
        return uncompared
    boundary, rate_fraction = boundary_of_look(blocks, case)
    return bounds_at(boundary, ErrorRates.of(case, rate_fraction).at(STALE_READS))
