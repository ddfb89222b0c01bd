"""From recorded tables to a RequestTable, whatever is in them.

`rows_of` takes a frame; `rows_of_parts` takes the part files of a long run one after the other, and keeps only what the
judge needs: a frame of all of them would take twenty times the memory. Both give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.judge.table.forms import Kept, SinceDue, picked, room_for
from luckyhit.judge.table.frame_columns import JUDGED, as_they_come, identities, rows_of
from luckyhit.judge.table.part_columns import TEXTS, columns_of, indices_of
from luckyhit.judge.table.row_order import by_slot, compact, shared
from luckyhit.judge.table.rows import ARMS, Columns, RequestTable, members, places
from luckyhit.records import REQUESTS

SLAB = 1 << 18
"""Rows kept together as they came. Arrays of single batches would lie between others that are soon gone."""
MOST_ROUTES = 10_000
"""More routes than any case declares: their names are not kept."""

def rows_of_parts(parts: Iterable[pa.Table]) -> RequestTable:
    """The same, from tables with the columns of `records.REQUESTS` (JUDGED are enough), one after the other. A block is
    put in order as soon as it is over."""
    coming = _Coming()
    for part in parts:
        for batch in part.to_batches():
            coming.add(columns_of(batch))
    return coming.all()


class _Coming:
    """Rows on their way: as they came, of the block under way, and the stretches of those that are over."""

    def __init__(self) -> None:
        self._slabs: dict[int, list[_Slab]] = {}
        self._stretches: dict[tuple[bool, int, int], dict[str, Kept]] = {}
        self._words = {name: _Words() for name in TEXTS}

    def add(self, columns: dict[str, Any]) -> None:
        for name, words in self._words.items():
            columns[name] = words.codes(columns[name])
        for block, rows in members(columns["block"]):
            whole = len(rows) == len(columns["block"])
            if self._slabs and block not in self._slabs:
                self._put_in_order(next(iter(self._slabs)))
            batch = columns if whole else {name: picked(column, rows) for name, column in columns.items()}
            slabs = self._slabs.setdefault(block, [])
            if not slabs or not slabs[-1].add(batch):
                slabs.append(_Slab(batch))

    def _put_in_order(self, block: int) -> None:
        slabs = self._slabs.pop(block)
        # Rows of a block that seemed to be over: those that came before are the first again.
        earlier = [key for key in sorted(self._stretches) if key[2] == block]
        batches = [_unpacked(self._stretches.pop(key)) for key in earlier] + [slab.columns for slab in slabs]
        slabs.clear()
        arm, measured, slot = (np.concatenate([batch[name] for batch in batches]) for name in _GROUPED)
        order: dict[tuple[bool, int], np.ndarray] = {}
        for phase in (False, True):
            for code in range(-1, len(ARMS)):
                rows = places((measured == phase) & (arm == code))
                if len(rows):
                    order[phase, code] = rows[by_slot(slot[rows])]
        stretches: dict[tuple[bool, int], dict[str, Kept]] = {group: {} for group in order}
        for name in [*batches[0]]:
            column = _whole(name, batches)
            for group, rows in order.items():
                stretches[group][name] = compact(name, picked(column, rows))
            if name != "due_ns":  # the end of a request may need it
                for batch in batches:
                    del batch[name]
        for (phase, code), columns in stretches.items():
            other = stretches.get((phase, code - 1), {}) if code > 0 else {}
            self._stretches[phase, code, block] = shared(columns, other)

    def all(self) -> RequestTable:
        for block in [*self._slabs]:
            self._put_in_order(block)
        if not self._stretches:
            return rows_of(REQUESTS.empty_table().to_pandas())
        pa.default_memory_pool().release_unused()
        stretches = [self._stretches.pop(key) for key in sorted(self._stretches)]
        return RequestTable(*stretches, routes=self._words["route"].names)


class _Slab:
    """Batches one after the other, in arrays that are as long as the rows that they have room for."""

    def __init__(self, first: dict[str, Any]) -> None:
        self._arrays = {name: room_for(SLAB, _array(column).dtype) for name, column in first.items()}
        self._since_due = isinstance(first["done_ns"], SinceDue)
        self._size = 0
        self.add(first)

    def add(self, batch: dict[str, Any]) -> bool:
        """False where there is no room for these rows, or for such values."""
        size = self._size + len(batch["arm"])
        if isinstance(batch["done_ns"], SinceDue) is not self._since_due or (size > SLAB and self._size):
            return False
        if any(_array(column).dtype != self._arrays[name].dtype for name, column in batch.items()):
            return False
        if size > SLAB:
            self._arrays = {name: _array(column).copy() for name, column in batch.items()}
        else:
            for name, column in batch.items():
                self._arrays[name][self._size : size] = _array(column)
        self._size = size
        return True

    @property
    def columns(self) -> dict[str, Any]:
        columns: dict[str, Any] = {name: values[: self._size] for name, values in self._arrays.items()}
        return columns | {"done_ns": SinceDue(columns["done_ns"])} if self._since_due else columns


def _array(column: Any) -> np.ndarray:
    return column.ns if isinstance(column, SinceDue) else np.asarray(column)


_GROUPED = ("arm", "measured", "slot")


def _whole(name: str, batches: list[dict[str, Any]]) -> Any:
    """One column of all batches."""
    columns = [batch[name] for batch in batches]
    if all(isinstance(column, SinceDue) for column in columns):
        return SinceDue(np.concatenate([column.ns for column in columns]))
    if any(isinstance(column, SinceDue) for column in columns):
        columns = [
            column.at(batch["due_ns"].astype(np.float64)) if isinstance(column, SinceDue) else column
            for column, batch in zip(columns, batches, strict=True)
        ]
    return np.concatenate(columns)


def _unpacked(columns: Columns) -> dict[str, Any]:
    rows = RequestTable(columns)
    return {name: rows.column(name) for name in columns}


class _Words:
    """The texts of one column, and their codes, the same in all batches: in the order in which they came first."""

    def __init__(self) -> None:
        self._known: pa.Array = pa.array([], pa.string())
        self._last: pa.Array | None = None
        self._code_of = np.zeros(0, dtype=np.int8)

    @property
    def names(self) -> list[str]:
        """The texts by code, where they are few."""
        return [str(word) for word in self._known.to_pylist()] if len(self._known) <= MOST_ROUTES else []

    def codes(self, column: pa.DictionaryArray) -> np.ndarray:
        """-1 for null."""
        words = column.dictionary
        if self._last is None or not words.equals(self._last):
            known = pc.index_in(words, value_set=self._known)
            if known.null_count:
                self._known = pa.concat_arrays([self._known, words.filter(known.is_null()).unique()])
                known = pc.index_in(words, value_set=self._known)
            count = len(self._known)
            narrow = np.int8 if count < 2**7 else np.int16 if count < 2**15 else np.int32
            # The last one is for -1.
            self._code_of = np.append(known.to_numpy(zero_copy_only=False), -1).astype(narrow)
            self._last = words
        return np.asarray(self._code_of[indices_of(column)])


__all__ = ["JUDGED", "as_they_come", "identities", "rows_of", "rows_of_parts"]
