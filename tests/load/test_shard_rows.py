"""The rows of all shards together: each slot once, whatever was lost, and counted exactly."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.workload import Workload
from luckyhit.errors import NotEnoughData
from luckyhit.load.command.load_summary import read_records
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.schedule import Schedule, schedule_for
from luckyhit.load.sharding.shard_rows import ShardRows
from luckyhit.load.signals import ResponseSignals
from luckyhit.records import RequestError, nearest_rank
from luckyhit.records.parquet import part_files, read_table, write_table
from tier import examples

ROUTES = [{"name": "item", "path": "/i/{key}", "keys": {"first": 1, "last": 9}}, {"name": "list", "path": "/l"}]
ORIGIN_NS, START_NS = 10**9, 3 * 10**9


def config_of(directory: Path, hosts: int, workers: int = 1, arms: int = 2) -> EngineConfig:
    facts = {"seed": 1, "rate": "40/s", "hosts": hosts, "workers": workers, "routes": ROUTES}
    return EngineConfig(
        workload=Workload.model_validate(facts), targets=dict.fromkeys(("before", "after")[:arms], "http://a"), seed=7,
        warmup_s=0.2, measure_s=0.8, origin_ns=ORIGIN_NS, directory=directory, block=4,
    )  # fmt: skip


@contextmanager
def run_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        run = Path(place) / "run"
        (run / "requests").mkdir(parents=True)
        yield run


def recorder_of(config: EngineConfig, schedule: Schedule, worker: int) -> RequestRecorder:
    recorder = RequestRecorder(
        schedule, list(config.targets), block=config.block, warmup_ns=config.warmup_ns, origin_ns=config.origin_ns,
        directory=config.directory / "requests", worker=worker, workers=config.workers,
    )  # fmt: skip
    recorder.start_ns = START_NS
    return recorder


def answered(error: RequestError | None, took_ns: int, due_ns: int) -> HttpResponse:
    done_ns = None if error else START_NS + due_ns + took_ns
    sent_ns = START_NS + due_ns
    status = None if error else 200
    return HttpResponse(sent_ns, sent_ns + took_ns // 2, done_ns, status, error, size=3, connection=1)


def schedule_of(config: EngineConfig) -> Schedule:
    return schedule_for(config.workload, config.total_s, config.seed)


def rows_of(config: EngineConfig) -> pd.DataFrame:
    return pd.concat(read_table(path).to_pandas() for path in part_files(config.directory / "requests"))


@settings(max_examples=examples(40))
@given(st.data(), st.integers(1, 4), st.integers(1, 2), st.integers(1, 2))
def test_accounting_is_exact_whoever_is_killed(data: st.DataObject, hosts: int, workers: int, arms: int) -> None:
    """Each process is killed at any moment, before or after any write of a part file, or lives."""
    with run_directory() as directory:
        config = config_of(directory, hosts, workers, arms)
        schedule = schedule_of(config)
        outcomes = data.draw(st.randoms(use_true_random=False))
        facts: dict[int, Any] = {}
        lost = data.draw(st.sets(st.integers(0, config.workers - 1)))
        for worker in range(config.workers):
            recorder = recorder_of(config, schedule, worker)
            sent = [
                (slot, arm) for slot in range(worker, len(schedule), config.workers) for arm in range(arms)
            ]  # fmt: skip
            outcomes.shuffle(sent)
            if worker in lost:
                sent = sent[: outcomes.randrange(len(sent) + 1)]
            for slot, arm in sent:
                error = outcomes.choice([None, None, *get_args(RequestError)])
                response = answered(error, outcomes.randrange(10**7), int(schedule.due_ns[slot]))
                recorder.record(slot, arm, response, ResponseSignals())
                if outcomes.random() < 0.03:
                    recorder.flush()
            if worker not in lost:
                recorder.end()
                recorder.flush()
                facts[worker] = {name: one.model_dump() for name, one in recorder.accounting().items()}

        rows = ShardRows(config, len(schedule))
        rows.start_ns = START_NS - ORIGIN_NS
        rows.check(facts)
        never_sent = rows.add_never_sent(lost)
        frame = rows_of(config)
        accounting = rows.accounting()

    assert set(never_sent) == lost
    assert not frame.duplicated(["arm", "slot"]).any() and len(frame) == arms * len(schedule)
    order = frame.sort_values(["arm", "slot"])
    for _, of_arm in order.groupby("arm", observed=True):
        slots = of_arm["slot"].to_numpy()
        assert (slots == np.arange(len(schedule))).all()
        assert (of_arm["due_ns"].to_numpy() == schedule.due_ns + START_NS - ORIGIN_NS).all()
        keys = schedule.key_texts(slots).to_pylist()
        assert [None if pd.isna(key) else key for key in of_arm["key"]] == keys
        assert (of_arm["worker"].to_numpy() == slots % config.workers).all()
    for name, counts in accounting.items():
        errors = frame.loc[frame["arm"] == name, "error"]
        assert counts.exact and counts.scheduled == len(schedule)
        assert counts.completed == errors.isna().sum() and counts.timed_out == (errors == "timeout").sum()
        assert counts.dropped == (errors == "dropped").sum()
    for worker, never in never_sent.items():
        added = frame[(frame["worker"] == worker) & frame["sent_ns"].isna()]
        assert never.slots == added["slot"].nunique()
        if never.slots:
            assert (never.first, never.last) == (added["slot"].min(), added["slot"].max())


@settings(max_examples=examples(50))
@given(st.integers(1, 5), st.lists(st.integers(0, 10**9), min_size=48, max_size=48))
def test_percentiles_are_those_of_one_host(hosts: int, took_ns: list[int]) -> None:
    """However the slots are shared, the merged rows have the same latencies, so each percentile is the very same."""
    alone = latencies_with(1, took_ns)
    assert latencies_with(hosts, took_ns) == alone
    pooled = sorted(alone[1])
    for name, fraction in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.99", 0.9999)):
        assert alone[0].get(name) == pooled[nearest_rank(fraction, len(pooled))] / 1e6


def latencies_with(hosts: int, took_ns: list[int]) -> tuple[dict[str, float], list[int]]:
    """Percentiles of the recorded rows of `hosts` hosts, and the latencies of the measured ones."""
    with run_directory() as directory:
        config = config_of(directory, hosts, arms=1)
        schedule = schedule_of(config)
        measured = []
        for worker in range(hosts):
            recorder = recorder_of(config, schedule, worker)
            for slot in range(worker, len(schedule), hosts):
                took = took_ns[slot % len(took_ns)]
                recorder.record(slot, 0, answered(None, took, int(schedule.due_ns[slot])), ResponseSignals())
                measured += [took] if schedule.due_ns[slot] >= config.warmup_ns else []
            recorder.flush()
        return read_records(directory / "requests").latency_ms, sorted(measured)


def test_rows_that_a_shard_did_not_count() -> None:
    with run_directory() as directory:
        config = config_of(directory, 2)
        schedule = schedule_of(config)
        facts: dict[int, Any] = {}
        for worker in (0, 1):
            recorder = recorder_of(config, schedule, worker)
            recorder.end()
            recorder.flush()
            facts[worker] = {arm: counts.model_dump() for arm, counts in recorder.accounting().items()}
        ShardRows(config, len(schedule)).check(facts)
        next(path for path in part_files(directory / "requests") if "worker-01" in path.name).unlink()
        with pytest.raises(NotEnoughData, match="worker 1"):
            ShardRows(config, len(schedule)).check(facts)


def test_slots_that_are_there_twice() -> None:
    with run_directory() as directory:
        config = config_of(directory, 2)
        schedule = schedule_of(config)
        for _ in range(2):
            recorder = recorder_of(config, schedule, 0)
            recorder.end()
            recorder.flush()
            (path,) = (path for path in part_files(directory / "requests") if "part-0000" in path.name)
            path.rename(path.with_name(path.name.replace("part-0000", f"part-{len(part_files(path.parent)):04d}")))
        with pytest.raises(NotEnoughData, match="twice"):
            ShardRows(config, len(schedule))


@pytest.mark.parametrize("spoiled", [{"worker": 7}, {"slot": 10**6}, {"slot": -1}])
def test_rows_of_another_block(spoiled: dict[str, int]) -> None:
    """A worker that the block has not, a slot beyond its schedule."""
    with run_directory() as directory:
        config = config_of(directory, 2)
        schedule = schedule_of(config)
        recorder = recorder_of(config_of(directory, 8), schedule, spoiled.get("worker", 1))
        recorder.end()
        recorder.flush()
        if "slot" in spoiled:
            (path,) = part_files(directory / "requests")
            table = read_table(path)
            index = table.schema.get_field_index("slot")
            slots = np.full(table.num_rows, spoiled["slot"])
            write_table(path, table.set_column(index, "slot", [slots]))
        with pytest.raises(NotEnoughData):
            ShardRows(config, len(schedule))


def test_a_closed_loop_has_no_last_slot() -> None:
    with run_directory() as directory:
        config = config_of(directory, 2, arms=1)
        recorder = recorder_of(config, schedule_of(config), 1)
        recorder.record(1, 0, answered(None, 5, 0), ResponseSignals())
        recorder.flush()
        rows = ShardRows(config, None)
        assert rows.add_never_sent([0])[0].slots == 0
        assert rows.accounting()["before"].scheduled == rows.accounting()["before"].completed == 1
