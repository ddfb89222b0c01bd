"""A night's baseline beyond all earlier ones: how many nights in a row, how likely by chance, in which direction."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.fleet.digest.departures import FEWEST, departures, nights_beyond
from luckyhit.fleet.digest.level_shifts import NEW_NIGHTS, level_shifts
from luckyhit.report.trends import BaselinePoint


@given(st.lists(st.integers(0, 12), max_size=20))
def test_nights_in_a_row_as_counted_by_hand(series: list[int]) -> None:
    longest = 0
    for nights in range(1, min(10, len(series) - FEWEST) + 1):
        if all(newer > older for newer in series[:nights] for older in series[nights:]):
            longest = nights
    assert nights_beyond([float(value) for value in series]) == longest


@pytest.mark.parametrize("nights", [1, 2])
def test_the_chance_is_what_it_says(nights: int) -> None:
    rng, earlier, draws = np.random.default_rng(7), 12, 40_000
    values = rng.normal(size=(draws, earlier + 1))
    low, high = np.sort(values[:, nights:], axis=1)[:, [0, -1]].T
    beyond = (values[:, :nights].min(1) > high) | (values[:, :nights].max(1) < low)
    expected = 2 / comb(earlier + 1, nights)
    assert abs(beyond.mean() - expected) < 4 * (expected / draws) ** 0.5


def test_directions_and_what_is_too_few() -> None:
    quiet = [{"latency_p50_ms": 10.0 + number % 3, "hit_ratio": 0.9} for number in range(20)]
    comparison = departures({"latency_p50_ms": 30.0, "hit_ratio": 0.95, "error_rate": 1.0}, quiet)
    found = {one.metric: one for one in comparison.outside}
    assert {name: one.direction for name, one in found.items()} == {"latency_p50_ms": "worse", "hit_ratio": "better"}
    assert comparison.metrics == 2 and comparison.by_chance == pytest.approx(2 * 2 / 21)
    assert found["latency_p50_ms"].nights == 1 and found["latency_p50_ms"].median == 11.0
    assert departures({"hit_ratio": 0.1}, quiet[: FEWEST - 1]).metrics == 0


def test_the_same_metric_the_night_before() -> None:
    earlier = [{"error_rate": 0.2}, *({"error_rate": 0.01} for _ in range(20))]
    (departure,) = departures({"error_rate": 0.3}, earlier).outside
    assert departure.nights == 2 and departure.high == 0.01 and departure.chance == pytest.approx(2 / comb(22, 2))


def points(values: list[float], **facts: bool) -> list[BaselinePoint]:
    alone = facts.get("alone", True)
    return [
        BaselinePoint("ann", f"2026-{1 + number // 28:02}-{1 + number % 28:02}T02:00", alone, {"hit_ratio": value})
        for number, value in enumerate(values)
    ]


def test_a_level_that_changed_for_good() -> None:
    rng = np.random.default_rng(3)
    values = [*(0.9 + 0.01 * rng.normal(size=40)), *(0.6 + 0.01 * rng.normal(size=5))]
    (shift,) = level_shifts(points(values))
    assert (shift.metric, shift.direction, shift.new, shift.nights) == ("hit_ratio", "worse", True, 5)
    assert shift.was == pytest.approx(0.9, abs=0.02) and shift.became == pytest.approx(0.6, abs=0.02)
    (old,) = level_shifts(points([*values, *(0.6 + 0.01 * rng.normal(size=10))]))
    assert not old.new and old.nights > NEW_NIGHTS and old.date == shift.date


def test_one_odd_night_is_no_shift() -> None:
    rng = np.random.default_rng(4)
    values = 0.9 + 0.01 * rng.normal(size=50)
    values[30] = 0.2
    assert level_shifts(points(list(values))) == []


def test_baselines_beside_a_change_are_not_mixed_with_others() -> None:
    rng = np.random.default_rng(5)
    alone, beside = (list(level + 0.01 * rng.normal(size=30)) for level in (0.9, 0.6))
    mixed = [*points(alone), *points(beside, alone=False)]
    assert level_shifts(mixed) == []
