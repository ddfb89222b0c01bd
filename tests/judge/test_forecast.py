"""Forecasts of the pairs that a goal takes."""

from __future__ import annotations

import numpy as np
import pytest

from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.compare.effects import Effect
from luckyhit.judge.power.sample_size import IntervalRule, pairs_for_equality
from luckyhit.judge.stats.boundary import INF
from luckyhit.judge.stats.forecast import Question, forecast, wald_pairs
from luckyhit.judge.stats.intervals import StandardError, interval_around
from luckyhit.judge.stats.proportions import ArmCounts, PairedCounts

RATE = 0.0025
BOUNDARIES = [FixedSample(), Sequential()]
PAIRS_PER_UNIT, DEVIATION, MARGIN = 10, 1.0, 0.1


def question(boundary: FixedSample | Sequential, margin: float = 0.05, want: str = "better") -> Question:
    return Question(margin, want, -1, boundary, RATE)  # type: ignore[arg-type]


def of_counts(counts: PairedCounts | ArmCounts, boundary: FixedSample | Sequential) -> Effect:
    apart = counts.difference(boundary, RATE)
    return Effect(0.1, 0.1, apart.effect, apart.low, apart.high, pairs=counts.pairs, counts=counts)


def of_mean(estimate: float, pairs: int, boundary: FixedSample | Sequential, margin: float = MARGIN) -> Effect:
    error, degrees = DEVIATION / pairs**0.5, pairs / PAIRS_PER_UNIT - 1
    bounds = interval_around(estimate, StandardError(error, degrees), boundary, RATE, margin)
    return Effect(1.0, 1.0, estimate, bounds.low, bounds.high, pairs=pairs, standard_error=error, degrees=degrees)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_pairs_without_events_need_as_many_as_planned(boundary: FixedSample | Sequential) -> None:
    needed = int(pairs_for_equality(0.05, IntervalRule(boundary, RATE, paired=True)))
    ahead = forecast(of_counts(PairedCounts(0, 0, needed // 4), boundary), question(boundary))
    assert needed / 1.5 < ahead.pairs < 1.5 * needed


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_unpaired_counts_have_a_forecast(boundary: FixedSample | Sequential) -> None:
    ahead = forecast(of_counts(ArmCounts(4, 40, 0, 42), boundary), question(boundary))
    assert 40 < ahead.low <= ahead.pairs <= ahead.high


def test_a_quarter_of_a_sample_forecasts_an_unchanged_mean() -> None:
    boundary, rng = Sequential(), np.random.default_rng(3)
    took = []
    for _ in range(60):
        sums = np.cumsum(DEVIATION * rng.normal(size=12_000))
        for pairs in range(200, 12_000, 50):
            effect = of_mean(sums[pairs - 1] / pairs, pairs, boundary)
            if question(boundary, MARGIN).decided(effect.low, effect.high):
                took.append(pairs)
                break
    quarter = int(np.median(took) / 4)
    ahead = [
        forecast(of_mean(DEVIATION * rng.normal() / quarter**0.5, quarter, boundary), question(boundary, MARGIN)).pairs
        for _ in range(60)
    ]
    assert np.median(took) / 1.5 < np.median(ahead) < 1.5 * np.median(took)


def test_no_forecast_without_error_and_infinite_where_too_far() -> None:
    asked = question(FixedSample(), 0.001)
    assert forecast(Effect(1.0, 1.0, 0.0, -1.0, 1.0, pairs=100), asked) is None
    assert forecast(Effect(), asked) is None
    assert forecast(of_counts(PairedCounts(0, 0, 20), FixedSample()), asked).pairs == INF


def test_the_same_sample_has_the_same_forecast() -> None:
    asked, effect = question(Sequential(), MARGIN), of_mean(0.03, 400, Sequential())
    assert forecast(effect, asked) == forecast(effect, asked)


def test_wald_pairs_are_two_logs_times_the_variance() -> None:
    effect = of_mean(0.0, 400, FixedSample())
    assert wald_pairs(effect, MARGIN, RATE) == np.ceil(2 * np.log(1 / RATE) * DEVIATION**2 / MARGIN**2)
    assert wald_pairs(effect, 0.0, RATE) is None
