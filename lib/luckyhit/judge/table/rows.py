"""The recorded requests as arrays of one length: about thirty bytes for each row.

What a row means is decided here, and nowhere else: what its latency is, whether it was a hit, whether it failed. What
was picked from the rows of a run keeps the places of its rows, and copies a column when somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args, overload

import numpy as np

from luckyhit.records import NUMBER_COLUMNS, Arm, CacheStatus, RequestError

ARMS: tuple[Arm, Arm] = ("before", "after")
CACHE: tuple[str, ...] = get_args(CacheStatus)
ERRORS: tuple[str, ...] = get_args(RequestError)
NO_ERROR, OTHER_ERROR = -1, len(ERRORS)
HIT, MISS, STALE = CACHE.index("hit"), CACHE.index("miss"), CACHE.index("stale")
TIMEOUT, DROPPED = ERRORS.index("timeout"), ERRORS.index("dropped")
UNEXPECTED = ERRORS.index("unexpected")
WRONG_ANSWER, UNTOLD_ANSWER = len(ERRORS) + 1, len(ERRORS) + 2
"""Further codes of an unexpected answer: its status is 2xx or 3xx, so that it looks right; its status is not known.
UNEXPECTED itself: the status says that something is wrong."""

LAST_NS = 2.0**53
"""104 days: from here on a float is not exact to the nanosecond, and no run is that long."""
EARLY_NS = 1e6
"""A request may leave this much before it is due: what a timer is off."""
FAULTS = (
    "no due time, or an impossible one",
    "times that are not numbers",
    "sent before they were due",
    "done before they were sent",
    "first byte before sent or after done",
)
"""What the times of one row can't be on a clock that only goes forward: bit i of `Rows.clock` is FAULTS[i]."""
NS_PER_MS = 1e6
NO_TIME = np.iinfo(np.int32).min
FEW_RUNS = 8
"""Values in runs are handled run by run where there are this many times fewer runs than values."""
NO_ROW = np.iinfo(np.int32).max
"""More rows than this have no number of four bytes."""


@dataclass(frozen=True, slots=True)
class SinceDue:
    """Instants of rows that are all due at some time, as int32 nanoseconds after it; NO_TIME where there is none. Half
    as large as floats, and as exact."""

    ns: np.ndarray

    def __len__(self) -> int:
        return len(self.ns)

    @property
    def present(self) -> np.ndarray:
        return self.ns != NO_TIME

    def at(self, due: np.ndarray) -> np.ndarray:
        return np.where(self.ns == NO_TIME, np.nan, due + self.ns)


Column = np.ndarray | SinceDue


