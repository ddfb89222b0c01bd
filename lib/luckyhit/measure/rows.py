"""The rows of one block: one for each scheduled request and arm, kept in arrays, written in parts while measuring.

Arrays have the shape (slots, arms). Zero means `not there`, so that memory which is not used yet costs nothing;
numbers that may be zero are kept one higher.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luckyhit import records
from luckyhit.measure.connection import Answer
from luckyhit.measure.schedule import Schedule
from luckyhit.measure.signals import Seen
from luckyhit.records import Accounting, Arm, CacheStatus, RequestError
from luckyhit.run import write_part

_CACHE: tuple[CacheStatus, ...] = get_args(CacheStatus)
_ERRORS: tuple[RequestError, ...] = get_args(RequestError)
_CACHE_CODE = {status: code for code, status in enumerate(_CACHE, 1)}
_ERROR_CODE: dict[str | None, int] = {None: 0, **{error: code for code, error in enumerate(_ERRORS, 1)}}


class Rows:
    """Times are kept from the run's start on, as is `start_ns`, the block's start; `warmup_ns` of it are warm-up.

    `directory`: where the part files go (None: nowhere). A row is settled once its exchange has ended; `flush` writes
    what was settled since the last time, from another thread if need be; `end` settles the rest as `dropped`.
    """

    def __init__(
        self,
        schedule: Schedule,
        arms: Sequence[Arm],
        *,
        block: int,
        warmup_ns: int,
        directory: Path | None,
    ) -> None:
        self._schedule, self._arms, self._block = schedule, list(arms), block
        self.start_ns = 0
        self._warmup_ns, self._directory = warmup_ns, directory
        shape = (len(schedule), len(self._arms))
        self._count = len(schedule)
        self.late_ns = np.zeros(len(schedule), np.int64)  # one higher: how late the engine itself was
        self._sent_ns, self._first_byte_ns, self._done_ns = (np.zeros(shape, np.int64) for _ in range(3))
        self._status = np.zeros(shape, np.int16)
        self._error, self._cache = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
        self._db_calls = np.zeros(shape, np.int64)
        self._age_s = np.zeros(shape, np.float64)
        self._bytes = np.zeros(shape, np.int64)
        self._connection = np.zeros(shape, np.int32)
        self._settled, self._written = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        self._parts = 0

    def times(self, slot: int, arm: int, answer: Answer, origin_ns: int) -> None:
        """Keep an answer's times (raw; `origin_ns` is the run's start) as soon as it is there."""
        if answer.sent_ns is not None:
            self._sent_ns[slot, arm] = answer.sent_ns - origin_ns
        if answer.first_byte_ns is not None:
            self._first_byte_ns[slot, arm] = answer.first_byte_ns - origin_ns
        if answer.done_ns is not None:
            self._done_ns[slot, arm] = answer.done_ns - origin_ns

    def settle(self, slot: int, arm: int, answer: Answer, seen: Seen) -> None:
        """Keep the rest of an answer: the row is whole."""
        if answer.status is not None:
            self._status[slot, arm] = answer.status
            self._bytes[slot, arm] = answer.size + 1
        self._error[slot, arm] = _ERROR_CODE[answer.error]
        self._cache[slot, arm] = _CACHE_CODE[seen.cache]
        if seen.db_calls is not None:
            self._db_calls[slot, arm] = seen.db_calls + 1
        if seen.age_s is not None:
            self._age_s[slot, arm] = seen.age_s + 1
        if answer.connection is not None:
            self._connection[slot, arm] = answer.connection
        self._settled[slot, arm] = True

    def end(self, count: int | None = None) -> None:
        """Nothing more will come: what is not settled is `dropped`. `count`: slots that there are after all (a closed
        loop knows at its end only)."""
        if count is not None:
            self._count = count
        open_rows = ~self._settled[: self._count]
        self._error[: self._count][open_rows] = _ERROR_CODE["dropped"]
        self._settled[: self._count] = True

    def flush(self) -> None:
        """Write the rows that were settled since the last time as one part file."""
        ready = self._settled[: self._count] & ~self._written[: self._count]
        slots, arms = np.nonzero(ready)
        if not len(slots):
            return
        if self._directory is not None:
            write_part(self._directory, f"block-{self._block:03d}-part-{self._parts:04d}", self.table(slots, arms))
            self._parts += 1
        self._written[slots, arms] = True

    def rehearse(self) -> None:
        """Write one row to nowhere: the first time takes several milliseconds, and is not to be during the load."""
        with tempfile.TemporaryDirectory() as nowhere:
            first = np.zeros(min(1, self._count), np.intp)
            write_part(Path(nowhere), "rehearsal", self.table(first, first))

    def table(self, slots: NDArray[np.intp], arms: NDArray[np.intp]) -> pa.Table:
        """Some rows in the columns of `records.REQUESTS`."""
        schedule, at = self._schedule, (slots, arms)
        due_ns = schedule.due_ns[slots]
        unkeyed = ~schedule.keyed[slots]
        names = [route.name for route in schedule.routes]
        age_s, cache, error = self._age_s[at], self._cache[at], self._error[at]
        columns: dict[str, Any] = {
            "arm": _words(arms, self._arms),
            "block": np.full(len(slots), self._block, np.int32),
            "slot": slots.astype(np.int64),
            "phase": _words(due_ns >= self._warmup_ns, ["warmup", "measure"]),
            "route": _words(schedule.route[slots], names),
            "key": pa.array(schedule.key[slots], mask=unkeyed).cast(pa.string()),
            "due_ns": due_ns + self.start_ns,
            "sent_ns": _present(self._sent_ns[at]),
            "first_byte_ns": _present(self._first_byte_ns[at]),
            "done_ns": _present(self._done_ns[at]),
            "status": _present(self._status[at]),
            "error": _words(error - 1, _ERRORS, mask=error == 0),
            "cache": _words(np.where(cache == 0, _CACHE_CODE["unknown"], cache) - 1, _CACHE),
            "db_calls": _present(self._db_calls[at], less=1),
            "age_s": pa.array(age_s - 1, mask=age_s == 0),
            "bytes": _present(self._bytes[at], less=1),
            "connection": _present(self._connection[at]),
            "worker": np.zeros(len(slots), np.int16),
        }
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in records.REQUESTS]
        return pa.Table.from_arrays(arrays, schema=records.REQUESTS)

    def accounting(self) -> dict[Arm, Accounting]:
        """Counts for each arm; exact once `end` was called."""
        found: dict[Arm, Accounting] = {}
        for index, arm in enumerate(self._arms):
            error, settled = self._error[: self._count, index], self._settled[: self._count, index]
            completed = int((settled & (error == 0)).sum())
            timed_out, dropped = (int((error == _ERROR_CODE[name]).sum()) for name in ("timeout", "dropped"))
            failed = int((error > 0).sum()) - timed_out - dropped
            found[arm] = Accounting(
                scheduled=self._count, completed=completed, failed=failed, timed_out=timed_out, dropped=dropped
            )
        return found

    def late_ms(self) -> NDArray[np.float64]:
        """How late the engine sent each slot that it sent, in ms."""
        return (self.late_ns[self.late_ns > 0] - 1) / 1e6

    def latencies_ms(self) -> NDArray[np.float64]:
        """done - due of the completed requests, by slot and arm; NaN for the others. Shape (slots, arms)."""
        due_ns = (self._schedule.due_ns + self.start_ns)[: self._count, None]
        completed = (self._error[: self._count] == 0) & (self._done_ns[: self._count] > 0)
        return np.where(completed, (self._done_ns[: self._count] - due_ns) / 1e6, np.nan)


def _present(values: NDArray[Any], less: int = 0) -> pa.Array:
    return pa.array(values - less, mask=values == 0)


def _words(codes: NDArray[Any], words: Sequence[str], mask: NDArray[np.bool_] | None = None) -> pa.DictionaryArray:
    indices = pa.array(codes.astype(np.int16), mask=mask)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(words), pa.string()))
