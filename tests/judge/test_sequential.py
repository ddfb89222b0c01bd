"""Intervals that may be looked at after every unit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge import FixedSample, Sequential

RATES = st.floats(1e-6, 0.2)


@given(degrees=st.floats(0.5, 1e6), error_rate=RATES)
def test_looking_at_any_time_costs_something_and_two_numbers_cost_more(degrees: float, error_rate: float) -> None:
    reach, fixed = Sequential(), FixedSample()
    assert reach.single(degrees, error_rate) > fixed.single(degrees, error_rate) or error_rate > 0.1
    assert reach.joint(degrees, error_rate) >= reach.single(degrees, error_rate)


@given(degrees=st.floats(0.5, 1e5), error_rate=RATES)
def test_a_smaller_error_rate_reaches_further(degrees: float, error_rate: float) -> None:
    reach = Sequential()
    assert reach.single(degrees, error_rate / 2) >= reach.single(degrees, error_rate)


@pytest.mark.parametrize("degrees", [0, -1, float("nan")])
def test_nothing_is_known_from_one_unit(degrees: float) -> None:
    assert Sequential().single(degrees, 0.01) == float("inf") == Sequential().joint(degrees, 0.01)


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_it_has_to_be_tuned_for_some_number_of_units(wrong: float) -> None:
    with pytest.raises(ValueError, match="tuned_for"):
        Sequential(wrong)


def test_it_is_narrow_where_it_was_tuned_to_be() -> None:
    for units in (30, 60, 300):
        best = Sequential(units).single(units - 1, 0.002)
        others = [Sequential(tuned).single(units - 1, 0.002) for tuned in np.geomspace(units / 8, units * 8, 40)]
        assert best <= 1.05 * min(others)
        assert Sequential(60).single(units - 1, 0.002) <= 1.2 * best


def test_two_numbers_at_any_time_hold_together() -> None:
    """Two means with one spread, looked at after every unit."""
    rng, streams, units, error_rate = np.random.default_rng(11), 1500, 150, 0.05
    values = rng.standard_normal((2, streams, units))
    count = np.arange(1, units + 1)
    sums = values.cumsum(axis=2)
    # The spread is told by a third stream, as long and as wide.
    other = rng.standard_normal((streams, units))
    spread = np.sqrt((other**2).cumsum(axis=1) / count)
    outside = np.hypot(*(sums / np.sqrt(count))) / spread
    radius = np.array([Sequential().joint(number - 1, error_rate) for number in count])
    assert ((outside > radius)[:, 1:].any(axis=1)).mean() <= error_rate
