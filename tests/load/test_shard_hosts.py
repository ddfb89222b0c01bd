"""What every transport of shards has to do: the same suite for processes of this machine and for Dask's workers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from dask_cluster import Cluster, dask_cluster
from hostile_service import HostileService

from luckyhit.case.workload import Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.sharding.clock_offset import measured_offset
from luckyhit.load.sharding.engine_host import EngineHost, HostLost, HostState, ShardHost
from luckyhit.load.sharding.shard_hosts import LOCAL, check_hosts, name_hosts, transport_of, worker_count
from luckyhit.records.parquet import row_count
from waiting import eventually

ENGINE = "luckyhit.load.engine"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask"), (None, None)) as running:
        yield running


@pytest.fixture(params=[LOCAL, pytest.param("tcp", marks=pytest.mark.slow)])
def address(request: pytest.FixtureRequest) -> str:
    return LOCAL if request.param == LOCAL else request.getfixturevalue("cluster").address


@pytest.fixture
def hosts(address: str, tmp_path: Path) -> Iterator[list[ShardHost]]:
    (tmp_path / "requests").mkdir()
    with transport_of(address).open(address, 2, 1, tmp_path) as opened:
        yield list(opened)


def config_of(service: HostileService, directory: Path, **other: Any) -> EngineConfig:
    facts = {"seed": 1, "rate": "100/s", "hosts": 2, "routes": [{"name": "ok", "path": "/ok"}]}
    block = {"warmup_s": 0.0, "measure_s": 0.5, "seed": 3, "selfcheck": False, "origin_ns": 0, **other}
    return EngineConfig(
        workload=Workload.model_validate(facts), targets={"before": service.url}, directory=directory, **block
    )


def polled(host: ShardHost, until: str, files: dict[str, bytes] | None = None) -> HostState:
    """Ask until the first process has this. `files`: gets the part files that come meanwhile."""

    def state() -> HostState | None:
        answer = host.poll(0.05)
        (files if files is not None else {}).update(answer["files"])
        return answer if answer["workers"][0][until] else None  # type: ignore[literal-required]

    return eventually(state)


def engines() -> set[int]:
    """Engine processes below this one."""
    running = set()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it may end just now
            if ENGINE in " ".join(_command_of(process)):
                running.add(process.pid)
    return running


def _command_of(process: psutil.Process) -> list[str]:
    """Empty of one that has ended; one that has just started shows its own a moment later."""
    eventually(lambda: process.cmdline() or process.status() == psutil.STATUS_ZOMBIE)
    return process.cmdline()


def test_a_host_says_who_it_is(hosts: list[ShardHost]) -> None:
    for host in hosts:
        facts = host.describe()
        assert {**facts, "pids": []} == EngineHost.describe_here() and facts["version"] and facts["code"]
        assert set(facts["pids"]) <= engines() and len(facts["pids"]) == 1


def test_a_host_tells_its_time(hosts: list[ShardHost]) -> None:
    offset = measured_offset(hosts[0].clock, time.monotonic_ns, 5)
    assert abs(offset.offset_ns) <= offset.error_ns  # both have the clock of this machine


def test_each_host_sends_its_own_slots(hosts: list[ShardHost], service: HostileService, tmp_path: Path) -> None:
    config, files = config_of(service, tmp_path), dict[str, bytes]()
    for shard, host in enumerate(hosts):
        host.begin(config.of_shard(shard, 0).model_dump_json(), {})
    digests = {polled(host, "ready")["workers"][0]["schedule"]["digest"] for host in hosts}
    start_ns = time.monotonic_ns()
    for host in hosts:
        host.start(start_ns)
    facts = [polled(host, "facts", files)["workers"][0]["facts"] for host in hosts]
    for name, content in files.items():
        (tmp_path / "requests" / name).write_bytes(content)

    assert len(digests) == 1 and {one["digest"] for one in facts if one} == digests
    scheduled = [one["accounting"]["before"]["scheduled"] for one in facts if one]
    assert abs(scheduled[0] - scheduled[1]) <= 1
    assert row_count(tmp_path / "requests") == sum(scheduled)


@pytest.mark.slow
def test_a_stopped_host_still_reports(hosts: list[ShardHost], service: HostileService, tmp_path: Path) -> None:
    host = hosts[0]
    host.begin(config_of(service, tmp_path, measure_s=600.0).of_shard(0, 0).model_dump_json(), {})
    polled(host, "ready")
    host.start(time.monotonic_ns())
    host.stop()
    facts = polled(host, "facts")["workers"][0]["facts"]
    assert facts is not None and facts["accounting"]["before"]["dropped"] > 0


@pytest.mark.slow
def test_a_failed_engine_says_why(hosts: list[ShardHost], service: HostileService, tmp_path: Path) -> None:
    config = config_of(service, tmp_path, ca_file=str(tmp_path / "none.pem"))
    hosts[1].begin(config.of_shard(1, 0).model_dump_json(), {"authorities.pem": b"no certificate"})
    failure = polled(hosts[1], "failure")["workers"][0]["failure"]
    assert failure is not None and failure["type"] == "ArgumentError"


def test_nothing_is_left_after_the_end(address: str, tmp_path: Path) -> None:
    before = engines()
    with transport_of(address).open(address, 2, 2, tmp_path) as hosts:
        for host in hosts:
            host.poll(0.0)
        assert len(engines() - before) == 4
    eventually(lambda: engines() <= before)


def test_killed_engines_fall_silent(hosts: list[ShardHost], service: HostileService, tmp_path: Path) -> None:
    others = engines()
    with ExitStack() as stack:
        host = EngineHost(0, 1, directory=tmp_path)
        stack.callback(host.close)
        (pid,) = engines() - others
        psutil.Process(pid).kill()
        state = polled(host, "silent")["workers"][0]
    assert state["facts"] is None and "-9" in state["ended"]


def test_a_host_that_nobody_asks_ends_itself(tmp_path: Path) -> None:
    others = engines()
    host = EngineHost(0, 1, scratch=str(tmp_path), lease_s=0.2)
    assert engines() - others
    eventually(lambda: engines() <= others)
    eventually(lambda: not list(tmp_path.iterdir()))
    host.close()


@pytest.mark.slow
def test_a_lost_dask_worker_is_a_lost_host(tmp_path: Path) -> None:
    others = engines()
    with dask_cluster(tmp_path, (None, None)) as cluster, ExitStack() as stack:
        transport = transport_of(cluster.address)
        hosts = stack.enter_context(transport.open(cluster.address, 2, 1, tmp_path / "run"))
        orphans = engines() - others
        for process in cluster.processes:
            process.kill()
        for host in hosts:
            with pytest.raises(HostLost):
                host.describe()
        assert len(orphans) == 2
        eventually(lambda: not any(psutil.pid_exists(pid) for pid in orphans))


@pytest.mark.parametrize("wrong", ["10.0.0.5:8786", "tcp://", "http://a:1", ""])
def test_no_address_of_hosts(wrong: str) -> None:
    with pytest.raises(ArgumentError):
        transport_of(wrong)


def test_a_case_with_hosts_has_to_be_told_where() -> None:
    check_hosts(1, {})
    check_hosts(3, {"DASK_SCHEDULER_ADDRESS": LOCAL})
    with pytest.raises(ArgumentError):
        check_hosts(3, {})


def test_a_run_is_told_where_its_hosts_are() -> None:
    environ: dict[str, str] = {}
    name_hosts(LOCAL, 2, environ)
    check_hosts(2, environ)
    for address, hosts in ((LOCAL, 1), ("10.0.0.5", 2)):
        with pytest.raises(ArgumentError):
            name_hosts(address, hosts, environ)


@pytest.mark.slow
def test_fewer_workers_than_hosts(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luckyhit.load.sharding.dask_hosts.CONNECT_S", 0.5)
    environ = {"DASK_SCHEDULER_ADDRESS": cluster.address}
    check_hosts(2, environ)
    assert worker_count(cluster.address) == 2
    with pytest.raises(ArgumentError, match="2 workers"):
        check_hosts(3, environ)


@pytest.mark.slow
def test_no_scheduler_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luckyhit.load.sharding.dask_hosts.CONNECT_S", 0.5)
    with pytest.raises(ArgumentError):
        worker_count("tcp://127.0.0.1:1")
