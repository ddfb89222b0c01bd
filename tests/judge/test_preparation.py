"""How each block was brought to its start, and what stopped the run: guards on what the manifest notes."""

from __future__ import annotations

from typing import Any

import pytest

from luckyhit.case import Case
from luckyhit.judge import RunHeader
from luckyhit.judge.guards.cache_state import cache_state_guard
from luckyhit.judge.guards.preparation import limits_guard, washed_out_guard
from luckyhit.records.manifest import NotedBlock
from luckyhit.text.messages import guard_title
from luckyhit.text.wording import has
from noted import noted

GOALS = {"hit_ratio": {"want": "better", "margin": "5 %"}}
SETTLED = {"settled": True, "seconds": 4.0, "stretches": 2, "ratios": [0.8] * 8}
STOPPED = "5 of 40 requests failed within 2 s in block 2 (before), more than 5 %"


@pytest.fixture
def live(case_with: Any) -> Case:
    case: Case = case_with(GOALS, design="crossover", freshness=False)
    target = case.target.model_copy(update={"url": "http://shop.test", "start": None})
    return case.model_copy(update={"target": target})


def blocks(before: list[dict[str, int]], after: list[dict[str, int]], **more: Any) -> list[NotedBlock]:
    told = [("before", report) for report in before] + [("after", report) for report in after]
    return noted(
        {"block": number, "stage": "change", "arms": [arm], "clear": {arm: {"matched": 400, "cleared": 395, **report}}}
        | more
        for number, (arm, report) in enumerate(told, 1)
    )


def test_what_others_keep_in_a_shared_cache_is_not_held_against_the_arms(live: Case, case_with: Any) -> None:
    begun = blocks(
        [{"outside": 9000, "appeared": 5}, {"outside": 9800, "appeared": 12}],
        [{"outside": 12000, "appeared": 8}, {"outside": 7000, "appeared": 3}],
    )
    guard = cache_state_guard(begun, live)
    assert guard.ok and "5 to 12 before" in guard.detail and "3 to 8 after" in guard.detail
    assert not cache_state_guard(begun, case_with(GOALS)).ok  # nobody else may touch a cache of the run's own


def test_keys_that_one_arm_alone_starts_with_trip(live: Case) -> None:
    guard = cache_state_guard(blocks([{"appeared": 0}, {"appeared": 3}], [{"appeared": 60}, {"appeared": 44}]), live)
    assert not guard.ok and "44 to 60 after" in guard.detail and guard.remedy


@pytest.mark.parametrize(
    ("more", "ok", "evidence"),
    [
        ({"purge": {"before": {"calls": 1}}}, True, "purged before each of 2 blocks"),
        ({"washout": SETTLED}, True, "what its wash-out left"),
        ({}, False, "nothing was cleared or purged, and nothing washed out"),
    ],
)
def test_a_service_that_goes_on_has_to_be_brought_to_one_state_somehow(
    more: dict[str, Any], ok: bool, evidence: str, live: Case
) -> None:
    begun = noted({"block": number, "arms": ["before"], "clear": {}, **more} for number in (1, 2))
    guard = cache_state_guard(begun, live)
    assert guard.ok is ok and evidence in guard.detail


def test_a_wash_out_that_did_not_settle_is_named() -> None:
    assert washed_out_guard(noted([{"block": 1}, {"block": 2, "washout": {}}, {"block": 3, "washout": "none"}])) is None
    held = {"block": 3, "washout": SETTLED}
    guard = washed_out_guard(noted([held, {"block": 5, "washout": {"settled": True, "seconds": 6.0}}]))
    assert guard is not None and guard.ok and "4 to 6 s" in guard.detail
    guard = washed_out_guard(noted([held, {"block": 7, "washout": {"settled": False, "seconds": 30.0}}]))
    assert guard is not None and not guard.ok and "block 7" in guard.detail and "plan.washout" in guard.remedy
    guard = washed_out_guard(noted([{"block": 3, "washout": {"settled": None, "seconds": 2.0}}]))
    assert guard is not None and guard.ok and "too few answers" in guard.detail


def test_a_wash_out_that_did_not_settle_makes_the_run_invalid(simulate: Any, case_with: Any) -> None:
    run = simulate(1, design="crossover", blocks=2, seconds=1.0)
    for entry in run.blocks:
        entry["washout"] = {**SETTLED, "settled": entry["block"] != 3}
    result = run.judge(case_with(GOALS, design="crossover", blocks=2))
    assert (
        result.verdict == "INVALID" and guard_title("washed-out") in result.reason and "before block 3" in result.reason
    )


