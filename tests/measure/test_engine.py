"""The engine's process, measuring real services: every scheduled request ends in one right row, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from hostile_service import HostileService

from luckyhit.case import Case
from luckyhit.case.template import new_case
from luckyhit.errors import ArgumentError, NotEnoughData, ResponseUnexpected
from luckyhit.measure import BlockPlan, BlockReport, measure_block
from luckyhit.measure.block import order_of
from luckyhit.run import Run

BASIC: dict[str, Any] = {
    "workload": {
        "seed": 1, "rate": "100/s", "timeout": "5s",
        "routes": [{"name": "item", "path": "/ok/{key}", "keys": {"first": 1, "last": 9}}],
    },
    "expected": {"status": 200, "fields": ["$.id"]},
    "freshness": None,
}  # fmt: skip


@pytest.fixture
def service() -> Iterator[HostileService]:
    with HostileService().running() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path) -> Run:
    case_file = tmp_path / "some-case.yml"
    case_file.write_text(new_case("some-case"))
    return Run.create(tmp_path / "runs", case_file, now=datetime(2025, 1, 2), manifest={})


def declare(run: Run, **parts: Any) -> None:
    """Let the run's case say this about workload, expected response and freshness."""
    case: Case = run.case
    given = {**BASIC, **parts}
    update: dict[str, Any] = {
        "workload": type(case.workload).model_validate_json(json.dumps(given["workload"])),
        "expected": case.expected.model_copy(
            update={"response": type(case.expected.response).model_validate(given["expected"])}
        ),
        "freshness": None,
    }
    if given["freshness"]:
        from luckyhit.case.model import Freshness

        update["freshness"] = Freshness.model_validate_json(json.dumps(given["freshness"]))
    run.__dict__["case"] = case.model_copy(update=update)


def routed(*paths: str, **other: Any) -> dict[str, Any]:
    routes = [{"name": path.strip("/"), "path": path} for path in paths]
    return {**BASIC["workload"], "routes": routes, **other}


def measure(run: Run, *services: HostileService | str, **plan: Any) -> BlockReport:
    urls = [service if isinstance(service, str) else service.url for service in services]
    settings = {
        "block": 0,
        "stage": "baseline",
        "warmup_s": 0.2,
        "measure_s": 0.4,
        "seed": 5,
        "selfcheck": False,
        **plan,
    }
    return measure_block(run, BlockPlan(targets=dict(zip(("before", "after"), urls, strict=False)), **settings))


def check(run: Run, report: BlockReport) -> pd.DataFrame:
    """What holds always: one row for each slot and arm, counted exactly, in the order of the clock."""
    rows = run.requests()
    for arm, counts in report.accounting.items():
        mine = rows[rows["arm"] == arm]
        assert counts.exact and counts.scheduled == len(mine) > 0
        assert sorted(mine["slot"]) == list(range(len(mine)))
        assert counts.completed == mine["error"].isna().sum()
        assert counts.timed_out == (mine["error"] == "timeout").sum()
        assert counts.dropped == (mine["error"] == "dropped").sum()
    assert not rows["due_ns"].isna().any()
    assert (rows["sent_ns"].dropna() >= rows.loc[rows["sent_ns"].notna(), "due_ns"]).all()
    assert (rows["done_ns"].notna() <= rows["sent_ns"].notna()).all()
    done = rows[rows["done_ns"].notna()]
    assert (done["sent_ns"] <= done["first_byte_ns"]).all() and (done["first_byte_ns"] <= done["done_ns"]).all()
    return rows


def test_both_arms_get_the_same_slots_at_the_same_instants(run: Run, service: HostileService) -> None:
    declare(run)
    with HostileService().running() as other:
        report = measure(run, service, other)
    rows = check(run, report)
    before, after = (rows[rows["arm"] == arm].set_index("slot").sort_index() for arm in ("before", "after"))
    for column in ("due_ns", "key", "phase", "route"):
        assert (before[column] == after[column]).all()
    assert 0 < (before["sent_ns"] < after["sent_ns"]).sum() < len(before)  # either goes first at times
    assert set(rows["phase"]) == {"warmup", "measure"} and (rows["error"].isna()).all()
    assert (rows["cache"] == "hit").all() and (rows["db_calls"] == 2).all() and (rows["age_s"] == 7).all()
    assert (rows["bytes"] == 9).all() and (rows["status"] == 200).all()
    assert service.seen["ok"] == other.seen["ok"] == len(before)
    assert report.unexpected is None and report.engine.trustworthy and report.engine.added_p50_ms is None
    assert json.loads(json.dumps(report.as_facts()))["accounting"]["after"]["completed"] == len(after)
    warm = rows[rows["phase"] == "warmup"]
    assert (warm["due_ns"] < report.measure_ns).all() and (rows["due_ns"] < report.end_ns).all()


