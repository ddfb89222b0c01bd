"""The rows of one block: one for each scheduled request and arm, appended when its outcome is known, written in parts.

An appended row is one packed record of 88 bytes. What was written is forgotten, so memory does not grow with the
length of a block, except for one byte a request that tells whether it was recorded.
"""

from __future__ import annotations

import struct
import tempfile
import threading
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luckyhit import records
from luckyhit.load.bodies.decoding import NO_HASH
from luckyhit.load.command.live_latency import LatencyCounts
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.schedule import Schedule
from luckyhit.load.signals import LaterSource, ResponseSignals, RowPlace
from luckyhit.records import CACHE_STATUSES, Accounting, Arm, RequestError
from luckyhit.records.parquet import write_rows
from luckyhit.records.parts.merging import merge_parts
from luckyhit.records.parts.names import part_name

_ERRORS: tuple[RequestError, ...] = get_args(RequestError)
_ERROR_CODE: dict[str | None, int] = {None: 0, **{error: code for code, error in enumerate(_ERRORS, 1)}}
_NULL = -1
NO_VERSION = -(2**63)
"""Instead of a version; every other number of 64 bits may be one."""
_FIELDS = [
    ("tag", "i8", "q"),  # slot * arms + arm
    ("due_ns", "i8", "q"),
    ("sent_ns", "i8", "q"),
    ("first_byte_ns", "i8", "q"),
    ("done_ns", "i8", "q"),
    ("connection", "i4", "i"),
    # From here on what an answer shows, which may be known before it comes (`packed`).
    ("bytes", "i8", "q"),
    ("version", "i8", "q"),
    ("body_hash", "i8", "q"),
    ("age_s", "f8", "d"),
    ("db_calls", "i4", "i"),
    ("layers", "i4", "i"),
    ("status", "i2", "h"),
    ("error", "i1", "b"),
    ("cache", "i1", "b"),
]
_RECORD = np.dtype([(name, f"<{kind}") for name, kind, _ in _FIELDS])
_LETTERS = "".join(letter for *_, letter in _FIELDS)
_PACK = struct.Struct("<" + _LETTERS).pack_into
_SHOWN = struct.Struct("<" + _LETTERS[6:])
_PACK_KNOWN = struct.Struct(f"<{_LETTERS[:6]}{_SHOWN.size}s").pack_into
_SIGNALS, _LAYERS, _CACHE = struct.Struct("<di"), struct.Struct("<i"), struct.Struct("<b")
_OFFSET = {name: _RECORD.fields[name][1] for name in _RECORD.names}  # type: ignore[index, union-attr]
_CHUNK = 2048
"""Rows that are made ready for the disk at once: in longer steps the sending thread would wait for them."""