def test_one_before_the_block_after_the_rollback_is_noted(simulate: Any, case_with: Any) -> None:
    run = simulate(7, design="crossover", blocks=2, seconds=1.0)
    run.blocks[-1]["washout"] = {**SETTLED, "settled": False}
    result = run.judge(case_with(GOALS, design="crossover", blocks=2))
    assert has(result.notes, "washout-moved-after-rollback")
    assert all(guard.ok for guard in result.guards)


def test_limits_that_were_watched_and_held_are_told() -> None:
    assert limits_guard(noted([{"block": 1}, {"block": 2, "limits": {}}])) is None
    watched = {"error_rate": 0.05, "p99_ms": 900.0, "window_s": 2.0, "fewest": 20, "stopped": None}
    guard = limits_guard(noted([{"block": 1, "limits": watched}, {"block": 2, "limits": watched}]))
    assert guard is not None and guard.ok and "2 blocks" in guard.detail and "900 ms" in guard.detail


@pytest.mark.parametrize("stage", ["baseline", "wash-out", "change", "after-rollback"])
def test_a_run_that_its_limits_stopped_is_invalid_and_says_why_before_all_else(
    stage: str, simulate: Any, case_with: Any
) -> None:
    run = simulate(2, blocks=2, seconds=1.0)
    run.guards = []  # it came to no comparison of fingerprints
    last = next(number for number, entry in enumerate(run.blocks) if stage in (entry["stage"], "wash-out"))
    run.blocks = run.blocks[: last + 1]
    run.blocks[last] |= {"stage": stage, "limits": {"error_rate": 0.05, "stopped": STOPPED}}
    run.requests = run.requests[run.requests["block"] <= last]
    result = run.judge(case_with(GOALS, blocks=2), header=RunHeader(ended=STOPPED))
    assert result.verdict == "INVALID"
    assert guard_title("within-the-targets-limits") in result.reason and STOPPED in result.reason


def test_a_run_that_failed_says_why_where_nobody_compared_what_the_change_changed(
    simulate: Any, case_with: Any
) -> None:
    run = simulate(3, blocks=2, seconds=1.0)
    run.guards, run.blocks = [], run.blocks[:-2]
    result = run.judge(case_with(GOALS, blocks=2), header=RunHeader(ended="the service ended with exit code 3"))
    assert result.verdict == "INVALID"
    assert (
        guard_title("declared-difference-only") in result.reason
        and "ended early: the service ended with exit code 3" in result.reason
    )


def test_a_run_that_failed_before_the_change_says_why(simulate: Any, case_with: Any) -> None:
    run = simulate(4, blocks=2, seconds=1.0)
    run.blocks = run.blocks[:1]
    result = run.judge(case_with(GOALS, blocks=2), header=RunHeader(ended="interrupted"))
    assert result.verdict == "INCONCLUSIVE" and result.reason.startswith("The run ended early: interrupted. The change")


def test_wash_outs_count_in_the_accounting_and_in_nothing_else(simulate: Any, case_with: Any) -> None:
    run = simulate(5, design="crossover", blocks=2, seconds=1.0)
    case = case_with(GOALS, design="crossover", blocks=2)
    plain = run.judge(case)
    extra = run.requests[run.requests["block"] == 1].assign(block=90, phase="warmup", cache="miss")
    for name in ("due_ns", "sent_ns", "first_byte_ns", "done_ns"):
        extra[name] += int(900e9)
    late = {"block": 90, "stage": "wash-out", "arms": ["before"], "engine": {"trustworthy": False, "detail": "late"}}
    run.requests = type(run.requests)({name: [*run.requests[name], *extra[name]] for name in run.requests.columns})
    run.blocks = [run.blocks[0], late, *run.blocks[1:]]
    result = run.judge(case)
    assert result.accounting.scheduled == plain.accounting.scheduled + len(extra) and result.accounting.exact
    assert (result.metrics, result.verdict, result.naive) == (plain.metrics, plain.verdict, plain.naive)
    assert {guard.id: guard.ok for guard in result.guards} == {guard.id: guard.ok for guard in plain.guards}
    assert guard_names(result) >= {"same-cache-state-at-block-start", "accounting-exact"}


def guard_names(result: Any) -> set[str]:
    return {guard.id for guard in result.guards}


def test_the_plain_look_begins_with_the_wash_out_before_the_baseline(simulate: Any, case_with: Any) -> None:
    run = simulate(6, design="crossover", blocks=2, seconds=1.0)
    run.blocks[1] |= {"stage": "baseline"}
    run.blocks[0] |= {"stage": "wash-out"}
    run.requests.loc[run.requests["block"] == 0, "cache"] = "miss"
    naive = run.judge(case_with(GOALS, design="crossover", blocks=2)).naive
    assert naive.hit_ratio_before < 0.5 < naive.hit_ratio_after