class _Named:
    """A column of a RequestTable as an attribute."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, rows: None, owner: type) -> _Named: ...
    @overload
    def __get__(self, rows: RequestTable, owner: type) -> np.ndarray: ...
    def __get__(self, rows: RequestTable | None, owner: type) -> _Named | np.ndarray:
        if rows is None:
            return self
        return rows.wide(self.name)


class RequestTable:
    """Recorded requests as arrays of one length. Times are float nanoseconds, NaN where there is none (exact up to 104
    days); codes index ARMS, CACHE and ERRORS; -1 means none or not known. `clock` has a bit for each of FAULTS that a
    row shows; `send_delay_ns`: from due to sent (rounded, where that is long). `routes`: the names of the routes, in
    the order of their codes. Columns of `records.NUMBER_COLUMNS` are less than 0 or NaN where they are not visible."""

    __slots__ = ("_columns", "_size", "_which", "_whole", "routes")

    arm = _Named()
    block = _Named()
    slot = _Named()
    measured = _Named()
    due_ns = _Named()
    send_delay_ns = _Named()
    done_ns = _Named()
    clock = _Named()
    error = _Named()
    cache = _Named()
    db_calls = _Named()
    key = _Named()
    route = _Named()

    def __init__(self, columns: dict[str, Column], routes: Sequence[str] = ()) -> None:
        """`columns`: all of COLUMNS, as they are."""
        self.routes = tuple(routes)
        self._columns, self._size = columns, len(columns["arm"])
        self._whole: RequestTable | None = None
        self._which: np.ndarray | slice | None = None

    @classmethod
    def of_times(
        cls,
        sent_ns: np.ndarray,
        first_byte_ns: np.ndarray,
        numbers: Mapping[str, np.ndarray],
        routes: Sequence[str] = (),
        **columns: np.ndarray,
    ) -> RequestTable:
        """From the other COLUMNS and what the rest is made of. `numbers`: by column of NUMBER_COLUMNS; missing ones are
        not visible."""
        due_ns, done_ns = columns["due_ns"], columns["done_ns"]
        with np.errstate(invalid="ignore", over="ignore"):
            delay_ns = (sent_ns - due_ns).astype(np.float32)
        made = {"send_delay_ns": delay_ns, "clock": clock_faults(due_ns, sent_ns, first_byte_ns, done_ns)}
        blank = np.full(len(due_ns), np.nan)
        return cls({**columns, **made, **{name: numbers.get(name, blank) for name in NUMBER_COLUMNS}}, routes)

    def __len__(self) -> int:
        return self._size

    def take(self, which: np.ndarray) -> RequestTable:
        """The rows that a mask or an index array picks. Where they lie next to each other, none of them is copied."""
        picked: np.ndarray | slice = _stretch(which) if which.dtype == bool else which
        if self._whole is None or self._which is None:
            return self._picked(picked)
        if isinstance(self._which, slice):
            first = self._which.start
            if isinstance(picked, slice):
                return self._whole._picked(slice(first + picked.start, first + picked.stop))
            return self._whole._picked(picked + first)
        return self._whole._picked(self._which[picked])

    def column(self, name: str) -> Column:
        """One of COLUMNS, in the form that takes the least room. What was picked here and there is copied each time
        anew: all of it at once would take as much room as the rows."""
        if self._whole is None or self._which is None:
            return self._columns[name]
        kept = self._whole._columns[name]
        return SinceDue(kept.ns[self._which]) if isinstance(kept, SinceDue) else kept[self._which]

    def wide(self, name: str) -> np.ndarray:
        """One of COLUMNS with an entry for each row; instants as float nanoseconds."""
        column = self.column(name)
        return column.at(self.due_ns) if isinstance(column, SinceDue) else column

    def with_columns(self, **columns: np.ndarray) -> RequestTable:
        """The same rows with some of COLUMNS replaced."""
        return RequestTable({**{name: self.column(name) for name in COLUMNS}, **columns}, self.routes)

    def _picked(self, which: np.ndarray | slice) -> RequestTable:
        rows = RequestTable(self._columns, self.routes)
        rows._whole = self
        if isinstance(which, slice):
            rows._which, rows._size = which, which.stop - which.start
        else:
            # The list of rows stays as long as they do: four bytes each are enough.
            rows._which = which.astype(np.int32, copy=False) if len(self) < NO_ROW else which
            rows._size = len(which)
        return rows

    @property
    def _places(self) -> np.ndarray:
        """Where its rows are in the whole that they were picked from."""
        if isinstance(self._which, slice):
            return np.arange(self._which.start, self._which.stop)
        assert self._which is not None
        return self._which

    @property
    def answered(self) -> np.ndarray:
        """Whether there is an instant at which it was done."""
        done = self.column("done_ns")
        return done.present if isinstance(done, SinceDue) else np.isfinite(done)

    @property
    def latency(self) -> Column:
        """The latencies in the form that takes the least room: `latency_ms`, or whole nanoseconds."""
        done = self.column("done_ns")
        if isinstance(done, SinceDue):
            return SinceDue(np.where(self.error == NO_ERROR, done.ns, np.int32(NO_TIME)))
        return self.latency_ms

    @property
    def latency_ms(self) -> np.ndarray:
        """From due to done; NaN for rows that didn't complete, or whose times are invalid."""
        done = self.column("done_ns")
        if isinstance(done, SinceDue):
            latency = done.ns / NS_PER_MS
            latency[(done.ns == NO_TIME) | (self.error != NO_ERROR)] = np.nan
            return latency
        with np.errstate(invalid="ignore", over="ignore"):
            latency = (done - self.due_ns) / NS_PER_MS
        return np.where((self.error == NO_ERROR) & np.isfinite(latency), latency, np.nan)

    @property
    def hit(self) -> np.ndarray:
        """1 for a hit, 0 for a miss or a stale answer, NaN where the cache status is not one of these. A wrong answer
        out of the cache is a hit as well: `failed` shows that it is wrong."""
        cache = self.cache
        known = ((cache == HIT) | (cache == MISS) | (cache == STALE)) & self._whole_answer
        return np.where(known, cache == HIT, np.nan)

    @property
    def _whole_answer(self) -> np.ndarray:
        return (self.error == NO_ERROR) | self.unexpected

    @property
    def unexpected(self) -> np.ndarray:
        """Whether it was answered, and not as expected."""
        error = self.error
        return (error == UNEXPECTED) | (error == WRONG_ANSWER) | (error == UNTOLD_ANSWER)

    @property
    def wrong(self) -> np.ndarray:
        """1 for an answer that is not what its route owes though its status is 2xx or 3xx, 0 for any other answer; NaN
        where there was none, and where an unexpected one has no status."""
        error = self.error
        known = (error == NO_ERROR) | (error == UNEXPECTED) | (error == WRONG_ANSWER)
        return np.where(known & self.answered, error == WRONG_ANSWER, np.nan)

    @property
    def failed(self) -> np.ndarray:
        """1 for a request that failed or timed out, 0 for one that was answered; NaN where it was never sent."""
        wrong = (self.error != NO_ERROR) | ~self.answered
        return np.where(self.error == DROPPED, np.nan, wrong)

    def number(self, name: str) -> np.ndarray:
        """One of NUMBER_COLUMNS (`db_calls`) of requests that were answered, rightly or not; NaN where it is not
        visible."""
        numbers = self.wide(name).astype(np.float64)
        with np.errstate(invalid="ignore"):
            visible = self._whole_answer & (numbers >= 0) & (numbers < np.inf)
        return np.where(visible, numbers, np.nan)


