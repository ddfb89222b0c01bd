"""What one block leaves for the next, where arms take turns on one service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge.guards.carryover import carry_over, order_effects
from tier import seeds

ABBA = dict(enumerate([0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0]))
GOALS = {"hit_ratio": {"want": "better", "margin": "4 %"}}


def values_of(
    rng: np.random.Generator, *, carry: float = 0.0, switch: float = 0.0, trend: float = 0.0, noise: float = 0.005
) -> dict[int, float]:
    """The hit ratio of each block in ABBA, with the change worth 10 points."""
    previous = [0, *(ABBA[block] for block in sorted(ABBA))]
    return {
        block: 0.6
        + 0.1 * arm
        + carry * previous[block]
        + switch * (arm != previous[block])
        + trend * block
        + rng.normal(0, noise)
        for block, arm in ABBA.items()
    }


@pytest.mark.parametrize("carry", [0.08, -0.03])
def test_what_the_after_arm_leaves_is_found_with_its_size(carry: float) -> None:
    """A block before that follows one after shows more hits, a block after that follows one before shows fewer: both
    together would cancel out if only "follows the other arm" were looked at."""
    found = order_effects(values_of(np.random.default_rng(1), carry=carry), ABBA)["carry"]
    assert found.sure and found.low < carry < found.high and abs(found.value - carry) < 0.02


def test_a_cost_of_every_switch_is_told_apart_from_it() -> None:
    terms = order_effects(values_of(np.random.default_rng(2), switch=-0.08), ABBA)
    assert terms["switch"].low < -0.08 < terms["switch"].high < 0
    assert not terms["carry"].sure


def test_a_drift_is_told_apart_from_it() -> None:
    terms = order_effects(values_of(np.random.default_rng(3), trend=0.02), ABBA)
    assert terms["trend"].sure and terms["trend"].value == pytest.approx(0.02, abs=0.003)
    assert not terms["carry"].sure and not terms["switch"].sure


def test_without_it_one_in_a_hundred_is_wrong() -> None:
    rng = np.random.default_rng(4)
    wrong = sum(order_effects(values_of(rng, trend=0.01), ABBA)["carry"].sure for _ in range(1000))
    assert wrong <= 20  # 10 expected; more than 20 come once in a thousand times


@given(
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.lists(st.floats(-0.1, 0.1), min_size=16, max_size=16),
)
def test_neither_the_level_nor_the_effect_of_the_change_counts(
    level: float, effect: float, trend: float, noise: list[float]
) -> None:
    plain = order_effects(dict(enumerate(noise)), ABBA)
    moved = order_effects({block: level + effect * ABBA[block] + trend * block + noise[block] for block in ABBA}, ABBA)
    for name in ("carry", "switch"):
        assert moved[name].value == pytest.approx(plain[name].value, abs=1e-6)
        assert moved[name].high - moved[name].low == pytest.approx(plain[name].high - plain[name].low, abs=1e-5)


@given(
    st.lists(st.integers(0, 1), max_size=12),
    st.dictionaries(st.integers(0, 12), st.floats(allow_nan=True, allow_infinity=True, width=16), max_size=12),
)
def test_any_order_of_blocks_gives_what_it_can_tell(order: list[int], values: dict[int, float]) -> None:
    terms = order_effects(values, dict(enumerate(order)))
    assert all(term.low <= term.value <= term.high for term in terms.values())
    if sum(block in values and np.isfinite(values[block]) for block in range(len(order))) < 3:
        assert terms == {}


def test_too_few_blocks_tell_nothing() -> None:
    few = {block: arm for block, arm in ABBA.items() if block < 4}
    assert order_effects(dict.fromkeys(few, 1.0), few) == {}
    assert order_effects({}, {}) == {}


@pytest.mark.parametrize(("carry", "ok"), [(0.02, True), (0.06, False)])
def test_what_is_sure_but_inside_the_margin_is_accepted(carry: float, ok: bool, case_with: Any) -> None:
    values = values_of(np.random.default_rng(5), carry=carry, noise=0.001)
    guard, notes = carry_over({"hit_ratio": values}, ABBA, case_with(GOALS, design="crossover"), {})
    assert guard.ok is ok and "hit ratio" in guard.detail and notes == []


def taken_turns(simulate: Callable[..., Any], seed: int, blocks: int, carry: float = 0.0) -> Any:
    """A placebo in which a block that follows one of the after arm has `carry` more hits."""
    run = simulate(seed, design="crossover", blocks=blocks, seconds=2.0, probed=False)
    rng, previous = np.random.default_rng(seed), ["before"]
    for entry in run.blocks:
        if entry["stage"] == "change":
            missed = run.requests["block"].eq(entry["block"]) & run.requests["cache"].eq("miss")
            if previous == ["after"]:
                kept = missed & (rng.random(len(run.requests)) < carry / 0.2)
                run.requests.loc[kept, ["cache", "db_calls"]] = "hit", 0
            previous = entry["arms"]
    return run


def guard_of(result: Any) -> Any:
    return next(guard for guard in result.guards if guard.id == "no-carry-over")


def test_a_comparison_that_shows_the_arm_before_is_invalid(simulate: Any, case_with: Any) -> None:
    case = case_with(GOALS, design="crossover", blocks=8, freshness=False)
    result = taken_turns(simulate, 5, 8, carry=0.15).judge(case)
    guard = guard_of(result)
    assert not guard.ok and "hit ratio 1" in guard.detail and "margin 4 points" in guard.detail
    assert "plan.washout" in guard.remedy and result.verdict == "INVALID"


def test_a_comparison_that_does_not_is_fine_and_says_how_much_it_could_be(simulate: Any, case_with: Any) -> None:
    case = case_with(GOALS, design="crossover", blocks=8, freshness=False)
    for seed in seeds(4):
        guard = guard_of(taken_turns(simulate, seed, 8).judge(case))
        assert guard.ok and "hit ratio" in guard.detail and "interval" in guard.detail


def test_with_few_blocks_it_is_said_that_it_cannot_be_told(simulate: Any, case_with: Any) -> None:
    result = taken_turns(simulate, 6, 2).judge(case_with(GOALS, design="crossover", blocks=2))
    assert guard_of(result).ok and "can't be told from 4 blocks" in guard_of(result).detail


def test_other_designs_have_no_carry_over_to_look_for(simulate: Any, case_with: Any) -> None:
    run = simulate(7, blocks=2, seconds=1.0)
    assert not any(guard.id == "no-carry-over" for guard in run.judge(case_with(GOALS)).guards)


def test_stale_reads_that_the_arm_before_left_are_found(simulate: Any, case_with: Any) -> None:
    goals: Mapping[str, Any] = {"stale_reads": {"want": "better", "margin": "5 %"}}
    run = simulate(8, design="crossover", blocks=6, seconds=1.0, stale={"before": 0.6, "after": 0.0})
    previous = ["before"]
    for entry in run.blocks:
        if entry["stage"] == "change":
            mine = run.reads["block"].eq(entry["block"])
            if entry["arms"] == ["before"] and previous == ["after"]:  # the fresh entries are still there
                run.reads.loc[mine, "seen_version"] = run.reads.loc[mine, "probe"]
            previous = entry["arms"]
    guard = guard_of(run.judge(case_with(goals, design="crossover", blocks=6)))
    assert not guard.ok and "stale reads −" in guard.detail


def test_a_drift_from_block_to_block_is_noted(simulate: Any, case_with: Any) -> None:
    run = simulate(9, design="crossover", blocks=6, seconds=2.0)
    rng = np.random.default_rng(9)
    for entry in run.blocks[1:]:
        hit = run.requests["block"].eq(entry["block"]) & run.requests["cache"].eq("hit")
        run.requests.loc[hit & (rng.random(len(run.requests)) < 0.03 * entry["block"]), "cache"] = "miss"
    result = run.judge(case_with(GOALS, design="crossover", blocks=6))
    assert guard_of(result).ok and result.verdict in ("EQUIVALENT", "INCONCLUSIVE")
    assert [
        note.facts["way"]
        for note in result.notes
        if note.id == "trend-over-mirrored-blocks" and note.metric == "hit_ratio"
    ] == ["fell"]
