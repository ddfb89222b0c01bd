"""Intervals from counts cover at least as often as they say: computed exactly, not sampled."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from luckyhit.judge.freshness.classify import StaleShare, stale_difference
from luckyhit.judge.stale.proportion_bounds import bounds_at, uncompared
from luckyhit.judge.stats.boundary import FixedSample, clopper_pearson
from tier import one_of_many

PROPORTIONS = np.unique(np.r_[0, 0.001, 0.01, 0.03, np.arange(0.06, 0.5, 0.08), 0.5])
PROPORTIONS = np.unique(np.r_[PROPORTIONS, 1 - PROPORTIONS])


@pytest.mark.parametrize(
    ("before", "after", "confidence"),
    [
        one_of_many(before, after, confidence, quick=(before, confidence) in ((9, 0.95), (12, 0.9), (12, 0.99)))
        for before, after in [(3, 30), (9, 9), (10, 10), (12, 12), (20, 45), (40, 40)]
        for confidence in (0.9, 0.95, 0.99, 0.9975)
    ],
)
def test_the_interval_of_a_difference_covers_the_truth(before: int, after: int, confidence: float) -> None:
    limits = np.array(
        [
            [
                stale_difference(StaleShare(a, before - a), StaleShare(b, after - b), 1 - confidence)[1:]
                for b in range(after + 1)
            ]
            for a in range(before + 1)
        ]
    )
    for rate_before in PROPORTIONS:
        for rate_after in PROPORTIONS:
            truth = rate_after - rate_before
            covers = (limits[..., 0] <= truth + 1e-12) & (truth - 1e-12 <= limits[..., 1])
            chance = (
                binom.pmf(np.arange(before + 1), before, rate_before)
                @ covers
                @ binom.pmf(np.arange(after + 1), after, rate_after)
            )
            assert chance >= confidence, (rate_before, rate_after)


def test_a_difference_has_a_sign_and_stays_in_its_range() -> None:
    gone = stale_difference(StaleShare(50, 0), StaleShare(0, 50))
    assert gone.effect == -1 and gone.low == -1 and -0.95 < gone.high < -0.8
    came = stale_difference(StaleShare(0, 50), StaleShare(50, 0))
    assert (came.low, came.high) == (-gone.high, -gone.low)
    nothing = stale_difference(StaleShare(0, 50), StaleShare(0, 50))
    assert nothing.effect == 0 and nothing.low == -nothing.high and 0.05 < nothing.high < 0.1
    for share in (gone, came, nothing):
        assert -1 <= share.low <= share.effect <= share.high <= 1


def test_an_arm_without_reads_leaves_all_open() -> None:
    difference = stale_difference(StaleShare(0, 0, unknown=7), StaleShare(0, 50))
    assert math.isnan(difference.effect) and (difference.low, difference.high) == (-1, 1)


@given(st.integers(1, 5000), st.floats(0, 1), st.floats(0.5, 0.9999))
def test_the_exact_interval_is_that_of_scipy(total: int, part: float, confidence: float) -> None:
    exact = binomtest(round(part * total), total).proportion_ci(confidence, method="exact")
    assert clopper_pearson(round(part * total), total, confidence) == pytest.approx((exact.low, exact.high), abs=1e-9)
    assert clopper_pearson(0, 0) == (0.0, 1.0)


def test_zero_stale_reads_are_a_bound_and_not_a_proof() -> None:
    assert uncompared(0, 0) == (0, 1)
    assert uncompared(0, 300)[1] == pytest.approx(3 / 300, rel=0.02)
    assert (1 - bounds_at(FixedSample(), 0.01)(0, 20)[1]) ** 20 == pytest.approx(0.01)
