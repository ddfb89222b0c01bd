"""How many pairs a goal takes until it is decided, expected from a sample.

A forecast simulates futures of the sample. Its true difference is unknown, so it is drawn around the estimate with its
standard error (a flat prior). Then the estimate after N pairs, seen from n of them, is a martingale over N: normal
around the present estimate with the variance error(n)^2 - error(N)^2 (predictive power: Spiegelhalter, Abrams and Myles
2004, Bayesian Approaches to Clinical Trials, ch. 6). Counts grow by binomial numbers, with proportions drawn as the
counts so far leave them. The interval is as wide as its boundary makes it at N. The forecast is the median over the
futures: one number for the note, the field and the report.

Futures come from fixed seeds: the same sample has the same forecast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, log
from typing import Literal

import numpy as np

from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.stats.boundary import INF, Boundary, Tested
from luckyhit.judge.stats.intervals import Bounds, joined

MOST_TIMES = 100
"""Nothing is forecast beyond this multiple of the present sample."""
MOST_PAIRS = 10**12
STEPS, FUTURES = 96, 400
COUNTED_STEPS, COUNTED_FUTURES = 64, 31
"""Fewer, since exact bounds of counts take longer."""
RANGE = 0.1, 0.9
"""A forecast's range holds eight of ten futures."""

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

    @property
    def sides(self) -> tuple[Tested, Tested]:
        """What lies below and above an estimate near no difference."""
        if self.want != "better":
            return "nothing", "nothing"
        return ("hoped", "feared") if self.direction > 0 else ("feared", "hoped")

    def decided(self, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
        """Whether intervals of after - before decide it: the goal is shown to be met, or something got worse."""
        worst, best = (low, high) if self.direction > 0 else (np.negative(high), np.negative(low))
        if self.want == "better":
            inside = (np.asarray(worst) >= -self.margin) & (np.asarray(best) <= self.margin)
            return np.asarray(inside | (np.asarray(worst) > 0) | (np.asarray(best) < 0))
        return np.asarray((np.asarray(worst) >= -self.margin) | (np.asarray(best) < -self.margin))


@dataclass(frozen=True, slots=True)
class Forecast:
    """Pairs in all, including those measured already: the median and the ends of RANGE. Infinite: more than MOST_TIMES
    times the sample."""

    pairs: float
    low: float
    high: float


def forecast(effect: Effect, question: Question) -> Forecast | None:
    """The pairs in all until the question is decided, from a sample that leaves it open; None where the sample gives no
    standard error."""
    if not effect.pairs or effect.effect is None:
        return None
    if effect.counts is not None:
        return _of_counts(effect, question)
    if not 0 < effect.standard_error < INF:
        return None
    return _of_estimates(effect, effect.effect, question)


def _of_estimates(effect: Effect, estimate: float, question: Question) -> Forecast:
    """Futures of a mean or a quantile."""
    times = np.geomspace(1, MOST_TIMES, STEPS + 1)[1:]
    now, *later_widths = (_widths(question, effect, factor) for factor in (1.0, *times))
    widths = np.array(later_widths)
    low, high = _bounds(np.array(estimate), now, question)
    with np.errstate(invalid="ignore"):
        # The interval of a small sample is longer, and not symmetrical; that goes as the sample grows.
        below, above = (
            1 + (side / even - 1) / times if 0 < side < INF and even < INF else np.ones(STEPS)
            for side, even in (
                (estimate - effect.low, float(estimate - low)),
                (effect.high - estimate, float(high - estimate)),
            )
        )
    # A martingale whose variance grows from 0 to that of the estimate: a Wiener process in 1 - 1 / times.
    steps = np.sqrt(np.diff(1 - 1 / np.concatenate([[1.0], times])))
    later = estimate + effect.standard_error * np.cumsum(_normal(FUTURES, STEPS) * steps, axis=1)
    longer = np.stack([below, above, below, above], axis=1)
    decided = question.decided(*_bounds(later, (widths * longer).T, question))
    return _forecast(_first(decided, times, question.boundary.any_time), effect.pairs)


def _widths(question: Question, effect: Effect, times: float) -> tuple[float, float, float, float]:
    """Of a sample `times` as large: how far its interval reaches below and above the estimate, twice: among effects
    near to none, and among those near the margin. (What lies short of an estimate there has been decided already.)"""
    later = effect.standard_error / times**0.5
    units = (effect.degrees + 1) * times - 1
    below, above = question.sides

    def reach(tested: Tested) -> float:
        in_errors = question.margin / later
        return question.boundary.critical_value(units, question.error_rate, in_errors, tested=tested) * later

    beyond = reach("beyond")
    return reach(below), reach(above), beyond, beyond


def _bounds(estimate: np.ndarray, widths: Sequence[float] | np.ndarray, question: Question) -> Bounds:
    """`widths`: see there, one row for each."""
    usual, beyond = ((estimate - widths[i], estimate + widths[i + 1]) for i in (0, 2))
    return joined(usual, beyond, question.margin / 2)


@cache
def _normal(futures: int, steps: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(futures, steps))


def _first(decided: np.ndarray, times: np.ndarray, any_time: bool) -> np.ndarray:
    """By future, the first of `times` at which it is decided where one may look at any time. Else that from which on
    it stays decided, since there is one look."""
    if not any_time:
        decided = np.logical_and.accumulate(decided[:, ::-1], axis=1)[:, ::-1]
    return np.where(decided.any(axis=1), times[np.argmax(decided, axis=1)], INF)


def _of_counts(effect: Effect, question: Question) -> Forecast:
    """Futures of counts: each follows one path, with exact bounds at each of its steps."""
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
                bounds = grown.difference(question.boundary, question.error_rate)
                known[grown] = bool(question.decided(bounds.low, bounds.high))
            return known[grown]

        if decides(COUNTED_STEPS - 1):
            first[future] = totals[first_where(decides, 0, COUNTED_STEPS - 1)] / counts.pairs
    return _forecast(first, effect.pairs)


def _forecast(times: np.ndarray, pairs: int) -> Forecast:
    middle, low, high = (float(np.quantile(times, part, method="higher")) * pairs for part in (0.5, *RANGE))
    return Forecast(middle, low, high)


def first_where(holds: Callable[[int], bool], first: int, last: int) -> int:
    """The least number from `first` to `last` from which on it holds, by bisection; it holds at `last`."""
    while first < last:
        middle = (first + last) // 2
        if holds(middle):
            last = middle
        else:
            first = middle + 1
    return last


def pairs_at_margin(effect: Effect, margin: float) -> int | None:
    """The pairs at which an interval such as this one is no wider than the margin; None where it has no end."""
    if effect.effect is None or not margin > 0:
        return None
    half = max(effect.effect - effect.low, effect.high - effect.effect)
    return whole(effect.pairs * (half / margin) ** 2) if effect.pairs and half < INF else None


def wald_pairs(effect: Effect, margin: float, error_rate: float) -> int | None:
    """The pairs that the quickest possible test expects for a difference of the size of the margin, at this error rate
    on both sides: 2 ln(1 / error rate) variance / margin^2 (Wald 1945; the variance per pair as measured, correlation
    of neighbours included)."""
    if not (effect.pairs and 0 < effect.standard_error < INF and margin > 0):
        return None
    return whole(2 * log(1 / error_rate) * effect.standard_error**2 * effect.pairs / margin**2)


def whole(pairs: float) -> int | None:
    """Pairs as a number to print; None where there are too many to mean anything."""
    return max(ceil(pairs), 1) if pairs <= MOST_PAIRS else None
