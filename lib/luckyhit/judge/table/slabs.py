"""Rows of one arm and phase of a block, on their way from batches to a stretch in the order of slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from luckyhit.judge.table.column_forms import Kept, SinceDue, kept, picked, room_for, sparsely
from luckyhit.judge.table.part_columns import ROOMY, TEXTS
from luckyhit.judge.table.row_order import NEARLY_ALL_ALIKE, by_slot, compact

ROWS = 1 << 15
GROUPED = ("block", "arm", "measured")
"""Columns that have one value in all rows of a stretch."""
Batch = Mapping[str, Any]
"""The other columns, as arrays or SinceDue."""


class Picked(Batch):
    """Some rows of a batch; a column is copied when somebody asks for it."""

    def __init__(self, batch: Batch, rows: np.ndarray) -> None:
        self._batch, self._rows = batch, rows

    def __getitem__(self, name: str) -> Any:
        return picked(self._batch[name], self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._batch)

    def __len__(self) -> int:
        return len(self._batch)


class Slab:
    """Batches one after the other, in arrays with room for ROWS. They are used again and again: memory that was never
    touched costs more time than what is done with it here, and arrays of single batches would lie scattered between
    others that are soon gone."""

    def __init__(self, columns: Batch, count: int) -> None:
        """For so many rows of such columns, and more."""
        self._room = max(ROWS, count)
        self._arrays = {name: room_for(self._room, _array(column).dtype) for name, column in columns.items()}
        self._since_due = isinstance(columns["done_ns"], SinceDue)
        self.size = 0

    def fits(self, columns: Batch, count: int) -> bool:
        """Whether there is room for so many rows of these columns."""
        if self.size + count > self._room or isinstance(columns["done_ns"], SinceDue) is not self._since_due:
            return False
        return all(_holds(self._arrays[name].dtype, _array(column).dtype) for name, column in columns.items())

    def add(self, columns: Batch, rows: slice | np.ndarray, count: int) -> None:
        """Some rows of these columns."""
        first, self.size = self.size, self.size + count
        for name, column in columns.items():
            room, values = self._arrays[name][first : self.size], _array(column)
            if isinstance(rows, slice) or room.dtype != values.dtype:
                room[:] = values[rows]
            else:
                np.take(values, rows, out=room, mode="clip")  # in any other mode it makes a copy of its own first

    @property
    def columns(self) -> Batch:
        columns: dict[str, Any] = {name: values[: self.size] for name, values in self._arrays.items()}
        return columns | {"done_ns": SinceDue(columns["done_ns"])} if self._since_due else columns

    def emptied(self) -> Slab:
        self.size = 0
        return self


def _array(column: Any) -> np.ndarray:
    return column.ns if isinstance(column, SinceDue) else np.asarray(column)


def _holds(kept: np.dtype[Any], coming: np.dtype[Any]) -> bool:
    """Whether an array of one type holds every value of the other."""
    if kept == coming:
        return True
    whole = np.issubdtype(kept, np.integer) and np.issubdtype(coming, np.integer)
    return whole and kept.itemsize > coming.itemsize


class Scratch:
    """Room for one array at a time."""

    def __init__(self) -> None:
        self._bytes = room_for(0, np.dtype(np.uint8))

    def room_for(self, count: int, dtype: np.dtype[Any]) -> np.ndarray:
        if count * dtype.itemsize > len(self._bytes):
            self._bytes = room_for(count * dtype.itemsize, np.dtype(np.uint8))
        return self._bytes[: count * dtype.itemsize].view(dtype)


def a_stretch(batches: Sequence[Batch], same: Mapping[str, Any], scratch: Scratch) -> dict[str, Kept]:
    """All rows of these batches in the order of their slots; of several with the same slot the one that came first
    stays the first. `same`: the values of GROUPED, which batches lack."""
    places, size = _places([batch["slot"] for batch in batches])
    stretch: dict[str, Kept] = {}
    for name in batches[0]:
        columns = [_as_all(name, batch, batches) for batch in batches]
        alike = sparsely([_array(column) for column in columns], places) if name in NEARLY_ALL_ALIKE else None
        if alike is not None:
            stretch[name] = alike
            continue
        dtype, stays = np.result_type(*map(_array, columns)), name in ("done_ns", *TEXTS)
        whole = room_for(size, dtype) if stays else scratch.room_for(size, dtype)
        for place, column in zip(places, columns, strict=True):
            whole[place] = _array(column)
        made = compact(name, SinceDue(whole) if isinstance(columns[0], SinceDue) else whole)
        stretch[name] = made if stays or made is not whole else kept(whole)
    kinds = {"block": np.int32 if same["block"] < ROOMY else np.int64, "arm": np.int8, "measured": np.bool_}
    return stretch | {name: compact(name, np.full(size, same[name], kinds[name])) for name in GROUPED}


def _places(slots: Sequence[np.ndarray]) -> tuple[list[np.ndarray], int]:
    """Where each row of each batch stands among all of them; and how many they are."""
    low = min(int(part.min()) for part in slots)
    size = sum(map(len, slots))
    if max(int(part.max()) for part in slots) - low == size - 1:
        taken = np.zeros(size, dtype=bool)
        for part in slots:
            taken[part - low] = True
        if taken.all():  # each slot once, none missing: the usual case
            return [(part - low).astype(np.intp) for part in slots], size
    order = by_slot(np.concatenate(slots))
    place = np.empty(size, dtype=np.int64)
    place[order] = np.arange(size)
    return np.split(place, np.cumsum([len(part) for part in slots])[:-1]), size


def _as_all(name: str, batch: Batch, batches: Sequence[Batch]) -> Any:
    """A column in the form that it has in all batches."""
    column = batch[name]
    if isinstance(column, SinceDue) and not all(isinstance(other[name], SinceDue) for other in batches):
        return column.at(batch["due_ns"].astype(np.float64))
    return column
