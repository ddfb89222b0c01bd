"""Do the intervals hold what they promise? Simulated A/A streams of many shapes, and effects of known size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter
from scipy.stats import binom

from luckyhit.judge.stats.boundary import Boundary, FixedSample
from luckyhit.judge.stats.intervals import NO_MARGIN, Estimates, mean_estimates, standard_error, welch_error
from luckyhit.judge.stats.rank_intervals import quantile_estimates
from luckyhit.judge.stats.sequential import Sequential
from luckyhit.judge.table.groups import Groups
from luckyhit.judge.table.samples import Comparison, Side, rows_of
from luckyhit.judge.table.unit_values import UnitSums
from tier import one_of_many

BLOCKS, SLOTS, BATCHES = 4, 600, 10
COUNT = BLOCKS * SLOTS
QUANTILES = (0.5, 0.95, 0.99)
ERROR_RATE = 0.02


def quantile_of(
    values: tuple[np.ndarray, np.ndarray], both: Comparison, quantile: float, boundary: Boundary, error_rate: float
) -> Estimates:
    (estimates,) = quantile_estimates(values, both, {quantile: NO_MARGIN}, boundary, error_rate)
    assert estimates is not None
    return estimates


def comparison(paired: bool = True) -> Comparison:
    slot = np.tile(np.arange(SLOTS), BLOCKS)
    block = np.repeat(np.arange(BLOCKS), SLOTS)
    units = Groups(block * BATCHES + slot * BATCHES // SLOTS, BLOCKS * BATCHES)
    side = Side(rows_of(pd.DataFrame()), units, np.repeat(np.arange(BLOCKS), BATCHES))
    return Comparison(side, side, paired)


def correlated(rng: np.random.Generator, phi: float, arms: int = 2) -> np.ndarray:
    return lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=(arms, COUNT)), axis=1)


def hits_and_misses(rng: np.random.Generator, hit: np.ndarray) -> np.ndarray:
    return np.where(hit, 2.0, 12.0) * np.exp(0.1 * rng.normal(size=(2, COUNT)))


def shared_hits(rng: np.random.Generator) -> np.ndarray:
    hit = rng.random(COUNT) < 0.5
    return hits_and_misses(rng, np.where(rng.random((2, COUNT)) < 0.05, ~hit, hit))


def bursts(rng: np.random.Generator) -> np.ndarray:
    slow = np.stack([np.convolve(rng.random(COUNT) < 0.002, np.ones(40), "same") > 0 for _ in range(2)])
    return np.exp(0.3 * rng.normal(size=(2, COUNT))) * np.where(slow, 10, 1)


TIME = np.arange(COUNT) / COUNT
STREAMS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "white noise": lambda rng: np.exp(0.5 * rng.normal(size=(2, COUNT))),
    "AR(1) 0.5": lambda rng: np.exp(0.5 * correlated(rng, 0.5)),
    "AR(1) 0.9": lambda rng: np.exp(0.5 * correlated(rng, 0.9)),
    "a busy host, shared": lambda rng: np.exp(0.5 * correlated(rng, 0.99, 1) + 0.2 * rng.normal(size=(2, COUNT))),
    "linear drift": lambda rng: (1 + TIME) * np.exp(0.3 * rng.normal(size=(2, COUNT))),
    "day and night": lambda rng: np.exp(0.5 * np.sin(TIME * 18.8) + 0.3 * rng.normal(size=(2, COUNT))),
    "heavy tail": lambda rng: np.exp(1.5 * rng.normal(size=(2, COUNT))),
    "Pareto 1.5": lambda rng: rng.pareto(1.5, size=(2, COUNT)) + 1,
    "bimodal, median in the gap": lambda rng: hits_and_misses(rng, rng.random((2, COUNT)) < 0.5),
    "bimodal, p95 in the gap": lambda rng: hits_and_misses(rng, rng.random((2, COUNT)) < 0.95),
    "bimodal, p99 in the gap, correlated": lambda rng: hits_and_misses(rng, correlated(rng, 0.9) < 2.326),
    "bimodal, the same slots hit": shared_hits,
    "warm-up ramp": lambda rng: hits_and_misses(rng, rng.random((2, COUNT)) < np.tile(0.3 + 0.6 * TIME[:SLOTS] * BLOCKS, BLOCKS)),
    "bursts": bursts,
}  # fmt: skip


def mean_of(values: tuple[np.ndarray, np.ndarray], both: Comparison, boundary: Boundary, error_rate: float) -> Any:
    """The estimates of a mean, from one value for each row."""
    sums = [
        UnitSums(side.units.sums(arm), side.units.counts(np.ones(len(arm), bool)), len(arm))
        for arm, side in zip(values, both.sides, strict=True)
    ]
    return mean_estimates((sums[0], sums[1]), both, boundary, error_rate)


def false_alarms(shape: str, streams: int, error_rate: float) -> dict[str, int]:
    rng = np.random.default_rng(sum(shape.encode()))
    both, boundary = comparison(), FixedSample()
    wrong = dict.fromkeys(("mean", *map(str, QUANTILES)), 0)
    for _ in range(streams):
        before, after = STREAMS[shape](rng)
        by_name = {"mean": mean_of((before, after), both, boundary, error_rate)}
        by_name |= {
            str(quantile): quantile_of((before, after), both, quantile, boundary, error_rate) for quantile in QUANTILES
        }
        for name, estimates in by_name.items():
            wrong[name] += not estimates.difference.low <= 0 <= estimates.difference.high
    return wrong


def expect_at_most(wrong: dict[str, int], streams: int, error_rate: float) -> None:
    # What a true error rate of `error_rate` gives in all but one in 10,000 simulations.
    most = binom.ppf(0.9999, streams, error_rate)
    assert all(count <= most for count in wrong.values()), wrong


QUICK = ("AR(1) 0.9", "bimodal, median in the gap", "bursts")


@pytest.mark.parametrize(
    ("shape", "streams", "error_rate"),
    [
        *((shape, 80, ERROR_RATE) for shape in QUICK),
        *(one_of_many(shape, 1000, 0.01, quick=False) for shape in STREAMS),
    ],
)
def test_no_more_false_alarms_than_declared(shape: str, streams: int, error_rate: float) -> None:
    expect_at_most(false_alarms(shape, streams, error_rate), streams, error_rate)


@pytest.mark.parametrize("shares", [(0.5, 0.5), one_of_many((0.5, 0.48), quick=False), (0.48, 0.52)])
def test_a_gap_at_the_quantile_widens_the_interval(shares: tuple[float, float]) -> None:
    """The medians lie in the gap between hits and misses, or just beside it: 10 ms apart or not apart, by chance."""
    rng, missed = np.random.default_rng(8), 0
    both = comparison(paired=False)
    median = [2.0 if share > 0.5 else 12.0 for share in shares]
    for _ in range(150):
        hit = rng.random((2, COUNT)) < np.array(shares)[:, None]
        values = np.where(hit, 2.0, 12.0) * np.exp(0.02 * rng.normal(size=(2, COUNT)))
        interval = quantile_of((values[0], values[1]), both, 0.5, FixedSample(), 0.02).difference
        # At just one half any value in the gap is a median.
        loose = 11.0 if 0.5 in shares else 1.0
        missed += not interval.low - loose <= median[1] - median[0] <= interval.high + loose
    assert missed <= binom.ppf(0.9999, 150, 0.02)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_the_interval_holds_the_true_difference(quantile: float) -> None:
    rng = np.random.default_rng(5)
    both, missed, widths = comparison(), 0, []
    true = np.exp(0.4 * {0.5: 0, 0.95: 1.6449, 0.99: 2.3263}[quantile])
    for _ in range(150):
        noise = np.exp(0.4 * rng.normal(size=(2, COUNT)))
        interval = quantile_of((noise[0] * 10, noise[1] * 7), both, quantile, FixedSample(), 0.02).difference
        missed += not interval.low <= -3 * true <= interval.high
        widths.append(interval.half_width / (10 * true))
    assert missed <= binom.ppf(0.9999, 150, 0.02)
    assert np.median(widths) < {0.5: 0.08, 0.95: 0.12, 0.99: 0.25}[quantile]


def test_a_quantile_is_a_value_that_some_request_had() -> None:
    rng = np.random.default_rng(6)
    before, after = hits_and_misses(rng, rng.random((2, COUNT)) < 0.5)
    for quantile in QUANTILES:
        estimates = quantile_of((before, after), comparison(), quantile, FixedSample(), 0.01)
        assert estimates.before.value in before and estimates.after.value in after
        assert np.mean(before <= estimates.before.value) >= quantile > np.mean(before < estimates.before.value)


def test_swapping_the_arms_turns_the_interval_around() -> None:
    rng = np.random.default_rng(7)
    before, after = np.exp(correlated(rng, 0.8))
    for paired in (True, False):
        for estimate in (
            lambda one, two: mean_of((one, two), comparison(paired), FixedSample(), 0.01),  # noqa: B023
            lambda one, two: quantile_of((one, two), comparison(paired), 0.95, FixedSample(), 0.01),  # noqa: B023
        ):
            forth, back = estimate(before, after).difference, estimate(after, before).difference
            assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


def test_scaling_the_latencies_scales_the_interval() -> None:
    rng = np.random.default_rng(8)
    before, after = np.exp(rng.normal(size=(2, COUNT)))
    for quantile in QUANTILES:
        one = quantile_of((before, after), comparison(), quantile, FixedSample(), 0.01).difference
        ten = quantile_of((before * 10, after * 10), comparison(), quantile, FixedSample(), 0.01).difference
        assert (ten.low, ten.high) == pytest.approx((10 * one.low, 10 * one.high))


def test_too_few_values_for_a_tail_leave_it_open() -> None:
    rng = np.random.default_rng(9)
    values = np.full((2, COUNT), np.nan)
    values[:, ::40] = rng.random((2, COUNT // 40))
    interval = quantile_of((values[0], values[1]), comparison(), 0.99, FixedSample(), 0.01).difference
    assert interval.high == np.inf and interval.low == -np.inf


def few(blocks: int, slots: int, batches: int, paired: bool) -> Comparison:
    slot, block = np.tile(np.arange(slots), blocks), np.repeat(np.arange(blocks), slots)
    unit = block * batches + slot * batches // slots
    side = Side(rows_of(pd.DataFrame()), Groups(unit, blocks * batches), np.repeat(np.arange(blocks), batches))
    return Comparison(side, side, paired)


SMALL = {"side by side": (5, 140, 14, True), "by turns": (5, 140, 1, False), "four short blocks": (4, 100, 10, True)}
"""Samples in which ranks alone bound no p99: blocks, slots and batches of each, and whether they are paired."""


@pytest.mark.parametrize("quantile", [0.95, 0.99])
@pytest.mark.parametrize("size", SMALL)
def test_five_blocks_that_agree_bound_a_tail_quantile(size: str, quantile: float) -> None:
    rng, both = np.random.default_rng(12), few(*SMALL[size])
    noise = np.exp(0.05 * rng.normal(size=(2, both.before.units.size)))
    interval = quantile_of((9.7 * noise[0], 7.5 * noise[1]), both, quantile, FixedSample(), 0.0025).difference
    assert -np.inf < interval.low <= interval.value <= interval.high < 0


@pytest.mark.parametrize(
    ("size", "quantile"),
    [
        one_of_many(size, quantile, quick=(size, quantile) == ("side by side", 0.99))
        for size in SMALL
        for quantile in (0.95, 0.99)
    ],
)
def test_small_samples_hold_the_true_difference(size: str, quantile: float) -> None:
    rng, both = np.random.default_rng(13), few(*SMALL[size])
    wrong = dict.fromkeys(("log-normal", "Pareto", "gap"), 0)
    for _ in range(150):
        count = (2, both.before.units.size)
        streams = {
            "log-normal": np.exp(rng.normal(size=count)),
            "Pareto": rng.pareto(1.5, size=count) + 1,
            "gap": np.where(rng.random(count) < quantile, 2.0, 12.0) * np.exp(0.1 * rng.normal(size=count)),
        }
        for shape, (before, after) in streams.items():
            interval = quantile_of((before, after), both, quantile, FixedSample(), ERROR_RATE).difference
            wrong[shape] += not interval.low <= 0 <= interval.high
    expect_at_most(wrong, 150, ERROR_RATE)


def test_pairing_takes_out_what_both_arms_share() -> None:
    rng = np.random.default_rng(10)
    host = np.exp(0.5 * correlated(rng, 0.98, 1))
    before, after = host * np.exp(0.1 * rng.normal(size=(2, COUNT)))
    for estimate in (
        lambda both: mean_of((before, after), both, FixedSample(), 0.01),
        lambda both: quantile_of((before, after), both, 0.5, FixedSample(), 0.01),
    ):
        assert (
            estimate(comparison(True)).difference.half_width < 0.5 * estimate(comparison(False)).difference.half_width
        )


def test_correlated_neighbours_are_merged_into_longer_units() -> None:
    rng = np.random.default_rng(11)
    block = np.zeros(64, dtype=int)
    independent = rng.normal(size=64)
    slow = np.repeat(rng.normal(size=16), 4)
    assert standard_error(independent - independent.mean(), block).degrees == 63
    assert standard_error(slow - slow.mean(), block).degrees < 32
    naive = np.sqrt(64 / 63 * np.sum((slow - slow.mean()) ** 2))
    assert standard_error(slow - slow.mean(), block).value > 1.5 * naive


@given(correlation=st.floats(0, 0.9), units=st.integers(1, 60))
def test_correlation_counts_inside_a_block_only(correlation: float, units: int) -> None:
    """An AR(1) process that begins anew in each block: the sum over its neighbours, by definition."""
    lags = np.arange(1, units)
    repeated = 1 + 2 * np.sum((1 - lags / units) * correlation**lags)
    rng = np.random.default_rng(12)
    assert 1 - 1e-9 <= repeated <= units + 1e-9
    blocks = np.repeat(np.arange(13), units)
    values = np.repeat(rng.normal(size=13), units)
    # Blocks with a level each count as blocks, however many units they are cut into.
    error = standard_error((values - values.mean()) / len(values), blocks)
    expected = float(np.std(values[::units], ddof=1)) / 13**0.5
    assert error.value == pytest.approx(expected, rel=0.1) and error.degrees <= 13


def by_levels(rng: np.random.Generator, blocks: int) -> tuple[np.ndarray, Comparison]:
    """Latencies of both arms in blocks in which either process is slower by chance, and which differ much."""
    block, slot = np.repeat(np.arange(blocks), 120), np.tile(np.arange(120), blocks)
    level = np.exp(0.3 * rng.normal(size=blocks) + 0.25 * rng.normal(size=(2, blocks)))
    side = Side(rows_of(pd.DataFrame()), Groups(block * 12 + slot // 10, blocks * 12), np.repeat(np.arange(blocks), 12))
    return level[:, block] * np.exp(0.3 * rng.normal(size=(2, len(block)))), Comparison(side, side, True)


def clusters(rng: np.random.Generator, units: int) -> np.ndarray:
    """Rare events that come together, as a centred influence: one unit in fifty has ten of them."""
    events = 10.0 * (rng.random(units) < 0.02)
    return events - events.mean()


def normal_units(rng: np.random.Generator, units: int) -> np.ndarray:
    values = rng.normal(size=units)
    return values - values.mean()


def correlated_units(rng: np.random.Generator, units: int) -> np.ndarray:
    values = lfilter([1], [1, -0.9], rng.normal(size=units))
    return values - values.mean()


@pytest.mark.parametrize("units_of", [normal_units, clusters, correlated_units])
def test_degrees_say_how_much_the_standard_error_varies(units_of: Callable[..., np.ndarray]) -> None:
    block = np.repeat(np.arange(6), 50)
    errors = [standard_error(units_of(np.random.default_rng(seed), 300), block) for seed in range(600)]
    variances = np.array([error.value**2 for error in errors])
    varies = 2 * variances.mean() ** 2 / variances.var()
    degrees = np.median([error.degrees_for(FixedSample()) for error in errors])
    assert varies / 1.8 < degrees < 1.8 * varies


def test_an_interval_for_any_time_counts_units_alone() -> None:
    error = standard_error(clusters(np.random.default_rng(1), 300), np.repeat(np.arange(6), 50))
    assert error.degrees_for(FixedSample()) < 60 < 290 < error.degrees_for(Sequential()) < 300


def test_arms_apart_know_their_error_as_well_as_the_worse_of_them() -> None:
    block = np.repeat(np.arange(6), 50)
    rare, usual = (
        standard_error(units_of(np.random.default_rng(1), 300), block) for units_of in (clusters, normal_units)
    )
    together = welch_error(rare, usual).degrees_for(FixedSample())
    assert rare.degrees_for(FixedSample()) <= together < usual.degrees_for(FixedSample())


def test_blocks_with_levels_are_compared_block_by_block() -> None:
    rng, missed, by_block, widths, apart = np.random.default_rng(13), 0, 0, [], []
    for _ in range(60):
        (before, after), both = by_levels(rng, 16)
        estimates = quantile_of((before, after), both, 0.5, FixedSample(), 0.05)
        missed += not estimates.difference.low <= 0 <= estimates.difference.high
        widths.append(estimates.difference.half_width)
        levels = [np.median(arm.reshape(16, 120), axis=1) for arm in (before, after)]
        apart.append(float(np.std(levels[1] - levels[0], ddof=1)) / 4)
        by_block += estimates.degrees == 15
    assert by_block > 50
    assert missed <= binom.ppf(0.9999, 60, 0.05)
    assert np.median(widths) < 1.3 * FixedSample().critical_value(15, 0.05) * np.median(apart)


def test_fewer_blocks_than_a_dozen_are_no_less_certain() -> None:
    """Their halves are units then, with twice the variance: not with that of an endless process."""
    rng, errors = np.random.default_rng(14), []
    for blocks in (9, 10, 11, 12, 13):
        block = np.repeat(np.arange(blocks), 20)
        drawn = [np.repeat(rng.normal(size=blocks), 20) + 0.3 * rng.normal(size=20 * blocks) for _ in range(40)]
        values = [(one - one.mean()) / len(one) for one in drawn]
        errors.append(blocks**0.5 * np.median([standard_error(one, block).value for one in values]))
    assert max(errors) < 1.25 * min(errors)
