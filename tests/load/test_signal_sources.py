"""SIGNALS: each row has its parts; a source that reports later completes rows, and requests carry its ids."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from luckyhit import records
from luckyhit.case.target import Target
from luckyhit.case.workload import Route, Workload
from luckyhit.load.block_context import BlockContext
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.http2.frames import http2_from_http1
from luckyhit.load.schedule import schedule_for
from luckyhit.load.signals import SIGNALS, DeclaredSignals, signals_of, with_headers
from luckyhit.load.signals.signal_sources import SignalId
from luckyhit.records.parquet import read_parts


def test_each_source_declares_its_fields_and_columns() -> None:
    assert set(SIGNALS) == set(get_args(SignalId))
    declared = {name for kind in SIGNALS.values() for name in kind.fields}
    assert declared == set(DeclaredSignals.model_fields) and declared <= set(Target.model_fields)
    for kind in SIGNALS.values():
        assert (kind.reads is None) != (kind.joins is None)
        assert kind.columns and set(kind.columns) <= set(records.REQUESTS.names)
    target = Target(url="http://localhost:1", cache_header="X-C", db_metric="queries")  # type: ignore[arg-type]
    assert signals_of(target) == DeclaredSignals(cache_header="X-C", db_metric="queries")


class Spans:
    """Reports two database calls for each request of the before arm, and nothing for others."""

    finished = False
    unlogged = 0

    def header(self, slot: int, arm: int) -> bytes:
        return b"traceparent: 00-%032x-%016x-01" % (slot + 1, arm + 1)

    def waits(self, now_ns: int) -> bool:
        return not self.finished

    async def finish(self) -> None:
        self.finished = True

    def complete(self, rows: pa.Table) -> pa.Table:
        calls = pa.array([2 if arm == "before" else None for arm in rows["arm"].to_pylist()], pa.int32())
        return rows.set_column(rows.schema.get_field_index("db_calls"), "db_calls", calls)


def test_a_later_source_identifies_requests_and_completes_rows(tmp_path: Path) -> None:
    workload = Workload(seed=1, rate="10/s", timeout="1s", routes=[Route(name="page", path="/p")])  # type: ignore[arg-type]
    targets: dict[records.Arm, str] = {"before": "http://127.0.0.1:1", "after": "http://127.0.0.1:1"}

    async def measured() -> bytes:
        schedule = schedule_for(workload, 1.0, 1)
        context = BlockContext(schedule, targets, timeout_s=1.0, directory=tmp_path, limit=4, later=[Spans()])
        payload = context.pending_request(next(context.requests()), 1, 1, lambda *_: None).payload
        context.responses.record(0, 0, HttpResponse(1, 2, 3, 200, None, [(b"x-db-calls", b"9")], b"", 1, 0))
        assert context.holds_rows(10**19)
        await context.finish_signals()
        assert not context.holds_rows(10**19)
        context.recorder.end()
        context.recorder.flush()
        return payload

    payload = asyncio.run(measured())
    line = b"traceparent: 00-%032x-%016x-01" % (1, 2)
    assert line in payload.split(b"\r\n")
    assert tuple(line.split(b": ")) in http2_from_http1(payload, "http")[0]
    rows = pa.concat_tables(read_parts(tmp_path, "requests", ["arm", "slot", "db_calls"])).to_pylist()
    assert {row["db_calls"] for row in rows if row["arm"] == "before"} == {2}
    assert {row["db_calls"] for row in rows if row["arm"] == "after"} == {None}


@pytest.mark.parametrize("body", [b"", b"a\r\nb"])
def test_header_lines_are_added_after_the_first_line(body: bytes) -> None:
    payload = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" + body
    assert with_headers(payload, [b"a: 1", b"b: 2"]) == b"GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nhost: x\r\n\r\n" + body
