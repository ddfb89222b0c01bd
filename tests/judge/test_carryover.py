"""What one block leaves for the next, where arms take turns on one service."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from declared import a_case
from hypothesis import given
from hypothesis import strategies as st
from simulated_blocks import Records, a_run

from luckyhit.judge.guards.carryover import carry_over, order_effects
from luckyhit.records import Guard, Result
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
def test_carry_over_is_estimated(carry: float) -> None:
    """A block before that follows one after shows more hits, a block after that follows one before shows fewer: both
    together would cancel out if only "follows the other arm" were looked at."""
    term = order_effects(values_of(np.random.default_rng(1), carry=carry), ABBA)["carry"]
    assert term.sure and term.low < carry < term.high and abs(term.value - carry) < 0.02


def test_a_cost_of_every_switch_is_no_carry_over() -> None:
    terms = order_effects(values_of(np.random.default_rng(2), switch=-0.08), ABBA)
    assert terms["switch"].low < -0.08 < terms["switch"].high < 0
    assert not terms["carry"].sure


def test_a_drift_is_no_carry_over() -> None:
    terms = order_effects(values_of(np.random.default_rng(3), trend=0.02), ABBA)
    assert terms["trend"].sure and terms["trend"].value == pytest.approx(0.02, abs=0.003)
    assert not terms["carry"].sure and not terms["switch"].sure


def test_without_carry_over_one_in_a_hundred_is_wrong() -> None:
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
def test_any_order_of_blocks_has_valid_terms(order: list[int], values: dict[int, float]) -> None:
    terms = order_effects(values, dict(enumerate(order)))
    assert all(term.low <= term.value <= term.high for term in terms.values())
    if sum(block in values and np.isfinite(values[block]) for block in range(len(order))) < 3:
        assert terms == {}


def test_too_few_blocks_have_no_terms() -> None:
    few = {block: arm for block, arm in ABBA.items() if block < 4}
    assert order_effects(dict.fromkeys(few, 1.0), few) == {}
    assert order_effects({}, {}) == {}


@pytest.mark.parametrize(("carry", "ok"), [(0.02, True), (0.06, False)])
def test_carry_over_inside_the_margin_is_accepted(carry: float, ok: bool) -> None:
    values = values_of(np.random.default_rng(5), carry=carry, noise=0.001)
    guard, notes = carry_over({"hit_ratio": values}, ABBA, a_case(GOALS, design="crossover"), {})
    assert guard.ok is ok and notes == []


def taken_turns(seed: int, blocks: int, carry: float = 0.0) -> Result:
    """A placebo in which a block that follows one of the after arm has `carry` more hits."""
    run = a_run(seed, design="crossover", blocks=blocks, seconds=2.0, probed=False)
    rng = np.random.default_rng(seed)
    for entry in after_the_other(run, "after"):
        missed = run.requests["block"].eq(entry["block"]) & run.requests["cache"].eq("miss")
        kept = missed & (rng.random(len(run.requests)) < carry / 0.2)
        run.requests.loc[kept, ["cache", "db_calls"]] = "hit", 0
    return run.judge(a_case(GOALS, design="crossover", blocks=blocks, freshness=False))


def after_the_other(run: Records, arm: str) -> list[dict]:  # type: ignore[type-arg]
    """The blocks of the change that follow one of this arm."""
    changed = [entry for entry in run.blocks if entry["stage"] == "change"]
    return [entry for before, entry in pairwise(changed) if before["arms"] == [arm]]


def guard_of(result: Result) -> Guard:
    return next(guard for guard in result.guards if guard.id == "no-carry-over")


def test_carry_over_beyond_the_margin_makes_a_run_invalid() -> None:
    result = taken_turns(5, 8, carry=0.15)
    assert not guard_of(result).ok and guard_of(result).remedy and result.verdict == "INVALID"


@pytest.mark.parametrize("seed", seeds(4))
def test_a_placebo_has_no_carry_over(seed: int) -> None:
    assert guard_of(taken_turns(seed, 8)).ok


def test_few_blocks_are_no_fault() -> None:
    assert guard_of(taken_turns(6, 2)).ok


def test_carry_over_of_stale_reads_is_found() -> None:
    run = a_run(8, design="crossover", blocks=6, seconds=1.0, stale={"before": 0.6, "after": 0.0})
    for entry in after_the_other(run, "after"):
        if entry["arms"] == ["before"]:  # the fresh entries are still there
            reads = run.reads["block"].eq(entry["block"])
            run.reads.loc[reads, "seen_version"] = run.reads.loc[reads, "probe"]
    goals = {"stale_reads": {"want": "better", "margin": "5 %"}}
    assert not guard_of(run.judge(a_case(goals, design="crossover", blocks=6))).ok


def test_a_drift_from_block_to_block_is_noted() -> None:
    run = a_run(9, design="crossover", blocks=6, seconds=2.0)
    rng = np.random.default_rng(9)
    for entry in run.blocks[1:]:
        hit = run.requests["block"].eq(entry["block"]) & run.requests["cache"].eq("hit")
        run.requests.loc[hit & (rng.random(len(run.requests)) < 0.03 * entry["block"]), "cache"] = "miss"
    result = run.judge(a_case(GOALS, design="crossover", blocks=6))
    assert guard_of(result).ok and result.verdict in ("EQUIVALENT", "INCONCLUSIVE")
    trends = [note for note in result.notes if note.id == "trend-over-mirrored-blocks" and note.metric == "hit_ratio"]
    assert [note.facts["way"] for note in trends] == ["fell"]
