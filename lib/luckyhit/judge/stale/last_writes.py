"""Which write a read comes behind, by the plan: slots count up inside a block, and are the same in both arms."""

from __future__ import annotations

import numpy as np


def last_before(group: np.ndarray, slot: np.ndarray, *wanted: np.ndarray) -> list[np.ndarray]:
    """For each mask of wanted rows, of each row: the index of the last wanted one of its group in an earlier slot; -1
    where there is none."""
    if not len(group):
        return [np.full(0, -1, dtype=np.int64) for _ in wanted]
    order = np.lexsort((slot, group))
    groups, slots = group[order], slot[order]
    place = np.arange(len(order))
    # Rows of one slot stand side by side: what is before them ends where their slot begins.
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (groups[1:] != groups[:-1]) | (slots[1:] != slots[:-1])
    begin = np.maximum.accumulate(np.where(begins, place, 0))
    found = []
    for mask in wanted:
        last = np.maximum.accumulate(np.where(mask[order], place, -1))
        before = np.where(begin > 0, last[begin - 1], -1)
        rows = np.full(len(order), -1, dtype=np.int64)
        rows[order] = np.where((before >= 0) & (groups[before] == groups), order[before], -1)
        found.append(rows)
    return found


__all__ = ["last_before"]
