"""How many pairs a goal takes until it is decided: expected from a sample, or planned before anything is measured.

A forecast goes through possible futures of the sample. What is not known about the truth is in them: the true
difference is the estimate give or take its standard error (a flat prior). So the estimate after N pairs, seen from n of
them, is a martingale over N, normal around the estimate of now with the variance error(n)^2 - error(N)^2 (predictive
power: Spiegelhalter, Abrams and Myles 2004, Bayesian Approaches to Clinical Trials, ch. 6). Counts grow by binomial
numbers, of shares as likely as the counts so far leave them. The interval reaches as far as its boundary does at N. The
forecast is the median over the futures: one number for the note, the field and the report.

Futures come from fixed seeds: the same sample has the same forecast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import ceil, log
from typing import Literal

import numpy as np
from scipy.special import ndtr

from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.stats.boundary import INF, Boundary
from luckyhit.judge.stats.proportions import Difference, PairedCounts

MOST_TIMES = 100
"""Beyond so many times the present sample nothing is forecast."""
MOST_PAIRS = 10**12
STEPS, FUTURES = 96, 400
COUNTED_STEPS, COUNTED_FUTURES = 64, 31
"""Exact bounds of counts take longer to work out."""
RANGE = 0.1, 0.9
"""The part of the futures between the ends of a forecast's range: eight of ten."""
PAIRS_PER_UNIT = 10.0
"""Pairs in a batch, the unit of means and quantiles, where nothing was measured yet: a tenth of a second at 100/s."""

Want = Literal["better", "no-worse"]


