"""The difference of two shares that were counted in the same pairs: worked out exactly, not simulated."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.proportions import Difference, paired_difference, share_difference
from tier import one_of_many

PAIRS = 60
DIFFER = (0.02, 0.1, 0.3, 0.7)
AFTER_PART = (0.0, 0.1, 0.5, 0.8)
counts = st.integers(0, 200).flatmap(
    lambda pairs: st.integers(0, pairs).flatmap(
        lambda one: st.tuples(st.just(one), st.integers(0, pairs - one), st.just(pairs))
    )
)


def by_counts(error_rate: float) -> dict[tuple[int, int], Difference]:
    """The interval for each way in which PAIRS pairs can come out."""
    ways = [(one, other) for one, other in product(range(PAIRS + 1), repeat=2) if one + other <= PAIRS]
    return {way: paired_difference(*way, PAIRS, FixedSample(), error_rate) for way in ways}


@pytest.mark.parametrize("error_rate", [0.01, one_of_many(0.05, quick=False)])
def test_it_covers_at_least_as_often_as_it_should(error_rate: float) -> None:
    found = by_counts(error_rate)
    for differ, part in product(DIFFER, AFTER_PART):
        truth = differ * (2 * part - 1)
        missed = sum(
            binom.pmf(one + other, PAIRS, differ) * binom.pmf(other, one + other, part)
            for (one, other), interval in found.items()
            if not interval.low <= truth <= interval.high
        )
        assert missed <= error_rate, (differ, part)


@given(counts)
def test_it_holds_what_was_seen_and_turns_around_with_the_arms(counted: tuple[int, int, int]) -> None:
    one, other, pairs = counted
    for boundary in (FixedSample(), Sequential()):
        there = paired_difference(one, other, pairs, boundary, 0.01)
        back = paired_difference(other, one, pairs, boundary, 0.01)
        assert there.low == pytest.approx(-back.high) and there.high == pytest.approx(-back.low)
        assert -1 <= there.low <= there.high <= 1
        if pairs:
            assert there.low <= there.effect <= there.high


def test_no_pairs_say_nothing() -> None:
    nothing = paired_difference(0, 0, 0, FixedSample(), 0.01)
    assert np.isnan(nothing.effect) and (nothing.low, nothing.high) == (-1, 1)


def test_rare_errors_that_went_away_are_seen_sooner_than_from_both_arms_alone() -> None:
    """22 of 1,500 requests failed before, 3 after."""
    alone = share_difference(22, 1500, 3, 1500, Sequential(), 0.01)
    paired = paired_difference(22, 3, 1500, Sequential(), 0.01)
    assert paired.high < 0 <= alone.high
