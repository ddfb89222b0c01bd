"""How one column of rows that lie next to each other is kept: in as few bytes as give every value back exactly.

Most columns are arrays of the narrowest whole numbers. Where all rows have one value (their arm, their block), or
values count up (their slots), nothing is kept for a row; due times are kept as four bytes after that of a near row, the
end of a request as four bytes after its due time.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

NO_TIME = np.iinfo(np.int32).min
FRAME = 1024
"""Rows whose due times are counted from the earliest of them."""
ROWS_AT_ONCE = FRAME << 6
_UNIX = hasattr(mmap, "MAP_ANONYMOUS")
FEW = 16
"""Values are kept sparsely where at most one of so many differs from the usual one."""
_MOST_OFFSET = np.iinfo(np.uint32).max


@dataclass(frozen=True, slots=True)
class SinceDue:
    """Instants of rows that are all due at some time, as int32 nanoseconds after it; NO_TIME where there is none. Half
    as large as floats, and as exact."""

    ns: np.ndarray

    def __len__(self) -> int:
        return len(self.ns)

    @property
    def present(self) -> np.ndarray:
        return np.asarray(self.ns != NO_TIME)

    def at(self, due: np.ndarray) -> np.ndarray:
        return np.where(self.ns == NO_TIME, np.nan, due + self.ns)

    def part(self, first: int, stop: int) -> SinceDue:
        return SinceDue(self.ns[first:stop])

    def pick(self, places: np.ndarray) -> SinceDue:
        return SinceDue(self.ns[places])


@dataclass(frozen=True, slots=True)
class Constant:
    """One value for all rows. `value`: of a numpy type."""

    value: np.generic
    size: int

    def __len__(self) -> int:
        return self.size

    def part(self, first: int, stop: int) -> np.ndarray:
        return np.full(stop - first, self.value)

    def pick(self, places: np.ndarray) -> np.ndarray:
        return np.full(len(places), self.value)


@dataclass(frozen=True, slots=True)
class Counting:
    """Each row has one more than the one before. `first`: of a numpy type that holds the last value as well."""

    first: np.integer
    size: int

    def __len__(self) -> int:
        return self.size

    def part(self, first: int, stop: int) -> np.ndarray:
        begin = int(self.first)
        return np.arange(begin + first, begin + stop, dtype=self.first.dtype)

    def pick(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(places + self.first, dtype=self.first.dtype)


@dataclass(frozen=True, slots=True)
class Framed:
    """Whole nanoseconds as uint32 `offsets` (as many rows as fill whole frames) from the `base` of each FRAME rows."""

    base: np.ndarray
    offsets: np.ndarray
    size: int

    def __len__(self) -> int:
        return self.size

    def part(self, first: int, stop: int) -> np.ndarray:
        """As float nanoseconds."""
        begin, end = first // FRAME, -(-stop // FRAME)
        whole = self.offsets[begin * FRAME : end * FRAME].reshape(-1, FRAME) + self.base[begin:end, None]
        return np.asarray(whole.reshape(-1)[first - begin * FRAME : stop - begin * FRAME])

    def pick(self, places: np.ndarray) -> np.ndarray:
        return np.asarray(self.offsets[places] + self.base[places // FRAME])


@dataclass(frozen=True, slots=True)
class Sparse:
    """One value, but for a few rows: `values` at `places`, which ascend."""

    usual: np.generic
    places: np.ndarray
    values: np.ndarray
    size: int

    def __len__(self) -> int:
        return self.size

    def part(self, first: int, stop: int) -> np.ndarray:
        whole = np.full(stop - first, self.usual)
        # Of another type than the places, the ends would have all places changed to theirs.
        begin, end = np.searchsorted(self.places, np.array((first, stop), dtype=self.places.dtype))
        whole[self.places[begin:end] - first] = self.values[begin:end]
        return whole

    def pick(self, places: np.ndarray) -> np.ndarray:
        if not len(places):
            return np.zeros(0, dtype=self.values.dtype)
        first, last = int(places.min()), int(places.max())
        return np.asarray(self.part(first, last + 1)[places - first])


Kept = np.ndarray | SinceDue | Constant | Counting | Framed | Sparse
"""A column as it is kept."""
Column = np.ndarray | SinceDue
"""A column as it is given."""


def room_for(count: int, dtype: np.dtype[Any]) -> np.ndarray:
    """An array in memory of its own: what stays for long and what is soon gone would leave gaps in each other's, which
    nobody can use. What is never written takes none."""
    size = max(count * dtype.itemsize, 1)
    own = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) if _UNIX else mmap.mmap(-1, size)
    return np.frombuffer(own, dtype=dtype, count=count)


def part_of(column: Kept, first: int, stop: int) -> Column:
    """The rows from `first` to `stop`; of an array it is no copy."""
    return column[first:stop] if isinstance(column, np.ndarray) else column.part(first, stop)


def picked(column: Kept, places: np.ndarray) -> Column:
    return column[places] if isinstance(column, np.ndarray) else column.pick(places)


def framed(times_ns: np.ndarray) -> Kept:
    """Due times (whole nanoseconds, 0 or more, exact as floats) in the form that takes the least room."""
    size = len(times_ns)
    if not size or times_ns.dtype != np.int64:
        return times_ns.astype(np.float64)
    frames = -(-size // FRAME)
    starts = np.arange(0, size, FRAME)
    base = np.minimum.reduceat(times_ns, starts)
    if int((np.maximum.reduceat(times_ns, starts) - base).max()) > _MOST_OFFSET:
        return times_ns.astype(np.float64)
    offsets = room_for(frames * FRAME, np.dtype(np.uint32))
    for first in range(0, size, ROWS_AT_ONCE):
        part = times_ns[first : first + ROWS_AT_ONCE]
        of_frame = base[first // FRAME : -(-(first + len(part)) // FRAME)]
        offsets[first : first + len(part)] = part - np.repeat(of_frame, FRAME)[: len(part)]
    return Framed(base.astype(np.float64), offsets, size)


def counting(numbers: np.ndarray) -> Kept:
    """Slots in the form that takes the least room."""
    size = len(numbers)
    if size and int(numbers[-1]) - int(numbers[0]) == size - 1 and bool(np.all(numbers[1:] - numbers[:-1] == 1)):
        return Counting(numbers[0], size)
    return numbers


def sparse(values: np.ndarray) -> Kept:
    """Values that are nearly all the same, in a form for them."""
    alike = sparsely([values], [np.arange(len(values))])
    return values if alike is None else alike


def sparsely(parts: Sequence[np.ndarray], places: Sequence[np.ndarray]) -> Kept | None:
    """Values that are nearly all the same, which come in parts; None for others. `places`: where each value stands."""
    size = sum(map(len, parts))
    dtype = np.result_type(*parts)
    for usual in parts[0][[0, len(parts[0]) // 2, -1]].astype(dtype) if len(parts[0]) else ():
        others = [np.flatnonzero(part != usual) for part in parts]
        count = sum(map(len, others))
        if not count:
            return Constant(usual, size)
        if count * FEW <= size:
            place = np.concatenate([place[rows] for place, rows in zip(places, others, strict=True)])
            value = np.concatenate([part[rows] for part, rows in zip(parts, others, strict=True)]).astype(dtype)
            order = np.argsort(place, kind="stable")
            small = np.int32 if size < np.iinfo(np.int32).max else np.int64
            return Sparse(usual, kept(place[order].astype(small)), kept(value[order]), size)
    return None


def kept(values: np.ndarray) -> np.ndarray:
    """A copy in memory of its own."""
    copy = room_for(len(values), values.dtype)
    copy[:] = values
    return copy


def same(column: Kept, other: Kept) -> Kept:
    """`other` where it holds the same values as `column`, so that they are kept once."""
    if isinstance(column, np.ndarray) and isinstance(other, np.ndarray):
        return other if column.dtype == other.dtype and np.array_equal(column, other) else column
    if isinstance(column, Framed) and isinstance(other, Framed):
        alike = np.array_equal(column.base, other.base) and np.array_equal(column.offsets, other.offsets)
        return other if alike and column.size == other.size else column
    return column