def test_the_same_seed_sends_the_same_requests_again(run: Run, service: HostileService) -> None:
    declare(run)
    first, second = [measure(run, service, block=block) for block in (0, 1)]
    assert first.digest == second.digest
    rows = run.requests()
    keys = [list(rows[rows["block"] == block].sort_values("slot")["key"]) for block in (0, 1)]
    assert keys[0] == keys[1]


def test_the_engine_checks_itself_first(run: Run, service: HostileService) -> None:
    declare(run)
    engine = measure(run, service, selfcheck=True).engine
    assert engine.added_p50_ms is not None and engine.added_p99_ms is not None
    assert 0 < engine.added_p50_ms <= engine.added_p99_ms
    assert "its own echo" in engine.detail


FAULTS = {
    "/error": "unexpected", "/not-json": "unexpected", "/no-field": "unexpected", "/redirect": "unexpected",
    "/reset": "reset", "/too-short": "reset", "/silence": "reset", "/half-chunk": "reset",
    "/garbage": "protocol", "/too-long": "protocol", "/bad-chunk": "protocol", "/upgrade": "protocol",
    "/hang": "timeout", "/hang-body": "timeout", "/drip": "timeout",
    "/ok": None, "/slow": None, "/gzip": None, "/leaves": "unexpected",
}  # fmt: skip


def test_every_fault_ends_in_the_right_row(run: Run, service: HostileService) -> None:
    declare(run, workload=routed(*FAULTS, rate="250/s", timeout="1500ms"))
    rows = check(run, measure(run, service))
    assert set(rows["route"]) == {path.strip("/") for path in FAULTS}
    for path, error in FAULTS.items():
        mine = rows[rows["route"] == path.strip("/")]
        assert set(mine["error"].astype(object).where(mine["error"].notna(), None)) == {error}, path
    assert set(rows[rows["route"] == "error"]["status"]) == {500}
    assert (rows["done_ns"].notna() == (rows["error"].isna() | (rows["error"] == "unexpected"))).all()


def test_a_refused_connection_is_no_answer(run: Run) -> None:
    declare(run)
    with HostileService().running() as gone:
        url = gone.url
    report = measure(run, url)
    rows = check(run, report)
    assert set(rows["error"]) == {"connect"} and rows["sent_ns"].isna().all()
    assert report.accounting["before"].failed == len(rows)


def test_a_service_that_stops_meanwhile(run: Run) -> None:
    declare(run)
    with HostileService().running() as service:
        stopper = threading.Thread(target=lambda: (until(lambda: service.seen["ok"] > 20), service.stop()))
        stopper.start()
        report = measure(run, service, measure_s=1.0)
        stopper.join()
    rows = check(run, report)
    assert rows["error"].isna().sum() > 15
    assert set(rows["error"].dropna()) <= {"reset", "connect"} and (rows["error"] == "connect").any()


def test_a_frozen_service_is_waited_for_by_everybody_who_came_meanwhile(run: Run, service: HostileService) -> None:
    """Coordinated omission: each request due in the freeze waits until its end at least, and none is left out."""
    declare(run)
    origin_ns = run.manifest["origin_ns"]

    def freeze() -> None:
        until(lambda: service.seen["ok"] > 10)
        service.frozen_until = time.monotonic() + 0.4

    freezer = threading.Thread(target=freeze)
    freezer.start()
    report = measure(run, service, measure_s=1.0)
    freezer.join()
    rows = check(run, report)
    thawed_ns = round(service.frozen_until * 1e9) - origin_ns
    frozen = rows[(rows["due_ns"] > thawed_ns - 350_000_000) & (rows["due_ns"] < thawed_ns)]
    assert rows["error"].isna().all() and len(frozen) > 10
    assert (frozen["done_ns"] >= thawed_ns - 1_000_000).all()
    assert frozen["sent_ns"].lt(thawed_ns).all()  # sent when due, not when the service was back
    assert frozen["connection"].is_unique


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_an_interruption_stops_the_engine_and_keeps_every_row(run: Run, service: HostileService) -> None:
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


