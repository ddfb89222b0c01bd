"""How each block was brought to its start, and what stopped the run: guards on what the manifest notes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from declared import a_case
from hypothesis import given
from hypothesis import strategies as st
from simulated_blocks import a_run

from luckyhit.case import Case
from luckyhit.judge import RunHeader
from luckyhit.judge.guards.block_guards import cache_state_guard, engine_guard, limits_guard, washed_out_guard
from luckyhit.judge.guards.run_guards import blocks_guard
from luckyhit.judge.table.samples import rows_of
from luckyhit.records import Guard, Result
from luckyhit.records.manifest import Manifest, NotedBlock
from luckyhit.records.parts.block_numbers import next_block, next_stretch
from luckyhit.text.wording import has
from noted import noted

GOALS = {"hit_ratio": {"want": "better", "margin": "5 %"}}
Report = dict[str, Any]
CLEARED = {"matched": 300, "cleared": 300, "gone": 0, "appeared": 0, "without_ttl_kept": 0, "outside": 0}
SETTLED = {"settled": True, "seconds": 4.0, "stretches": 2, "ratios": [0.8] * 8}
STOPPED = "5 of 40 requests failed within 2 s in block 2 (before), more than 5 %"
ABBA = ("before", "after", "after", "before")
TURNS = a_case(GOALS, design="crossover", freshness=False)
OWN = {design: a_case(GOALS, design=design) for design in ("side-by-side", "crossover", "before-after")}
LIVE = TURNS.model_copy(update={"target": TURNS.target.model_copy(update={"url": "http://shop.test", "start": None})})


def side_by_side(*blocks: tuple[Report, Report]) -> list[NotedBlock]:
    return noted(
        {"block": number, "arms": ["before", "after"], "clear": {"before": CLEARED | one, "after": CLEARED | other}}
        for number, (one, other) in enumerate(blocks, 1)
    )


def in_turns(*reports: tuple[str, Report], **more: Any) -> list[NotedBlock]:
    return noted(
        {"block": number, "stage": "change", "arms": [arm], "clear": {arm: CLEARED | report}, **more}
        for number, (arm, report) in enumerate(reports, 1)
    )


def outside(count: int, **more: Any) -> Report:
    """Keys outside the scope."""
    return {"outside": count + 40, "outside_left": count, **more}


def alive(count: int) -> Report:
    """Data in scope that never expires, and so is kept."""
    return {"without_ttl_kept": count, "outside_left": 0}


def back(count: int) -> Report:
    """Keys in scope that were there again at once."""
    return {"appeared": count, "outside_left": 0}


GROWN = [1000, 1400, 1900, 2600]
KEPT = outside(900, outside_keys=["page:1:en", "page:2:en"])
NONE = {"matched": 0, "cleared": 0, "outside": 900}
STATES: dict[str, tuple[list[NotedBlock], Case, bool]] = {
    **{
        f"both arms hold and grow, {held.__name__}": (
            side_by_side(*((held(count), held(count + 3)) for count in GROWN)), OWN["side-by-side"], True,
        )
        for held in (outside, alive)
    },
    **{
        f"arms grow by turns, {held.__name__}": (
            in_turns(*((arm, held(count)) for arm, count in zip(ABBA, GROWN, strict=True))), OWN["crossover"], True,
        )
        for held in (outside, alive)
    },
    "growth, one arm first": (
        in_turns(*(("before" if block < 3 else "after", outside(400 * block)) for block in range(6))),
        OWN["before-after"], True,
    ),
    "one arm starts with more": (
        side_by_side((outside(0), outside(0)), (outside(2), KEPT)), OWN["side-by-side"], False,
    ),
    "one arm starts with more, by turns": (
        in_turns(*zip(ABBA, (outside(0), KEPT, outside(880), outside(4)), strict=True)), OWN["crossover"], False,
    ),
    "keys back in one arm": (side_by_side((outside(0), outside(0)), (outside(0), back(90))), OWN["side-by-side"], False),
    "keys back in one arm, by turns": (
        in_turns(*zip(ABBA, (outside(0), back(90), outside(0), outside(0)), strict=True)), OWN["crossover"], False,
    ),
    # Runs of earlier versions have the server's number, with keys that expired and were not removed yet.
    "expired keys in the server's count": (
        side_by_side(
            *(({"outside": one, "outside_gone": gone}, {"outside": other})
              for one, gone, other in [(310, 300, 4), (12, 9, 290), (250, 0, 220)])
        ),
        OWN["side-by-side"], True,
    ),
    "more in the server's count, always": (
        side_by_side(*[({"outside": 0}, {"outside": 500})] * 3), OWN["side-by-side"], False,
    ),
    "others fill a shared cache": (in_turns(*zip(ABBA, map(back, (5, 8, 3, 12)), strict=True)), LIVE, True),
    "others fill a cache of the run's own": (in_turns(*zip(ABBA, map(back, (5, 60, 44, 12)), strict=True)), TURNS, False),
    "one arm alone starts with keys": (in_turns(*zip(ABBA, map(back, (0, 60, 44, 3)), strict=True)), LIVE, False),
    "nothing in scope": (in_turns(("before", NONE), ("after", NONE)), LIVE, False),
    "nothing in scope, washed out": (in_turns(("before", NONE), ("after", NONE), washout=SETTLED), LIVE, True),
    **{
        f"not cleared, {name}": (noted({"block": n, "arms": ["before"], "clear": {}, **more} for n in (1, 2)), LIVE, ok)
        for name, more, ok in (
            ("purged", {"purge": {"before": {"calls": 1}}}, True), ("washed out", {"washout": SETTLED}, True),
            ("nothing else", {}, False),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_blocks_of_both_arms_start_from_one_state(name: str) -> None:
    blocks, case, ok = STATES[name]
    guard = cache_state_guard(blocks, case)
    assert guard.ok is ok and guard.detail and bool(guard.remedy) is not ok


def test_keys_of_the_arm_with_more_are_named() -> None:
    guard = cache_state_guard(STATES["one arm starts with more"][0], OWN["side-by-side"])
    assert "'page:1:en'" in guard.detail


REPORTS = st.lists(
    st.builds(
        lambda kept, left, appeared: outside(left, without_ttl_kept=kept, appeared=appeared, outside_keys=["user:7"]),
        st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 5000),
    ),
    min_size=1, max_size=6,
)  # fmt: skip


def judged(one: list[Report], other: list[Report]) -> Guard:
    return cache_state_guard(side_by_side(*zip(one, other, strict=False)), OWN["side-by-side"])


@given(REPORTS)
def test_equal_arms_never_trip_whatever_they_hold(reports: list[Report]) -> None:
    assert judged(reports, reports).ok


@given(REPORTS, REPORTS)
def test_no_remedy_is_to_clear_data(one: list[Report], other: list[Report]) -> None:
    """Only keys that reads stored, and can store again, are ever to be named in cache.clear."""
    guard = judged(one, other)
    assert guard.ok == (not guard.remedy)
    assert "cache.clear" not in guard.remedy or "reads stored them" in guard.remedy


@pytest.mark.parametrize("junk", [7, "x", None, {}, [7, None]])
def test_invalid_names_harm_nothing(junk: Any) -> None:
    apart = side_by_side((outside(0, outside_keys=junk), outside(900, outside_keys=junk)))
    assert not cache_state_guard(apart, OWN["side-by-side"]).ok
    started = noted([{"block": 1, "arms": ["before"], "clear": {}, "started": junk}])
    assert not cache_state_guard(started, OWN["side-by-side"]).ok


@pytest.mark.parametrize(
    ("washouts", "ok"),
    [
        ([None, {}, "none"], None),
        ([SETTLED, {"settled": True, "seconds": 6.0}], True),
        ([SETTLED, {"settled": False, "seconds": 30.0}], False),
        ([SETTLED, None], False),
        ([{"settled": None, "seconds": 2.0}], True),  # too few answers to say
    ],
)
def test_a_wash_out_has_to_settle(washouts: list[Any], ok: bool | None) -> None:
    blocks = [{"block": number, "washout": washout} for number, washout in enumerate(washouts)]
    guard = washed_out_guard(noted(blocks))
    assert (guard.ok if guard else None) is ok
    assert guard is None or bool(guard.remedy) is not ok


def test_limits_that_were_watched_and_held_pass() -> None:
    assert limits_guard(noted([{"block": 1}, {"block": 2, "limits": {}}])) is None
    watched = {"error_rate": 0.05, "p99_ms": 900.0, "window_s": 2.0, "fewest": 20, "stopped": None}
    guard = limits_guard(noted([{"block": 1, "limits": watched}, {"block": 2, "limits": watched}]))
    assert guard is not None and guard.ok and "900 ms" in guard.detail


# In the result of a run


def failed(result: Result) -> set[str]:
    return {guard.id for guard in result.guards if not guard.ok}


@pytest.mark.parametrize("moving", [3, -1])
def test_a_moving_hit_ratio_before_a_changed_block_is_invalid(moving: int) -> None:
    run = a_run(1, design="crossover", blocks=2, seconds=1.0)
    for entry in run.blocks:
        entry["washout"] = SETTLED
    run.blocks[moving]["washout"] = {**SETTLED, "settled": False}
    result = run.judge(a_case(GOALS, design="crossover", blocks=2))
    of_change = moving == 3
    assert failed(result) == ({"washed-out"} if of_change else set())
    assert (result.verdict == "INVALID") is of_change
    assert has(result.notes, "washout-moved-after-rollback") is not of_change


@pytest.mark.parametrize("stage", ["baseline", "wash-out", "change", "after-rollback"])
def test_a_run_that_its_limits_stopped_says_so_before_all_else(stage: str) -> None:
    run = a_run(2, blocks=2, seconds=1.0)
    run.guards = []  # it came to no comparison of fingerprints
    last = next(number for number, entry in enumerate(run.blocks) if stage in (entry["stage"], "wash-out"))
    run.blocks = run.blocks[: last + 1]
    run.blocks[last] |= {"stage": stage, "limits": {"error_rate": 0.05, "stopped": STOPPED}}
    run.requests = run.requests[run.requests["block"] <= last]
    result = run.judge(a_case(GOALS, blocks=2), header=RunHeader(ended=STOPPED))
    assert result.verdict == "INVALID" and "within-the-targets-limits" in failed(result)
    assert STOPPED in result.reason


@pytest.mark.parametrize(("blocks", "verdict"), [(-2, "INVALID"), (1, "INCONCLUSIVE")])
def test_a_run_that_failed_says_why(blocks: int, verdict: str) -> None:
    run = a_run(3, blocks=2, seconds=1.0)
    run.guards, run.blocks = [], run.blocks[:blocks]
    result = run.judge(a_case(GOALS, blocks=2), header=RunHeader(ended="exit code 3"))
    assert result.verdict == verdict and "exit code 3" in result.reason


@pytest.mark.parametrize("number", [90, next_stretch(range(100))], ids=["numbered as a block", "apart from blocks"])
def test_wash_outs_count_in_the_accounting_and_in_nothing_else(number: int) -> None:
    run = a_run(5, design="crossover", blocks=2, seconds=1.0)
    case = a_case(GOALS, design="crossover", blocks=2)
    plain = run.judge(case)
    extra = run.requests[run.requests["block"] == 1].assign(block=number, phase="warmup", cache="miss")
    for name in ("due_ns", "sent_ns", "first_byte_ns", "done_ns"):
        extra[name] += int(900e9)
    late = {
        "block": number,
        "stage": "wash-out",
        "arms": ["before"],
        "engine": {"trustworthy": False, "detail": "late"},
    }
    run.requests = type(run.requests)({name: [*run.requests[name], *extra[name]] for name in run.requests.columns})
    run.blocks = [run.blocks[0], late, *run.blocks[1:]]
    result = run.judge(case)
    assert result.accounting.scheduled == plain.accounting.scheduled + len(extra) and result.accounting.exact
    assert (result.metrics, result.verdict, result.naive) == (plain.metrics, plain.verdict, plain.naive)
    assert {guard.id: guard.ok for guard in result.guards} == {guard.id: guard.ok for guard in plain.guards}


@pytest.mark.parametrize("apart", [False, True])
def test_the_plain_look_begins_with_the_first_wash_out(apart: bool) -> None:
    run = a_run(6, design="crossover", blocks=2, seconds=1.0)
    run.blocks[1] |= {"stage": "baseline"}
    run.blocks[0] |= {"stage": "wash-out"}
    run.requests.loc[run.requests["block"] == 0, "cache"] = "miss"
    if apart:
        numbers = {0: next_stretch([]), **{number + 1: number for number in range(len(run.blocks) - 1)}}
        run.requests["block"] = run.requests["block"].map(numbers)
        run.blocks = [entry | {"block": numbers[entry["block"]]} for entry in run.blocks]
    naive = run.judge(a_case(GOALS, design="crossover", blocks=2)).naive
    assert naive.hit_ratio_before is not None and naive.hit_ratio_after is not None
    assert naive.hit_ratio_before < 0.5 < np.float64(naive.hit_ratio_after)


def test_an_engine_that_is_late_in_many_blocks_is_told_once() -> None:
    late = {"trustworthy": False, "detail": "It sent 62 ms late."}
    blocks = noted({"block": number, "engine": late if number > 2 else {"trustworthy": True}} for number in range(20))
    guard = engine_guard(blocks)
    assert not guard.ok and guard.detail.count("62 ms") == 1 and "block 3" in guard.detail
    assert "16 more of 20" in guard.detail, "how many there are"


def test_only_what_is_under_way_has_rows_before_it_is_noted() -> None:
    run = a_run(6, design="crossover", blocks=2, seconds=1.0)
    case, manifest = a_case(GOALS, design="crossover", blocks=2), Manifest(blocks=noted(run.blocks))
    numbers = [block.block for block in manifest.blocks]
    for coming in (next_block(numbers), next_stretch(numbers), next_block(numbers) + 1, next_stretch(numbers) + 1):
        more = run.requests[run.requests["block"] == numbers[-1]].assign(block=coming)
        rows = rows_of(pd.concat([run.requests, more], ignore_index=True))
        expected = coming in (next_block(numbers), next_stretch(numbers))
        assert blocks_guard(manifest, (), rows, case, interim=True).ok is expected
        assert not blocks_guard(manifest, (), rows, case, interim=False).ok
