"""The recorded requests as arrays: read from the frame once, whatever is in it, and cut into units.

A unit is what counts as one observation. Requests next to each other share a cache, a queue and a host, so a single
request is no independent observation; a batch of slots, or a whole block, nearly is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, overload

import numpy as np
import pandas as pd
import pyarrow as pa

from luckyhit.records import REQUESTS, CacheStatus, RequestError

ARMS = ("before", "after")
CACHE: tuple[str, ...] = get_args(CacheStatus)
ERRORS: tuple[str, ...] = get_args(RequestError)
NO_ERROR, OTHER_ERROR = -1, len(ERRORS)
HIT, MISS, STALE = CACHE.index("hit"), CACHE.index("miss"), CACHE.index("stale")
TIMEOUT, DROPPED = ERRORS.index("timeout"), ERRORS.index("dropped")

BATCH_S = 0.1
"""Shortest batch. Short ones tell soonest how much batches differ, and what is still correlated (a queue, a garbage
collection, a burst of misses) is measured and merged, see `intervals.spread`."""
FEWEST_BATCHES, MOST_BATCHES = 12, 2000
FEWEST_SLOTS = 5
NO_ROW = np.iinfo(np.int32).max
"""More rows than this have no number of four bytes."""


@dataclass(frozen=True, slots=True)
class _SinceDue:
    """Times as nanoseconds behind the due times of the same rows: half as large as floats, and as exact."""

    ns: np.ndarray

    def at(self, due: np.ndarray) -> np.ndarray:
        return np.where(self.ns == NO_TIME, np.nan, due + self.ns)


NO_TIME = np.iinfo(np.int32).min


class _Column:
    """One column of Rows: what was picked from the rows of a run is copied when somebody asks for it, not before."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, rows: None, owner: type) -> _Column: ...
    @overload
    def __get__(self, rows: Rows, owner: type) -> np.ndarray: ...
    def __get__(self, rows: Rows | None, owner: type) -> _Column | np.ndarray:
        return self if rows is None else rows._column(self.name)


class Rows:
    """Rows of the requests table as arrays of one length. Times are float nanoseconds, NaN where there is none
    (exact up to 104 days); codes index ARMS, CACHE and ERRORS; -1 stands for none or not known."""

    __slots__ = ("_columns", "_size", "_which", "_whole")

    arm = _Column()
    block = _Column()
    slot = _Column()
    measured = _Column()
    due = _Column()
    sent = _Column()
    first_byte = _Column()
    done = _Column()
    error = _Column()
    cache = _Column()
    db_calls = _Column()
    key = _Column()
    route = _Column()

    def __init__(self, **columns: np.ndarray | _SinceDue) -> None:
        if sorted(columns) != sorted(COLUMNS):
            raise TypeError(f"columns of rows: {', '.join(COLUMNS)}")
        self._columns: dict[str, np.ndarray | _SinceDue] = columns
        arm = columns["arm"]
        assert isinstance(arm, np.ndarray)  # only times are kept as anything else
        self._size = len(arm)
        self._whole: Rows | None = None
        self._which: np.ndarray | None = None

    def __len__(self) -> int:
        return self._size

    def take(self, which: np.ndarray) -> Rows:
        """The rows that a mask or an index array picks."""
        which = np.flatnonzero(which) if which.dtype == bool else which
        whole = self
        if self._whole is not None and self._which is not None:
            whole, which = self._whole, self._which[which]
        picked = object.__new__(Rows)
        picked._columns, picked._size, picked._whole = {}, len(which), whole
        # The list of rows stays as long as they do: four bytes each are enough.
        picked._which = which.astype(np.int32) if len(whole) < NO_ROW else which
        return picked

    def in_blocks(self, block: np.ndarray) -> Rows:
        """The same rows, said to be of other blocks."""
        columns = {name: self._column(name) for name in COLUMNS if name != "block"}
        return Rows(block=block, **columns)

    def slices(self, size: int) -> Iterator[Rows]:
        """All rows, `size` at a time: for what would need several times the room otherwise."""
        for first in range(0, len(self), size):
            part: dict[str, np.ndarray | _SinceDue] = {}
            for name in COLUMNS:
                column = self._columns[name] if self._whole is None else self._column(name)
                kept = slice(first, first + size)
                part[name] = _SinceDue(column.ns[kept]) if isinstance(column, _SinceDue) else column[kept]
            yield Rows(**part)

    def _column(self, name: str) -> np.ndarray:
        column = self._columns.get(name)
        if column is None:
            assert self._whole is not None and self._which is not None
            column = self._whole._columns[name]
            if isinstance(column, _SinceDue):
                return _SinceDue(column.ns[self._which]).at(self.due)
            column = column[self._which]
            if name not in SELDOM:
                self._columns[name] = column
        return column.at(self.due) if isinstance(column, _SinceDue) else column

    @property
    def answered(self) -> np.ndarray:
        """Whether there is an instant at which it was done."""
        done = self._columns.get("done")
        if isinstance(done, _SinceDue):
            return (done.ns != NO_TIME) & np.isfinite(self.due)
        return np.isfinite(self.done)

    @property
    def latency_ms(self) -> np.ndarray:
        """From due to done; NaN for rows that didn't complete, and for times that are no times."""
        with np.errstate(invalid="ignore", over="ignore"):
            latency = (self.done - self.due) / 1e6
        return np.where((self.error == NO_ERROR) & np.isfinite(latency), latency, np.nan)

    @property
    def hit(self) -> np.ndarray:
        """1 for a hit, 0 for a miss or a stale answer, NaN where the cache status is not one of these."""
        cache = self.cache
        told = ((cache == HIT) | (cache == MISS) | (cache == STALE)) & (self.error == NO_ERROR)
        return np.where(told, (cache == HIT).astype(float), np.nan)

    @property
    def failed(self) -> np.ndarray:
        """1 for a request that failed or timed out, 0 for one that was answered; NaN where it was never sent."""
        wrong = (self.error != NO_ERROR) | ~np.isfinite(self.done)
        return np.where(self.error == DROPPED, np.nan, wrong.astype(float))

    @property
    def calls(self) -> np.ndarray:
        """Database calls of a completed request; NaN where they are not visible."""
        calls = self.db_calls.astype(np.float64, copy=False)
        return np.where((self.error == NO_ERROR) & np.isfinite(calls) & (calls >= 0), calls, np.nan)


