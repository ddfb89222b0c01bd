from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge.compare.stationary import FEWEST_WINDOWS, moving, settled

SIZE = 100


def windows(ratios: list[float], rng: np.random.Generator, size: int = SIZE) -> list[tuple[int, int]]:
    return [(int(rng.binomial(size, ratio)), size) for ratio in ratios]


def stops_at(ratios: list[float], rng: np.random.Generator) -> int | None:
    """The number of windows after which it is called still, looking after each; None where it never is."""
    counts = windows(ratios, rng)
    return next((end for end in range(1, len(counts) + 1) if settled(counts[:end])), None)


@pytest.mark.parametrize("ratio", [0.0, 0.02, 0.3, 0.7, 0.97, 1.0])
def test_a_ratio_that_does_not_move_is_called_still_soon(ratio: float) -> None:
    rng = np.random.default_rng(1)
    stops = [stops_at([ratio] * 30, rng) for _ in range(200)]
    assert all(stop is not None for stop in stops)
    assert np.median([stop for stop in stops if stop]) <= FEWEST_WINDOWS + 3


@pytest.mark.parametrize(("slowness", "most"), [(4, 10), (8, 30)])
def test_a_filling_cache_is_seldom_called_still_too_early(slowness: float, most: int) -> None:
    """The hit ratio goes from 0 to 80 % as 1 - exp(-window / slowness). 10 points below is far. The slower it is, the
    less of it shows in windows of this size: 10 of 200 at 4 windows, some 20 of 200 at 8."""
    rng = np.random.default_rng(2)
    ratios = [0.8 * (1 - np.exp(-(number + 0.5) / slowness)) for number in range(60)]
    early = 0
    for _ in range(200):
        stop = stops_at(ratios, rng)
        assert stop is not None
        early += ratios[stop - 1] < 0.7
    assert early <= most


def test_a_ratio_that_goes_on_falling_is_not_still() -> None:
    rng = np.random.default_rng(3)
    falling = [0.95 - 0.03 * number for number in range(20)]
    assert sum(stops_at(falling, rng) is not None for _ in range(200)) <= 40


def test_a_steep_ratio_moves_and_a_still_one_does_not() -> None:
    rng = np.random.default_rng(4)
    still = sum(moving(windows([0.9] * 12, rng)) for _ in range(500))
    assert still <= 15  # 5 expected
    steep = sum(moving(windows([0.2 + 0.05 * number for number in range(12)], rng)) for _ in range(500))
    assert steep >= 450
    assert not moving(windows([0.2, 0.9], rng))


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: (min(pair), max(pair))), max_size=30)
)
def test_any_windows_give_an_answer(counts: list[tuple[int, int]]) -> None:
    assert not (settled(counts) and moving(counts))
    assert settled(counts) == settled([window for window in counts if window[1]])
    if sum(total > 0 for _, total in counts) < FEWEST_WINDOWS:
        assert not settled(counts)
