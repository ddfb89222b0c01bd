"""The order of rows (measured ones last; then by arm, by block, by slot), and the requests that both arms have.

Answers come nearly in the order of slots, both arms by turns. Sorted once, what is picked later (the measured requests
of one arm, in the blocks of the change) lies next to each other, so that picking it copies nothing, and the requests
of a batch are neighbours, so that sums over batches need no look-up.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from luckyhit.judge.table.column_forms import Column, Constant, Kept, SinceDue, counting, framed, picked, same, sparse
from luckyhit.judge.table.groups import NO_ROW, members, run_starts
from luckyhit.judge.table.rows import ARMS, Columns
from luckyhit.records import NUMBER_COLUMNS

ROOM = 2
"""Slots are put into a table by their number where they span fewer than so many times as many numbers."""
PAIR_ROOM = 4
"""A table with a place for each slot of each unit may have so many times more places than there are rows."""


NEARLY_ALL_ALIKE = ("clock", "error", "cache", "send_delay_ns", *NUMBER_COLUMNS)
"""Columns that may be kept sparsely."""
SAME_IN_BOTH = ("due_ns", "key", "route")
"""Columns that may be those of the other arm, which was sent the same."""


def in_stretches(columns: dict[str, Column]) -> list[Columns]:
    """Rows in order, in stretches of one arm, block and phase; of several with the same slot the one that came first
    stays the first."""
    measured, arm, block, slot = (np.asarray(columns[name]) for name in ("measured", "arm", "block", "slot"))
    grouped, order = [measured, arm, block], _order(measured, arm, block, slot)
    if order is None:
        order = np.arange(len(grouped[0]))
    grouped = [values[order] for values in grouped]
    starts = np.unique(np.concatenate([run_starts(values) for values in grouped]))
    if not len(starts):
        return [columns]
    return [
        {name: compact(name, picked(column, order[first:stop])) for name, column in columns.items()}
        for first, stop in pairwise([*starts.tolist(), len(grouped[0])])
    ]


def compact(name: str, column: Column) -> Kept:
    """One column of a stretch in the form that takes the least room."""
    if isinstance(column, SinceDue):
        return column
    if name in ("arm", "block", "measured"):
        return Constant(column[0], len(column))
    if name == "slot":
        return counting(column)
    if name == "due_ns":
        return framed(column)
    return sparse(column) if name in NEARLY_ALL_ALIKE else column


def shared(columns: dict[str, Kept], other: Columns) -> dict[str, Kept]:
    """The same columns, with those of the `other` arm that hold the same."""
    return columns | {name: same(columns[name], other[name]) for name in SAME_IN_BOTH if name in other}


def _order(measured: np.ndarray, arm: np.ndarray, block: np.ndarray, slot: np.ndarray) -> np.ndarray | None:
    """Indices of the rows in order; None where they are in order already."""
    kinds = len(ARMS) + 1
    groups: dict[tuple[int, int], np.ndarray] = {}
    for number, inside in members(block):
        kind = (arm[inside] + 1).astype(np.int8)
        kind[measured[inside]] += kinds
        for code in range(2 * kinds):
            indices = inside[kind == code]
            if len(indices):
                indices = indices[by_slot(slot[indices])]
                groups[code, number] = indices.astype(np.int32) if len(block) < NO_ROW else indices
    if not groups:
        return None
    order: np.ndarray = np.concatenate([groups[key] for key in sorted(groups)])
    return None if np.all(order[1:] > order[:-1]) else order


def by_slot(slot: np.ndarray) -> np.ndarray:
    """Indices that put the rows of one group in the order of their slots; equal ones stay as they come."""
    low, high = int(slot.min()), int(slot.max())
    if high - low < ROOM * len(slot):
        # Nearly all slots are there, each once: each row is put in its place, which is faster than to sort them.
        small = np.int32 if len(slot) < NO_ROW else np.int64
        table: np.ndarray = np.full(high - low + 1, -1, dtype=small)
        table[slot - low] = np.arange(len(slot), dtype=small)
        places: np.ndarray = table[table >= 0]
        if len(places) == len(slot):
            return places
    return np.argsort(slot, kind="stable")


def same_requests(
    slots: tuple[np.ndarray, np.ndarray], units: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the rows that are the same request in both arms: the same slot in the same unit (of each the first,
    where it is there twice), in the order of units, and of slots inside them. `slots`, `units`: of the rows of either
    arm, -1 at the least.

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
    if places > PAIR_ROOM * sum(map(len, slots)) + 1000:
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
    """Whether both arms have the same rows at the same places, each slot once: the usual case."""
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
    # Of several values for one place the last stays: so they are written in reverse.
    row_at[place[::-1]] = np.arange(len(slot) - 1, -1, -1, dtype=small)
    return row_at
