"""A block that several hosts send: the block that one host would have sent, and what is left where one is lost."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from dask_cluster import Cluster, clocks_can_differ, dask_cluster
from hostile_service import HostileService, Versions
from measured_block import FRESHNESS, check, declare, engines, measure, new_run, routed

from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, LimitExceeded, NotEnoughData, ResponseUnexpected
from luckyhit.load.block import BlockReport
from luckyhit.load.command.load_summary import read_records
from luckyhit.load.sharding import shard_pool
from luckyhit.load.sharding.engine_host import EngineHost
from luckyhit.load.sharding.shard_hosts import ADDRESS_VARIABLE, LOCAL
from luckyhit.load.sharding.shard_pool import ShardPool
from luckyhit.records import nearest_rank
from waiting import eventually

SAME = ["slot", "arm", "phase", "route", "key"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three hosts; two have clocks of their own, days apart, where this machine lets them."""
    clocks = (None, 100_000, -50_000) if clocks_can_differ() else (None, None, None)
    with dask_cluster(tmp_path_factory.mktemp("dask"), clocks) as running:
        yield running


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, LOCAL)


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values(["slot", "arm"]).reset_index(drop=True)


def sharded(run: CaseRun, *services: Any, hosts: int = 3, **other: Any) -> BlockReport:
    plan = {name: other.pop(name) for name in ("on_progress", "measure_s", "limits", "pool") if name in other}
    declare(run, **{"workload": routed("/ok", "/miss", rate="300/s", timeout="0.4s", hosts=hosts), **other})
    return measure(run, *services, **plan)


def compared_with_one_host(folder: Path, service: HostileService) -> tuple[BlockReport, pd.DataFrame]:
    """Both arms, from three hosts and from one; what holds whatever the hosts are."""
    keyed = {"name": "item", "path": "/ok/{key}", "keys": {"first": 1, "last": 99}}
    workload = {**routed("/miss", rate="200/s", timeout="1s")}
    workload["routes"] = [*workload["routes"], keyed]
    run, alone = new_run(folder / "three"), new_run(folder / "one")
    report = sharded(run, service, service, workload={**workload, "hosts": 3})
    rows = in_order(check(run, report))
    declare(alone, workload=workload)
    single = measure(alone, service, service)
    expected = in_order(check(alone, single))

    assert report.digest == single.digest and report.distinct_keys == single.distinct_keys
    pd.testing.assert_frame_equal(rows[SAME], expected[SAME])
    due_ns = rows["due_ns"] - report.start_ns
    assert (due_ns == expected["due_ns"] - single.start_ns).all()
    assert (rows["slot"] % 3 == rows["worker"]).all()  # so both arms of a slot are of one shard
    assert [shard["shard"] for shard in report.shards] == [0, 1, 2] and single.shards == []
    assert sum(shard["rows"] for shard in report.shards) == len(rows)
    assert all(shard["lost"] is None and shard["never_sent"] == 0 for shard in report.shards)
    return report, rows


def test_three_hosts_send_the_schedule_of_one(local: None, service: HostileService, tmp_path: Path) -> None:
    compared_with_one_host(tmp_path, service)


@pytest.mark.slow
def test_percentiles_are_those_of_the_pooled_rows(local: None, service: HostileService, run: CaseRun) -> None:
    sharded(run, service)
    recorded = read_records(run.path / "requests")
    rows = run.requests()
    rows = rows[(rows["phase"] == "measure") & rows["error"].isna()]
    pooled = np.sort((rows["done_ns"] - rows["due_ns"]).to_numpy()) / 1e6
    for name, fraction in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        assert recorded.latency_ms[name] == pooled[nearest_rank(fraction, len(pooled))]


@pytest.mark.slow
def test_hosts_with_clocks_days_apart(
    cluster: Cluster, service: HostileService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS_VARIABLE, cluster.address)
    report, rows = compared_with_one_host(tmp_path, service)
    answered = rows[rows["error"].isna()]
    assert (answered["sent_ns"] >= answered["due_ns"]).all()
    assert all(shard["clock_error_ns"] > 0 for shard in report.shards)
    if clocks_can_differ():
        ahead_s = sorted(round(shard["offset_ns"] / 1e9) for shard in report.shards)
        assert ahead_s == [-50_000, 0, 100_000]