SELDOM = ("key", "route", "db_calls")
"""Columns that are asked for once or twice: not kept."""
COLUMNS = tuple(name for name, value in vars(Rows).items() if isinstance(value, _Column))


def rows_of(frame: pd.DataFrame) -> Rows:
    """The frame as arrays. Missing columns and values that are no numbers become NaN or -1: guards will tell."""
    missing = [name for name in REQUESTS.names if name not in frame.columns]
    if missing:
        frame = frame.assign(**dict.fromkeys(missing))
    error = _codes(frame["error"], ERRORS)
    error[(error < 0) & frame["error"].notna().to_numpy(dtype=bool)] = OTHER_ERROR
    return Rows(
        arm=_codes(frame["arm"], ARMS),
        block=_whole(frame["block"]),
        slot=_whole(frame["slot"]),
        measured=_codes(frame["phase"], ("warmup", "measure")) == 1,
        due=_number(frame["due_ns"]),
        sent=_number(frame["sent_ns"]),
        first_byte=_number(frame["first_byte_ns"]),
        done=_number(frame["done_ns"]),
        error=error,
        cache=_codes(frame["cache"], CACHE),
        db_calls=_number(frame["db_calls"]),
        key=_identities(frame["key"]),
        route=_identities(frame["route"]),
    )


JUDGED = (
    "arm", "block", "slot", "phase", "route", "key", "due_ns", "sent_ns", "first_byte_ns", "done_ns", "error", "cache",
    "db_calls",
)  # fmt: skip
"""The columns of the requests table that become Rows."""


