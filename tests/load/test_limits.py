"""A service that begins to suffer in the middle of a block: the load stops at once, and everything is accounted for."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hostile_service import ANSWERS, Do, HostileService, Step, Versions
from measured_block import BASIC, FRESHNESS, check, declare, engines, measure

from luckyhit.case.docs.template import new_case
from luckyhit.case_run import CaseRun
from luckyhit.errors import LimitExceeded
from luckyhit.load.block import config_of
from luckyhit.load.limits import WatchedLimits
from luckyhit.load.worker_pool import run_engine

LIMITS = {"error_rate": 0.1, "p99_ms": 500.0, "window_s": 30.0, "fewest": 20}
"""Of a window that is longer than any of these tests."""
HEALTHY = 50
ENDS: Mapping[str, tuple[Step | Do, ...]] = {
    "fails": (ANSWERS["error"],),
    "closes": (Do.RESET,),
    "freezes": (Do.HANG,),
    "slows down": (1.0, ANSWERS["ok"]),
    "leaves": (),
}
FAILED = re.compile(r"(before|after) arm: (\d+) of (\d+) requests failed in the last 30 s \([\d.]+ %; limit 10 %\)")
LATE = re.compile(
    r"(before|after) arm: (\d+) of (\d+) requests were not answered within 500 ms in the last 30 s \(.*\)"
)


class Turning(Versions):
    """Answers `healthy` requests (of each `every`), then does something else: `steps`, or nothing: its port closes."""

    def __init__(self, steps: tuple[Step | Do, ...], *, healthy: int = HEALTHY, every: int = 1) -> None:
        super().__init__()
        self.scripts["turned"] = steps
        self._steps, self._healthy, self._every = steps, healthy, every
        self.asked = 0

    async def _answer(self, name: str, writer: Any) -> bool:
        if name == "v":
            return await super()._answer(name, writer)
        self.asked += 1
        if self.asked <= self._healthy or self.asked % self._every:
            return await super()._answer(name, writer)
        if not self._steps:
            self._over.set()
            return False
        return await super()._answer("turned", writer)


@pytest.fixture
def run(tmp_path: Path) -> CaseRun:
    case_file = tmp_path / "some-case.yml"
    case_file.write_text(new_case("some-case"))
    return CaseRun.create(tmp_path / "runs", case_file, now=datetime(2025, 1, 2), manifest={})


def stopped(run: CaseRun, *services: HostileService, **plan: Any) -> tuple[LimitExceeded, pd.DataFrame]:
    """What was raised, and the rows. Every one is there, and none was sent that isn't told."""
    settings = {"warmup_s": 0.0, "measure_s": 60.0, "limits": LIMITS, **plan}
    with pytest.raises(LimitExceeded) as caught:
        measure(run, *services, **settings)
    assert not engines()
    error = caught.value
    rows = check(run, error.report)
    length_s = settings["warmup_s"] + settings["measure_s"]
    assert 90 * length_s < rows["slot"].max() < 110 * length_s
    assert (rows["error"] == "dropped").sum() > len(rows) / 2
    for arm, service in zip(("before", "after"), services, strict=False):
        service.stop()
        sent = rows[rows["arm"] == arm]["sent_ns"].notna().sum()
        assert HEALTHY <= service.seen["ok"] <= sent + error.report.retried
    assert error.report.stopped == error.message and error.exit_code == 4 and "target.limits" in error.hint
    assert json.loads(json.dumps(error.report.as_facts()))["stopped"] == error.message
    return error, rows


@pytest.mark.parametrize("end", ENDS)
def test_a_service_that_begins_to_suffer_is_asked_no_more(run: CaseRun, end: str) -> None:
    declare(run)
    with Turning(ENDS[end]).running() as service:
        error, rows = stopped(run, service)
    told = (LATE if end in ("freezes", "slows down") else FAILED).fullmatch(error.message)
    assert told is not None, error.message
    arm, wrong, requests = told[1], int(told[2]), int(told[3])
    assert arm == "before" and requests >= HEALTHY
    assert rows["error"].isna().sum() >= HEALTHY
    if end == "freezes":
        assert f"{wrong} of them still waiting" in error.message
    if end == "fails":
        # Not one more than it took to see it.
        assert wrong > 0.1 * requests and wrong - 1 <= 0.1 * (requests - 1)


def test_a_service_that_serves_well_enough_is_never_stopped(run: CaseRun) -> None:
    declare(run)
    limits = {"error_rate": 0.1, "p99_ms": 20_000.0, "window_s": 1.0, "fewest": 40}
    with Turning((ANSWERS["error"],), healthy=0, every=20).running() as service:
        report = measure(run, service, measure_s=1.0, limits=limits)
    check(run, report)
    assert report.stopped is None and report.accounting["before"].dropped == 0
    assert report.accounting["before"].failed == service.asked // 20 > 3


def test_fewer_failures_than_a_window_must_hold_stop_nobody(run: CaseRun) -> None:
    declare(run)
    with Turning((ANSWERS["error"],), healthy=0).running() as service:
        report = measure(run, service, limits={**LIMITS, "fewest": 500})
    check(run, report)
    assert report.stopped is None and report.accounting["before"].failed == report.accounting["before"].scheduled < 500


