"""Limits on what a run may do to its target's users: what counts, and that the load stops at once, with every row."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
import uvloop
from hostile_service import ANSWERS, Do, HostileService, Step, Versions
from hypothesis import given
from hypothesis import strategies as st
from measured_block import BASIC, FRESHNESS, check, declare, engines, measure

from luckyhit.case.workload import Workload
from luckyhit.case_run import CaseRun
from luckyhit.errors import LimitExceeded
from luckyhit.load.block import config_of
from luckyhit.load.block_context import BlockContext
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.limits import Counts, LimitWatch, WatchedLimits, Window
from luckyhit.load.schedule import schedule_for
from luckyhit.load.sharding.engine_pool import run_engine
from luckyhit.records import Arm, RequestError
from tier import one_of_many

SECOND = 1_000_000_000
LIMITS = {"error_rate": 0.1, "p99_ms": 500.0, "window_s": 30.0, "fewest": 20}
"""Of a window that is longer than any of these tests."""
FAILED = re.compile(r"(before|after) arm: (\d+) of (\d+) requests failed in the last 30 s \([\d.]+ %; limit 10 %\)")
LATE = re.compile(r"(before) arm: (\d+) of (\d+) requests were not answered within 500 ms in the last 30 s \(.*\)")

# What is counted

ends = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=200)
"""Requests that end: how many steps after the last one, failed or not, slow or not."""


@given(ends, st.integers(1, 12))
def test_the_window_has_what_ended_in_its_steps(requests: list[tuple[int, bool, bool]], steps: int) -> None:
    window, step, ended = Window(steps), 0, []
    for later, failed, slow in requests:
        window.move(later)
        step += later
        window.ended += 1
        window.failed += failed
        window.slow += slow
        ended.append((step, failed, slow))
        inside = [one for one in ended if one[0] > step - steps]
        assert window.counts() == (len(inside), sum(one[1] for one in inside), sum(one[2] for one in inside), 0)


@given(
    st.lists(st.integers(0, 40), max_size=300),
    st.integers(0, 300),
    st.integers(0, 20),
    st.sampled_from([0.001, 0.07, 0.1, 0.29, 1.0]),
    st.integers(5, 120),
)
def test_a_limit_is_exceeded_by_its_definition(
    took_ms: list[int], failed: int, waiting: int, error_rate: float, fewest: int
) -> None:
    failed = min(failed, len(took_ms))
    counts = Counts(len(took_ms), failed, sum(took > 30 for took in took_ms), waiting)

    by_errors = WatchedLimits(error_rate=error_rate, fewest=fewest).exceeded("after", counts)
    allowed = next(
        count for count in range(len(took_ms), -1, -1) if count * 1000 <= round(error_rate * 1000) * len(took_ms)
    )
    assert (by_errors is not None) == (len(took_ms) >= fewest and failed > allowed)

    by_latency = WatchedLimits(p99_ms=30.0, fewest=fewest).exceeded("after", counts)
    # An unanswered request takes longer than any that was answered in time.
    all_ms = sorted([*took_ms, *[31] * waiting])
    within = sum(took <= 30 for took in all_ms)
    too_slow = within * 100 < 99 * len(all_ms)
    assert (by_latency is not None) == (len(all_ms) >= fewest and too_slow and len(all_ms) - within > 1)

    both = WatchedLimits(error_rate=error_rate, p99_ms=30.0, fewest=fewest).exceeded("after", counts)
    assert both == (by_errors or by_latency)


def test_the_sentence_has_the_figures() -> None:
    limits = WatchedLimits(error_rate=0.1, p99_ms=2000.0, window_s=5.0, fewest=50)
    for arm, counts, figures in (
        ("after", Counts(120, 37, 0, 0), ["after arm", "37 of 120", "5 s", "30.8 %", "limit 10 %"]),
        ("before", Counts(291, 5, 5, 9), ["before arm", "14 of 300", "2 s", "4.67 %", "9 of them", "limit 1 %"]),
    ):
        sentence = limits.exceeded(arm, counts)
        assert sentence is not None and all(figure in sentence for figure in figures)


def test_only_what_is_declared_is_limited() -> None:
    all_wrong = Counts(1000, 1000, 1000, 1000)
    for facts in (None, {}, {"window_s": 5.0, "fewest": 50, "p99_ms": None}):
        assert WatchedLimits.of(facts) is None
    errors = WatchedLimits.of({"error_rate": 0.5, "p99_ms": None})
    latency = WatchedLimits.of({"p99_ms": 100.0, "fewest": 9})
    assert errors is not None and latency is not None
    assert errors.exceeded("after", Counts(1000, 0, 1000, 1000)) is None
    assert latency.exceeded("after", Counts(1000, 1000, 0, 0)) is None
    assert errors.exceeded("after", all_wrong) and latency.exceeded("after", all_wrong)


def answered(after_ns: int, error: RequestError | None = None) -> HttpResponse:
    return HttpResponse(done_ns=after_ns, status=200, error=error, connection=1)


@pytest.mark.parametrize(
    ("responses", "counts"),
    [
        (
            [
                ("before", answered(SECOND // 2), 0),
                ("after", answered(SECOND // 2), 0),
                ("after", answered(2 * SECOND), 0),
                ("after", answered(SECOND // 2, "unexpected"), 0),
                ("after", answered(2 * SECOND, "unexpected"), 0),
                ("after", HttpResponse(error="timeout"), 0),
            ],
            {"before": Counts(1, 0, 0, 0), "after": Counts(5, 3, 3, 0)},
        ),
        (  # what the engine itself did does not count against the service
            [
                ("before", HttpResponse(error="dropped"), 0),
                ("before", HttpResponse(error="dropped"), 3 * SECOND),
                ("before", answered(2 * SECOND), SECOND + 1),
                ("after", answered(2 * SECOND), SECOND - 1),
            ],
            {"before": Counts(1, 0, 0, 0), "after": Counts(1, 0, 1, 0)},
        ),
    ],
)
def test_an_arm_counts_its_own_requests(
    responses: list[tuple[Arm, HttpResponse, int]], counts: dict[Arm, Counts]
) -> None:
    """Responses with their times from the instant they were due, and how late the engine sent their requests."""
    reported: list[dict[Arm, Counts]] = []

    async def main() -> None:
        facts = {"seed": 1, "rate": "100/s", "timeout": "5s", "routes": [{"name": "item", "path": "/"}]}
        schedule = schedule_for(Workload.model_validate(facts), 10.0, 1)
        targets: dict[Arm, str] = {"before": "http://127.0.0.1:1", "after": "http://127.0.0.1:1"}
        context = BlockContext(schedule, targets, warmup_ns=SECOND, timeout_s=5.0, limit=10)
        watch = LimitWatch(WatchedLimits(p99_ms=1000.0), context, on_exceeded=lambda _: None, on_counts=reported.append)
        context.begin(20 * SECOND)
        for slot, (arm, response, late_ns) in enumerate(responses):
            due_ns = context.start_ns + int(schedule.due_ns[slot])
            context.recorder.late_ns[slot] = late_ns + 1
            if response.done_ns is not None:
                response.sent_ns = response.first_byte_ns = due_ns + late_ns
                response.done_ns += due_ns
            watch.record(slot, context.arms.index(arm), response)
        watch.close()

    uvloop.run(main())
    assert reported[-1] == counts


# What a load does

HEALTHY = 50
ENDS: Mapping[str, tuple[Step | Do, ...]] = {
    "fails": (ANSWERS["error"],),
    "closes": (Do.RESET,),
    "freezes": (Do.HANG,),
    "slows down": (1.0, ANSWERS["ok"]),
    "leaves": (),
}


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


def stopped(run: CaseRun, *services: HostileService, **plan: Any) -> tuple[LimitExceeded, pd.DataFrame]:
    """What was raised, and the rows: each request has one, and those that the service got are among the sent ones."""
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


@pytest.mark.parametrize("end", [one_of_many(end, quick=end in ("fails", "freezes")) for end in ENDS])
def test_a_service_that_begins_to_suffer_is_left_alone(run: CaseRun, end: str) -> None:
    declare(run)
    with Turning(ENDS[end]).running() as service:
        error, rows = stopped(run, service)
    figures = (LATE if end in ("freezes", "slows down") else FAILED).fullmatch(error.message)
    assert figures is not None, error.message
    wrong, requests = int(figures[2]), int(figures[3])
    assert figures[1] == "before" and requests >= HEALTHY
    assert rows["error"].isna().sum() >= HEALTHY
    if end == "fails":
        # Not one more than it took to see it.
        assert wrong > 0.1 * requests and wrong - 1 <= 0.1 * (requests - 1)


@pytest.mark.parametrize(
    ("every", "limits"),
    [
        (20, {"error_rate": 0.1, "p99_ms": 20_000.0, "window_s": 1.0, "fewest": 40}),
        one_of_many(1, {**LIMITS, "fewest": 500}, quick=False),  # fewer than a window must have
    ],
)
def test_a_load_within_its_limits_is_not_stopped(run: CaseRun, every: int, limits: dict[str, float]) -> None:
    declare(run)
    with Turning((ANSWERS["error"],), healthy=0, every=every).running() as service:
        report = measure(run, service, measure_s=0.8, limits=limits)
    check(run, report)
    assert report.stopped is None and report.accounting["before"].dropped == 0
    assert report.accounting["before"].failed == service.asked // every > 3


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


def test_each_arm_is_watched_in_the_warm_up_too(run: CaseRun) -> None:
    declare(run)
    # One failure in six in this arm: over both together it would be fewer than one in ten.
    with HostileService().running() as well, Turning((ANSWERS["error"],), healthy=0, every=6).running() as badly:
        error, rows = stopped(run, well, badly, warmup_s=60.0, measure_s=0.0, limits={**LIMITS, "fewest": 60})
    figures = FAILED.fullmatch(error.message)
    assert figures is not None and figures[1] == "after" and int(figures[3]) >= 60
    assert set(error.report.accounting) == {"before", "after"} and set(rows["phase"]) == {"warmup"}
    assert set(rows[rows["arm"] == "before"]["error"].dropna()) <= {"dropped"}


def test_several_workers_are_watched_together(run: CaseRun) -> None:
    declare(run, workload={**BASIC["workload"], "workers": 2})
    with Turning((ANSWERS["error"],)).running() as service:
        error, rows = stopped(run, service, limits={**LIMITS, "fewest": 60})
    figures = FAILED.fullmatch(error.message)
    assert figures is not None and int(figures[3]) >= 60
    assert set(rows["worker"]) == {0, 1}
    for _, sent in rows[rows["error"] != "dropped"].groupby("worker"):
        assert 0 < len(sent) < int(figures[3])


def test_a_closed_loop_is_stopped_too(run: CaseRun) -> None:
    declare(run)
    with Turning((ANSWERS["error"],)).running() as service:
        config = config_of(
            run.case, seed=1, warmup_s=0.0, measure_s=60.0, targets={"before": service.url}, selfcheck=False, closed=4,
            directory=run.path, origin_ns=time.monotonic_ns(), limits=WatchedLimits.of(LIMITS),
        )  # fmt: skip
        facts = run_engine(config)
    figures, counts = FAILED.fullmatch(facts["stopped"]), facts["accounting"]["before"]
    assert figures is not None
    assert counts["completed"] == HEALTHY and counts["failed"] >= int(figures[2])
    assert sum(counts.values()) == 2 * counts["scheduled"] and counts["scheduled"] <= int(figures[3]) + 2 * 4


def test_the_probe_stops_with_the_load_and_puts_back(run: CaseRun) -> None:
    declare(run, freshness=FRESHNESS)
    with Turning((ANSWERS["error"],), healthy=100).running() as service:
        error, _ = stopped(run, service)
        assert isinstance(service, Turning) and service.kept and set(service.kept.values()) == {1}
    probe = error.report.probe
    assert 0 < probe["probes"] < 60 and probe["writes"] == len(run.writes()) > 0
    assert probe["put_back"]["before"] > 0 and probe["not_put_back"] == {"before": 0}


@pytest.mark.slow
def test_a_frozen_service_leaves_keys_not_put_back(run: CaseRun) -> None:
    class Frozen(Turning):
        async def _answer(self, name: str, writer: Any) -> bool:
            return await super()._answer("turned" if self.asked > 100 else name, writer)

    declare(run, workload={**BASIC["workload"], "timeout": "300ms"}, freshness=FRESHNESS)
    with Frozen((Do.HANG,), healthy=100).running() as service:
        error, _ = stopped(run, service)
    assert error.report.probe["not_put_back"]["before"] > 0
    assert any("put back" in problem for problem in error.report.probe["problems"])


@pytest.mark.parametrize("warmup_s", [0.5, one_of_many(0.0, quick=False)])
def test_a_wash_out_is_warm_up_without_probe_or_self_check(run: CaseRun, warmup_s: float) -> None:
    declare(run, freshness=FRESHNESS)
    totals: set[float] = set()
    plan = {"block": 7, "warmup_s": warmup_s, "measure_s": 0.0, "selfcheck": True, "limits": LIMITS}
    with Versions().running() as versions:
        report = measure(run, versions, on_progress=lambda done_s, total_s: totals.add(total_s), **plan)
        assert not versions.seen["v"] and (len(versions.heads) > 0) == (warmup_s > 0)
    assert report.measure_ns == report.end_ns == report.start_ns + warmup_s * 1e9
    assert report.probe == {} and not run.writes().size
    assert report.engine.added_p50_ms is None and report.stopped is None and totals <= {warmup_s}
    if warmup_s:
        rows = check(run, report)
        assert set(rows["phase"]) == {"warmup"} and set(rows["block"]) == {7} and rows["error"].isna().all()