class RequestRecorder:
    """Times are raw nanoseconds while measuring; in the tables they count from `origin_ns`, the run's start. The
    first `warmup_ns` after `start_ns` (raw) are warm-up.

    `directory`: where the part files go (None: nowhere, and all rows are kept). This worker has the slots `worker`,
    `worker + workers` and so on (none of them unless it `sends`). In an `endless` schedule (a closed loop) slots go on
    after its end, and only recorded ones count. `flush` writes what was recorded since the last time, from another
    thread if need be; `end` records the rest as `dropped`. `later`: sources that complete rows when these are written.
    """

    def __init__(
        self,
        schedule: Schedule,
        arms: Sequence[Arm],
        *,
        block: int = 0,
        warmup_ns: int = 0,
        directory: Path | None = None,
        origin_ns: int = 0,
        worker: int = 0,
        workers: int = 1,
        sends: bool = True,
        endless: bool = False,
        later: Sequence[LaterSource] = (),
    ) -> None:
        self._later = later
        self._schedule, self._arms, self._block = schedule, list(arms), block
        self.start_ns = self.origin_ns = origin_ns
        self._warmup_ns, self._directory, self._worker, self._workers = warmup_ns, directory, worker, workers
        self._recorded = None if endless else bytearray(len(schedule) * len(self._arms))
        self._own_slots = range(worker, len(schedule) if sends else 0, workers)
        self._scheduled = 0 if endless else len(self._own_slots)
        # Plus 1: how late the engine sent; 0: not yet. Made of memory that is there: pages of zeros come one by one.
        self.late_ns = array("q", bytes(0 if endless else 8 * len(schedule)))
        self._width = len(self._arms)
        self._offset = self._end = 0
        self._chunk = np.empty(0, _RECORD)
        self._buffer = memoryview(b"")
        self._full: list[NDArray[Any]] = []
        self._written = 0  # rows of the oldest chunk
        self._counts = np.zeros((len(self._arms), len(_ERRORS) + 1), np.int64)
        self._errors: dict[RequestError, int] = {}  # so far, for progress
        self._parts = 0
        self._layers: dict[str | None, int] = {None: 0}  # the distinct values of that column, numbered
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._live: LatencyCounts | None = None
        self._bucketed = 0  # of the rows that are not written

    def record(
        self,
        slot: int,
        arm: int,
        response: HttpResponse,
        signals: ResponseSignals,
        version: int = NO_VERSION,
        body_hash: int = NO_HASH,
    ) -> None:
        """Keep the outcome of one request. `version`: what its response showed, or what it wrote."""
        if self._offset == self._end:
            self._start_chunk()
        offset = self._offset
        tag = slot * self._width + arm
        due_ns, error = response.due_ns, response.error
        age_s, calls, cache = signals.row
        layers = self._layers.get(signals.layers)
        if layers is None:
            layers = self._layers[signals.layers] = len(self._layers)
        if error is None:  # then nothing is missing
            _PACK(
                self._buffer, offset, tag, _NULL if due_ns is None else due_ns, response.sent_ns,
                response.first_byte_ns, response.done_ns, response.connection, response.size, version, body_hash,
                age_s, calls, layers, response.status, 0, cache,
            )  # fmt: skip
        else:
            sent_ns, first_ns, done_ns = response.sent_ns, response.first_byte_ns, response.done_ns
            status, connection = response.status, response.connection
            self._errors[error] = self._errors.get(error, 0) + 1
            _PACK(
                self._buffer, offset, tag, _NULL if due_ns is None else due_ns, _NULL if sent_ns is None else sent_ns,
                _NULL if first_ns is None else first_ns, _NULL if done_ns is None else done_ns,
                _NULL if connection is None else connection, _NULL if status is None else response.size, version,
                body_hash, age_s, calls, layers, _NULL if status is None else status, _ERROR_CODE[error], cache,
            )  # fmt: skip
        self._offset = offset + _RECORD.itemsize
        if self._recorded is not None:
            self._recorded[tag] = 1

    def packed(self, signals: ResponseSignals, status: int, size: int, version: int, body_hash: int) -> bytes:
        """What a row shows of an answer without an error, for `record_known`."""
        age_s, calls, cache = signals.row
        layers = self._layers.setdefault(signals.layers, len(self._layers))
        return _SHOWN.pack(size, version, body_hash, age_s, calls, layers, status, 0, cache)

    def record_known(
        self, slot: int, arm: int, due_ns: int | None, sent_ns: int | None, done_ns: int, connection: int, row: bytes
    ) -> None:
        """Keep the outcome of a request whose answer is known, and came at once. `row`: what was `packed` of it."""
        if self._offset == self._end:
            self._start_chunk()
        tag = slot * self._width + arm
        _PACK_KNOWN(
            self._buffer, self._offset, tag, _NULL if due_ns is None else due_ns, sent_ns, done_ns, done_ns,
            connection, row,
        )  # fmt: skip
        self._offset += _RECORD.itemsize
        if self._recorded is not None:
            self._recorded[tag] = 1

    def last(self) -> RowPlace:
        """Where the row is that was recorded last."""
        return self._buffer, self._offset - _RECORD.itemsize

    def amend(self, place: RowPlace, signals: ResponseSignals) -> None:
        """Correct the signals of a row that was not written yet."""
        buffer, offset = place
        age_s, calls, cache = signals.row
        _SIGNALS.pack_into(buffer, offset + _OFFSET["age_s"], age_s, calls)
        _LAYERS.pack_into(
            buffer, offset + _OFFSET["layers"], self._layers.setdefault(signals.layers, len(self._layers))
        )
        _CACHE.pack_into(buffer, offset + _OFFSET["cache"], cache)

    def _start_chunk(self) -> None:
        # Two threads meet only here and in `flush`.
        fresh = np.empty(_CHUNK, _RECORD)
        with self._lock:
            if len(self._chunk):
                self._full.append(self._chunk)
            self._chunk, self._buffer = fresh, memoryview(fresh.view(np.uint8))  # type: ignore[arg-type]
            self._offset, self._end = 0, fresh.nbytes

    def end(self, sent: int = 0, until_ns: int | None = None) -> None:
        """Record what is left as `dropped`. `sent`: how many slots of an endless schedule were sent. `until_ns` (raw):
        slots that were due later and not sent do not count as scheduled."""
        if self._recorded is None:
            self._scheduled = sent
            return
        own = self._own_slots
        recorded = np.frombuffer(self._recorded, np.uint8).reshape(-1, len(self._arms))[own.start : own.stop : own.step]
        if until_ns is not None:
            due_ns = self._schedule.due_ns[own.start : own.stop : own.step] + self.start_ns
            left_out = (due_ns > until_ns) & ~recorded.any(axis=1)
            self._scheduled -= int(left_out.sum())
            recorded = recorded | left_out[:, None]
        dropped = HttpResponse(error="dropped")
        for index, arm in np.argwhere(recorded == 0).tolist():
            self.record(own[index], arm, dropped, ResponseSignals())

    def flush(self) -> None:
        """Write the rows that were recorded since the last time as one part file, and forget them."""
        if self._directory is None:
            return
        with self._writing:  # the last flush may find the one before it still at work in its thread
            with self._lock:
                filled = self._offset // _RECORD.itemsize
                pieces = self._pending(filled)
                self._bucket(pieces)
                self._full, self._written, self._bucketed = [], filled, 0
                for rows in pieces:
                    self._counts += self._counted(rows)
            if pieces:
                name = part_name(self._block, self._worker, self._parts)
                self._parts += 1
                table = self.table(pieces)
                for source in self._later:
                    table = source.complete(table)
                write_rows(self._directory, name, table)

    def merge(self, stopped: Callable[[], bool]) -> None:
        """All that was written becomes one file; nothing is recorded any more. `stopped`: whether there is no time."""
        self.late_ns = array("q")  # makes room for the rows
        if self._directory is not None:
            merge_parts(self._directory, self._block, self._worker, stopped=stopped)

    def _pending(self, filled: int | None = None) -> list[NDArray[Any]]:
        """Recorded rows that are not written, in order, in pieces; of the chunk in use, the first `filled`."""
        filled = self._offset // _RECORD.itemsize if filled is None else filled
        pieces = [*self._full, self._chunk[:filled]]
        pieces[0] = pieces[0][self._written :]
        return [rows for rows in pieces if len(rows)]

    def rehearse(self) -> None:
        """Write one row to a temporary folder, and merge it: the first time takes milliseconds and memory, which the
        load must not pay."""
        with tempfile.TemporaryDirectory() as folder:
            row = self.table([np.zeros(min(1, len(self._schedule)), _RECORD)])
            write_rows(Path(folder), part_name(self._block, self._worker, 0), row)
            merge_parts(Path(folder), self._block, self._worker)

    def table(self, pieces: Sequence[NDArray[Any]] | None = None) -> pa.Table:
        """Rows (default: those that are not written) in the columns of `records.REQUESTS`."""
        pieces = self._pending() if pieces is None else pieces
        layers = [text or "" for text in list(self._layers)]
        return pa.concat_tables([self._table(rows, layers) for rows in pieces] or [records.REQUESTS.empty_table()])

    def _table(self, rows: NDArray[Any], layers: list[str]) -> pa.Table:
        schedule = self._schedule
        slot, arm = np.divmod(rows["tag"], len(self._arms))
        entry = slot % max(1, len(schedule))
        due_ns = self._due_ns(rows)
        names = [route.name for route in schedule.routes]
        columns: dict[str, Any] = {
            "arm": _dictionary(arm, self._arms),
            "block": np.full(len(rows), self._block, np.int32),
            "slot": slot,
            "phase": _dictionary(due_ns - self.start_ns >= self._warmup_ns, ["warmup", "measure"]),
            "route": _dictionary(schedule.route[entry], names),
            "key": schedule.key_texts(entry),
            "due_ns": due_ns - self.origin_ns,
            **{name: _nullable(rows[name], less=self.origin_ns) for name in ("sent_ns", "first_byte_ns", "done_ns")},
            **{name: _nullable(rows[name]) for name in ("status", "db_calls", "age_s", "bytes", "connection")},
            "version": _nullable(rows["version"], null=NO_VERSION),
            "body_hash": _nullable(rows["body_hash"], null=NO_HASH),
            "layers": _dictionary(rows["layers"], layers, mask=rows["layers"] == 0),
            "error": _dictionary(rows["error"] - 1, _ERRORS, mask=rows["error"] == 0),
            "cache": _dictionary(rows["cache"], CACHE_STATUSES),
            "worker": np.full(len(rows), self._worker, np.int16),
        }
        arrays = [pa.array(columns[field.name]).cast(field.type) for field in records.REQUESTS]
        return pa.Table.from_arrays(arrays, schema=records.REQUESTS)

    def _due_ns(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """When each was due, raw: by the schedule, or as noted in a closed loop."""
        entry = rows["tag"] // len(self._arms) % max(1, len(self._schedule))
        due_ns: NDArray[np.int64] = np.where(
            rows["due_ns"] < 0, self._schedule.due_ns[entry] + self.start_ns, rows["due_ns"]
        )
        return due_ns

    def never_sent(self, tags: NDArray[np.int64]) -> pa.Table:
        """Rows, as `dropped`, for slots of a worker that is gone. `tags`: slot * arms + arm."""
        rows = np.full(len(tags), _NULL, np.int8).astype(_RECORD)
        age_s, calls, cache = ResponseSignals().row
        rows["tag"], rows["version"], rows["body_hash"] = tags, NO_VERSION, NO_HASH
        rows["age_s"], rows["db_calls"], rows["cache"] = age_s, calls, cache
        rows["layers"], rows["error"] = 0, _ERROR_CODE["dropped"]
        return self.table([rows])

    def _counted(self, rows: NDArray[Any]) -> NDArray[np.int64]:
        """Rows by arm and error code."""
        shape = self._counts.shape
        codes = (rows["tag"] % len(self._arms)) * shape[1] + rows["error"]
        return np.bincount(codes, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)

    def accounting(self) -> dict[Arm, Accounting]:
        """Counts for each arm; exact after `end`, if every slot was recorded once."""
        counts = sum(map(self._counted, self._pending()), self._counts)
        accounts: dict[Arm, Accounting] = {}
        for arm, by_code in zip(self._arms, counts.tolist(), strict=True):
            timed_out, dropped = by_code[_ERROR_CODE["timeout"]], by_code[_ERROR_CODE["dropped"]]
            accounts[arm] = Accounting(
                scheduled=self._scheduled,
                completed=by_code[0],
                failed=sum(by_code) - by_code[0] - timed_out - dropped,
                timed_out=timed_out,
                dropped=dropped,
            )
        return accounts

    def progress(self) -> dict[str, Any]:
        """Requests answered without an error so far, and requests by error; with `watch_latencies`, also the answered
        ones by latency."""
        errors = dict(self._errors)  # one copy, taken first: another thread may go on recording
        with self._lock:
            unwritten = len(self._full) * _CHUNK + self._offset // _RECORD.itemsize - self._written
            recorded = int(self._counts.sum()) + unwritten
            if self._live is not None:
                self._bucket(self._pending())
        facts = {"answered": max(0, recorded - sum(errors.values())), "errors": errors}
        return facts if self._live is None else {**facts, "latencies": self._live.as_facts()}

    def watch_latencies(self) -> None:
        """Let `progress` have the latencies so far."""
        self._live = LatencyCounts()

    def _bucket(self, pending: Sequence[NDArray[Any]]) -> None:
        """Count the latencies of the rows that were recorded since the last time."""
        if self._live is None:
            return
        rows_before = 0
        for piece in pending:
            rows = piece[max(0, self._bucketed - rows_before) :]
            rows_before += len(piece)
            rows = rows[(rows["error"] == 0) & (rows["done_ns"] >= 0)]
            self._live.add((rows["done_ns"] - self._due_ns(rows)) / 1e6)
        self._bucketed = rows_before

    def late_ms(self) -> NDArray[np.float64]:
        """How late the engine sent each slot that it sent, in ms."""
        late_ns = np.frombuffer(self.late_ns, np.int64)
        return (late_ns[late_ns > 0] - 1) / 1e6

    def latencies_ms(self) -> NDArray[np.float64]:
        """done - due of the completed requests that are not written yet, by slot and arm; NaN for the others."""
        latencies = np.full((len(self._schedule), len(self._arms)), np.nan)
        for piece in self._pending():
            rows = piece[(piece["error"] == 0) & (piece["done_ns"] >= 0)]
            slot, arm = np.divmod(rows["tag"], len(self._arms))
            latencies[slot, arm] = (rows["done_ns"] - self._schedule.due_ns[slot] - self.start_ns) / 1e6
        return latencies


def _nullable(values: NDArray[Any], less: int = 0, null: int = _NULL) -> pa.Array:
    return pa.array(values - values.dtype.type(less), mask=values == null)


def _dictionary(codes: NDArray[Any], words: Sequence[str], mask: NDArray[np.bool_] | None = None) -> pa.DictionaryArray:
    indices = pa.array(codes.astype(np.int16), mask=mask)
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(words), pa.string()))
