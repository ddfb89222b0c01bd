"""Rows by group: which unit of a comparison, or which batch of a series, each of them is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

FEW_RUNS = 8
"""Values in runs are handled run by run where there are this many times fewer runs than values."""
AT_ONCE = 1 << 17
"""Rows worked on together: few enough to stay in the processor's cache."""
NO_ROW = np.iinfo(np.int32).max
"""More rows than this have no number of four bytes."""


def places(mask: np.ndarray) -> np.ndarray:
    """Where a mask is true, in four bytes each where that is enough."""
    indices = np.flatnonzero(mask)
    return indices.astype(np.int32) if len(mask) < NO_ROW else indices


def run_starts(values: np.ndarray) -> np.ndarray:
    """Where in `values` another value begins than the one before."""
    return np.concatenate([np.zeros(min(len(values), 1), np.int64), np.flatnonzero(values[1:] != values[:-1]) + 1])


def run_lengths(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    return np.diff(starts, append=len(values))


def among(values: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Mask of the values that are one of `numbers`: np.isin, run by run where there are few, like those of blocks."""
    starts = run_starts(values)
    if len(starts) * FEW_RUNS > len(values):
        return np.isin(values, numbers)
    return np.repeat(np.isin(values[starts], numbers), run_lengths(values, starts))


def distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct values, and the index of each value among them: np.unique, without sorting where the values
    come in runs, or are few and small."""
    starts = run_starts(values)
    if len(starts) * FEW_RUNS <= len(values):
        numbers, index = np.unique(values[starts], return_inverse=True)
        return numbers, np.repeat(index.astype(np.int32), run_lengths(values, starts))
    if not _countable(values):
        return np.unique(values, return_inverse=True)
    present = np.bincount(values) > 0
    return np.flatnonzero(present), (np.cumsum(present) - 1)[values]


def distinct_values(values: np.ndarray) -> np.ndarray:
    """Sorted distinct values."""
    starts = run_starts(values)
    if len(starts) * FEW_RUNS <= len(values):
        return np.unique(values[starts])
    return np.flatnonzero(np.bincount(values)) if _countable(values) else np.unique(values)


def _countable(values: np.ndarray) -> bool:
    """Whether a table with a place for each number up to the largest is no longer than a few times the values."""
    return len(values) > 0 and values.min() >= 0 and values.max() <= 4 * len(values) + 1000


def members(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each distinct value, with the places where it stands, in their order."""
    if not len(values):
        return
    starts = run_starts(values)
    if len(starts) * FEW_RUNS > len(values):
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        starts = run_starts(ranked)
        yield from zip(ranked[starts].tolist(), np.split(order, starts[1:]), strict=True)
        return
    ends, run_values = starts + run_lengths(values, starts), values[starts]
    for number in np.unique(run_values).tolist():
        own_runs = np.flatnonzero(run_values == number)
        yield number, np.concatenate([np.arange(starts[run], ends[run], dtype=np.int64) for run in own_runs])


class Groups:
    """Rows by group, from 0 up to `count`. Groups may be empty.

    `runs`: (where each group that has rows begins, which one it is) where the rows of a group are next to each other,
    and groups come one after the other (the order of `row_order`); None where groups are mixed. With them sums take a
    tenth of the time that they take row by row, and nothing is kept for a row.
    """

    def __init__(self, index: np.ndarray, count: int) -> None:
        """`index`: the group of each row."""
        starts = run_starts(index)
        self.size, self.count = len(index), count
        self.runs: tuple[np.ndarray, np.ndarray] | None = (starts, index[starts])
        if not np.all(self.runs[1][1:] > self.runs[1][:-1]):
            self.runs = None
            self.__dict__["index"] = index

    @classmethod
    def of_runs(cls, starts: np.ndarray, which: np.ndarray, size: int, count: int) -> Groups:
        """Of `size` rows; `starts`: where another group begins."""
        if not np.all(which[1:] > which[:-1]):
            return cls(np.repeat(which, np.diff(starts, append=size)), count)
        groups = cls.__new__(cls)
        groups.runs, groups.size, groups.count = (starts, which), size, count
        return groups

    @classmethod
    def of_sizes(cls, sizes: np.ndarray) -> Groups:
        """One after the other."""
        which = np.flatnonzero(sizes)
        stops = np.cumsum(sizes[which])
        return cls.of_runs(stops - sizes[which], which, int(sizes.sum()), len(sizes))

    @cached_property
    def index(self) -> np.ndarray:
        """The group of each row."""
        assert self.runs is not None
        return np.repeat(self.runs[1].astype(np.int32), self._sizes_of_runs)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The group of each of some rows."""
        if self.runs is None:
            return self.index[rows]
        return np.asarray(self.runs[1][np.searchsorted(self.runs[0], rows, side="right") - 1])

    @property
    def _sizes_of_runs(self) -> np.ndarray:
        assert self.runs is not None
        return np.diff(self.runs[0], append=self.size)

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many rows each group has."""
        if self.runs is None:
            return np.bincount(self.index, minlength=self.count)
        return self._placed(self._sizes_of_runs)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of finite `values`, one for each row, over each group."""
        if self.runs is None or not len(values):
            return np.bincount(self.index, weights=values, minlength=self.count)
        return self._placed(np.add.reduceat(values, self.runs[0], dtype=np.float64))

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """How many rows of a mask each group has."""
        if self.runs is None or not len(rows):
            return np.bincount(self.index[rows], minlength=self.count)
        return self._placed(np.add.reduceat(rows.view(np.int8), self.runs[0], dtype=np.int32))

    def parts(self) -> Iterator[tuple[int, int, Groups]]:
        """Parts of whole groups, of AT_ONCE rows where groups are smaller: (first row, behind the last one, the rows by
        group). All rows where groups are mixed."""
        if self.runs is None or self.size <= AT_ONCE:
            yield 0, self.size, self
            return
        starts, which = self.runs
        edges = np.append(starts, self.size)
        place = 0
        while place < len(starts):
            end = max(int(np.searchsorted(edges, edges[place] + AT_ONCE, side="right")) - 1, place + 1)
            first, stop = int(edges[place]), int(edges[end])
            yield first, stop, Groups.of_runs(starts[place:end] - first, which[place:end], stop - first, self.count)
            place = end

    def _placed(self, numbers: np.ndarray) -> np.ndarray:
        assert self.runs is not None
        placed = np.zeros(self.count, dtype=np.result_type(numbers, np.int64))
        placed[self.runs[1]] = numbers
        return placed


class Pieces:
    """The unit of each row, as it comes: as runs, since neighbours mostly have the same."""

    def __init__(self) -> None:
        self._size, self._starts, self._units = 0, list[np.ndarray](), list[np.ndarray]()

    def add(self, units: np.ndarray, shift: int) -> None:
        starts = run_starts(units)
        self._starts.append(starts + self._size)
        self._units.append(units[starts] + np.int64(shift))
        self._size += len(units)

    def groups(self, count: int) -> Groups:
        starts, units = (np.concatenate([np.zeros(0, np.int64), *parts]) for parts in (self._starts, self._units))
        new = run_starts(units)
        return Groups.of_runs(starts[new], units[new], self._size, count)
