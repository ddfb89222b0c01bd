"""Which write a read comes behind, by the plan: slots count up inside a block, and are the same in both arms."""

from __future__ import annotations

import numpy as np


def last_writes(group: np.ndarray, slot: np.ndarray, writing: np.ndarray) -> np.ndarray:
    """Of each row: the index of the last write of its group in an earlier slot; -1 where there is none."""
    return _last_before(group, slot, writing)


def read_before(group: np.ndarray, slot: np.ndarray, reading: np.ndarray) -> np.ndarray:
    """Mask of the rows whose group was read in an earlier slot."""
    return _last_before(group, slot, reading) >= 0


def _last_before(group: np.ndarray, slot: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Of each row: the index of the last wanted row of its group in an earlier slot; -1 where there is none."""
    found = np.full(len(group), -1, dtype=np.int64)
    if not len(group):
        return found
    order = np.lexsort((slot, group))
    groups, slots = group[order], slot[order]
    place = np.arange(len(order))
    # Rows of one slot stand side by side: what is before them ends where their slot begins.
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = (groups[1:] != groups[:-1]) | (slots[1:] != slots[:-1])
    begin = np.maximum.accumulate(np.where(begins, place, 0))
    last = np.maximum.accumulate(np.where(wanted[order], place, -1))
    before = np.where(begin > 0, last[begin - 1], -1)
    same = (before >= 0) & (groups[before] == groups)
    found[order] = np.where(same, order[before], -1)
    return found


__all__ = ["last_writes", "read_before"]
