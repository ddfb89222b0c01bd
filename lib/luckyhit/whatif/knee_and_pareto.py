"""What to take from the grid: where more room or a longer life stops to help, and what staleness costs.

knee     on a curve that rises ever more slowly: the point farthest above the straight line between its ends, on a
         logarithmic axis (Satopää and others, 2011)
Pareto   the points of the grid where no other one has fewer stale reads for as few database calls
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luckyhit.whatif.counting.cache_trace import READ, WriteRule, events_under
from luckyhit.whatif.counting.replays import MISS, STALE, outcomes
from luckyhit.whatif.recorded.cache_recording import Recording
from luckyhit.whatif.surfaces import VALUE, Surface

MOST_HOT = 12
FLAT = 0.01
"""A curve that rises by less than this has no knee."""
_BENT = 0.05
"""Nor has one that comes no higher above the straight line between its ends, as a share of its rise: one that rises
ever more steeply lies below that line."""


@dataclass(frozen=True)
class Knee:
    """`at` on the curve has `share` of its reads as hits; its end, `last`, has `best`."""

    at: float
    share: float
    last: float
    best: float


@dataclass(frozen=True)
class ParetoPoint:
    size: int
    ttl_s: float
    stale: float
    cost: float


@dataclass(frozen=True)
class HotKey:
    """An entry with its shares of all misses and of all stale reads, and its counts."""

    name: str
    reads: int
    misses: int
    stale: int
    miss_share: float
    stale_share: float


def knee_of(positions: Sequence[float], shares: NDArray[np.float64]) -> Knee | None:
    """The knee of a curve at ascending positions above 0; None for a flat one, for one that does not rise more slowly
    in the end, and for one with fewer than three points."""
    if len(positions) < 3 or shares.max() - shares.min() < FLAT:
        return None
    axis = np.log(np.array(positions, float))
    x = (axis - axis[0]) / (axis[-1] - axis[0])
    y = (shares - shares[0]) / (shares[-1] - shares[0]) if shares[-1] > shares[0] else shares * 0
    place = int(np.argmax(y - x))
    if y[place] - x[place] < _BENT:
        return None
    # From it on, no more than a hundredth is missing, or it is no better than the line.
    return Knee(float(positions[place]), float(shares[place]), float(positions[-1]), float(shares[-1]))


def pareto(surface: Surface) -> list[ParetoPoint]:
    """The points that no other one beats, by rising share of stale reads. What they cost: database calls a read, or
    misses a read where calls are not told. Of equal ones the smallest cache and the shortest life."""
    told = bool(np.isfinite(surface.calls[VALUE]).all())
    cost = surface.calls[VALUE] if told else 1 - surface.hit_ratio[VALUE]
    points = [
        ParetoPoint(size, ttl_s, float(surface.stale[VALUE, row, column]), float(cost[row, column]))
        for row, size in enumerate(surface.grid.sizes)
        for column, ttl_s in enumerate(surface.grid.ttls_s)
    ]
    points.sort(key=lambda one: (round(one.stale, 9), round(one.cost, 9), one.size, one.ttl_s))
    kept: list[ParetoPoint] = []
    for point in points:
        if not kept or point.cost < kept[-1].cost - 1e-9:
            kept.append(point)
    return kept


def hot_keys(recording: Recording, rule: WriteRule, size: int, ttl_ns: int, *, by: str = "misses") -> list[HotKey]:
    """The entries with most misses (or `stale` reads) at one point, in the model."""
    trace = recording.trace
    count = len(trace.weight)
    reads, misses, stale = (np.zeros(count, np.int64) for _ in range(3))
    made = outcomes("lru", trace, rule, recording.costs.load_ns, size, ttl_ns)
    for segment, outcome in zip(trace.segments, made, strict=True):
        events = events_under(segment, rule)
        counted = (events.kind == READ) & (events.block >= 0)
        reads += np.bincount(events.entry[counted], minlength=count)
        misses += np.bincount(events.entry[counted & (outcome == MISS)], minlength=count)
        stale += np.bincount(events.entry[counted & (outcome == STALE)], minlength=count)
    chosen = misses if by == "misses" else stale
    order = np.argsort(-chosen, kind="stable")[:MOST_HOT]
    return [
        HotKey(
            trace.entries[place],
            int(reads[place]),
            int(misses[place]),
            int(stale[place]),
            float(misses[place] / max(misses.sum(), 1)),
            float(stale[place] / max(stale.sum(), 1)),
        )
        for place in order.tolist()
        if chosen[place]
    ]