def rows_of_parts(parts: Iterable[pa.Table]) -> Rows:
    """The same as `rows_of`, from tables in the columns of `records.REQUESTS` (JUDGED are enough), one at a time: a
    frame of all of them would take several times the room."""
    found: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for part in parts:
        error = _words(part["error"], ERRORS)
        error[(error < 0) & ~_nulls(part["error"])] = OTHER_ERROR
        due = _float(part["due_ns"])
        found["due"].append(due)
        for name in ("sent", "first_byte", "done"):
            found[name].append(_since(due, _float(part[f"{name}_ns"])))
        found["arm"].append(_words(part["arm"], ARMS))
        found["block"].append(_small(_whole_part(part["block"])))
        found["slot"].append(_small(_whole_part(part["slot"])))
        found["measured"].append(_words(part["phase"], ("warmup", "measure")) == 1)
        found["error"].append(error)
        found["cache"].append(_words(part["cache"], CACHE))
        found["db_calls"].append(_single(_float(part["db_calls"])))
        for name in ("key", "route"):
            found[name] += _with_dictionary(part[name]).chunks
    dues = found["due"]
    joined: dict[str, np.ndarray | _SinceDue] = {}
    for name in COLUMNS:
        # What is joined is given back before the next column is.
        pieces = found[name] if name == "due" else found.pop(name)
        if name in ("key", "route"):
            joined[name] = _same_codes(pieces)
        elif name == "due" or not any(isinstance(piece, _SinceDue) for piece in pieces):
            joined[name] = np.concatenate(pieces) if pieces else np.zeros(0, dtype=_EMPTY.get(name, np.int8))
        elif all(isinstance(piece, _SinceDue) for piece in pieces):
            joined[name] = _SinceDue(np.concatenate([piece.ns for piece in pieces]))
        else:
            both = zip(pieces, dues, strict=True)
            joined[name] = np.concatenate([p.at(due) if isinstance(p, _SinceDue) else p for p, due in both])
        del pieces
    pa.default_memory_pool().release_unused()
    return Rows(**joined)


_EMPTY: dict[str, Any] = {
    "block": np.int64, "slot": np.int64, "measured": bool, "db_calls": np.float64,
    **dict.fromkeys(("due", "sent", "first_byte", "done"), np.float64),
}  # fmt: skip


