"""Forecasts of the pairs that a goal takes, and the pairs needed before anything is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.compare.effects import Effect
from luckyhit.judge.stats.boundary import INF
from luckyhit.judge.stats.forecast import (
    Question,
    forecast,
    pairs_needed_mean,
    pairs_needed_share,
    wald_pairs,
)
from luckyhit.judge.stats.proportions import ArmCounts, PairedCounts

RATE = 0.0025
BOUNDARIES = [FixedSample(), Sequential()]
PAIRS_PER_UNIT, SPREAD, MARGIN = 10, 1.0, 0.1


def question(boundary: FixedSample | Sequential, margin: float = 0.05, want: str = "better") -> Question:
    return Question(margin, want, -1, boundary, RATE)  # type: ignore[arg-type]


def of_counts(counts: PairedCounts | ArmCounts, boundary: FixedSample | Sequential) -> Effect:
    apart = counts.difference(boundary, RATE)
    return Effect(0.1, 0.1, apart.effect, apart.low, apart.high, pairs=counts.pairs, counts=counts)


def of_mean(estimate: float, pairs: int, boundary: FixedSample | Sequential, margin: float = MARGIN) -> Effect:
    error, degrees = SPREAD / pairs**0.5, pairs / PAIRS_PER_UNIT - 1
    reach = boundary.single(degrees, RATE, margin / error) * error
    return Effect(1.0, 1.0, estimate, estimate - reach, estimate + reach, pairs=pairs, error=error, degrees=degrees)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_none_among_all_pairs_needs_what_was_planned(boundary: FixedSample | Sequential) -> None:
    needed = pairs_needed_share(0.05, RATE, boundary)
    ahead = forecast(of_counts(PairedCounts(0, 0, needed // 4), boundary), question(boundary))
    assert needed / 1.5 < ahead.pairs < 1.5 * needed
    at = PairedCounts(0, 0, needed).difference(boundary, RATE)
    short = PairedCounts(0, 0, needed - 1).difference(boundary, RATE)
    assert at.high <= 0.05 < short.high


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_unpaired_counts_have_a_forecast(boundary: FixedSample | Sequential) -> None:
    ahead = forecast(of_counts(ArmCounts(4, 40, 0, 42), boundary), question(boundary))
    assert 40 < ahead.low <= ahead.pairs <= ahead.high


def test_a_quarter_of_a_sample_tells_how_many_an_unchanged_mean_takes() -> None:
    boundary, rng = Sequential(), np.random.default_rng(3)
    took = []
    for _ in range(60):
        sums = np.cumsum(SPREAD * rng.normal(size=12_000))
        for pairs in range(200, 12_000, 50):
            effect = of_mean(sums[pairs - 1] / pairs, pairs, boundary)
            if question(boundary, MARGIN).decided(effect.low, effect.high):
                took.append(pairs)
                break
    quarter = int(np.median(took) / 4)
    ahead = [
        forecast(of_mean(SPREAD * rng.normal() / quarter**0.5, quarter, boundary), question(boundary, MARGIN)).pairs
        for _ in range(60)
    ]
    assert np.median(took) / 1.5 < np.median(ahead) < 1.5 * np.median(took)


def test_no_standard_error_no_forecast_and_a_line_too_near_is_out_of_reach() -> None:
    asked = question(FixedSample(), 0.001)
    assert forecast(Effect(1.0, 1.0, 0.0, -1.0, 1.0, pairs=100), asked) is None
    assert forecast(Effect(), asked) is None
    assert forecast(of_counts(PairedCounts(0, 0, 20), FixedSample()), asked).pairs == INF


def test_the_same_sample_has_the_same_forecast() -> None:
    asked, effect = question(Sequential(), MARGIN), of_mean(0.03, 400, Sequential())
    assert forecast(effect, asked) == forecast(effect, asked)


@settings(deadline=None)
@given(st.floats(0.01, 0.5), st.floats(1e-4, 0.05), st.sampled_from(BOUNDARIES), st.floats(0, 0.2))
def test_a_larger_margin_never_needs_more_pairs(
    margin: float, rate: float, boundary: FixedSample | Sequential, differing: float
) -> None:
    assert pairs_needed_mean(SPREAD, 2 * margin, rate, boundary) <= pairs_needed_mean(SPREAD, margin, rate, boundary)
    many = [pairs_needed_share(each, rate, boundary) for each in (margin, 2 * margin)]
    assert many[1] <= many[0] <= pairs_needed_share(margin, rate, boundary, differing)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_mean_is_decided_as_often_as_was_planned(boundary: FixedSample | Sequential) -> None:
    rng = np.random.default_rng(4)
    for truth, chance in ((0.0, 0.8), (0.0, 0.5), (-MARGIN, 0.9)):
        pairs = pairs_needed_mean(SPREAD, MARGIN, RATE, boundary, truth, PAIRS_PER_UNIT, chance)
        estimates = truth + SPREAD / pairs**0.5 * rng.normal(size=2000)
        effect = of_mean(0.0, pairs, boundary)
        decided = question(boundary, MARGIN).decided(estimates + effect.low, estimates + effect.high)
        assert decided.mean() == pytest.approx(chance, abs=0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: pairs_needed_share(0.0, RATE, FixedSample()),
        lambda: pairs_needed_share(0.05, RATE, FixedSample(), 0.01, effect=0.02),
        lambda: pairs_needed_mean(0.0, 0.1, RATE, FixedSample()),
        lambda: pairs_needed_mean(1.0, INF, RATE, FixedSample()),
    ],
)
def test_what_makes_no_sense_is_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="has to"):
        wrong()


def test_wald_is_two_logs_of_the_error_rate_times_the_variance() -> None:
    effect = of_mean(0.0, 400, FixedSample())
    assert wald_pairs(effect, MARGIN, RATE) == np.ceil(2 * np.log(1 / RATE) * SPREAD**2 / MARGIN**2)
    assert wald_pairs(effect, 0.0, RATE) is None