@dataclass(frozen=True, slots=True)
class Question:
    """What a goal asks of an interval. `margin`: in the unit of the difference, above 0; `direction`: 1 where more is
    better, -1 where less is; `boundary`, `error_rate`: those of the interval."""

    margin: float
    want: Want
    direction: int
    boundary: Boundary
    error_rate: float

    def decided(self, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
        """Whether intervals after - before decide it: the goal is shown to be met, or something got worse."""
        worst, best = (low, high) if self.direction > 0 else (np.negative(high), np.negative(low))
        if self.want == "better":
            inside = (np.asarray(worst) >= -self.margin) & (np.asarray(best) <= self.margin)
            return np.asarray(inside | (np.asarray(worst) > 0) | (np.asarray(best) < 0))
        return np.asarray((np.asarray(worst) >= -self.margin) | (np.asarray(best) < -self.margin))


@dataclass(frozen=True, slots=True)
class Forecast:
    """Pairs in all, those measured already among them: the median and the ends of RANGE. Infinite: more than MOST_TIMES
    times the sample."""

    pairs: float
    low: float
    high: float


def forecast(effect: Effect, question: Question) -> Forecast | None:
    """How many pairs it takes in all until the question is decided, from a sample that leaves it open; None where the
    sample tells no standard error."""
    if not effect.pairs or effect.effect is None:
        return None
    if effect.counts is not None:
        return _of_counts(effect, question)
    if not 0 < effect.error < INF:
        return None
    return _of_estimates(effect, effect.effect, question)


def _of_estimates(effect: Effect, estimate: float, question: Question) -> Forecast:
    """Futures of a mean or a quantile."""
    times = np.geomspace(1, MOST_TIMES, STEPS + 1)[1:]
    reach = np.array([_reach(question, effect.error, effect.degrees, factor) for factor in times])
    now = _reach(question, effect.error, effect.degrees, 1.0)
    with np.errstate(invalid="ignore"):
        below, above = (
            # An interval of few values is longer, and not symmetrical; with more of them that goes soon.
            reach * (1 + (side / now - 1) / times if 0 < side < INF and now < INF else 1.0)
            for side in (estimate - effect.low, effect.high - estimate)
        )
    # A martingale whose variance grows from 0 to that of the estimate: a Wiener process in 1 - 1 / times.
    steps = np.sqrt(np.diff(1 - 1 / np.concatenate([[1.0], times])))
    later = estimate + effect.error * np.cumsum(_normal(FUTURES, STEPS) * steps, axis=1)
    decided = question.decided(later - below, later + above)
    return _forecast(_first(decided, times, question.boundary.any_time), effect.pairs)


def _reach(question: Question, error: float, degrees: float, times: float) -> float:
    """Half-width of the interval of a sample so many times as large."""
    later = error / times**0.5
    units = (degrees + 1) * times - 1
    return question.boundary.single(units, question.error_rate, question.margin / later) * later


@cache
def _normal(futures: int, steps: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(futures, steps))


def _first(decided: np.ndarray, times: np.ndarray, any_time: bool) -> np.ndarray:
    """By future, the first of `times` at which it is decided, where one may look at any time; else that from which on
    it stays so, since one look somewhere finds it so."""
    if not any_time:
        decided = np.logical_and.accumulate(decided[:, ::-1], axis=1)[:, ::-1]
    return np.where(decided.any(axis=1), times[np.argmax(decided, axis=1)], INF)


def _of_counts(effect: Effect, question: Question) -> Forecast:
    """Futures of counts: each goes on along one path, with exact bounds at each of its steps."""
    counts = effect.counts
    assert counts is not None
    times = np.geomspace(1, MOST_TIMES, COUNTED_STEPS + 1)[1:]
    totals = np.maximum(np.round(times * counts.pairs), counts.pairs + 1).astype(int)
    first = np.full(COUNTED_FUTURES, INF)
    known: dict[object, bool] = {}
    for future in range(COUNTED_FUTURES):

        def decides(step: int, future: int = future) -> bool:
            # The same numbers in each step of one future: its counts grow evenly.
            grown = counts.grown(int(totals[step]), np.random.default_rng([1, future]))
            if grown not in known:
                bounds: Difference = grown.difference(question.boundary, question.error_rate)
                known[grown] = bool(question.decided(bounds.low, bounds.high))
            return known[grown]

        step = _least(decides, 0, COUNTED_STEPS - 1)
        if step is not None:
            first[future] = totals[step] / counts.pairs
    return _forecast(first, effect.pairs)


def _forecast(times: np.ndarray, pairs: int) -> Forecast:
    middle, low, high = (float(np.quantile(times, share, method="higher")) * pairs for share in (0.5, *RANGE))
    return Forecast(middle, low, high)


def _least(holds: Callable[[int], bool], first: int, last: int) -> int | None:
    """The least number between these from which on it holds, if it changes once; None where it does not at the last."""
    if not holds(last):
        return None
    while first < last:
        middle = (first + last) // 2
        if holds(middle):
            last = middle
        else:
            first = middle + 1
    return last


def pairs_at_margin(effect: Effect, margin: float) -> int | None:
    """With so many pairs an interval such as this one reaches no further than the margin; None where it has no end."""
    if effect.effect is None or not margin > 0:
        return None
    half = max(effect.effect - effect.low, effect.high - effect.effect)
    return whole(effect.pairs * (half / margin) ** 2) if effect.pairs and half < INF else None


def wald_pairs(effect: Effect, margin: float, error_rate: float) -> int | None:
    """The expected number of the quickest test there is for a difference of the size of the margin, at this error rate
    on both sides: 2 ln(1 / error rate) variance / margin^2 (Wald 1945; the variance per pair as measured, correlation
    of neighbours included)."""
    if not (effect.pairs and 0 < effect.error < INF and margin > 0):
        return None
    return whole(2 * log(1 / error_rate) * effect.error**2 * effect.pairs / margin**2)


def whole(pairs: float) -> int | None:
    """Pairs as a number to print; None where there are too many to mean anything."""
    return max(ceil(pairs), 1) if pairs <= MOST_PAIRS else None


def pairs_needed_mean(
    spread_per_pair: float,
    margin: float,
    error_rate: float,
    boundary: Boundary,
    effect: float = 0.0,
    pairs_per_unit: float = PAIRS_PER_UNIT,
    chance: float = 0.5,
) -> int | None:
    """The pairs with which one look decides a `better` goal with this chance, where the truth is `effect`.

    `spread_per_pair`: standard deviation of one pair's difference, correlation of neighbours included (the standard
    error of a sample times the root of its pairs); `margin`, `effect`: in the same unit. None: more than MOST_PAIRS.
    """
    question = Question(_above_0(margin, "margin"), "better", 1, boundary, error_rate)
    spread = _above_0(spread_per_pair, "spread_per_pair")

    def enough(pairs: int) -> bool:
        error, units = spread / pairs**0.5, pairs / pairs_per_unit
        reach = boundary.single(units - 1, error_rate, margin / error) * error
        return _chance(effect, error, reach, question) >= chance

    return _fewest(enough)


def _chance(effect: float, error: float, reach: float, question: Question) -> float:
    """That an estimate around `effect` decides a `better` goal."""
    if not reach < INF:
        return 0.0
    inside = question.margin - reach
    above, below = ndtr((effect - reach) / error), ndtr((-reach - effect) / error)
    within = ndtr((inside - effect) / error) - ndtr((-inside - effect) / error) if inside > 0 else 0.0
    # The regions lie over each other once the interval is shorter than half the margin.
    if inside >= reach:
        return 1.0
    return float(above + below + within)


def pairs_needed_share(
    margin: float, error_rate: float, boundary: Boundary, assumed_differing: float = 0.0, effect: float = 0.0
) -> int | None:
    """The pairs with which the paired difference of two shares decides a `better` goal, where counts are as expected.

    `assumed_differing`: the share of pairs that have it in one arm alone; `effect`: by how much more often that is the
    after arm (at most `assumed_differing`, either sign). None: more than MOST_PAIRS.
    """
    if not abs(effect) <= assumed_differing <= 1:
        raise ValueError(f"assumed_differing has to lie between |effect| and 1, not {assumed_differing}")
    question = Question(_above_0(margin, "margin"), "better", 1, boundary, error_rate)

    def enough(pairs: int) -> bool:
        differing = round(assumed_differing * pairs)
        after_only = round((assumed_differing + effect) / 2 * pairs)
        bounds = PairedCounts(differing - after_only, after_only, pairs).difference(boundary, error_rate)
        return bool(question.decided(bounds.low, bounds.high))

    return _fewest(enough)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    last = 1
    while not enough(last):
        last *= 2
        if last > MOST_PAIRS:
            return None
    return _least(enough, last // 2 + 1, last) if last > 1 else 1


def _above_0(value: float, name: str) -> float:
    if not 0 < value < INF:
        raise ValueError(f"{name} has to be above 0, not {value}")
    return value


__all__ = [
    "MOST_TIMES", "Forecast", "Question", "forecast", "pairs_at_margin", "pairs_needed_mean",
    "pairs_needed_share", "wald_pairs", "whole",
]  # fmt: skip