def _float(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers as floats, NaN for nulls."""
    return column.to_numpy().astype(np.float64, copy=False)


def _since(due: np.ndarray, times: np.ndarray) -> np.ndarray | _SinceDue:
    """`times` as what they are behind `due`, where that keeps them to the bit; else as they are."""
    with np.errstate(invalid="ignore"):
        late = times - due
        small = np.abs(late) < -float(NO_TIME)
        kept = _SinceDue(np.where(small, late, NO_TIME).astype(np.int32))
    return kept if np.array_equal(kept.at(due), times, equal_nan=True) else times


def _whole_part(column: pa.ChunkedArray) -> np.ndarray:
    if column.null_count:
        number = _float(column)
        return np.where(np.isfinite(number) & (number >= 0) & (number < 2**53), number, -1).astype(np.int64)
    number = column.to_numpy()
    if len(number) and (number.min() < 0 or number.max() >= 2**53):
        return np.where((number >= 0) & (number < 2**53), number, -1).astype(np.int64)
    return number


def _small(numbers: np.ndarray) -> np.ndarray:
    """In four bytes where there is room to spare: three times a number and a little more must fit as well."""
    return numbers.astype(np.int32 if not len(numbers) or numbers.max() < 2**29 else np.int64)


def _single(numbers: np.ndarray) -> np.ndarray:
    """In four bytes where these are exact."""
    half = numbers.astype(np.float32)
    return half if np.array_equal(half, numbers, equal_nan=True) else numbers


def _with_dictionary(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if pa.types.is_dictionary(column.type) else column.dictionary_encode()


def _nulls(column: pa.ChunkedArray) -> np.ndarray:
    return column.is_null().to_numpy() if column.null_count else np.zeros(len(column), dtype=bool)


def _words(column: pa.ChunkedArray, known: Sequence[str]) -> np.ndarray:
    """Codes of words, by the dictionary: each word is compared once, not once for each row."""
    codes = [np.zeros(0, dtype=np.int8)]
    for chunk in _with_dictionary(column).chunks:
        words = chunk.dictionary.to_pylist()
        code = np.array([known.index(word) if word in known else -1 for word in words] + [-1], dtype=np.int8)
        codes.append(code[_indices(chunk)])
    return np.concatenate(codes)


def _indices(chunk: pa.DictionaryArray) -> np.ndarray:
    return (chunk.indices.fill_null(-1) if chunk.null_count else chunk.indices).to_numpy(zero_copy_only=False)


def _same_codes(chunks: list[pa.DictionaryArray]) -> np.ndarray:
    """Codes of one dictionary for all chunks, -1 for null."""
    # Without chunks there is nothing to tell a type from.
    if not chunks:
        return np.zeros(0, dtype=np.int64)
    # A dictionary of all parts may have more words than the numbers of one part's can count.
    wide = pa.dictionary(pa.int32(), chunks[0].type.value_type)
    codes = pa.chunked_array([chunk.cast(wide) for chunk in chunks]).unify_dictionaries()
    return np.concatenate([_indices(chunk) for chunk in codes.chunks])


def rows_together(*parts: Rows) -> Rows:
    """All rows of `parts`, one part behind the other."""
    return Rows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS})


def _number(column: pd.Series) -> np.ndarray:
    if column.dtype == object:
        column = pd.to_numeric(column, errors="coerce")
    elif not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column.astype(object), errors="coerce")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _whole(column: pd.Series) -> np.ndarray:
    """Whole numbers; -1 for all that is none (or beyond what a float counts exactly)."""
    number = _number(column)
    good = np.isfinite(number) & (number >= 0) & (number < 2**53)
    return np.where(good, number, -1).astype(np.int64)


def _codes(column: pd.Series, known: Sequence[str]) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.set_categories(list(known)).cat.codes.to_numpy().astype(np.int8)
    return pd.Index(known).get_indexer(pd.Index(column.astype(object))).astype(np.int8)


def _identities(column: pd.Series) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int64)
    if column.dtype == object:
        column = column.map(str, na_action="ignore")
    return pd.factorize(column)[0].astype(np.int64)


def among(values: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Mask of the values that are one of `numbers`: np.isin, by a table where they are small, like those of blocks."""
    if not len(values) or values.min() < -1 or values.max() > 4 * len(values) + 1000:
        return np.isin(values, numbers)
    table = np.zeros(int(values.max()) + 2, dtype=bool)  # its last entry is that of -1
    table[[number for number in numbers if -1 <= number < len(table) - 1]] = True
    return table[values]


def distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct values, and the index of each value among them: np.unique, without sorting where the values
    are few and small, like numbers of blocks."""
    if not len(values) or values.min() < 0 or values.max() > 4 * len(values) + 1000:
        return np.unique(values, return_inverse=True)
    there = np.bincount(values) > 0
    return np.flatnonzero(there), (np.cumsum(there) - 1)[values]


@dataclass(frozen=True)
class Side:
    """One arm of a comparison: its rows, the unit of each row, and the block of each unit (units of one block are
    in the order of time, so that neighbours are next to each other)."""

    rows: Rows
    unit: np.ndarray
    block: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Two arms. `paired`: unit i of one arm happened beside unit i of the other, with the same slots."""

    before: Side
    after: Side
    paired: bool

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.before, self.after

    @property
    def seconds(self) -> float:
        """Measured time of the longer arm: the sum over its blocks of the time between first and last due."""
        return max(sum(_durations(side.rows).values()) for side in self.sides)


_CUT_BY = ("due", "block", "slot")


def side_by_side(before: Rows, after: Rows) -> Comparison:
    """Batches of contiguous slots, cut at the same slots in both arms: the pairs of one batch shared the minute."""
    due, block, slot = (np.concatenate([getattr(arm, name) for arm in (before, after)]) for name in _CUT_BY)
    unit, block = _batches(due, block, slot)
    return Comparison(Side(before, unit[: len(before)], block), Side(after, unit[len(before) :], block), paired=True)


def by_batches(before: Rows, after: Rows) -> Comparison:
    """Batches in each arm on its own: nothing was measured at the same time."""
    return Comparison(Side(before, *batches(before)), Side(after, *batches(after)), paired=False)


FEWEST_BLOCK_PAIRS = 8


def by_blocks(before: Rows, after: Rows, pair_of: Mapping[int, int]) -> Comparison:
    """Whole blocks as units, for one stack that was measured with and without the change in turn.

    With FEWEST_BLOCK_PAIRS pairs or more (`pair_of`: block -> pair) the members of a pair are compared with each
    other, and a drift cancels; with fewer the pairing would cost more degrees of freedom than it gains.
    """
    pairs = [
        np.array([pair_of.get(int(block), -1) for block in np.unique(rows.block)], dtype=np.int64)
        for rows in (before, after)
    ]
    matched = len(pairs[0]) == len(np.unique(pairs[0])) and np.array_equal(np.sort(pairs[0]), np.sort(pairs[1]))
    if matched and len(pairs[0]) >= FEWEST_BLOCK_PAIRS:
        sides = []
        for rows, numbers in zip((before, after), pairs, strict=True):
            rank = np.argsort(np.argsort(numbers))
            unit = rank[distinct(rows.block)[1]]
            sides.append(Side(rows, unit, np.sort(numbers)))
        return Comparison(sides[0], sides[1], paired=True)
    whole = [distinct(rows.block) for rows in (before, after)]
    return Comparison(Side(before, whole[0][1], whole[0][0]), Side(after, whole[1][1], whole[1][0]), paired=False)


def halves(rows: Rows) -> Comparison:
    """An A/A comparison inside one arm: its batches by turns in one half and in the other, neighbours as pairs."""
    unit, block = batches(rows)
    half, partner = np.full(len(block), -1), np.zeros(len(block), dtype=np.int64)
    pair_block: list[int] = []
    for number in np.unique(block):
        members = np.flatnonzero(block == number)
        members = members[: len(members) // 2 * 2]  # an odd one has no neighbour left
        half[members] = np.arange(len(members)) % 2
        partner[members] = len(pair_block) + np.arange(len(members)) // 2
        pair_block += [int(number)] * (len(members) // 2)
    sides = []
    for wanted in (0, 1):
        mine = half[unit] == wanted
        sides.append(Side(rows.take(mine), partner[unit[mine]], np.array(pair_block, dtype=np.int64)))
    return Comparison(sides[0], sides[1], paired=True)


def _durations(rows: Rows) -> dict[int, float]:
    """Seconds between the first and the last due time of each block."""
    return _lengths(rows.due, *distinct(rows.block))


def _lengths(due: np.ndarray, blocks: np.ndarray, index: np.ndarray) -> dict[int, float]:
    """The same, from the distinct numbers of blocks, and the index of each row's among them."""
    good = np.isfinite(due)
    low, high = _ends(due, index, len(blocks)) if good.all() else _ends(due[good], index[good], len(blocks))
    there = high >= low  # a block without any due time has no length
    return dict(zip(blocks[there].tolist(), ((high - low)[there] / 1e9).tolist(), strict=True))


def _ends(values: np.ndarray, index: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value of each group (`inf`, `-inf` where it has none)."""
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    # Rows come block by block: reduced run by run, there are few of them left to sort into their groups.
    start = np.flatnonzero(np.concatenate([[True], index[1:] != index[:-1]])) if len(index) else index[:0]
    if len(start):
        np.minimum.at(low, index[start], np.minimum.reduceat(values, start))
        np.maximum.at(high, index[start], np.maximum.reduceat(values, start))
    return low, high


def batches(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Cut each block into batches of contiguous slots: (batch of each row, block of each batch).

    A batch lasts BATCH_S at least; shorter ones are cut only where there would be fewer than FEWEST_BATCHES in
    all. What is still correlated then is dealt with per metric, see `intervals.spread`.
    """
    return _batches(rows.due, rows.block, rows.slot)


def _batches(due: np.ndarray, block: np.ndarray, slot: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not len(due):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    blocks, index = distinct(block)
    durations = _lengths(due, blocks, index)
    seconds = np.array([max(durations.get(int(number), 0.0), 0.0) for number in blocks])
    # Slots are below 2**53: as floats they are the same.
    low, high = (end.astype(np.int64) for end in _ends(slot, index, len(blocks)))
    slots = (high - low + 1).astype(float)
    total = float(np.clip(seconds.sum() / BATCH_S, FEWEST_BATCHES, MOST_BATCHES))
    share = seconds / seconds.sum() if seconds.sum() > 0 else slots / slots.sum()
    count = np.clip(np.floor(share * total + 1e-9), 1, np.maximum(slots // FEWEST_SLOTS, 1)).astype(np.int64)
    within = ((slot - low[index]) / slots[index] * count[index]).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(count)])
    return start[index] + np.minimum(within, count[index] - 1), np.repeat(blocks, count)
