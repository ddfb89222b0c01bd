"""Whether a share, seen in successive windows, has stopped moving.

The early and the late part of what was seen last are compared, as Geweke (1992) compares the two ends of a chain: by
their difference against its standard error. Two parts that agree may do so because there is too little to tell them
apart, so the windows hold a number of requests each that leaves little noise beside `BOUND`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

BOUND = 0.02
"""A share that moves by less than two points between the parts counts as still, whatever the noise."""
FEWEST_WINDOWS = 6
WIDE = 1.0
"""Standard errors that two parts may lie apart. A third of all still shares lie further, and are looked at again with
the next windows; asking for less would let a slow climb pass."""
SURE = 2.58


def settled(windows: Sequence[tuple[int, int]]) -> bool:
    """Whether the share of `windows` (hits, told: in the order of time) is still over the last half of them.

    At least `FEWEST_WINDOWS` windows are needed, and a late part that is not above (or below) the one in the middle
    and the one before: a steady climb is no noise.
    """
    known = [(hits, count) for hits, count in windows if count > 0]
    if len(known) < FEWEST_WINDOWS:
        return False
    early, middle, late = _thirds(known)
    difference, error = late[0] - early[0], sqrt(early[1] + late[1])
    if abs(difference) <= BOUND:
        return True
    climbs = min(middle[0] - early[0], late[0] - middle[0]) > 0 or max(middle[0] - early[0], late[0] - middle[0]) < 0
    return abs(difference) <= WIDE * error and not climbs


def moving(windows: Sequence[tuple[int, int]]) -> bool:
    """Whether the share surely still moves: by more than `BOUND`, and further than noise goes once in a hundred times.
    Neither `settled` nor `moving` is what can't be told yet."""
    known = [(hits, count) for hits, count in windows if count > 0]
    if len(known) < FEWEST_WINDOWS:
        return False
    early, _, late = _thirds(known)
    difference, error = late[0] - early[0], sqrt(early[1] + late[1])
    return abs(difference) > BOUND and abs(difference) > SURE * error


def _thirds(known: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    last = known[len(known) // 2 :] if len(known) >= 2 * FEWEST_WINDOWS else known[-FEWEST_WINDOWS:]
    third = len(last) // 3
    return [_share(part) for part in (last[:third], last[third:-third], last[-third:])]


def _share(windows: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """(the share, its variance; of shares at the edge, that of one more of either kind)."""
    hits, count = (sum(column) for column in zip(*windows, strict=True))
    smoothed = (hits + 1) / (count + 2)
    return hits / count, smoothed * (1 - smoothed) / count