COLUMNS = tuple(
    dict.fromkeys((*(name for name, value in vars(RequestTable).items() if isinstance(value, _Named)), *NUMBER_COLUMNS))
)


def rows_together(*parts: RequestTable) -> RequestTable:
    """All rows of `parts`, one part after the other."""
    wholes = {id(part._whole) for part in parts}
    first = parts[0]._whole
    if first is not None and len(wholes) == 1:
        return first._picked(np.concatenate([part._places for part in parts]))
    return RequestTable(
        {name: np.concatenate([part.wide(name) for part in parts]) for name in COLUMNS}, parts[0].routes
    )


def _stretch(mask: np.ndarray) -> np.ndarray | slice:
    """The rows of a mask: from one to another, where no others are between them."""
    count = int(np.count_nonzero(mask))
    if not count:
        return slice(0, 0)
    first = int(np.argmax(mask))
    last = len(mask) - int(np.argmax(mask[::-1]))
    return slice(first, last) if last - first == count else places(mask)


def places(mask: np.ndarray) -> np.ndarray:
    """Where a mask is true, in four bytes each where that is enough."""
    indices = np.flatnonzero(mask)
    return indices.astype(np.int32) if len(mask) < NO_ROW else indices


def clock_faults(due: np.ndarray, sent: np.ndarray, first: np.ndarray, done: np.ndarray) -> np.ndarray:
    """A bit for each of FAULTS, from times as floats, NaN where there is none."""
    with np.errstate(invalid="ignore", over="ignore"):
        return in_bits(
            ~((due >= 0) & (due < LAST_NS)),
            np.isinf(sent) | np.isinf(done) | np.isinf(first),
            np.isfinite(sent) & (sent < due - EARLY_NS),
            np.isfinite(done) & ~(np.isfinite(sent) & (done >= sent)),
            (first < sent) | (first > done),
        )


def in_bits(*masks: np.ndarray) -> np.ndarray:
    """Mask i as bit i of a byte."""
    bits = np.zeros(len(masks[0]), dtype=np.uint8)
    for number, mask in enumerate(masks):
        bits |= mask.view(np.uint8) << number
    return bits


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