def engines() -> list[psutil.Process]:
    """Engines of this process."""
    return [child for child in psutil.Process().children() if "luckyhit.measure.engine" in " ".join(child.cmdline())]


def test_an_engine_that_is_killed_is_told_and_what_it_wrote_can_be_read(run: Run, service: HostileService) -> None:
    declare(run)

    def kill(done_s: float, total_s: float) -> None:
        if any((run.path / "requests").glob("*.parquet")):
            engines()[0].kill()

    plan = BlockPlan(0, "baseline", {"before": service.url}, 0.0, 60.0, 5, selfcheck=False)
    with pytest.raises(NotEnoughData, match="ended with status -9"):
        measure_block(run, plan, on_progress=kill)
    assert len(run.requests()) > 10 and not engines()


def test_the_engine_ends_when_its_owner_dies(run: Run, service: HostileService, tmp_path: Path) -> None:
    declare(run)
    order = {
        "block": 0, "seed": 1, "warmup_s": 0.0, "measure_s": 60.0, "targets": {"before": service.url}, "headers": {},
        "selfcheck": False, "closed": 0, "directory": str(run.path), "origin_ns": run.manifest["origin_ns"],
        **order_of(run.case),
    }  # fmt: skip
    script = "import json, sys; from luckyhit.measure.block import run_engine; run_engine(json.loads(sys.argv[1]))"
    owner = subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(order)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "lib")},
    )
    until(lambda: service.seen["ok"] > 10)
    (engine,) = psutil.Process(owner.pid).children()
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    until(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE)
    assert set(run.requests()["error"].dropna()) == {"dropped"}


def test_an_example_of_an_unexpected_answer_is_kept_and_no_secret(run: Run, service: HostileService) -> None:
    declare(run, workload=routed("/no-field"))
    arguments: list[str] = []

    def look(done_s: float, total_s: float) -> None:
        arguments.extend(word for engine in engines() for word in engine.cmdline() + list(engine.environ().values()))

    plan = BlockPlan(0, "baseline", {"before": service.url}, 0.0, 0.5, 5, {"X-Token": "s3cret"}, selfcheck=False)
    report = measure_block(run, plan, on_progress=look)
    assert report.unexpected == """arm before: GET /no-field: no $.id in the body: b'{"other": 1}'"""
    assert report.accounting["before"].failed == report.accounting["before"].scheduled
    assert all(b"X-Token: s3cret\r\n" in head for head in service.heads)
    assert arguments and not any("s3cret" in word for word in arguments)
    assert "s3cret" not in repr(plan) + repr(report)
    assert not any(b"s3cret" in path.read_bytes() for path in run.path.rglob("*") if path.is_file())


def test_requests_that_cannot_be_sent_are_refused_before_any_is(run: Run, service: HostileService) -> None:
    declare(run)
    with pytest.raises(ArgumentError, match="X-Token") as refused:
        measure(run, service, headers={"X-Token": "s3cret\r\nX-Evil: 1"})
    assert "s3cret" not in str(refused.value)
    assert not service.heads and not list((run.path / "requests").iterdir())


FRESHNESS = {
    "write": {"path": "/v/{key}", "body": {"v": "{version}"}}, "read": {"path": "/v/{key}", "version": "$.v"},
    "keys": {"first": 1000, "last": 1100}, "within": "0s", "horizon": "100ms", "rate": "20/s",
}  # fmt: skip


class Versions(HostileService):
    """Keeps one number for each key under /v."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, int] = {}

    async def _answer(self, name: str, writer: Any) -> bool:
        if name != "v":
            return await super()._answer(name, writer)
        method, path, _ = self.heads[-1].decode().split(" ", 2)
        if method == "PUT":
            self.kept[path] = json.loads(self.bodies[-1])["v"]
        body = json.dumps({"v": self.kept.get(path, 1)}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\ncache-status: a; fwd=miss\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        )
        return True


def test_the_freshness_probe_runs_beside_the_load(run: Run) -> None:
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
    assert not set(reads["connection"]) & set(run.requests()["connection"])


def test_a_probe_that_cannot_work_stops_the_block_before_any_load(run: Run, service: HostileService) -> None:
    declare(run, freshness={**FRESHNESS, "read": {"path": "/ok/{key}", "version": "$.version"}})
    with pytest.raises(ResponseUnexpected, match="finds no version") as refused:
        measure(run, service)
    assert "freshness.read" in refused.value.hint
    assert not list((run.path / "requests").iterdir())
