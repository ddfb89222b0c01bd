"""The engine's process, measuring real services: each scheduled request ends in one right row, whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from hostile_service import HostileService, Versions
from measured_block import BASIC, FRESHNESS, check, declare, engines, measure, routed

from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, NoRoom, NotEnoughData, ResponseUnexpected
from luckyhit.load.block import BlockPlan, config_of, measure_block
from luckyhit.load.worker_pool import WorkerPool
from luckyhit.scrub.secrets import REDACTED
from waiting import eventually


def test_both_arms_get_the_same_slots(run: CaseRun, service: HostileService) -> None:
    """In two blocks of one seed, which send the same requests; the engine checks itself before the second."""
    declare(run)
    with HostileService().running() as other:
        report = measure(run, service, other)
        again = measure(run, service, block=1, selfcheck=True)
    whole = run.requests()
    rows = whole[whole["block"] == 0]
    before, after = (rows[rows["arm"] == arm].set_index("slot").sort_index() for arm in ("before", "after"))
    for column in ("due_ns", "key", "phase", "route"):
        assert (before[column] == after[column]).all()
    assert 0 < (before["sent_ns"] < after["sent_ns"]).sum() < len(before)  # either is first at times
    assert set(rows["phase"]) == {"warmup", "measure"} and (rows["error"].isna()).all()
    assert (rows["cache"] == "hit").all() and (rows["db_calls"] == 2).all() and (rows["age_s"] == 7).all()
    assert (rows["bytes"] == 9).all() and (rows["status"] == 200).all()
    assert service.seen["ok"] == 2 * other.seen["ok"] == 2 * len(before)
    assert report.unexpected is None and report.engine.trustworthy and report.engine.added_p50_ms is None
    assert json.loads(json.dumps(report.as_facts()))["accounting"]["after"]["completed"] == len(after)
    warm = rows[rows["phase"] == "warmup"]
    assert (warm["due_ns"] < report.measure_ns).all() and (rows["due_ns"] < report.end_ns).all()
    assert report.digest == again.digest
    assert list(before["key"]) == list(whole[whole["block"] == 1].sort_values("slot")["key"])
    engine = again.engine
    assert engine.added_p50_ms is not None and engine.added_p99_ms is not None
    assert 0 < engine.added_p50_ms <= engine.added_p99_ms


def test_an_engine_imports_no_libraries_of_others(run: CaseRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a whole block: pyarrow imports pandas at its first array, if it can."""
    declare(run, freshness=FRESHNESS)
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    pool = WorkerPool(1, run.path)
    with Versions().running() as versioned:
        check(run, measure(run, versioned, pool=pool))
    imported = {line.rpartition("|")[2].strip() for line in _errors_of(pool)}
    assert {"pyarrow.lib", "luckyhit.probe.arm"} <= imported
    assert imported.isdisjoint({"pandas.core", "httpx", "scipy", "redis", "luckyhit.judge"})


def _errors_of(pool: WorkerPool) -> list[str]:
    (worker,) = pool._workers
    worker._stderr.seek(0)
    return worker._stderr.read().decode().splitlines()


def test_an_interruption_keeps_every_row(run: CaseRun, service: HostileService) -> None:
    declare(run)

    def interrupt(done_s: float, total_s: float) -> None:
        assert total_s == 60.0
        if service.seen["ok"] > 10:
            raise KeyboardInterrupt

    plan = BlockPlan(0, "baseline", {"before": service.url}, 0.0, 60.0, 5, selfcheck=False)
    with pytest.raises(KeyboardInterrupt):
        measure_block(run, plan, on_progress=interrupt)
    assert not engines()
    rows = run.requests()
    assert len(rows) > 4000 and sorted(rows["slot"]) == list(range(len(rows)))
    assert rows["error"].isna().sum() > 10 and set(rows["error"].dropna()) == {"dropped"}


