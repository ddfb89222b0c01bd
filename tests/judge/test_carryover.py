from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge.carryover import carry_over, washed_out_guard

ABBA = dict(enumerate([0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0]))


def after_other(arms: dict[int, int]) -> dict[int, bool]:
    order = [0, *(arms[block] for block in sorted(arms))]
    return {block: order[index] != order[index + 1] for index, block in enumerate(sorted(arms))}


def test_what_is_left_of_the_arm_before_is_found_with_its_size() -> None:
    rng = np.random.default_rng(1)
    follows = after_other(ABBA)
    values = {block: 0.6 + 0.1 * arm - 0.08 * follows[block] + rng.normal(0, 0.005) for block, arm in ABBA.items()}
    effect = carry_over(values, ABBA)
    assert effect is not None and effect.low < -0.08 < effect.high and effect.high < 0


def test_without_it_one_in_a_hundred_is_wrong() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(1000):
        effect = carry_over({block: 0.6 + 0.1 * arm + rng.normal(0, 0.01) for block, arm in ABBA.items()}, ABBA)
        assert effect is not None
        wrong += not effect.low <= 0 <= effect.high
    assert wrong <= 20  # 10 expected; more than 20 come once in a thousand times


@given(st.floats(-1, 1), st.floats(-1, 1), st.lists(st.floats(-0.1, 0.1), min_size=16, max_size=16))
def test_neither_the_level_nor_the_effect_of_the_change_counts(level: float, effect: float, noise: list[float]) -> None:
    plain = carry_over(dict(enumerate(noise)), ABBA)
    moved = carry_over({block: level + effect * ABBA[block] + noise[block] for block in ABBA}, ABBA)
    assert plain is not None and moved is not None
    assert moved.value == pytest.approx(plain.value, abs=1e-9)
    assert moved.high - moved.low == pytest.approx(plain.high - plain.low, abs=1e-6)


def test_too_few_blocks_tell_nothing() -> None:
    few = {block: arm for block, arm in ABBA.items() if block < 4}
    assert carry_over(dict.fromkeys(few, 1.0), few) is None
    assert carry_over({}, {}) is None
    assert carry_over({**dict.fromkeys(ABBA, 1.0), 1: float("nan")}, ABBA) is not None


def test_a_wash_out_that_did_not_settle_is_named() -> None:
    assert washed_out_guard([{"block": 1}, {"block": 2, "washout": {}}]) is None
    held = {"block": 3, "washout": {"settled": True, "seconds": 4.0}}
    guard = washed_out_guard([held, {"block": 5, "washout": {"settled": True, "seconds": 6.0}}])
    assert guard is not None and guard.ok and "4 to 6 s" in guard.detail
    guard = washed_out_guard([held, {"block": 7, "washout": {"settled": False, "seconds": 30.0}}])
    assert guard is not None and not guard.ok and "block 7" in guard.detail and "plan.washout" in guard.remedy
    guard = washed_out_guard([{"block": 3, "washout": {"settled": None, "seconds": 2.0}}])
    assert guard is not None and guard.ok and "too few answers" in guard.detail
