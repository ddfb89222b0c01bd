"""The order that rows are kept in: measured ones last; then by arm, by block, by slot.

Answers come nearly in the order of slots, both arms by turns. Put in this order once, what is picked later (the
measured requests of one arm, in the blocks of the change) lies next to each other, so that picking it copies nothing,
and the requests of a batch are neighbours, so that sums over batches need not look up where each one belongs.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from luckyhit.judge.table.parallel import ParallelTasks
from luckyhit.judge.table.rows import ARMS, NO_ROW, Column, SinceDue, members

ROOM = 2
"""Slots that are so many times fewer than the numbers they span are put into a table by their number."""


def in_order(columns: dict[str, Column]) -> dict[str, Column]:
    """The same rows in order; of several with the same slot the one that came first stays the first. `columns` is
    emptied on the way: each column is let go of as soon as its copy is there."""
    order = _order(*(columns[name] for name in ("measured", "arm", "block", "slot")))  # type: ignore[arg-type]
    if order is None:
        return columns
    with ParallelTasks(len(order)) as work:
        coming = {name: work.start(partial(_placed, columns, name, order)) for name in list(columns)}
        return {name: column() for name, column in coming.items()}


def _placed(columns: dict[str, Column], name: str, order: np.ndarray) -> Column:
    column = columns.pop(name)
    return SinceDue(column.ns[order]) if isinstance(column, SinceDue) else column[order]


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
    order = np.concatenate([groups[key] for key in sorted(groups)])
    return None if np.all(order[1:] > order[:-1]) else order


def by_slot(slot: np.ndarray) -> np.ndarray:
    """Indices that put the rows of one group in the order of their slots; equal ones stay as they come."""
    low, high = int(slot.min()), int(slot.max())
    if high - low < ROOM * len(slot):
        # Nearly all slots are there, each once: each row is put in its place, which is faster than to sort them.
        table = np.full(high - low + 1, -1, dtype=np.int64)
        table[slot - low] = np.arange(len(slot))
        places = table[table >= 0]
        if len(places) == len(slot):
            return places
    return np.argsort(slot, kind="stable")


__all__ = ["by_slot", "in_order"]
