"""Whether a hit ratio has stopped moving, from successive windows.

The early and the late part of the last windows are compared, as Geweke (1992) compares the two ends of a chain: by
their difference against its standard error. Too little data would agree by lack of power, so each window holds enough
requests to leave little noise beside `BOUND`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

BOUND = 0.02
"""A ratio that moves by less than two points between the parts counts as still, whatever the noise."""
FEWEST_WINDOWS = 6
WIDE = 1.0
"""Standard errors that two parts may lie apart. A third of all still ratios lie further, and are tested again with the
next windows; a wider bound would let a slow climb pass."""
SURE = 2.58


def settled(windows: Sequence[tuple[int, int]]) -> bool:
    """Whether the hit ratio of `windows` (hits, total: in the order of time) is still over the last half of them.

    Needs at least `FEWEST_WINDOWS` windows whose early, middle and late parts do not climb (or fall): a steady climb is
    no noise.
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
    """Whether the hit ratio surely still moves: by more than `BOUND`, and further than noise does once in a hundred
    times. Neither `settled` nor `moving`: not known yet."""
    known = [(hits, count) for hits, count in windows if count > 0]
    if len(known) < FEWEST_WINDOWS:
        return False
    early, _, late = _thirds(known)
    difference, error = late[0] - early[0], sqrt(early[1] + late[1])
    return abs(difference) > BOUND and abs(difference) > SURE * error


def _thirds(known: Sequence[tuple[int, int]]) -> list[tuple[float, float]]:
    last = known[len(known) // 2 :] if len(known) >= 2 * FEWEST_WINDOWS else known[-FEWEST_WINDOWS:]
    third = len(last) // 3
    return [_ratio(part) for part in (last[:third], last[third:-third], last[-third:])]


def _ratio(windows: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """(the ratio, its variance with one more of either kind, for ratios at 0 and 1)."""
    hits, count = (sum(column) for column in zip(*windows, strict=True))
    smoothed = (hits + 1) / (count + 2)
    return hits / count, smoothed * (1 - smoothed) / count
