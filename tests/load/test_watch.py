"""Limits on what a run may do to its target's users: what is counted, and that it stops nobody without need."""

from __future__ import annotations

import uvloop
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.workload import Workload
from luckyhit.load.block_context import Job
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.limits import Counts, Watch, WatchedLimits, Window
from luckyhit.load.schedule import schedule_for
from luckyhit.load.signals import Signals
from luckyhit.records import Arm, RequestError

SECOND = 1_000_000_000
ENDS = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=200)
"""Requests that end: so many steps later than the one before, failed or not, slow or not."""


@given(ENDS, st.integers(1, 12))
def test_the_window_holds_what_ended_in_its_steps_and_nothing_else(
    ends: list[tuple[int, bool, bool]], steps: int
) -> None:
    window, step, seen = Window(steps), 0, []
    for later, failed, slow in ends:
        window.move(later)
        step += later
        window.ended += 1
        window.failed += failed
        window.slow += slow
        seen.append((step, failed, slow))
        inside = [one for one in seen if one[0] > step - steps]
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
    # An unanswered request will have taken longer than any that was answered in time.
    all_ms = sorted([*took_ms, *[31] * waiting])
    within = sum(took <= 30 for took in all_ms)
    too_slow = within * 100 < 99 * len(all_ms)
    assert (by_latency is not None) == (len(all_ms) >= fewest and too_slow and len(all_ms) - within > 1)

    both = WatchedLimits(error_rate=error_rate, p99_ms=30.0, fewest=fewest).exceeded("after", counts)
    assert both == (by_errors or by_latency)


def test_the_sentence_has_the_figures() -> None:
    limits = WatchedLimits(error_rate=0.1, p99_ms=2000.0, window_s=5.0, fewest=50)
    assert limits.exceeded("after", Counts(120, 37, 0, 0)) == (
        "after arm: 37 of 120 requests failed in the last 5 s (30.8 %; limit 10 %)"
    )
    assert limits.exceeded("before", Counts(291, 5, 5, 9)) == (
        "before arm: 14 of 300 requests were not answered within 2 s in the last 5 s (4.67 %, 9 of them still waiting; "
        "limit 1 %, which is a p99 of 2 s)"
    )


def test_only_what_is_declared_is_limited() -> None:
    all_wrong = Counts(1000, 1000, 1000, 1000)
    assert (
        WatchedLimits.of(None)
        is WatchedLimits.of({})
        is WatchedLimits.of({"window_s": 5.0, "fewest": 50, "p99_ms": None})
        is None
    )
    errors, latency = (
        WatchedLimits.of({"error_rate": 0.5, "p99_ms": None}),
        WatchedLimits.of({"p99_ms": 100.0, "fewest": 9}),
    )
    assert errors is not None and latency is not None
    assert errors.exceeded("after", Counts(1000, 0, 1000, 1000)) is None
    assert latency.exceeded("after", Counts(1000, 1000, 0, 0)) is None
    assert errors.exceeded("after", all_wrong) and latency.exceeded("after", all_wrong)


def watched(*ends: tuple[Arm, HttpResponse, int]) -> dict[Arm, Counts]:
    """What is counted of answers (their times from the instant they were due), which the engine itself sent so late."""
    told: list[dict[Arm, Counts]] = []

    async def main() -> None:
        routes = [{"name": "item", "path": "/"}]
        workload = Workload.model_validate({"seed": 1, "rate": "100/s", "timeout": "5s", "routes": routes})
        job = Job.make(
            schedule_for(workload, 10.0, 1),
            {"before": "http://127.0.0.1:1", "after": "http://127.0.0.1:1"},
            block=0,
            origin_ns=0,
            warmup_ns=SECOND,
            timeout_s=5.0,
            headers={},
            signals=Signals(),
            expected=None,
            directory=None,
            limit=10,
        )
        watch = Watch(WatchedLimits(p99_ms=1000.0), job, on_exceeded=lambda _: None, on_counts=told.append)
        job.begin(20 * SECOND)
        for slot, (arm, answer, late_ns) in enumerate(ends):
            due_ns = job.start_ns + int(job.schedule.due_ns[slot])
            job.rows.late_ns[slot] = late_ns + 1
            if answer.done_ns is not None:
                answer.sent_ns = answer.first_byte_ns = due_ns + late_ns
                answer.done_ns += due_ns
            watch.settle(slot, job.arms.index(arm), answer)
        watch.close()

    uvloop.run(main())
    return told[-1]


def answered(after_ns: int, error: RequestError | None = None) -> HttpResponse:
    return HttpResponse(done_ns=after_ns, status=200, error=error, connection=1)


def test_an_arm_has_the_errors_and_latencies_of_its_own_requests() -> None:
    counts = watched(
        ("before", answered(SECOND // 2), 0),
        ("after", answered(SECOND // 2), 0),
        ("after", answered(2 * SECOND), 0),
        ("after", answered(SECOND // 2, "unexpected"), 0),
        ("after", answered(2 * SECOND, "unexpected"), 0),
        ("after", HttpResponse(error="timeout"), 0),
    )
    assert counts == {"before": Counts(1, 0, 0, 0), "after": Counts(5, 3, 3, 0)}


def test_what_the_engine_itself_did_does_not_count_against_the_service() -> None:
    counts = watched(
        ("before", HttpResponse(error="dropped"), 0),
        ("before", HttpResponse(error="dropped"), 3 * SECOND),
        ("before", answered(2 * SECOND), SECOND + 1),
        ("after", answered(2 * SECOND), SECOND - 1),
    )
    assert counts == {"before": Counts(1, 0, 0, 0), "after": Counts(1, 0, 1, 0)}