def test_a_killed_engine_is_reported_and_its_rows_are_read(run: CaseRun, service: HostileService) -> None:
    declare(run)

    def kill(done_s: float, total_s: float) -> None:
        if any((run.path / "requests").glob("*.parquet")):
            engines()[0].kill()

    plan = BlockPlan(0, "baseline", {"before": service.url}, 0.0, 60.0, 5, selfcheck=False)
    with pytest.raises(NotEnoughData, match="status -9"):
        measure_block(run, plan, on_progress=kill)
    assert len(run.requests()) > 10 and not engines()


def test_a_full_disk_is_named_and_rows_are_read(
    run: CaseRun, service: HostileService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # a compiled module would be cut as well
    declare(run)

    def fill_up(done_s: float, _: float) -> None:
        for engine in engines():
            engine.rlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))

    with pytest.raises(NoRoom) as stopped:
        measure(run, service, on_progress=fill_up)
    assert stopped.value.hint and stopped.value.exit_code == 4
    assert engines() == [] and run.requests() is not None
    assert [path for path in run.path.rglob(".*") if path.is_file()] == []


def test_the_engine_ends_when_its_owner_dies(run: CaseRun, service: HostileService, tmp_path: Path) -> None:
    declare(run)
    config = config_of(
        run.case, seed=1, warmup_s=0.0, measure_s=60.0, targets={"before": service.url}, selfcheck=False,
        directory=run.path, origin_ns=run.manifest.origin_ns,
    )  # fmt: skip
    script = "import sys; from luckyhit.load.block import EngineConfig, run_engine\n"
    script += "run_engine(EngineConfig.model_validate_json(sys.argv[1]))"
    owner = subprocess.Popen(
        [sys.executable, "-c", script, config.model_dump_json()],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "lib")},
    )
    eventually(lambda: service.seen["ok"] > 10)
    (engine,) = psutil.Process(owner.pid).children()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    eventually(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE)
    assert set(run.requests()["error"].dropna()) == {"dropped"}


def test_an_example_is_kept_without_secrets(run: CaseRun, service: HostileService) -> None:
    declare(run, workload=routed("/no-field"))
    arguments: list[str] = []

    def inspect(done_s: float, total_s: float) -> None:
        for engine in engines():
            with contextlib.suppress(psutil.Error):  # it may end just now
                arguments.extend(engine.cmdline() + list(engine.environ().values()))

    plan = BlockPlan(0, "baseline", {"before": service.url}, 0.0, 0.5, 5, {"X-Token": "s3cret"}, selfcheck=False)
    report = measure_block(run, plan, on_progress=inspect)
    (example,) = report.examples
    assert (example["arm"], example["route"], example["reason"]) == ("before", "no-field", "missing-field")
    assert report.accounting["before"].failed == report.accounting["before"].scheduled == example["count"]
    assert all(b"X-Token: s3cret\r\n" in head for head in service.heads)
    assert arguments and not any("s3cret" in word for word in arguments)
    assert "s3cret" not in repr(plan) + repr(report)
    assert not any(b"s3cret" in path.read_bytes() for path in run.path.rglob("*") if path.is_file())


def test_invalid_requests_are_refused_before_any_is_sent(run: CaseRun, service: HostileService) -> None:
    declare(run)
    with pytest.raises(ArgumentError, match="X-Token") as refused:
        measure(run, service, headers={"X-Token": "s3cret\r\nX-Evil: 1"})
    assert "s3cret" not in str(refused.value)
    assert not service.heads and not list((run.path / "requests").iterdir())


def test_a_control_block_sends_the_load_alone(run: CaseRun) -> None:
    declare(run, freshness=FRESHNESS)
    with Versions().running() as service:
        report = measure(run, service, probed=False)
        assert isinstance(service, Versions) and not service.kept
    check(run, report)
    assert report.probe == {} and run.writes().empty and run.reads().empty


