"""One batch of recorded requests as the columns of a RequestTable, in its own order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.judge.table.column_forms import NO_TIME, SinceDue
from luckyhit.judge.table.frame_columns import EXACT, JUDGED, PHASES, as_they_come, by_status
from luckyhit.judge.table.rows import ARMS, CACHE, COLUMNS, EARLY_NS, ERRORS, OTHER_ERROR, UNEXPECTED, in_bits
from luckyhit.records import NUMBER_COLUMNS, REQUESTS

TEXTS = ("key", "route")
"""Columns whose codes only say which rows have the same text."""
MOST_ROUTES = 10_000
"""More routes than any case declares: their names are not kept."""
ROOMY = 2**29
"""Numbers of blocks and slots below this are kept in four bytes: three times such a number still fits."""


def columns_of(batch: pa.RecordBatch) -> dict[str, Any]:
    """COLUMNS by name: arrays, but for the texts, which come with the dictionary of this batch alone, and `done_ns`,
    which may be SinceDue. Due times are whole numbers as long as they can be."""
    missing = [name for name in JUDGED if name not in batch.schema.names]
    for name in missing:
        batch = batch.append_column(name, pa.nulls(len(batch), REQUESTS.field(name).type))
    times = _times(batch)
    if times is None or not all(_is_whole(batch[name]) for name in ("block", "slot", "status", *NUMBER_COLUMNS)):
        return _odd(batch)
    due, delay, done, clock = times
    error = _words(batch["error"], ERRORS)
    error[(error < 0) & _valid(batch["error"])] = OTHER_ERROR
    unexpected = np.flatnonzero(error == UNEXPECTED)
    if len(unexpected):
        status = batch["status"].take(pa.array(unexpected))
        error[unexpected] = by_status(status.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return {
        "arm": _words(batch["arm"], ARMS),
        "block": _place(batch["block"]),
        "slot": _place(batch["slot"]),
        "measured": _words(batch["phase"], PHASES) == 1,
        "due_ns": due,
        "send_delay_ns": delay,
        "done_ns": done,
        "clock": clock,
        "error": error,
        "cache": _words(batch["cache"], CACHE),
        **{name: _count(batch[name]) for name in NUMBER_COLUMNS},
        **{name: _with_dictionary(batch[name]) for name in TEXTS},
    }


def _odd(batch: pa.RecordBatch) -> dict[str, Any]:
    """The same from a batch that the load engine did not write: it takes more room."""
    others = pa.Table.from_batches([batch]).select([name for name in JUDGED if name not in TEXTS])
    rows = as_they_come(others.to_pandas(types_mapper=_nullable))
    columns: dict[str, Any] = {name: rows.column(name) for name in COLUMNS}
    return columns | {name: _with_dictionary(batch[name]) for name in TEXTS}


def _nullable(dtype: pa.DataType) -> Any:
    return {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.int16(): pd.Int16Dtype()}.get(dtype)


def _times(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray, SinceDue, np.ndarray] | None:
    """(due, send delay, done, clock); None where instants are not whole numbers, or too far from due for four bytes."""
    due = batch["due_ns"]
    if not _is_whole(due) or due.null_count:
        return None
    due = due.to_numpy()
    if len(due) and not (due.min() >= 0 and due.max() < EXACT // 2):
        return None
    late = []
    for name in ("sent_ns", "first_byte_ns", "done_ns"):
        times = _since(due, batch[name])
        if times is None:
            return None
        late.append(times)
    sent, first, done = late
    # NO_TIME is the least number of all, so a value that may be the smaller one has to be checked for it.
    none = np.zeros(len(due), dtype=bool)
    is_sent = sent != NO_TIME
    clock = in_bits(
        none,
        none,
        is_sent & (sent < -EARLY_NS),
        (done != NO_TIME) & (~is_sent | (done < sent)),
        (first != NO_TIME) & ((first < sent) | ((done != NO_TIME) & (first > done))),
    )
    if is_sent.all() and not np.any(sent.astype(np.int16) != sent):
        return due, sent.astype(np.int16), SinceDue(done), clock
    delay = sent.astype(np.float32)
    delay[~is_sent] = np.nan
    return due, delay, SinceDue(done), clock


def _since(due: np.ndarray, column: pa.Array) -> np.ndarray | None:
    """Nanoseconds after `due`, in four bytes."""
    if not _is_whole(column):
        return None
    if not column.null_count:
        late = column.to_numpy() - due
    else:
        known = _valid(column)
        late = np.where(known, column.fill_null(0).to_numpy() - due, 0)
    if len(late) and not (late.min() > NO_TIME and late.max() <= -(NO_TIME + 1)):
        return None
    late = late.astype(np.int32)
    if column.null_count:
        late[~known] = NO_TIME
    return late


def _is_whole(column: pa.Array) -> bool:
    # Of eight unsigned bytes a difference has no sign.
    return pa.types.is_signed_integer(column.type)


def _place(column: pa.Array) -> np.ndarray:
    """Numbers of blocks or slots; -1 for invalid ones."""
    numbers = (column.fill_null(-1) if column.null_count else column).to_numpy()
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= EXACT):
        numbers = np.where((numbers >= 0) & (numbers < EXACT), numbers, -1)
    return numbers.astype(np.int32 if not len(numbers) or numbers.max() < ROOMY else np.int64)


def _count(column: pa.Array) -> np.ndarray:
    """Counts in as few bytes as hold them; less than 0 where there is none."""
    numbers = (column.fill_null(-1) if column.null_count else column).to_numpy()
    most = max(-int(numbers.min()) - 1, int(numbers.max())) if len(numbers) else 0
    kinds = (np.int8, np.int16, np.int32)
    return numbers.astype(next((kind for kind in kinds if most <= np.iinfo(kind).max), np.float64))


def _words(column: pa.Array, known: Sequence[str]) -> np.ndarray:
    """Codes of words, by the dictionary: each word is compared once, not once for each row."""
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words = column.dictionary.to_pylist()
    code = np.array([known.index(word) if word in known else -1 for word in words] + [-1], dtype=np.int8)
    return code[indices_of(column)]


def _valid(column: pa.Array) -> np.ndarray:
    return column.is_valid().to_numpy(zero_copy_only=False)


def _with_dictionary(column: pa.Array) -> pa.DictionaryArray:
    """Texts with a dictionary; other values are written as texts."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    words = column.dictionary
    if not pa.types.is_string(words.type):
        words = pc.cast(words, pa.string(), safe=False)
    if words.null_count:  # null is not a word
        column = words.take(column.indices).dictionary_encode()
        words = column.dictionary
    # A dictionary of all parts may have more words than the numbers of one part's can count.
    return pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), words)


def indices_of(column: pa.DictionaryArray) -> np.ndarray:
    indices = column.indices
    return (indices.fill_null(-1) if indices.null_count else indices).to_numpy()


class KnownTexts:
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
