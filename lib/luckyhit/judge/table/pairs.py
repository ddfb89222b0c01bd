"""Which rows of two arms are the same request: those with the same slot in the same unit."""

from __future__ import annotations

import numpy as np

from luckyhit.judge.table.rows import NO_ROW

ROOM = 4
"""A table with a place for each slot of each unit may have so many times more places than there are rows."""


def same_requests(
    slots: tuple[np.ndarray, np.ndarray], units: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the rows that both arms have (of each the first, where it is there twice), in the order of units and
    of slots inside them. `slots`, `units`: of the rows of either arm, -1 at the least.

    Slots count up inside a unit, so nearly all places of a table of them are taken, and each row is looked up in it:
    sorting all rows takes several times as long.
    """
    if _in_step(slots, units):
        every = np.arange(len(slots[0]), dtype=np.int32 if len(slots[0]) < NO_ROW else np.int64)
        return every, every
    count = 1 + max(int(unit.max(initial=-1)) for unit in units)
    low, high = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, dtype=np.int64)
    for slot, unit in zip(slots, units, strict=True):
        _widen(low, high, slot, unit)
    sizes = np.where(high >= low, high - np.minimum(low, high) + 1, 0).astype(float)
    places = float(sizes.sum())
    if places > ROOM * sum(map(len, slots)) + 1000:
        # Slots that are far apart are numbered first, so that unit and slot fit in one number whatever they are.
        shared, rank = np.unique(np.concatenate(slots), return_inverse=True)
        ranks = np.split(rank, [len(slots[0])])
        one, other = (unit.astype(np.int64) * len(shared) + rank for unit, rank in zip(units, ranks, strict=True))
        _, first, second = np.intersect1d(one, other, return_indices=True)
        return first, second
    shift = np.concatenate([[0], np.cumsum(sizes[:-1])]).astype(np.int64) - np.where(sizes > 0, low, 0)
    rows = [_by_place(slot, unit, shift, int(places)) for slot, unit in zip(slots, units, strict=True)]
    both = np.flatnonzero((rows[0] >= 0) & (rows[1] >= 0))
    return rows[0][both], rows[1][both]


def _in_step(slots: tuple[np.ndarray, np.ndarray], units: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether each row of one arm stands where its partner stands in the other, no slot is there twice, and none is
    lost: how a run is where nothing went wrong."""
    (slot, other), (unit, other_unit) = slots, units
    if len(slot) != len(other) or not np.array_equal(slot, other) or not np.array_equal(unit, other_unit):
        return False
    if not len(slot) or slot.min() < 0 or unit.min() < 0:
        return not len(slot)
    return bool(np.all((unit[1:] > unit[:-1]) | ((unit[1:] == unit[:-1]) & (slot[1:] > slot[:-1]))))


def _widen(low: np.ndarray, high: np.ndarray, slot: np.ndarray, unit: np.ndarray) -> None:
    if len(slot):
        # Neighbours are mostly of one unit: there are far fewer runs of it than rows.
        start = np.concatenate([[0], np.flatnonzero(unit[1:] != unit[:-1]) + 1])
        np.minimum.at(low, unit[start], np.minimum.reduceat(slot, start))
        np.maximum.at(high, unit[start], np.maximum.reduceat(slot, start))


def _by_place(slot: np.ndarray, unit: np.ndarray, shift: np.ndarray, places: int) -> np.ndarray:
    """The (first) row of each place, -1 for none."""
    least = np.iinfo(np.int32).max
    small = np.int32 if max(len(slot), places, int(slot.max(initial=0))) < least else np.int64
    row_at = np.full(places, -1, dtype=small)
    place = shift.astype(small)[unit]
    place += slot.astype(small, copy=False)
    # Of several values for one place the last stays: so they come from behind.
    row_at[place[::-1]] = np.arange(len(slot) - 1, -1, -1, dtype=small)
    return row_at


__all__ = ["same_requests"]