def test_the_freshness_probe_runs_beside_the_load(run: CaseRun) -> None:
    declare(run, freshness=FRESHNESS)
    with Versions().running() as one, Versions().running() as two:
        report = measure(run, one, two, block=2, measure_s=1.0)
        assert isinstance(one, Versions) and set(one.kept.values()) <= {1, *range(1_020_000, 1_030_000)}
    check(run, report)
    writes, reads = run.writes(), run.reads()
    assert set(writes["arm"]) == set(reads["arm"]) == {"before", "after"} and set(writes["block"]) == {2}
    assert writes["version"].between(1_020_000, 1_029_999).all() and (reads["seen_version"] >= 1_020_000).all()
    assert (writes["sent_ns"] >= report.measure_ns).all() and (reads["done_ns"] <= report.end_ns).all()
    assert set(reads["cache"]) == {"miss"}
    assert report.probe["writes"] == len(writes) and report.probe["reads"] == len(reads)
    assert 0 < report.probe["share"] < 1
    asked = {"accept": "*/*", "accept-encoding": "gzip, deflate, br"}
    assert report.probe["variants"] == {"default": asked} and set(reads["variant"]) == {"default"}
    assert report.probe["left_out"] == {} and report.probe["outlived"] == {"before": False, "after": False}
    assert not set(reads["connection"]) & set(run.requests()["connection"])


def test_the_probe_adds_two_percent_at_most(run: CaseRun) -> None:
    """Without a declared rate. What it added is in the report."""
    declare(run, workload={**BASIC["workload"], "rate": "400/s"}, freshness={**FRESHNESS, "rate": None})
    with Versions().running() as one, Versions().running() as two:
        report = measure(run, one, two, block=2, measure_s=1.2)
        probed = sum(head.split(b" ", 2)[1].startswith(b"/v/") for head in one.heads + two.heads)
    due = run.requests().query("phase == 'measure'")
    assert 0 < report.probe["requests"] <= 0.02 * len(due)
    assert report.probe["share"] == report.probe["requests"] / len(due)
    assert probed == report.probe["requests"] + report.probe["beside"]
    keys = len(set(run.writes()["key"]) | {"1100"})
    assert report.probe["put_back"] == {"before": keys, "after": keys}
    assert not any(report.probe["not_put_back"].values())


@pytest.mark.parametrize(
    ("freshness", "place"),
    [
        (
            {"write": {"command": [sys.executable, "-c", "import sys; sys.exit('no access for ' + sys.argv[1])",
                                   "{cache_url}", "{key}", "{version}"]}},
            REDACTED,
        ),
        ({"reads": [{"path": "/ok/{key}", "version": "$.version"}]}, "/ok/"),
    ],
    ids=["a command that fails", "reads without a version"],
)  # fmt: skip
def test_a_probe_that_cannot_work_stops_before_any_load(run: CaseRun, freshness: dict[str, object], place: str) -> None:
    declare(run, freshness={**FRESHNESS, **freshness})
    values = {"cache_url": "redis://me:s3cret-word@cache:6379/0"}
    with Versions().running() as one, pytest.raises(ResponseUnexpected) as refused:
        measure(run, one, start_values={"before": values}, headers={"authorization": "Bearer t0ken-word"})
    assert place in refused.value.message and "s3cret-word" not in refused.value.message and refused.value.hint
    assert not list((run.path / "requests").iterdir())


PRIORITY = """
import os, time
from luckyhit.load.priority import raised_priority
def priority():
    return (os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else 0, os.getpriority(os.PRIO_PROCESS, 0))
before = priority()
try:
    with raised_priority() as words:
        assert words in ("at real-time priority", "at a raised priority", "at ordinary priority")
        assert (priority() != before) == (words != "at ordinary priority")
        raise RuntimeError
except RuntimeError:
    pass
assert priority()[0] == before[0], priority()
with raised_priority() as words:
    end = time.process_time() + 0.9
    while time.process_time() < end:
        pass
    assert words != "at real-time priority" or priority()[0] == before[0]
print("fine")
"""


def test_the_raised_priority_is_reset() -> None:
    """At its end, and after a long turn, which would starve the service."""
    done = subprocess.run(
        [sys.executable, "-c", PRIORITY],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "lib")},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "fine\n", done.stderr
