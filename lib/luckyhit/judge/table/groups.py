"""Sums over groups of rows: the batches, or the blocks, that count as one observation."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from luckyhit.judge.table.rows import run_starts


class Groups:
    """`index`: the group of each row, from 0 up to `count`. Groups may be empty.

    Where the rows of a group are next to each other, and groups come one after the other (the order of
    `layout.in_order`), sums take a tenth of the time that they take row by row.
    """

    def __init__(self, index: np.ndarray, count: int) -> None:
        self.index, self.count = index, count

    @cached_property
    def _runs(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(where each group that has rows begins, which one it is); None where groups are mixed."""
        starts = run_starts(self.index)
        found = self.index[starts]
        return (starts, found) if np.all(found[1:] > found[:-1]) else None

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many rows each group has."""
        if self._runs is None:
            return np.bincount(self.index, minlength=self.count)
        return self._placed(np.diff(self._runs[0], append=len(self.index)))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of finite `values`, one for each row, over each group."""
        if self._runs is None or not len(values):
            return np.bincount(self.index, weights=values, minlength=self.count)
        return self._placed(np.add.reduceat(values, self._runs[0], dtype=np.float64))

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """How many rows of a mask each group has."""
        if self._runs is None or not len(rows):
            return np.bincount(self.index[rows], minlength=self.count)
        return self._placed(np.add.reduceat(rows.view(np.int8), self._runs[0], dtype=np.int32))

    def _placed(self, found: np.ndarray) -> np.ndarray:
        assert self._runs is not None
        placed = np.zeros(self.count, dtype=np.result_type(found, np.int64))
        placed[self._runs[1]] = found
        return placed


__all__ = ["Groups"]
