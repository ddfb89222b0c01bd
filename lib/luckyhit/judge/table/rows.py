"""The recorded requests as columns of one length: about fifteen bytes for each row.

What a row means is decided here, and nowhere else: what its latency is, whether it was a hit, whether it failed. Rows
are kept in stretches, one for each arm and phase of a block. What was picked remembers where it lies, and a column is
made when somebody asks for it; who asks part by part (`RequestTable.part`) has no more than that part in memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import get_args, overload

import numpy as np

from luckyhit.judge.table.column_forms import NO_TIME, Column, Constant, Kept, SinceDue, part_of, picked
from luckyhit.judge.table.groups import AT_ONCE, FEW_RUNS, NO_ROW, places, run_lengths, run_starts
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


Columns = Mapping[str, Kept]
Segment = tuple[Columns, int, int]
"""Columns, and from which to which of their rows."""


@dataclass(frozen=True, slots=True)
class Runs:
    """Neighbours with the same `arm`, `block` and phase (`measured`): from which row of a table to which."""

    first: np.ndarray
    stop: np.ndarray
    arm: np.ndarray
    block: np.ndarray
    measured: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """How many rows each has."""
        return self.stop - self.first


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
    """Recorded requests as columns of one length. Times are float nanoseconds, NaN where there is none (exact up to 104
    days); codes index ARMS, CACHE and ERRORS; -1 means none or not known. `clock` has a bit for each of FAULTS that a
    row shows; `send_delay_ns`: from due to sent (rounded, where that is long). `routes`: the names of the routes, in
    the order of their codes. Columns of `records.NUMBER_COLUMNS` are less than 0 or NaN where they are not visible."""

    __slots__ = ("_begins", "_index", "_made", "_segments", "_size", "routes")

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

    def __init__(self, *stretches: Columns, routes: Sequence[str] = ()) -> None:
        """`stretches`: of rows one after the other, one at least, each with all of COLUMNS, as they are."""
        self._lay([(columns, 0, len(columns["arm"])) for columns in stretches], None, tuple(routes))

    def _lay(self, segments: Sequence[Segment], index: np.ndarray | None, routes: tuple[str, ...]) -> None:
        kept = [segment for segment in segments if segment[2] > segment[1]] or segments[:1]
        *begins, size = accumulate((stop - first for _, first, stop in kept), initial=0)
        self._segments, self._begins, self._index, self.routes = kept, begins, index, routes
        self._size = size if index is None else len(index)
        self._made: dict[str, Column] = {}

    def _of(self, segments: Sequence[Segment], index: np.ndarray | None = None) -> RequestTable:
        rows = RequestTable.__new__(RequestTable)
        rows._lay(segments, index, self.routes)
        return rows

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
        return cls({**columns, **made, **{name: numbers.get(name, blank) for name in NUMBER_COLUMNS}}, routes=routes)

    def __len__(self) -> int:
        return self._size

    def take(self, which: np.ndarray) -> RequestTable:
        """The rows that a mask or an index array picks. Where they lie in a few stretches, nothing is kept of each."""
        if which.dtype == bool:
            edges = np.flatnonzero(np.diff(which, prepend=False, append=False))
            if self._index is None and len(edges) * FEW_RUNS <= len(which):
                return self.stretches(edges[::2], edges[1::2])
            which = places(which)
        if self._index is not None:
            return self._of(self._segments, self._index[which])
        return self._of(self._segments, which.astype(np.int32, copy=False) if self._size < NO_ROW else which)

    def part(self, first: int, stop: int) -> RequestTable:
        """The rows from one place to another (exclusive)."""
        if self._index is not None:
            return self._of(self._segments, self._index[first:stop])
        return self._of(list(self._between(first, stop)) or self._segments[:1], None if stop > first else _NONE)

    def parts(self) -> Iterator[RequestTable]:
        """All rows in parts of AT_ONCE."""
        for first in range(0, len(self), AT_ONCE):
            yield self.part(first, min(first + AT_ONCE, len(self)))

    def stretches(self, first: np.ndarray, stop: np.ndarray) -> RequestTable:
        """The rows of several parts, one after the other."""
        parts = [(begin, end) for begin, end in zip(first.tolist(), stop.tolist(), strict=True) if end > begin]
        if self._index is not None:
            return self._of(self._segments, np.concatenate([_NONE, *(self._index[slice(*part)] for part in parts)]))
        segments = [segment for part in parts for segment in self._between(*part)]
        return self._of(segments or self._segments[:1], None if segments else _NONE)

    def together(self) -> RequestTable:
        """The same rows as columns of their own."""
        return RequestTable({name: self.column(name) for name in COLUMNS}, routes=self.routes)

    def of_runs(self, runs: Runs, chosen: np.ndarray) -> RequestTable:
        """The rows of some of its runs."""
        return self.stretches(runs.first[chosen], runs.stop[chosen])

    def _between(self, first: int, stop: int) -> Iterator[Segment]:
        place = bisect_right(self._begins, first) - 1
        while place < len(self._segments) and self._begins[place] < stop:
            columns, begin, end = self._segments[place]
            shift = begin - self._begins[place]
            yield columns, max(first + shift, begin), min(stop + shift, end)
            place += 1

    def _kept(self, name: str) -> Iterator[tuple[Column, Columns, slice | np.ndarray]]:
        """One of COLUMNS as it is kept, piece by piece, with the columns that it is from, and where it stands there."""
        if self._index is None:
            for columns, first, stop in self._segments:
                yield part_of(columns[name], first, stop), columns, slice(first, stop)
            return
        if len(self._segments) == 1:
            columns, first, _ = self._segments[0]
            where = self._index + first if first else self._index
            yield picked(columns[name], where), columns, where
            return
        segment = np.searchsorted(self._begins, self._index, side="right") - 1
        edges = [*run_starts(segment).tolist(), len(segment)]
        for begin, end in pairwise(edges):
            number = int(segment[begin])
            columns, first, _ = self._segments[number]
            where = self._index[begin:end] + (first - self._begins[number])
            yield picked(columns[name], where), columns, where

    def column(self, name: str) -> Column:
        """One of COLUMNS, in the form that takes the least room. Of a part it is made once, for all who ask."""
        if name in self._made:
            return self._made[name]
        column = self._column(name)
        if self._size <= AT_ONCE:
            self._made[name] = column
        return column

    def _column(self, name: str) -> Column:
        pieces = list(self._kept(name))
        if len(pieces) == 1:
            return pieces[0][0]
        if not pieces:
            return part_of(self._segments[0][0][name], 0, 0)
        since_due = [column for column, _, _ in pieces if isinstance(column, SinceDue)]
        if len(since_due) == len(pieces):
            return SinceDue(np.concatenate([column.ns for column in since_due]))
        return np.concatenate([_wide(*piece) for piece in pieces])

    def wide(self, name: str) -> np.ndarray:
        """The same; instants as float nanoseconds."""
        column = self.column(name)
        return column.at(self.due_ns) if isinstance(column, SinceDue) else column

    def with_columns(self, **columns: np.ndarray) -> RequestTable:
        """The same rows with some of COLUMNS replaced."""
        if self._index is not None:
            return RequestTable({**{name: self.column(name) for name in COLUMNS}, **columns}, routes=self.routes)
        changed: list[Segment] = []
        for (kept, first, stop), begin in zip(self._segments, self._begins, strict=True):
            own = {name: values[begin : begin + stop - first] for name, values in columns.items()}
            others = {name: part_of(column, first, stop) for name, column in kept.items() if name not in own}
            whole = stop - first == len(kept["arm"])
            changed.append(({**(kept if whole else others), **own}, 0, stop - first))
        return self._of(changed)

    def runs(self) -> Runs:
        """Its rows by arm, block and phase."""
        lengths: list[np.ndarray] = []
        codes: list[np.ndarray] = []
        names = ("arm", "block", "measured")
        for column, kept, where in self._kept("arm"):
            if all(isinstance(kept[name], Constant) for name in names):
                lengths.append(np.array([len(column)]))
                codes.append(np.array([[int(np.asarray(_chosen(kept[name], slice(0, 1)))[0])] for name in names]))
                continue
            values = [np.asarray(_chosen(kept[name], where)) for name in names]
            starts = np.unique(np.concatenate([run_starts(value) for value in values]))
            lengths.append(run_lengths(values[0], starts))
            codes.append(np.array([value[starts] for value in values], dtype=np.int64))
        rows = np.concatenate([_NONE, *lengths]).astype(np.int64)
        code = np.concatenate([np.zeros((len(names), 0), dtype=np.int64), *codes], axis=1)
        stop = np.cumsum(rows)
        new = np.any(np.diff(code, axis=1, prepend=-2) != 0, axis=0) & (rows > 0)
        arm, block, measured = code[:, new]
        first = (stop - rows)[new]
        return Runs(first, np.append(first[1:], len(self))[: len(first)], arm, block, measured.astype(bool))

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
        return _counted(*self.hits)

    @property
    def hits(self) -> tuple[np.ndarray, np.ndarray]:
        """(whether its cache status says so, whether it was a hit)."""
        cache = self.cache
        known = ((cache == HIT) | (cache == MISS) | (cache == STALE)) & self._whole_answer
        return known, known & (cache == HIT)

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
        return _counted(*self.wrongs)

    @property
    def wrongs(self) -> tuple[np.ndarray, np.ndarray]:
        """(whether it was answered, and it is known how, whether that was wrong)."""
        error = self.error
        known = ((error == NO_ERROR) | (error == UNEXPECTED) | (error == WRONG_ANSWER)) & self.answered
        return known, known & (error == WRONG_ANSWER)

    @property
    def failed(self) -> np.ndarray:
        """1 for a request that failed or timed out, 0 for one that was answered; NaN where it was never sent."""
        return _counted(*self.failures)

    @property
    def failures(self) -> tuple[np.ndarray, np.ndarray]:
        """(whether it was sent, whether it failed)."""
        error = self.error
        sent = error != DROPPED
        return sent, sent & ((error != NO_ERROR) | ~self.answered)

    def number(self, name: str) -> np.ndarray:
        """One of NUMBER_COLUMNS (`db_calls`) of requests that were answered, rightly or not; NaN where it is not
        visible."""
        return _counted(*self.numbers(name))

    def numbers(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """(whether its number is visible, the number, 0 where it is not)."""
        numbers = self.wide(name)
        with np.errstate(invalid="ignore"):
            visible = self._whole_answer & (numbers >= 0) & (numbers < np.inf)
        return visible, np.where(visible, numbers, np.zeros(1, dtype=numbers.dtype))


COLUMNS = tuple(
    dict.fromkeys((*(name for name, value in vars(RequestTable).items() if isinstance(value, _Named)), *NUMBER_COLUMNS))
)
_NONE = np.zeros(0, dtype=np.int32)


def _counted(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.where(known, values.astype(np.float64), np.nan)


def _chosen(column: Kept, where: slice | np.ndarray) -> Column:
    return part_of(column, where.start, where.stop) if isinstance(where, slice) else picked(column, where)


def _wide(column: Column, columns: Columns, where: slice | np.ndarray) -> np.ndarray:
    return column.at(np.asarray(_chosen(columns["due_ns"], where))) if isinstance(column, SinceDue) else column


def rows_together(*parts: RequestTable) -> RequestTable:
    """All rows of `parts`, one part after the other."""
    pieces = [
        part._segments if part._index is None else [({name: part.column(name) for name in COLUMNS}, 0, len(part))]
        for part in parts
    ]
    return parts[0]._of([segment for segments in pieces for segment in segments])


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
