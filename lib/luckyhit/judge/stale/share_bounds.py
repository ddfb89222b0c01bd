"""Bounds of the share of stale reads in one arm: of one level wherever a run tells them.

A table, a figure and a sentence that each had a level of its own would tell three bounds of the same zero.
"""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.case import Case
from luckyhit.judge.compare.effect import Levels
from luckyhit.judge.early import ways_to_look
from luckyhit.judge.stats.boundary import Boundary, FixedSample
from luckyhit.records import STALE_READS

ShareBounds = Callable[[int, int], tuple[float, float]]
"""(bad, all) -> bounds of the share of bad ones; (0, 1) of none at all."""
UNCOMPARED = 0.05
"""The error rate of a bound where no two arms were compared."""


def each_alone(error_rate: float) -> float:
    """For bounds that are compared with a hard limit: the truth is on one side of it, so only one of them can be wrong,
    and each may be with the whole error rate."""
    return min(2 * error_rate, 0.5)


def bounds_at(boundary: Boundary, error_rate: float) -> ShareBounds:
    """Each of both bounds is wrong with at most `error_rate`."""
    return lambda count, total: boundary.share(count, total, each_alone(error_rate))


uncompared: ShareBounds = bounds_at(FixedSample(), UNCOMPARED)
"""Where nothing was compared; of no bad one among n the upper bound is about 3 / n."""


def bounds_of_run(case: Case, blocks: int) -> ShareBounds:
    """Those of the metric `stale_reads`. `blocks`: finished ones of the change."""
    if not blocks:
        return uncompared
    boundary, share_of_rate = ways_to_look(blocks, case)
    return bounds_at(boundary, Levels.of(case, share_of_rate).at(STALE_READS))


__all__ = ["ShareBounds", "bounds_at", "bounds_of_run", "each_alone", "uncompared"]
