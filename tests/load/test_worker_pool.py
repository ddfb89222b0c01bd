"""Several workers: together they send what one would have sent, at the same instants, and no row is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from hostile_service import HostileService
from measured_block import check, declare, measure, new_run, routed

from luckyhit.load.worker_pool import WorkerPool, merged


def test_two_workers_send_the_schedule_of_one(service: HostileService, tmp_path: Path) -> None:
    workload = routed("/ok", "/miss", rate="300/s", timeout="0.4s")
    run, alone = new_run(tmp_path / "two"), new_run(tmp_path / "one")
    declare(run, workload={**workload, "workers": 2})
    report = measure(run, service)
    rows = check(run, report)
    declare(alone, workload=workload)
    measured_alone = measure(alone, service)
    expected = check(alone, measured_alone)

    assert report.digest == measured_alone.digest
    assert set(rows["worker"]) == {0, 1} and set(expected["worker"]) == {0}
    assert (rows["slot"] % 2 == rows["worker"]).all()
    due = rows.set_index("slot").sort_index()["due_ns"] - report.start_ns
    assert due.equals(expected.set_index("slot").sort_index()["due_ns"] - measured_alone.start_ns)
    connections = rows.dropna(subset=["connection"]).groupby("connection")["worker"].nunique()
    assert (connections == 1).all()
    assert "2 workers" in report.engine.detail


def test_the_worst_worker_decides_about_trust() -> None:
    def facts(late_ms: float | None, trustworthy: bool, unexpected: str | None) -> dict[str, Any]:
        counts = {"scheduled": 3, "completed": 1, "failed": 1, "timed_out": 1, "dropped": 0}
        engine = {
            "added_p50_ms": 0.1, "added_p99_ms": None, "schedule_error_p99_ms": late_ms, "trustworthy": trustworthy,
            "detail": f"late {late_ms}", "loop_lag_ms": late_ms, "cpu_share": 0.5,
        }  # fmt: skip
        return {
            "accounting": {"before": counts}, "unexpected": unexpected, "retried": 2, "unchecked": 0, "unlogged": 0,
            "engine": engine,
        }  # fmt: skip

    whole = merged([facts(0.2, True, None), facts(30.0, False, "a 500"), facts(None, True, "a 404")])
    assert whole["accounting"]["before"] == {
        "scheduled": 9, "completed": 3, "failed": 3, "timed_out": 3, "dropped": 0,
    }  # fmt: skip
    assert whole["unexpected"] == "a 500" and whole["retried"] == 6
    assert not whole["engine"]["trustworthy"]
    assert whole["engine"]["schedule_error_p99_ms"] == whole["engine"]["loop_lag_ms"] == 30.0
    assert whole["engine"]["added_p99_ms"] is None and whole["engine"]["detail"].startswith("late 30.0")


def test_a_waiting_engine_ends_with_its_owner(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys\n"
        "from luckyhit.load.worker_pool import WorkerPool\n"
        "pool = WorkerPool(2, pathlib.Path(sys.argv[1]))\n"
        "print(*(worker.pid for worker in pool._workers), flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, check=True, timeout=60)
    engines = [psutil.Process(int(pid)) for pid in done.stdout.split() if psutil.pid_exists(int(pid))]
    _, alive = psutil.wait_procs(engines, timeout=60)
    assert not alive


def test_a_waiting_engine_is_ended_at_once(tmp_path: Path) -> None:
    with WorkerPool(1, tmp_path) as pool:
        (worker,) = pool._workers
        assert psutil.pid_exists(worker.pid)
    assert not psutil.pid_exists(worker.pid)
