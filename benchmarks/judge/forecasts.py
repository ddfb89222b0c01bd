"""How well forecasts of the pairs to a verdict hold: samples that are a quarter of what their goal takes.

Of each kind of metric many runs, each with a truth of its own. `expected` is what a run with this truth takes: the
median over runs. Each run is stopped at a quarter of it, its forecast is noted, and it goes on until it is decided.

- expected / 1.5: forecasts within a factor 1.5 of what is expected
- own / 1.5: of what this very run took. Even who knows the truth can't do better than the next column,
- best: the expected number, held against what each run took
- in range: runs that took what lies in the forecast's range (80 % by its own account)

    python benchmarks/judge/forecasts.py [--runs 200] [--seed 1] [--jobs 2]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from arguments import at_least
from streams import GOALS, RATE, pair, wald_pairs

from luckyhit.judge import Sequential
from luckyhit.judge.compare.effect import Effect, amount_of
from luckyhit.judge.compare.effects import request_effects
from luckyhit.judge.stats.forecast import Question, forecast
from luckyhit.judge.stats.proportions import PairedCounts
from luckyhit.judge.table.samples import side_by_side
from luckyhit.records import MetricName, kind_of

ERROR_RATE = 0.0025
FACTOR = 1.5
LOOKS = 80
STEP = 1.1
"""From one look to the next, and what lies between two of them can't be told apart."""
STALE_MARGIN = 0.05
Stream = Callable[[int], tuple[Callable[[int], tuple[Effect, Question]], int]]
"""From a seed: (what is known after so many pairs, the most pairs there are)."""


def of_requests(name: MetricName, better: bool, seed: int) -> tuple[Callable[[int], tuple[Effect, Question]], int]:
    longest = int((8 if better else 10) * wald_pairs(name, ERROR_RATE))
    before, after = pair("white noise", seed, longest / RATE, better=[name] if better else ())

    def at(pairs: int) -> tuple[Effect, Question]:
        compared = side_by_side(*(rows.take(np.arange(pairs)) for rows in (before, after)))
        effect = request_effects(compared, Sequential(), ERROR_RATE, {name: GOALS[name]})[name]
        margin = amount_of(name, GOALS[name].margin, effect.before)
        assert margin is not None
        direction = 1 if kind_of(name).higher_is_better else -1
        return effect, Question(margin, "better", direction, Sequential(), ERROR_RATE)

    return at, len(before)


def of_counts(share: float, seed: int) -> tuple[Callable[[int], tuple[Effect, Question]], int]:
    """Pairs of reads, of which this share is stale before and none after."""
    longest = 3000
    stale = np.cumsum(np.random.default_rng(seed).random(longest) < share)

    def at(pairs: int) -> tuple[Effect, Question]:
        counts = PairedCounts(int(stale[pairs - 1]), 0, pairs)
        apart = counts.difference(Sequential(), ERROR_RATE)
        before = counts.before_only / pairs
        effect = Effect(before, 0.0, apart.effect, apart.low, apart.high, pairs=pairs, counts=counts)
        return effect, Question(STALE_MARGIN, "better", -1, Sequential(), ERROR_RATE)

    return at, longest


KINDS: dict[str, Stream] = {
    "hit ratio, better by its margin": partial(of_requests, "hit_ratio", True),
    "hit ratio, unchanged": partial(of_requests, "hit_ratio", False),
    "p95, better by its margin": partial(of_requests, "latency_p95_ms", True),
    "p95, unchanged": partial(of_requests, "latency_p95_ms", False),
    "stale pairs, 7 % to 0": partial(of_counts, 0.07),
    "stale pairs, 30 % to 0": partial(of_counts, 0.3),
    "stale pairs, none": partial(of_counts, 0.0),
}


def taken(kind: str, seed: int) -> float:
    """The pairs after which it is decided; infinite where it is not."""
    at, longest = KINDS[kind](seed)
    for pairs in np.unique(np.geomspace(20, longest, LOOKS).astype(int)).tolist():
        effect, question = at(pairs)
        if question.decided(effect.low, effect.high):
            return float(pairs)
    return float("inf")


def forecast_at(kind: str, pairs: int, seed: int) -> tuple[float, float, float]:
    """(forecast, the ends of its range) of a run that has so many pairs; NaN where it is decided by then."""
    effect, question = KINDS[kind](seed)[0](pairs)
    ahead = None if question.decided(effect.low, effect.high) else forecast(effect, question)
    return (ahead.pairs, ahead.low, ahead.high) if ahead else (np.nan, np.nan, np.nan)


def within(forecasts: np.ndarray, numbers: np.ndarray | float) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.mean((forecasts <= FACTOR * numbers) & (forecasts >= numbers / FACTOR)))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--runs", type=at_least(1), default=200)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=at_least(1), default=2)
    arguments.add_argument("--kinds", default="", help="only those whose name has this in it")
    given = arguments.parse_args()
    seeds = range(given.seed * 1_000_000, given.seed * 1_000_000 + given.runs)
    headings = ("expected", "forecast", "expected / 1.5", "own / 1.5", "best", "in range")
    print(f"{'':34}" + "".join(f"{heading:>16}" for heading in headings))
    with ProcessPoolExecutor(given.jobs) as pool:
        for kind in (kind for kind in KINDS if given.kinds in kind):
            took = np.array(list(pool.map(partial(taken, kind), seeds, chunksize=5)))
            expected = float(np.median(took))
            ahead = np.array(list(pool.map(partial(forecast_at, kind, int(expected / 4)), seeds, chunksize=5)))
            seen = ~np.isnan(ahead[:, 0])
            took, (middle, low, high) = took[seen], ahead[seen].T
            shares = (within(middle, expected), within(middle, took), within(np.full(len(took), expected), took))
            ranged = float(np.mean((low <= took * STEP) & (took <= high * STEP)))
            cells = [
                f"{expected:,.0f}",
                f"{np.median(middle):,.0f}",
                *(f"{100 * each:.0f} %" for each in (*shares, ranged)),
            ]
            print(f"{kind:34}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