@pytest.mark.slow
def test_a_worker_is_killed_in_the_middle(
    service: HostileService, run: CaseRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dask_cluster(tmp_path / "dask", (None, None)) as cluster:
        monkeypatch.setenv(ADDRESS_VARIABLE, cluster.address)
        report = sharded(run, service, hosts=2, measure_s=14.0, on_progress=once_at(12.5, cluster.processes[0].kill))
    rows = check(run, report)
    (lost,) = [shard for shard in report.shards if shard["lost"]]
    of_lost = rows[rows["slot"] % 2 == lost["shard"]]
    never = of_lost[of_lost["error"] == "dropped"]
    # In the first ten seconds nothing is written: what misses look like is being learned.
    assert 0 < lost["rows"] < len(of_lost)
    assert lost["never_sent"] == len(never) and lost["last_never_sent"] == never["slot"].max()
    assert lost["clock_error_ns"] is None
    assert not (rows[rows["slot"] % 2 != lost["shard"]]["error"] == "dropped").any()


def once_at(at_s: float, act: Callable[[], Any]) -> Callable[[float, float], None]:
    """Progress that acts once, as soon as so much is done."""
    acted: list[Any] = []

    def show(done_s: float, total_s: float) -> None:
        if done_s >= at_s and not acted:
            acted.append(act())

    return show


def killed(pool: ShardPool, shard: int) -> Callable[[], None]:
    def kill() -> None:
        for pid in eventually(lambda: pool.shards[shard].facts)["pids"]:
            os.kill(pid, signal.SIGKILL)

    return kill


def test_a_lost_shard_loses_its_own_slots_only(local: None, service: HostileService, run: CaseRun) -> None:
    declare(run, workload=routed("/ok", rate="300/s", timeout="0.4s", hosts=3))
    pool = ShardPool(run.case.workload, run.path, LOCAL)
    report = measure(run, service, service, measure_s=2.0, pool=pool, on_progress=once_at(1.0, killed(pool, 1)))
    rows = check(run, report)
    lost = report.shards[1]
    never = rows[rows["error"] == "dropped"]
    assert [shard["lost"] is None for shard in report.shards] == [True, False, True]
    assert set(never["slot"] % 3) == {1} and set(never["arm"]) == {"before", "after"}
    assert lost["never_sent"] == never["slot"].nunique() and never["sent_ns"].isna().all()
    assert lost["first_never_sent"] == never["slot"].min() and lost["last_never_sent"] == never["slot"].max()
    assert never["phase"].isin(["measure", "warmup"]).all() and never["key"].isna().all()


def test_a_shard_that_never_starts(local: None, service: HostileService, run: CaseRun) -> None:
    declare(run, workload=routed("/ok", hosts=2))
    pool = ShardPool(run.case.workload, run.path, LOCAL)
    killed(pool, 0)()
    with pytest.raises(NotEnoughData, match="shard 0"):
        measure(run, service, pool=pool)
    assert not service.heads and not engines()


@pytest.mark.slow
def test_all_shards_are_lost(local: None, service: HostileService, run: CaseRun) -> None:
    declare(run, workload=routed("/ok", rate="100/s", hosts=2))
    pool = ShardPool(run.case.workload, run.path, LOCAL)

    def kill() -> None:
        for shard in (0, 1):
            killed(pool, shard)()

    with pytest.raises(NotEnoughData):
        measure(run, service, measure_s=30.0, pool=pool, on_progress=once_at(0.3, kill))
    rows = run.requests()
    assert sorted(rows["slot"]) == list(range(len(rows)))  # each is accounted for all the same


@pytest.mark.parametrize("fact", ["version", "code"])
def test_another_version_is_refused(
    local: None, service: HostileService, run: CaseRun, monkeypatch: pytest.MonkeyPatch, fact: str
) -> None:
    own = EngineHost.describe_here()
    monkeypatch.setattr(EngineHost, "describe", lambda host: {**own, fact: "0.0.9"} if host._shard else own)
    with pytest.raises(ArgumentError) as refused:
        sharded(run, service, hosts=2)
    assert "0.0.9" in refused.value.message and own[fact] in refused.value.message  # type: ignore[literal-required]
    assert not service.heads


@pytest.mark.slow
def test_another_schedule_is_refused(
    local: None, service: HostileService, run: CaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another version of NumPy had drawn other numbers."""
    begin = EngineHost.begin

    def other_seed(host: EngineHost, config: str, files: Any) -> None:
        begin(host, re.sub(r'"seed":5', '"seed":6', config) if host._shard == 1 else config, files)

    monkeypatch.setattr(EngineHost, "begin", other_seed)
    with pytest.raises(ArgumentError, match="shard 1"):
        sharded(run, service, hosts=2)
    assert not service.heads


def test_a_service_of_this_host_alone(
    local: None, service: HostileService, run: CaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = EngineHost.describe_here()
    monkeypatch.setattr(EngineHost, "describe", lambda host: {**own, "host": f"host-{host._shard}"})
    with pytest.raises(ArgumentError, match="host-1"):
        sharded(run, service, hosts=2)


def test_a_clock_that_is_not_known_well_enough(
    local: None, service: HostileService, run: CaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luckyhit.load.sharding.shard_facts.LARGEST_CLOCK_ERROR_MS", 0.0)
    with pytest.raises(NotEnoughData, match="clock"):
        sharded(run, service, hosts=2)
    assert not service.heads


@pytest.mark.slow
def test_a_step_of_a_clock_is_noted(
    local: None, service: HostileService, run: CaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It steps by a second while the block is measured."""
    clock, start, began = EngineHost.clock, EngineHost.start, set[int]()

    def stepping(host: EngineHost) -> tuple[int, int]:
        ahead_ns = 10**9 if host._shard in began else 0
        received_ns, answered_ns = clock(host)
        return received_ns + ahead_ns, answered_ns + ahead_ns

    def starts(host: EngineHost, start_ns: int) -> None:
        start(host, start_ns)
        began.update({host._shard} & {1})

    monkeypatch.setattr(EngineHost, "clock", stepping)
    monkeypatch.setattr(EngineHost, "start", starts)
    report = sharded(run, service, hosts=2)
    errors_ns = [shard["clock_error_ns"] for shard in report.shards]
    assert errors_ns[0] < 10**8 and 10**9 <= errors_ns[1] < 1.1e9


@pytest.mark.slow
def test_a_late_shard_is_seen_by_its_own_check(
    local: None, service: HostileService, run: CaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins 100 ms after the others: all that it sends is late, and no more of it than that."""
    start = EngineHost.start
    monkeypatch.setattr(EngineHost, "start", lambda host, ns: start(host, ns - (host._shard == 1) * 600_000_000))
    report = sharded(run, service, hosts=2)
    late_ms = [shard["schedule_error_p99_ms"] for shard in report.shards]
    assert late_ms[1] > 20 > late_ms[0]
    assert [shard["trustworthy"] for shard in report.shards] == [True, False]
    assert not report.engine.trustworthy


@pytest.mark.slow
def test_the_probe_stays_on_this_host(local: None, run: CaseRun) -> None:
    with Versions().running() as service:
        report = sharded(
            run, service, workload=routed("/ok", rate="100/s", hosts=2), freshness=FRESHNESS, measure_s=1.5
        )
    assert report.probe["probes"] > 0 and report.probe["reads"] == len(run.reads()) > 0
    assert set(run.requests()["worker"]) == {0, 1}


@pytest.mark.slow
def test_a_limit_of_all_hosts_together(local: None, service: HostileService, run: CaseRun) -> None:
    """Each host has too few requests in the window to judge them alone."""
    limits = {"error_rate": 0.5, "window_s": 1.0, "fewest": 120}
    with pytest.raises(LimitExceeded) as stopped:
        sharded(run, service, workload=routed("/error", rate="300/s", hosts=3), limits=limits, measure_s=20.0)
    rows = check(run, stopped.value.report)
    assert (rows["error"] == "dropped").any() and len(stopped.value.report.shards) == 3


@pytest.mark.slow
def test_a_stop_that_is_asked_for_has_a_report(local: None, service: HostileService, run: CaseRun) -> None:
    declare(run, workload=routed("/ok", rate="100/s", hosts=2))
    pool = ShardPool(run.case.workload, run.path, LOCAL)
    report = measure(run, service, measure_s=60.0, pool=pool, on_progress=once_at(0.3, pool.request_stop))
    rows = check(run, report)
    assert (rows["error"] == "dropped").any() and all(shard["lost"] is None for shard in report.shards)


@pytest.mark.slow
def test_an_interruption_stops_all_hosts(local: None, service: HostileService, run: CaseRun) -> None:
    with pytest.raises(KeyboardInterrupt):
        sharded(run, service, measure_s=60.0, on_progress=once_at(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)))
    rows = run.requests()
    assert sorted(rows["slot"]) == list(range(len(rows))) and (rows["error"] == "dropped").any()
    eventually(lambda: not engines())


@pytest.mark.slow
def test_an_engine_that_refuses_stops_the_block(local: None, run: CaseRun, service: HostileService) -> None:
    with pytest.raises(ResponseUnexpected):
        sharded(run, service, workload=routed("/ok", hosts=2), freshness=FRESHNESS)
    assert not engines()


@pytest.mark.slow
def test_the_owner_of_the_shards_is_killed(service: HostileService, tmp_path: Path) -> None:
    script = (
        "import os, sys, pathlib\n"
        "from luckyhit.case.workload import Workload\n"
        "from luckyhit.load.sharding.shard_pool import ShardPool\n"
        "load = Workload.model_validate({'seed': 1, 'rate': '9/s', 'hosts': 2, 'routes': [{'name': 'a', 'path': '/'}]})\n"
        "pool = ShardPool(load, pathlib.Path(sys.argv[1]), 'local')\n"
        "print(*(pid for shard in pool.shards for pid in shard.host.describe()['pids']), flush=True)\n"
        "os._exit(0)\n"
    )
    done = psutil.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    pids = [int(pid) for pid in done.communicate(timeout=60)[0].split()]
    assert len(pids) == 2
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_shards_that_are_not_ready_in_time(
    local: None, service: HostileService, run: CaseRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_pool, "READY_WITHIN_S", 0.0)
    with pytest.raises(NotEnoughData, match="shard"):
        sharded(run, service, hosts=2)
    assert not service.heads and not engines()
