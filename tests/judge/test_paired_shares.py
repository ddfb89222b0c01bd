"""The difference of two shares that were counted in the same pairs: worked out exactly, not simulated."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.stats.proportions import paired_difference, proportion_difference
from tier import one_of_many

DIFFER = (0.0, 0.001, 0.01, *np.linspace(0.02, 1, 50))
AFTER_PART = (*np.linspace(0, 0.4, 9), 0.45, 0.48, 0.495, 0.5)
"""The rest is this turned around."""
BOUNDARIES = {"fixed": FixedSample(), "sequential": Sequential()}
counts = st.integers(0, 200).flatmap(
    lambda pairs: st.integers(0, pairs).flatmap(
        lambda one: st.tuples(st.just(one), st.integers(0, pairs - one), st.just(pairs))
    )
)


def misses(pairs: int, boundary: Boundary, error_rate: float) -> Iterator[tuple[float, float]]:
    """(true difference, chance that the interval does not hold it), over a grid of both shares."""
    one, other = np.indices((pairs + 1, pairs + 1))
    ways = one + other <= pairs
    low, high = np.full((2, *ways.shape), np.nan)
    for before, after in zip(one[ways], other[ways], strict=True):
        bounds = paired_difference(int(before), int(after), pairs, boundary, error_rate)
        low[before, after], high[before, after] = bounds.low, bounds.high
    for differ in DIFFER:
        count = binom.pmf(np.arange(pairs + 1), pairs, differ)
        for part in AFTER_PART:
            truth = differ * (2 * part - 1)
            missed = ways & ~((low <= truth) & (truth <= high))
            chance = count[(one + other)[missed]] * binom.pmf(other[missed], (one + other)[missed], part)
            yield truth, float(chance.sum())


@pytest.mark.parametrize(
    ("boundary", "pairs", "error_rate"),
    [
        ("fixed", 15, 0.05),
        ("fixed", 60, 0.01),
        one_of_many("fixed", 60, 0.1, quick=False),
        one_of_many("fixed", 60, 0.0005, quick=False),
        one_of_many("fixed", 120, 0.002, quick=False),
        ("sequential", 15, 0.05),
        one_of_many("sequential", 60, 0.05, quick=False),
    ],
)
def test_it_covers_at_least_as_often_as_it_should(boundary: str, pairs: int, error_rate: float) -> None:
    for truth, missed in misses(pairs, BOUNDARIES[boundary], error_rate):
        assert missed <= (error_rate if abs(truth) < 0.05 else error_rate / 2), truth


@given(counts)
def test_it_holds_the_estimate_and_turns_with_the_arms(counted: tuple[int, int, int]) -> None:
    one, other, pairs = counted
    for boundary in BOUNDARIES.values():
        forth = paired_difference(one, other, pairs, boundary, 0.01)
        back = paired_difference(other, one, pairs, boundary, 0.01)
        assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
        assert -1 <= forth.low <= forth.high <= 1
        if pairs:
            assert forth.low <= forth.effect <= forth.high


@given(counts, st.booleans())
def test_one_more_pair_moves_the_whole_interval(counted: tuple[int, int, int], fixed: bool) -> None:
    """A pair in which both arms had it becomes one in which the after arm alone had."""
    one, other, pairs = counted
    boundary = BOUNDARIES["fixed" if fixed else "sequential"]
    less = paired_difference(one, other, pairs + 1, boundary, 0.01)
    more = paired_difference(one, other + 1, pairs + 1, boundary, 0.01)
    slack = 1e-6  # bounds of shares are found that near
    assert more.low >= less.low - slack and more.high >= less.high - slack


@pytest.mark.parametrize("boundary", BOUNDARIES)
@given(counted=counts)
def test_it_excludes_zero_where_the_differing_pairs_say_so(boundary: str, counted: tuple[int, int, int]) -> None:
    one, other, pairs = counted
    low, high = BOUNDARIES[boundary].proportion(other, one + other, 0.01)
    bounds = paired_difference(one, other, pairs, BOUNDARIES[boundary], 0.01)
    assert (bounds.low > 0, bounds.high < 0) == (low > 0.5, high < 0.5)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("pairs", [20, 69, 500])
def test_where_none_differ_the_bound_is_that_of_one_arm(boundary: str, pairs: int) -> None:
    none = paired_difference(0, 0, pairs, BOUNDARIES[boundary], 0.01)
    alone = BOUNDARIES[boundary].proportion(0, pairs, 0.8 * 0.01)[1]
    assert none.high == -none.low and none.high == pytest.approx(alone, rel=0.02)


def test_eighteen_pairs_that_differ_one_way_are_enough() -> None:
    """18 of 253 against 0 of 253, which an interval of two arms apart can't tell at a small error rate."""
    for boundary in BOUNDARIES.values():
        assert paired_difference(18, 0, 253, boundary, 0.001).high < 0
    assert proportion_difference(18, 253, 0, 253, BOUNDARIES["sequential"], 0.001).high > 0


@pytest.mark.parametrize("pairs", [400, 2000])
def test_where_many_differ_the_interval_still_shrinks(pairs: int) -> None:
    """Both arms stale in three of ten, each by its own chance."""
    either = round(0.21 * pairs)
    both = paired_difference(either, either, pairs, FixedSample(), 0.01)
    assert both.high <= 5 * (2 * 0.21 / pairs) ** 0.5


@pytest.mark.parametrize("boundary", BOUNDARIES)
@given(counted=counts)
def test_an_excess_is_no_larger_than_what_was_seen(boundary: str, counted: tuple[int, int, int]) -> None:
    more, fewer, pairs = counted
    if pairs:
        assert BOUNDARIES[boundary].excess(more, fewer, pairs, 0.01) <= max(0.0, (more - fewer) / pairs) + 1e-9


def test_one_in_five_stale_is_soon_beyond_five_points() -> None:
    """38 of 194 against none: what counts for a goal is how far the near bound lies off 0."""
    assert paired_difference(0, 38, 194, BOUNDARIES["sequential"], 0.0025).low > 0.08


def test_the_nearest_bound_holds_at_every_look() -> None:
    """Pairs that differ in 12 % one way and in 5 % the other way, looked at after each twenty of 600."""
    rng, missed = np.random.default_rng(4), 0
    for _ in range(40):
        drawn = np.cumsum(rng.multinomial(1, [0.12, 0.05, 0.83], 600), axis=0)[19::20]
        looks = enumerate(drawn, 1)
        missed += any(BOUNDARIES["sequential"].excess(a, b, 20 * n, 0.1) > 0.07 for n, (a, b, _) in looks)
    assert missed <= 4


def test_no_pairs_say_nothing() -> None:
    nothing = paired_difference(0, 0, 0, FixedSample(), 0.01)
    assert np.isnan(nothing.effect) and (nothing.low, nothing.high) == (-1, 1)


def test_pairs_show_rare_errors_sooner_than_arms_apart() -> None:
    """22 of 1,500 requests failed before, 3 after."""
    alone = proportion_difference(22, 1500, 3, 1500, Sequential(), 0.01)
    paired = paired_difference(22, 3, 1500, Sequential(), 0.01)
    assert paired.high < 0 <= alone.high
