"""Intervals that may be looked at after every unit."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.stats import sequential
from luckyhit.judge.stats.boundary import Tested
from luckyhit.judge.stats.intervals import StandardError, interval_around
from tier import one_of_many

RATES = st.floats(1e-6, 0.05)
MARGINS = st.one_of(st.just(float("inf")), st.floats(0.01, 100))


@given(degrees=st.floats(2, 1e6), error_rate=RATES, margin=MARGINS)
def test_looking_at_any_time_costs_something(degrees: float, error_rate: float, margin: float) -> None:
    assert Sequential().critical_value(degrees, error_rate, margin) > FixedSample().critical_value(degrees, error_rate)


@given(degrees=st.floats(0.5, 1e5), error_rate=RATES, margin=MARGINS)
def test_a_smaller_error_rate_reaches_further(degrees: float, error_rate: float, margin: float) -> None:
    values = [Sequential().critical_value(degrees, rate, margin) for rate in (error_rate / 2, error_rate)]
    assert values[0] >= values[1]


@given(units=st.integers(40, 2000), margin=st.floats(3.2, 4.5))
def test_a_difference_of_the_declared_size_is_told_sooner(units: int, margin: float) -> None:
    """Whose standard error is such that it is about to be found."""
    assert Sequential(units).critical_value(units - 1, 0.01, margin) < Sequential(units).critical_value(units - 1, 0.01)


@pytest.mark.parametrize("margin", [float("inf"), 3.0, 5.0, 8.0, 20.0])
def test_a_dozen_units_set_bounds(margin: float) -> None:
    assert Sequential().critical_value(11, 0.01 / 3, margin) < 10


@pytest.mark.parametrize("margin", [float("inf"), 3.0, 5.0, 8.0])
def test_bounds_of_many_units_hardly_widen_for_few(margin: float) -> None:
    """Beside a mixture that is tuned for many units alone."""
    with patch.object(sequential, "FEW_UNITS_WEIGHT", 1e-12):
        alone = Sequential()
    assert alone.critical_value(11, 0.01 / 3, margin) == float("inf")
    for degrees in (30, 100, 300):
        wider = Sequential().critical_value(degrees, 0.01 / 3, margin)
        assert wider <= 1.03 * alone.critical_value(degrees, 0.01 / 3, margin)


@pytest.mark.parametrize("degrees", [0, -1, float("nan")])
def test_nothing_is_known_from_one_unit(degrees: float) -> None:
    assert Sequential().critical_value(degrees, 0.01) == float("inf") == Sequential().critical_value(degrees, 0.01, 3.0)


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_it_has_to_be_tuned_for_some_number_of_units(wrong: float) -> None:
    with pytest.raises(ValueError, match="tuned_for"):
        Sequential(wrong)


def test_it_is_narrow_where_it_was_tuned_to_be() -> None:
    for units in (50, 100, 500):
        best = Sequential(units).critical_value(units - 1, 0.002)
        others = [
            Sequential(tuned).critical_value(units - 1, 0.002) for tuned in np.geomspace(units / 8, units * 8, 40)
        ]
        assert best <= 1.05 * min(others)
        assert Sequential().critical_value(units - 1, 0.002) <= 1.2 * best


@pytest.mark.parametrize("margin", [float("inf"), 0.15, 0.4])
def test_a_mean_is_outside_at_no_time(margin: float) -> None:
    """Looked at again and again; the margin in units of the spread, and so in measured standard errors at each look."""
    rng, streams, units, error_rate = np.random.default_rng(11), 1000, 200, 0.05
    count = np.arange(1, units + 1)
    values = rng.standard_normal((streams, units))
    means = values.cumsum(axis=1) / count
    errors = np.sqrt(((values**2).cumsum(axis=1) - count * means**2) / np.maximum(count - 1, 1) / count)
    boundary, outside = Sequential(), np.zeros(streams, dtype=bool)
    for unit in range(9, units, 5):
        error = errors[:, unit]
        # On a grid of standard errors, interpolated.
        grid = np.geomspace(error.min(), error.max(), 12)
        half_width = [boundary.critical_value(unit, error_rate, margin / step) for step in grid]
        outside |= np.abs(means[:, unit]) > np.interp(error, grid, half_width) * error
    assert outside.mean() <= error_rate


@given(total=st.integers(0, 5000), share=st.floats(0, 1), error_rate=st.floats(1e-5, 0.05))
def test_a_proportion_is_inside_bounds_wider_than_of_one_look(total: int, share: float, error_rate: float) -> None:
    count = round(share * total)
    low, high = Sequential().proportion(count, total, error_rate)
    once = FixedSample().proportion(count, total, error_rate)
    assert 0 <= low <= (count / total if total else 0) <= high <= 1
    assert low <= once[0] + 1e-9 and high >= once[1] - 1e-9


@pytest.mark.parametrize(
    "proportion", [one_of_many(part, quick=part in (0.005, 0.5)) for part in (0.005, 0.05, 0.5, 0.99)]
)
def test_a_proportion_is_outside_at_no_time(proportion: float) -> None:
    rng, streams, reads, error_rate = np.random.default_rng(3), 1000, 300, 0.05
    counts = (rng.random((streams, reads)) < proportion).cumsum(axis=1)
    outside = np.zeros(streams, dtype=bool)
    for read in [*range(40), *range(40, reads, 10)]:
        distinct, back = np.unique(counts[:, read], return_inverse=True)
        bounds = np.array([Sequential().proportion(int(count), read + 1, error_rate) for count in distinct])
        low, high = bounds[back].T
        outside |= (proportion < low) | (proportion > high)
    assert outside.mean() <= error_rate


@given(total=st.integers(1, 400), quantile=st.sampled_from([0.5, 0.95, 0.99]), error_rate=st.floats(1e-4, 0.05))
def test_ranks_hold_the_quantile_and_are_wider_than_for_one_look(
    total: int, quantile: float, error_rate: float
) -> None:
    first, last = Sequential().ranks(quantile, total, error_rate)
    once = FixedSample().ranks(quantile, total, error_rate)
    assert 0 <= first <= quantile * total + 1 and quantile * total <= last <= total + 1
    assert first <= once[0] and last >= once[1]


def test_a_quantile_is_outside_its_ranks_at_no_time() -> None:
    rng, streams, windows, quantile, error_rate = np.random.default_rng(5), 2000, 200, 0.9, 0.05
    below = (rng.random((streams, windows)) < quantile).cumsum(axis=1)  # values at or below the true quantile
    outside = np.zeros(streams, dtype=bool)
    for window in range(windows):
        first, last = Sequential().ranks(quantile, window + 1, error_rate)
        outside |= (below[:, window] < first) | (below[:, window] >= last)
    assert 0 < outside.mean() <= error_rate


@given(degrees=st.floats(100, 2000), margin=st.floats(3.2, 4.5))
def test_each_effect_is_refuted_from_the_side_that_matters(degrees: float, margin: float) -> None:
    sides: tuple[Tested, ...] = ("beyond", "hoped", "nothing", "feared", "short")
    values = [Sequential().critical_value(degrees, 0.002, margin, tested=tested) for tested in sides]
    assert values == sorted(values) and values[0] < values[-1]


@pytest.mark.parametrize("truth", [0.0, 0.5, 1.0, one_of_many(-1.0, quick=False), one_of_many(2.0, quick=False)])
def test_the_true_difference_is_inside_at_every_look(truth: float) -> None:
    """In multiples of the margin, which is 0.6 standard deviations of a unit; more is hoped for."""
    rng, streams, error_rate, margin = np.random.default_rng(7), 250, 0.05, 0.6
    values = truth * margin + rng.standard_normal((streams, 60))
    outside = 0
    for stream in values:
        for units in range(4, 61, 4):
            seen = stream[:units]
            error = StandardError(float(seen.std(ddof=1)) / units**0.5, units - 1)
            bounds = interval_around(float(seen.mean()), error, Sequential(), error_rate, margin, hoped=1)
            if not bounds.low <= truth * margin <= bounds.high:
                outside += 1
                break
    assert outside <= error_rate * streams
