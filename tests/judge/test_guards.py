"""Each guard trips on its own fault, says what it saw, and what to do; and stays quiet otherwise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from luckyhit.records import Guard, Result
from luckyhit.text.messages import guard_title
from tier import in_turn

GOALS = {"hit_ratio": {"want": "better", "margin": "5 %"}}


def guard(result: Result, name: str) -> Guard:
    (found,) = (guard for guard in result.guards if guard.id == name)
    return found


def test_a_clean_run_passes_all_of_them(simulate, case_with) -> None:
    result = simulate(1).judge(case_with(GOALS))
    assert [guard.id for guard in result.guards if not guard.ok] == []
    assert {guard.id for guard in result.guards} == {
        "accounting-exact", "clock-monotonic", "engine-trustworthy", "arms-exposed-to-the-same-slots",
        "same-cache-state-at-block-start", "hit-ratio-stationary-after-warm-up", "enough-distinct-keys",
        "sample-size-sane", "dropped-share-small", "declared-difference-only", "answers-as-expected",
        "the-probes-writes-are-seen", "arms-warmed-up-alike",
    }  # fmt: skip
    assert all(guard.detail for guard in result.guards)


def duplicate(run) -> None:  # type: ignore[no-untyped-def]
    rows = run.requests[run.rows("after")].index[200:260]
    run.requests.loc[rows, "slot"] = run.requests.loc[rows[0], "slot"]


def lose_rows(run) -> None:  # type: ignore[no-untyped-def]
    run.requests = run.requests.drop(run.requests[run.rows("after")].index[300:340])


def unanswered(run) -> None:  # type: ignore[no-untyped-def]
    run.requests.loc[run.requests.index[400:410], "done_ns"] = None


def miscounted(run) -> None:  # type: ignore[no-untyped-def]
    counts = {"scheduled": 901, "completed": 901, "failed": 0, "timed_out": 0, "dropped": 0}
    run.blocks[1]["accounting"] = {"before": counts}


def negative(run) -> None:  # type: ignore[no-untyped-def]
    run.requests.loc[run.requests.index[400:410], "done_ns"] -= 1_000_000_000


def early(run) -> None:  # type: ignore[no-untyped-def]
    run.requests.loc[run.requests.index[400:410], "sent_ns"] -= 5_000_000


def infinite(run) -> None:  # type: ignore[no-untyped-def]
    run.requests["done_ns"] = run.requests["done_ns"].astype(float)
    run.requests.loc[run.requests.index[400:410], "done_ns"] = np.inf


def slow_engine(run) -> None:  # type: ignore[no-untyped-def]
    run.blocks[2]["engine"] = run.blocks[2]["engine"] | {"trustworthy": False, "detail": "it added 40 ms at p99"}


def silent_engine(run) -> None:  # type: ignore[no-untyped-def]
    del run.blocks[2]["engine"]


def other_keys(run) -> None:  # type: ignore[no-untyped-def]
    after = run.rows("after")
    run.requests.loc[after, "key"] = run.requests.loc[after, "key"].sample(frac=1, random_state=1).to_numpy()


def empty_arm(run) -> None:  # type: ignore[no-untyped-def]
    run.requests = run.requests[~run.rows("after")]


def leftovers(run) -> None:  # type: ignore[no-untyped-def]
    run.blocks[3]["clear"] = run.blocks[3]["clear"] | {"after": run.blocks[3]["clear"]["after"] | {"appeared": 90}}


def no_clear(run) -> None:  # type: ignore[no-untyped-def]
    del run.blocks[3]["clear"]


def one_key(run) -> None:  # type: ignore[no-untyped-def]
    run.requests["key"] = "7"


def three_rows(run) -> None:  # type: ignore[no-untyped-def]
    run.requests = run.requests[run.requests["slot"].between(300, 302)]


def identical(run) -> None:  # type: ignore[no-untyped-def]
    run.requests["sent_ns"] = run.requests["first_byte_ns"] = run.requests["due_ns"]
    run.requests["done_ns"] = run.requests["due_ns"] + 5_000_000


def copied(run) -> None:  # type: ignore[no-untyped-def]
    for column in ("sent_ns", "first_byte_ns", "done_ns", "cache"):
        run.requests.loc[run.rows("after"), column] = run.requests.loc[run.rows("before"), column].to_numpy()


def dropped(run) -> None:  # type: ignore[no-untyped-def]
    rows = run.requests[run.rows("after")].index[::20]
    run.requests.loc[rows, "error"] = "dropped"
    run.requests.loc[rows, ["sent_ns", "first_byte_ns", "done_ns"]] = None


@pytest.mark.parametrize(
    ("fault", "name", "evidence"),
    [
        (duplicate, "accounting-exact", "59 slots are there more than once"),
        (lose_rows, "accounting-exact", "40 slots of the schedule are missing"),
        (unanswered, "accounting-exact", "10 requests have neither an answer nor an error"),
        (miscounted, "accounting-exact", "the engine counted"),
        (negative, "clock-monotonic", "10 rows: done before they were sent"),
        (early, "clock-monotonic", "10 rows: sent before they were due"),
        (infinite, "clock-monotonic", "10 rows: times that are no numbers"),
        (slow_engine, "engine-trustworthy", "block 2: it added 40 ms at p99"),
        (silent_engine, "engine-trustworthy", "no engine check was recorded (blocks 2)"),
        (other_keys, "arms-exposed-to-the-same-slots", "slots ask for something else in the other arm"),
        (lose_rows, "arms-exposed-to-the-same-slots", "have no partner in the other arm"),
        (empty_arm, "arms-exposed-to-the-same-slots", "no measured requests in the after arm"),
        (leftovers, "same-cache-state-at-block-start", "block 3: 0 before, 90 after"),
        (no_clear, "same-cache-state-at-block-start", "no clear was recorded"),
        (one_key, "enough-distinct-keys", "1 distinct keys before, 1 after; 400 declared"),
        (three_rows, "sample-size-sane", "fewer than 100"),
        (identical, "sample-size-sane", "nearly all the same number"),
        (copied, "sample-size-sane", "one is a copy of the other"),
        (dropped, "dropped-share-small", "5 % after"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_fault_trips_its_guard(fault: Callable, name: str, evidence: str, simulate, case_with) -> None:
    run = simulate(2, probed=False)
    fault(run)
    result = run.judge(case_with(GOALS, freshness=False))
    found = guard(result, name)
    assert not found.ok and evidence in found.detail and found.remedy, found
    assert result.verdict == "INVALID"


RAMP = np.concatenate([np.zeros(150), np.linspace(0.1, 0.95, 750)])


def test_a_ramp_in_both_arms_side_by_side_is_fair_and_noted(simulate, case_with) -> None:
    result = simulate(3, before={"hit": RAMP}, after={"hit": RAMP}).judge(case_with(GOALS))
    found = guard(result, "hit-ratio-stationary-after-warm-up")
    assert found.ok and "no steady state" in found.detail
    assert result.verdict == "EQUIVALENT"


def test_a_ramp_in_one_arm_alone_trips(simulate, case_with) -> None:
    result = simulate(3, after={"hit": RAMP}).judge(case_with(GOALS))
    assert not guard(result, "hit-ratio-stationary-after-warm-up").ok


def test_a_ramp_where_arms_took_turns_trips(simulate, case_with) -> None:
    case = case_with(GOALS, design="crossover")
    result = simulate(3, before={"hit": RAMP}, after={"hit": RAMP}, design="crossover").judge(case)
    assert not guard(result, "hit-ratio-stationary-after-warm-up").ok


def test_crossover_pairs_must_replay_the_same_slots(simulate, case_with) -> None:
    case = case_with(GOALS, design="crossover")
    run = simulate(4, design="crossover")
    assert guard(run.judge(case), "arms-exposed-to-the-same-slots").ok
    for entry in run.blocks:
        if entry["stage"] == "change" and entry["arms"] == ["after"]:
            entry["pair"] += 1
    assert not guard(run.judge(case), "arms-exposed-to-the-same-slots").ok


def test_services_without_a_cache_of_their_own(simulate, case_with) -> None:
    run = simulate(5)
    for entry in run.blocks:
        entry |= {"clear": {}, "started": dict.fromkeys(entry["arms"], 4000 + 2 * entry["block"])}
    name = "same-cache-state-at-block-start"
    found = guard(run.judge(case_with(GOALS)), name)
    assert found.ok and "each of 4 blocks" in found.detail
    run.blocks[3]["started"] = run.blocks[2]["started"]
    found = guard(run.judge(case_with(GOALS)), name)
    assert not found.ok and "block 3" in found.detail and found.remedy
    del run.blocks[2]["started"]
    found = guard(run.judge(case_with(GOALS)), name)
    assert not found.ok and "block 2" in found.detail and "nothing tells" in found.detail


def test_a_change_that_breaks_answers_is_no_fast_change(simulate, case_with) -> None:
    run = simulate(2)
    mine = run.requests[run.rows("after")].index[::20]
    run.requests.loc[mine, "error"], run.requests.loc[mine, "status"] = "unexpected", 500

    result = run.judge(case_with(GOALS))
    found = guard(result, "answers-as-expected")
    assert not found.ok and "0 % before, 5 % after" in found.detail and "error_rate" in found.remedy
    assert result.verdict == "INVALID"

    # With a goal for the error rate they are judged, not guarded.
    judged = run.judge(case_with(GOALS | {"error_rate": {"want": "no-worse", "margin": "1 %"}}))
    assert "answers-as-expected" not in {guard.id for guard in judged.guards}
    assert judged.metrics["error_rate"].verdict == "HURT"


def test_wrong_answers_with_a_goal_are_judged_and_errors_still_guarded(simulate, case_with) -> None:
    case = case_with(GOALS | {"wrong_answers": {"want": "better", "margin": "2 %"}})
    run = simulate(2, after={"hit": 0.95})
    mine = run.requests[run.rows("before")].index
    run.requests.loc[mine[::5], "error"] = "unexpected"  # with a status of 200
    result = run.judge(case)
    assert guard(result, "answers-as-expected").ok and result.metrics["wrong_answers"].verdict == "HELPED"
    assert result.verdict == "HELPED"

    run.requests.loc[mine[1::5], ["error", "status"]] = ["unexpected", 500]
    assert not guard(run.judge(case), "answers-as-expected").ok


def test_a_run_that_ended_early_is_never_decided_by_what_it_showed(simulate, case_with) -> None:
    whole = simulate(2, before={"hit": 0.5}, after={"hit": 0.95})
    case = case_with(GOALS)
    assert whole.judge(case).verdict == "HELPED"
    *first, _, last = whole.blocks
    whole.requests = whole.requests[~(whole.requests["block"] == whole.blocks[-2]["block"])]
    whole.blocks = [*first, last]
    result = whole.judge(case)
    assert result.verdict == "INCONCLUSIVE"
    assert (
        result.reason
        == f"The run ended early: {case.plan.blocks - 1} of {case.plan.blocks} planned blocks were measured."
    )


def failing(run, error: str, every: int, arm: str = "after") -> None:  # type: ignore[no-untyped-def]
    """Each `every`-th request of an arm failed, at once."""
    rows = run.requests[run.rows(arm)].index[::every]
    run.requests.loc[rows, "error"] = error
    run.requests.loc[rows, "status"] = 500 if error == "unexpected" else None
    if error != "unexpected":
        run.requests.loc[rows, ["first_byte_ns", "done_ns"]] = None


def test_without_a_failed_answer_the_same_run_is_evidence(simulate, case_with) -> None:
    assert simulate(6, after={"hit": 0.99}).judge(case_with(GOALS)).verdict == "HELPED"


@pytest.mark.parametrize(
    ("error", "arm"), in_turn(["unexpected", "reset", "timeout", "protocol", "connect"], ["before", "after"])
)
def test_answers_that_failed_make_the_rest_no_evidence(error: str, arm: str, simulate, case_with) -> None:
    run = simulate(6, after={"hit": 0.99}, probed=False)
    failing(run, error, every=25, arm=arm)
    result = run.judge(case_with(GOALS, freshness=False))
    found = guard(result, "answers-as-expected")
    assert not found.ok and f"4 % {arm}" in found.detail and "error_rate" in found.remedy
    assert result.verdict == "INVALID" and guard_title("answers-as-expected") in result.reason


def test_a_few_failed_answers_are_no_reason_to_doubt(simulate, case_with) -> None:
    run = simulate(6, after={"hit": 0.99}, probed=False)
    for arm in ("before", "after"):  # in one alone, it would have got worse
        failing(run, "unexpected", every=150, arm=arm)
    result = run.judge(case_with(GOALS, freshness=False))
    assert guard(result, "answers-as-expected").ok and result.verdict == "HELPED"
