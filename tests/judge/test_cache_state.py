"""What the caches held at the start of each block: arm against arm, block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case import Case
from luckyhit.judge.guards.cache_state import cache_state_guard
from luckyhit.records import Guard
from luckyhit.records.manifest import NotedBlock, WashoutNotes
from noted import noted

GOALS = {"hit_ratio": {"want": "better", "margin": "5 %"}}
CLEARED = {"matched": 300, "cleared": 300, "gone": 0, "appeared": 0, "without_ttl_kept": 0, "outside": 0}


def side_by_side(*blocks: tuple[dict[str, Any], dict[str, Any]]) -> list[NotedBlock]:
    return noted(
        {"block": number, "arms": ["before", "after"], "clear": {"before": CLEARED | one, "after": CLEARED | other}}
        for number, (one, other) in enumerate(blocks, 1)
    )


def in_turns(*reports: tuple[str, dict[str, Any]]) -> list[NotedBlock]:
    return noted(
        {"block": number, "arms": [arm], "clear": {arm: CLEARED | report}}
        for number, (arm, report) in enumerate(reports, 1)
    )


def left(count: int, **more: Any) -> dict[str, Any]:
    return {"outside": count + 40, "outside_left": count, **more}


def alive(count: int) -> dict[str, int]:
    """Data in scope that never expires, and so is kept."""
    return {"without_ttl_kept": count, "outside_left": 0}


@pytest.fixture
def own(case_with: Callable[..., Case]) -> Case:
    return case_with(GOALS)


@pytest.fixture
def taking_turns(case_with: Callable[..., Case]) -> Case:
    return case_with(GOALS, design="crossover")


@pytest.mark.parametrize("holding", [left, alive], ids=["outside the scope", "in scope, never expiring"])
def test_data_that_both_arms_hold_and_that_grows_is_fair(holding: Any, own: Case, taking_turns: Case) -> None:
    counts = [1000, 1400, 1900, 2600]
    assert cache_state_guard(side_by_side(*((holding(count), holding(count + 3)) for count in counts)), own).ok
    order = ["before", "after", "after", "before"]
    turns = in_turns(*((arm, holding(count)) for arm, count in zip(order, counts, strict=True)))
    assert cache_state_guard(turns, taking_turns).ok


def test_growth_goes_on_where_all_of_one_arm_comes_first(case_with: Callable[..., Case]) -> None:
    turns = in_turns(*(("before" if block < 3 else "after", left(400 * block)) for block in range(6)))
    assert cache_state_guard(turns, case_with(GOALS, design="before-after")).ok


def test_one_arm_that_starts_with_more_trips_and_is_named(own: Case, taking_turns: Case) -> None:
    kept = left(900, outside_keys=["page:1:en", "page:2:en"])
    guard = cache_state_guard(side_by_side((left(0), left(0)), (left(2), kept)), own)
    assert not guard.ok and "block 2: 2 before, 900 after" in guard.detail and "'page:1:en'" in guard.detail
    turns = in_turns(("before", left(0)), ("after", kept), ("after", left(880)), ("before", left(4)))
    assert not cache_state_guard(turns, taking_turns).ok


def test_keys_back_in_one_arm_trip_in_any_block(own: Case, taking_turns: Case) -> None:
    back = {"appeared": 90, "outside_left": 0}
    guard = cache_state_guard(side_by_side((left(0), left(0)), (left(0), back)), own)
    assert not guard.ok and "block 2: 0 before, 90 after" in guard.detail
    turns = in_turns(("before", left(0)), ("after", back), ("after", left(0)), ("before", left(0)))
    assert not cache_state_guard(turns, taking_turns).ok


def test_expired_keys_in_a_servers_count_are_no_left_over(own: Case) -> None:
    """Runs of earlier versions have the server's number, with keys that expired and were not removed yet."""
    old = [({"outside": one, "outside_gone": gone}, {"outside": other}) for one, gone, other in
           [(310, 300, 4), (12, 9, 290), (250, 0, 220)]]  # fmt: skip
    assert cache_state_guard(side_by_side(*old), own).ok
    always = [({"outside": 0}, {"outside": 500})] * 3
    assert not cache_state_guard(side_by_side(*always), own).ok


def test_nothing_that_was_ever_in_scope_is_no_clear(case_with: Callable[..., Case]) -> None:
    case = case_with(GOALS, design="crossover", freshness=False)
    live = case.model_copy(update={"target": case.target.model_copy(update={"url": "http://shop.test", "start": None})})
    none = {"matched": 0, "cleared": 0, "outside": 900}
    turns = in_turns(("before", none), ("after", none))
    guard = cache_state_guard(turns, live)
    assert not guard.ok and guard.remedy
    washed = [block.model_copy(update={"washout": WashoutNotes(seconds=2.0, settled=True)}) for block in turns]
    assert cache_state_guard(washed, live).ok


REPORTS = st.lists(
    st.builds(
        lambda kept, outside, appeared, keys: left(outside, without_ttl_kept=kept, appeared=appeared, outside_keys=keys),
        st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 5000), st.just(["user:7"]),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


@given(REPORTS)
def test_equal_arms_never_trip_whatever_they_hold(reports: list[dict[str, Any]]) -> None:
    guard = _judged(reports, reports)
    assert guard.ok and guard.id == "same-cache-state-at-block-start" and guard.detail


@given(REPORTS, REPORTS)
def test_no_remedy_is_to_clear_data(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    """Only keys that reads stored, and can store again, are ever to be named in cache.clear."""
    guard = _judged(one, other)
    assert guard.ok == (not guard.remedy)
    assert "cache.clear" not in guard.remedy or "reads stored them" in guard.remedy


def _judged(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> Guard:
    from declared import a_case

    return cache_state_guard(side_by_side(*zip(one, other, strict=False)), a_case(GOALS))


@pytest.mark.parametrize("junk", [7, "x", None, {}, [7, None]])
def test_names_that_are_no_list_harm_nothing(junk: Any, own: Case) -> None:
    apart = side_by_side((left(0, outside_keys=junk), left(900, outside_keys=junk)))
    assert not cache_state_guard(apart, own).ok
    started = noted([{"block": 1, "arms": ["before"], "clear": {}, "started": junk}])
    assert not cache_state_guard(started, own).ok
