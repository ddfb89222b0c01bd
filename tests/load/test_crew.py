"""Several workers: together they send what one would have sent, at the same instants, and no row is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from hostile_service import HostileService
from measured_block import check, declare, measure, routed

from luckyhit.case.docs.template import new_case
from luckyhit.case_run import CaseRun
from luckyhit.load.worker_pool import Crew, merged


@pytest.fixture
def service() -> Iterator[HostileService]:
    with HostileService().running() as running:
        yield running


def new_run(folder: Path) -> CaseRun:
    folder.mkdir()
    case_file = folder / "some-case.yml"
    case_file.write_text(new_case("some-case"))
    return CaseRun.create(folder / "runs", case_file, now=datetime(2025, 1, 2), manifest={})


def test_three_workers_send_the_schedule_of_one(service: HostileService, tmp_path: Path) -> None:
    workload = routed("/ok", "/miss", rate="300/s", timeout="0.4s")
    run, alone = new_run(tmp_path / "three"), new_run(tmp_path / "one")
    declare(run, workload={**workload, "workers": 3})
    report = measure(run, service)
    rows = check(run, report)
    declare(alone, workload=workload)
    measured_alone = measure(alone, service)
    expected = check(alone, measured_alone)

    assert report.digest == measured_alone.digest
    assert set(rows["worker"]) == {0, 1, 2} and set(expected["worker"]) == {0}
    assert (rows["slot"] % 3 == rows["worker"]).all()
    due = rows.set_index("slot").sort_index()["due_ns"] - report.start_ns
    assert due.equals(expected.set_index("slot").sort_index()["due_ns"] - measured_alone.start_ns)
    connections = rows.dropna(subset=["connection"]).groupby("connection")["worker"].nunique()
    assert (connections == 1).all()
    assert "3 workers" in report.engine.detail


def test_the_worst_worker_decides_whether_timings_can_be_trusted() -> None:
    def facts(late_ms: float | None, trustworthy: bool, unexpected: str | None) -> dict[str, Any]:
        counts = {"scheduled": 3, "completed": 1, "failed": 1, "timed_out": 1, "dropped": 0}
        engine = {
            "added_p50_ms": 0.1, "added_p99_ms": None, "schedule_error_p99_ms": late_ms, "trustworthy": trustworthy,
            "detail": f"late {late_ms}", "loop_lag_ms": late_ms, "cpu_share": 0.5,
        }  # fmt: skip
        return {
            "accounting": {"before": counts}, "unexpected": unexpected, "retried": 2, "unchecked": 0, "engine": engine,
        }  # fmt: skip

    whole = merged([facts(0.2, True, None), facts(30.0, False, "a 500"), facts(None, True, "a 404")])
    assert whole["accounting"]["before"] == {
        "scheduled": 9, "completed": 3, "failed": 3, "timed_out": 3, "dropped": 0,
    }  # fmt: skip
    assert whole["unexpected"] == "a 500" and whole["retried"] == 6
    assert not whole["engine"]["trustworthy"]
    assert whole["engine"]["schedule_error_p99_ms"] == whole["engine"]["loop_lag_ms"] == 30.0
    assert whole["engine"]["added_p99_ms"] is None and whole["engine"]["detail"].startswith("late 30.0")


def test_an_engine_that_waits_for_an_order_ends_with_the_one_who_would_give_it(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from luckyhit.load.worker_pool import Crew\n"
        "crew = Crew(2, pathlib.Path(sys.argv[1]))\n"
        "print(*(member._process.pid for member in crew._members), flush=True)\n"
        "os._exit(0)\n"
    )
    told = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, check=True, timeout=60)
    engines = [psutil.Process(int(pid)) for pid in told.stdout.split() if psutil.pid_exists(int(pid))]
    _, alive = psutil.wait_procs(engines, timeout=60)
    assert not alive


def test_an_engine_without_an_order_is_ended_at_once(tmp_path: Path) -> None:
    with Crew(1, tmp_path) as crew:
        (member,) = crew._members
        assert psutil.pid_exists(member._process.pid)
    assert not psutil.pid_exists(member._process.pid)
