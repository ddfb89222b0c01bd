"""From recorded tables to a RequestTable, whatever is in them.

`rows_of` takes a frame; `rows_of_parts` takes the part files of a long run one after the other, and keeps only what the
judge needs: a frame of all of them would take ten times the memory. Both give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.judge.table.row_order import in_order
from luckyhit.judge.table.rows import (
    ARMS,
    CACHE,
    COLUMNS,
    EARLY_NS,
    ERRORS,
    NO_TIME,
    OTHER_ERROR,
    UNEXPECTED,
    UNTOLD_ANSWER,
    WRONG_ANSWER,
    Column,
    RequestTable,
    SinceDue,
    in_bits,
)
from luckyhit.records import NUMBER_COLUMNS, REQUESTS

JUDGED = (
    "arm", "block", "slot", "phase", "route", "key", "due_ns", "sent_ns", "first_byte_ns", "done_ns", "status", "error",
    "cache", *NUMBER_COLUMNS,
)  # fmt: skip
"""The columns of the requests table that become Rows."""
PHASES = ("warmup", "measure")
EXACT = 2**53
"""Whole numbers below this are exact as floats: 104 days in nanoseconds."""
MOST_ROUTES = 10_000
"""More routes than any case declares: their names are not kept."""
SMALL, ROOMY = 2**13, 2**29
"""Numbers of blocks and slots below these are kept in two or four bytes: three times such a number still fits."""


def rows_of(frame: pd.DataFrame) -> RequestTable:
    """The frame as arrays. Missing columns and invalid numbers become NaN or -1, which guards report."""
    rows = as_they_come(frame)
    return RequestTable(in_order({name: rows.column(name) for name in COLUMNS}), rows.routes)


def as_they_come(frame: pd.DataFrame) -> RequestTable:
    """The same in the order of the frame."""
    missing = [name for name in JUDGED if name not in frame.columns]
    if missing:
        frame = frame.assign(**dict.fromkeys(missing))
    error = _codes(frame["error"], ERRORS)
    error[(error < 0) & frame["error"].notna().to_numpy(dtype=bool)] = OTHER_ERROR
    unexpected = np.flatnonzero(error == UNEXPECTED)
    error[unexpected] = _by_status(_number(frame["status"].iloc[unexpected]))
    return RequestTable.of_times(
        arm=_codes(frame["arm"], ARMS),
        block=_whole(frame["block"]),
        slot=_whole(frame["slot"]),
        measured=_codes(frame["phase"], PHASES) == 1,
        due_ns=_number(frame["due_ns"]),
        sent_ns=_number(frame["sent_ns"]),
        first_byte_ns=_number(frame["first_byte_ns"]),
        done_ns=_number(frame["done_ns"]),
        error=error,
        cache=_codes(frame["cache"], CACHE),
        numbers={name: _number(frame[name]) for name in NUMBER_COLUMNS},
        key=identities(frame["key"]),
        route=identities(frame["route"]),
        routes=_names(frame["route"]),
    )


def rows_of_parts(parts: Iterable[pa.Table], expected: int = 0) -> RequestTable:
    """The same, from tables with the columns of `records.REQUESTS` (JUDGED are enough), one after the other.

    `expected`: about how many rows there will be; room for these is made at once, and for more when they come.
    """
    growing = {name: _Growing(expected) for name in COLUMNS if name not in _TEXTS}
    texts: dict[str, list[pa.DictionaryArray]] = {name: [] for name in _TEXTS}
    due, done = growing["due_ns"], growing["done_ns"]
    after_due = True
    for part in parts:
        for batch in part.to_batches():
            columns = _columns_of(batch)
            late = columns["done_ns"]
            if after_due and not isinstance(late, SinceDue):
                # From here on there are instants that four bytes after the due time can't hold.
                done.put_instead(SinceDue(done.all).at(due.all))
                after_due = False
            columns["done_ns"] = (
                late.ns if after_due else late.at(columns["due_ns"]) if isinstance(late, SinceDue) else late
            )
            for name, pieces in texts.items():
                pieces.append(columns.pop(name))
            for name, column in columns.items():
                growing[name].add(column)
    if not len(due):
        return rows_of(REQUESTS.empty_table().to_pandas())
    joined: dict[str, Column] = {name: column.all for name, column in growing.items()}
    if after_due:
        joined["done_ns"] = SinceDue(done.all)
    routes: list[str] = []
    for name in _TEXTS:
        joined[name], routes = _same_codes(texts.pop(name))
    growing.clear()
    pa.default_memory_pool().release_unused()
    return RequestTable(in_order(joined), routes)


_TEXTS = ("key", "route")
"""Columns whose codes only say which rows have the same text: those of all parts are made at the end."""


class _Growing:
    """An array that is written from its beginning on, and as wide as its widest part."""

    def __init__(self, expected: int) -> None:
        self._room = np.empty(expected, dtype=np.int8)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def all(self) -> np.ndarray:
        return self._room[: self._size]

    def add(self, part: np.ndarray) -> None:
        size = self._size + len(part)
        dtype = np.promote_types(self._room.dtype, part.dtype) if self._size else part.dtype
        if dtype != self._room.dtype or size > len(self._room):
            # What is never written takes no room of the machine's.
            longer = np.empty(len(self._room) if size <= len(self._room) else 2 * size, dtype=dtype)
            longer[: self._size] = self.all
            self._room = longer
        self._room[self._size : size] = part
        self._size = size

    def put_instead(self, values: np.ndarray) -> None:
        self._room, self._size = values, len(values)


# One batch of records


def _columns_of(batch: pa.RecordBatch) -> dict[str, Any]:
    """The columns of Rows; `key` and `route` with the dictionary of this batch alone."""
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
        error[unexpected] = _by_status(status.cast(pa.float64()).to_numpy(zero_copy_only=False))
    return {
        "arm": _words(batch["arm"], ARMS),
        "block": _place(batch["block"]),
        "slot": _place(batch["slot"]),
        "measured": _words(batch["phase"], PHASES) == 1,
        "due_ns": due.astype(np.float64),
        "send_delay_ns": delay,
        "done_ns": done,
        "clock": clock,
        "error": error,
        "cache": _words(batch["cache"], CACHE),
        **{name: _count(batch[name]) for name in NUMBER_COLUMNS},
        **{name: _with_dictionary(batch[name]) for name in _TEXTS},
    }


def _by_status(status: np.ndarray) -> np.ndarray:
    """Codes of unexpected answers, by their statuses as floats (NaN: none)."""
    with np.errstate(invalid="ignore"):
        passes = (status >= 200) & (status < 400)
    return np.where(passes, WRONG_ANSWER, np.where(np.isfinite(status), UNEXPECTED, UNTOLD_ANSWER)).astype(np.int8)


def _odd(batch: pa.RecordBatch) -> dict[str, Any]:
    """The same from a batch that the load engine did not write: it takes more room."""
    others = pa.Table.from_batches([batch]).select([name for name in JUDGED if name not in _TEXTS])
    rows = as_they_come(others.to_pandas(types_mapper=_nullable))
    columns: dict[str, Any] = {name: rows.column(name) for name in COLUMNS}
    return columns | {name: _with_dictionary(batch[name]) for name in _TEXTS}


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
    least = np.int16 if not len(numbers) or numbers.max() < SMALL else np.int32 if numbers.max() < ROOMY else np.int64
    return numbers.astype(least)


def _count(column: pa.Array) -> np.ndarray:
    """Counts in as few bytes as hold them; less than 0 where there is none."""
    numbers = (column.fill_null(-1) if column.null_count else column).to_numpy()
    most = max(-int(numbers.min()) - 1, int(numbers.max())) if len(numbers) else 0
    return numbers.astype(np.int16 if most < 2**15 else np.int32 if most < 2**31 else np.float64)


def _words(column: pa.Array, known: Sequence[str]) -> np.ndarray:
    """Codes of words, by the dictionary: each word is compared once, not once for each row."""
    column = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words = column.dictionary.to_pylist()
    code = np.array([known.index(word) if word in known else -1 for word in words] + [-1], dtype=np.int8)
    return code[_indices(column)]


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


def _same_codes(pieces: list[pa.DictionaryArray]) -> tuple[np.ndarray, list[str]]:
    """Codes of one dictionary for all pieces, -1 for null; and its words, where they are few."""
    size = sum(map(len, pieces))
    codes = pa.chunked_array(pieces).unify_dictionaries()
    pieces.clear()
    dictionary = codes.chunk(0).dictionary
    words = len(dictionary)
    narrow = np.int8 if words < 2**7 else np.int16 if words < 2**15 else np.int32
    same_codes, first = np.empty(size, dtype=narrow), 0
    for chunk in codes.chunks:
        same_codes[first : first + len(chunk)] = _indices(chunk)
        first += len(chunk)
    return same_codes, [str(word) for word in dictionary.to_pylist()] if words <= MOST_ROUTES else []


def _indices(column: pa.DictionaryArray) -> np.ndarray:
    indices = column.indices
    return (indices.fill_null(-1) if indices.null_count else indices).to_numpy()


# One column of a frame


def _number(column: pd.Series) -> np.ndarray:
    if column.dtype == object:
        column = pd.to_numeric(column, errors="coerce")
    elif not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column.astype(object), errors="coerce")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _whole(column: pd.Series) -> np.ndarray:
    """Whole numbers; -1 for anything else (or beyond what a float counts exactly)."""
    number = _number(column)
    good = np.isfinite(number) & (number >= 0) & (number < EXACT)
    return np.where(good, number, -1).astype(np.int64)


def _codes(column: pd.Series, known: Sequence[str]) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.set_categories(list(known)).cat.codes.to_numpy().astype(np.int8)
    return pd.Index(known).get_indexer(pd.Index(column.astype(object))).astype(np.int8)


def _names(column: pd.Series) -> list[str]:
    """The texts, in the order of `identities`."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(name) for name in column.cat.categories]
    return [str(name) for name in dict.fromkeys(column[column.notna()].astype(str))]


def identities(column: pd.Series) -> np.ndarray:
    """A number for each distinct value; -1 where there is none."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int64)
    if column.dtype == object:
        column = column.map(str, na_action="ignore")
    return pd.factorize(column)[0].astype(np.int64)