@pytest.mark.slow
def test_an_engine_that_stood_still_blames_nobody(run: CaseRun) -> None:
    declare(run, workload={**BASIC["workload"], "rate": "50/s"})
    paused: list[int] = []

    def pause(done_s: float, total_s: float) -> None:
        if not paused and service.seen["ok"] > 10:
            (engine,) = engines()
            paused.append(engine.pid)
            os.kill(engine.pid, signal.SIGSTOP)
            threading.Timer(1.0, os.kill, (engine.pid, signal.SIGCONT)).start()

    with HostileService().running() as service:
        report = measure(run, service, measure_s=2.0, limits={**LIMITS, "fewest": 5}, on_progress=pause)
    rows = check(run, report)
    assert paused and report.stopped is None
    assert ((rows["done_ns"] - rows["due_ns"]) > 500e6).sum() > 10


def test_each_arm_is_watched_apart_and_the_warm_up_counts_too(run: CaseRun) -> None:
    declare(run)
    # One failure in six in this arm: over both together it would be fewer than one in ten.
    with HostileService().running() as well, Turning((ANSWERS["error"],), healthy=0, every=6).running() as badly:
        error, rows = stopped(run, well, badly, warmup_s=60.0, measure_s=0.0, limits={**LIMITS, "fewest": 60})
    told = FAILED.fullmatch(error.message)
    assert told is not None and told[1] == "after" and int(told[3]) >= 60
    assert set(error.report.accounting) == {"before", "after"} and set(rows["phase"]) == {"warmup"}
    assert set(rows[rows["arm"] == "before"]["error"].dropna()) <= {"dropped"}


def test_several_workers_are_watched_together_and_all_stop(run: CaseRun) -> None:
    declare(run, workload={**BASIC["workload"], "workers": 3})
    with Turning((ANSWERS["error"],)).running() as service:
        error, rows = stopped(run, service, limits={**LIMITS, "fewest": 60})
    told = FAILED.fullmatch(error.message)
    assert told is not None and int(told[3]) >= 60
    assert set(rows["worker"]) == {0, 1, 2}
    for _, sent in rows[rows["error"] != "dropped"].groupby("worker"):
        assert 0 < len(sent) < int(told[3])
    assert "3 workers" in error.report.engine.detail


def test_a_closed_loop_is_stopped_too(run: CaseRun) -> None:
    declare(run)
    with Turning((ANSWERS["error"],)).running() as service:
        config = config_of(
            run.case, seed=1, warmup_s=0.0, measure_s=60.0, targets={"before": service.url}, selfcheck=False, closed=4,
            directory=run.path, origin_ns=time.monotonic_ns(), limits=WatchedLimits.of(LIMITS),
        )  # fmt: skip
        facts = run_engine(config)
    told, counts = FAILED.fullmatch(facts["stopped"]), facts["accounting"]["before"]
    assert told is not None
    assert counts["completed"] == HEALTHY and counts["failed"] >= int(told[2])
    assert sum(counts.values()) == 2 * counts["scheduled"] and counts["scheduled"] <= int(told[3]) + 2 * 4


def test_the_probe_stops_with_the_load_and_puts_back_what_it_wrote(run: CaseRun) -> None:
    declare(run, freshness=FRESHNESS)
    with Turning((ANSWERS["error"],), healthy=100).running() as service:
        error, _ = stopped(run, service)
        assert isinstance(service, Turning) and service.kept and set(service.kept.values()) == {1}
    probe = error.report.probe
    assert 0 < probe["probes"] < 60 and probe["writes"] == len(run.writes()) > 0
    assert probe["put_back"]["before"] > 0 and probe["not_put_back"] == {"before": 0}


@pytest.mark.slow
def test_a_probe_whose_service_froze_tells_what_it_could_not_put_back(run: CaseRun) -> None:
    class Frozen(Turning):
        async def _answer(self, name: str, writer: Any) -> bool:
            return await super()._answer("turned" if self.asked > 100 else name, writer)

    declare(run, workload={**BASIC["workload"], "timeout": "300ms"}, freshness=FRESHNESS)
    with Frozen((Do.HANG,), healthy=100).running() as service:
        error, _ = stopped(run, service)
    assert error.report.probe["not_put_back"]["before"] > 0
    assert any("put back" in problem for problem in error.report.probe["problems"])


@pytest.fixture
def versions() -> Iterator[Turning]:
    with Turning((ANSWERS["error"],), healthy=1_000_000).running() as service:
        assert isinstance(service, Turning)
        yield service


def test_a_wash_out_is_all_warm_up_without_probe_or_self_check(run: CaseRun, versions: Turning) -> None:
    declare(run, freshness=FRESHNESS)
    seen: list[float] = []
    plan = {"block": 7, "warmup_s": 0.5, "measure_s": 0.0, "selfcheck": True, "limits": LIMITS}
    report = measure(run, versions, on_progress=lambda done_s, total_s: seen.append(total_s), **plan)
    rows = check(run, report)
    assert set(rows["phase"]) == {"warmup"} and set(rows["block"]) == {7} and rows["error"].isna().all()
    assert report.measure_ns == report.end_ns == report.start_ns + 500_000_000
    assert report.probe == {} and not run.writes().size and not versions.seen["v"]
    assert report.engine.added_p50_ms is None and report.stopped is None
    assert set(seen) <= {0.5}


def test_a_wash_out_of_no_time_sends_nothing(run: CaseRun, versions: Turning) -> None:
    declare(run)
    report = measure(run, versions, warmup_s=0.0, measure_s=0.0, limits=LIMITS)
    assert report.accounting["before"].scheduled == 0 and not versions.heads
