"""Rows: whatever happens to each request, the accounting is exact, and the files say the same."""

from __future__ import annotations

import itertools
import tempfile
import threading
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.workload import Keys, Route, Workload
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.schedule import schedule_for
from luckyhit.load.selfcheck import quantile
from luckyhit.load.signals import ResponseSignals
from luckyhit.records import REQUESTS, CacheStatus, RequestError
from luckyhit.records.parquet import read_parts
from tier import examples

ROUTES = [Route(name="item", path="/i/{key}", keys=Keys(first=-3, last=3)), Route(name="list", path="/l")]
WORKLOAD = Workload(seed=1, rate="100/s", arrivals="constant", routes=ROUTES)  # type: ignore[arg-type]
SLOTS = 40

instants = st.integers(2 * 10**9, 10**12)
responses = st.builds(
    lambda times, status, error, size, connection: HttpResponse(
        *times[:2], None if error else times[2], status if error else status or 200, error, size=size,
        connection=connection if error else connection or 1,
    ),
    st.tuples(instants, instants, instants).map(sorted),
    st.one_of(st.none(), st.integers(100, 599)),
    st.sampled_from([None, *get_args(RequestError)]),
    st.integers(0, 10**12),
    st.one_of(st.none(), st.integers(1, 2**31 - 1)),
)  # fmt: skip
signals = st.builds(
    ResponseSignals,
    st.sampled_from(get_args(CacheStatus)),
    st.one_of(st.none(), st.integers(0, 2**31 - 1)),
    st.one_of(st.none(), st.just(0.0), st.floats(0, 1e9)),
)
outcome = st.tuples(st.integers(0, SLOTS - 1), st.integers(0, 1), responses, signals)


@given(
    st.lists(outcome, max_size=60, unique_by=lambda done: done[:2]),
    st.sets(st.integers(0, 60), max_size=4),
    st.integers(1, 3),
)
@settings(max_examples=examples(60), deadline=None)
def test_each_scheduled_request_is_one_row(outcomes: list, flushes: set[int], workers: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        schedule = schedule_for(WORKLOAD, SLOTS / 100, 1)
        recorders = [
            RequestRecorder(
                schedule, ["before", "after"], block=3, warmup_ns=100_000_000, directory=Path(place),
                origin_ns=10**9, worker=worker, workers=workers,
            )
            for worker in range(workers)
        ]  # fmt: skip
        for recorder in recorders:
            recorder.start_ns = 2 * 10**9
        for number, (slot, arm, response, shown) in enumerate(outcomes):
            recorders[slot % workers].record(slot, arm, response, shown)
            if number in flushes:
                recorders[slot % workers].flush()
        for recorder in recorders:
            recorder.end()
            recorder.flush()
        table = pa.concat_tables([REQUESTS.empty_table(), *read_parts(Path(place), "requests", None)])
    assert table.schema.equals(REQUESTS)
    rows = {(row["slot"], ("before", "after").index(row["arm"])): row for row in table.to_pylist()}
    assert len(rows) == table.num_rows == 2 * SLOTS
    for worker, arm in itertools.product(range(workers), ("before", "after")):
        counts = recorders[worker].accounting()[arm]
        errors = [row["error"] for row in rows.values() if row["arm"] == arm and row["worker"] == worker]
        assert counts.exact and counts.scheduled == len(range(worker, SLOTS, workers))
        assert counts.completed == errors.count(None)
        assert counts.timed_out == errors.count("timeout")
        assert counts.dropped == errors.count("dropped")
    expected = {(slot, arm): (response, shown) for slot, arm, response, shown in outcomes}
    for (slot, arm), row in rows.items():
        assert row["block"] == 3 and row["worker"] == slot % workers
        assert row["due_ns"] == 10**9 + slot * 10_000_000
        assert row["phase"] == ("warmup" if slot < 10 else "measure")
        route = ROUTES[schedule.route[slot]]
        assert row["route"] == route.name
        assert row["key"] == (str(schedule.key[slot]) if route.keys else None)
        response, shown = expected.get((slot, arm), (HttpResponse(error="dropped"), ResponseSignals()))
        assert (row["status"], row["error"], row["connection"]) == (
            response.status,
            response.error,
            response.connection,
        )
        assert row["bytes"] == (None if response.status is None else response.size)
        assert (row["cache"], row["db_calls"]) == (shown.cache, shown.db_calls)
        assert (row["age_s"] is None) == (shown.age_s is None)
        for name in ("sent_ns", "first_byte_ns", "done_ns"):
            raw = getattr(response, name)
            assert row[name] == (None if raw is None else raw - 10**9)


def test_no_row_is_lost_while_others_are_written(tmp_path: Path) -> None:
    workload = WORKLOAD.model_copy(update={"rate": 50_000.0, "routes": [Route(name="list", path="/l")]})
    schedule = schedule_for(workload, 1, 1)
    recorder = RequestRecorder(schedule, ["before"], directory=tmp_path)
    over = threading.Event()

    def flush() -> None:
        while not over.is_set():
            recorder.flush()

    writers = [threading.Thread(target=flush) for _ in range(3)]
    for writer in writers:
        writer.start()
    for slot in range(len(schedule)):
        recorder.record(slot, 0, HttpResponse(1, 2, 3, 200, None, [], b"", 1, slot), ResponseSignals())
    over.set()
    for writer in writers:
        writer.join()
    recorder.end()
    recorder.flush()
    table = pa.concat_tables(read_parts(tmp_path, "requests", ["slot", "bytes"]))
    assert sorted(table["slot"].to_pylist()) == list(range(len(schedule)))
    assert table["slot"].equals(table["bytes"])
    assert recorder.accounting()["before"].exact


def test_each_latency_is_counted_once_while_others_are_recorded() -> None:
    workload = WORKLOAD.model_copy(update={"rate": 20_000.0, "routes": [Route(name="list", path="/l")]})
    schedule = schedule_for(workload, 1, 1)
    recorder = RequestRecorder(schedule, ["before"])
    recorder.watch_latencies()
    over, shown = threading.Event(), []

    def watch() -> None:
        while not over.is_set():
            shown.append(recorder.progress())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for slot in range(len(schedule)):
        recorder.record(slot, 0, HttpResponse(1, 2, 3, 200, None, [], b"", 1, slot), ResponseSignals())
    over.set()
    watcher.join()
    totals = [sum(progress["latencies"].values()) for progress in [*shown, recorder.progress()]]
    assert totals == sorted(totals) and totals[-1] == len(schedule) == 20_000


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_one_of_the_values(values: list[float], q: float) -> None:
    value = quantile(values, q)
    assert value in values
    assert np.mean(np.array(values) <= value) >= q - 1e-9
    assert quantile(values, 1.0) == max(values)


def test_quantiles_by_hand() -> None:
    thousand = list(range(1, 1001))
    assert [quantile(thousand, q) for q in (0.5, 0.99, 0.999)] == [500, 990, 999]
    assert quantile([1.0, float("nan")], 0.5) == 1 and quantile([1.0, float("nan")], 0.9) == float("inf")
    assert quantile([], 0.5) == float("inf")
