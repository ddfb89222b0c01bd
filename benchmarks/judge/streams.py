"""Simulated pairs of arms, request by request, from a seed: the noises that real services have, and known changes.

What is random is each arm's own; drifts are both arms', as they are where arms are measured side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from math import asin, log, pi

import numpy as np
from scipy.signal import lfilter
from scipy.stats import norm

from luckyhit.case.model import Goal
from luckyhit.judge.table.samples import ERRORS, HIT, MISS, NO_ERROR, RequestTable
from luckyhit.records import MetricName

RATE, BLOCK_S = 100, 5
"""Requests/s in each arm; length of a block."""
SECONDS = 30
"""Length of a stream in which nothing changes; what varies with time does so over this span."""
HITS, ERRORS_SHARE, MEDIAN_MS, SIGMA = 0.8, 0.012, 5.0, 0.3

MARGINS: dict[MetricName, float] = {
    "hit_ratio": 0.04,
    "latency_p50_ms": 0.04,
    "latency_p95_ms": 0.07,
    "latency_p99_ms": 0.12,
    "error_rate": 0.01,
}
"""Of shares in points, of latencies relative: such that each metric alone needs about as many pairs as the others."""
GOALS = {name: Goal.model_validate({"want": "better", "margin": f"{100 * size:g} %"}) for name, size in MARGINS.items()}
LEVELS: dict[MetricName, float] = {"latency_p50_ms": 0.5, "latency_p95_ms": 0.95, "latency_p99_ms": 0.99}


def white(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.normal(size=count)


def autoregressive(rng: np.random.Generator, count: int, phi: float) -> np.ndarray:
    noise = rng.normal(size=count)
    noise[1:] *= np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1], [1, -phi], noise))


def in_bursts(rng: np.random.Generator, count: int) -> np.ndarray:
    begins = rng.random(count) < 0.002
    return np.where(np.convolve(begins, np.ones(20))[:count] > 0, 0.5, 0.001)


Noise = Callable[[np.random.Generator, int], np.ndarray]
# What makes the latency of a request: standard normal numbers, and what is made of them.
NORMAL: dict[str, Noise] = {
    "AR(1), 0.5": partial(autoregressive, phi=0.5),
    "AR(1), 0.9": partial(autoregressive, phi=0.9),
}
SHAPE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "log-normal, 1.5": lambda z: np.exp(1.5 * z),
    "Pareto, 1.5": lambda z: norm.sf(z) ** (-1 / 1.5),
}
COMMON: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear drift": lambda at_s: 1 + at_s / SECONDS,
    "sinusoidal drift": lambda at_s: 1 + 0.5 * np.sin(2 * np.pi * at_s / 20),
}
RATIO: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "warm-up ramp": lambda at_s: HITS * (1 - np.exp(-at_s / 10)),
    "day and night": lambda at_s: 0.6 + 0.3 * np.sin(2 * np.pi * at_s / SECONDS),
}
KINDS = ("white noise", *NORMAL, *SHAPE, *COMMON, *RATIO, "hits and misses", "bursts of errors")


def arm(
    kind: str, rng: np.random.Generator, number: int, seconds: float = SECONDS, better: Collection[MetricName] = ()
) -> RequestTable:
    """One arm's rows. `better`: the metrics that lie exactly their margin on the good side of the other arm's."""
    count = int(RATE * seconds)
    at_s = np.arange(count) / RATE
    ratio = RATIO.get(kind, lambda at: np.full(len(at), HITS))(at_s) + MARGINS["hit_ratio"] * ("hit_ratio" in better)
    hit = rng.random(count) < ratio
    share = ERRORS_SHARE - MARGINS["error_rate"] * ("error_rate" in better)
    failed = rng.random(count) < (in_bursts(rng, count) if kind == "bursts of errors" else share)
    z = NORMAL.get(kind, white)(rng, count)
    latency_ms = np.where(hit, 2.0, 12.0) if kind == "hits and misses" else np.full(count, MEDIAN_MS)
    latency_ms = latency_ms * SHAPE.get(kind, lambda z: np.exp(SIGMA * z))(z) * COMMON.get(kind, np.ones_like)(at_s)
    latency_ms = latency_ms * faster(z, better)
    due, nothing = at_s * 1e9, np.zeros(count, dtype=np.int64)
    return RequestTable.of_times(
        arm=np.full(count, number, dtype=np.int8),
        block=(at_s // BLOCK_S).astype(np.int64),
        slot=np.arange(count) % (RATE * BLOCK_S),
        measured=np.ones(count, dtype=bool),
        due_ns=due,
        sent_ns=due,
        first_byte_ns=due,
        done_ns=due + latency_ms * 1e6,
        error=np.where(failed, ERRORS.index("unexpected"), NO_ERROR).astype(np.int8),
        cache=np.where(hit, HIT, MISS).astype(np.int8),
        numbers={"db_calls": np.where(hit, 0.0, 2.0)},
        key=nothing,
        route=nothing,
    )


def faster(z: np.ndarray, better: Collection[MetricName]) -> np.ndarray:
    """Factors that make each of these quantiles of a log-normal latency smaller by its margin; what lies between two of
    them goes in between, what lies beyond moves with the nearest."""
    named = [name for name in LEVELS if name in better]
    if not named:
        return np.ones(len(z))
    at = [float(norm.ppf(LEVELS[name])) for name in named]
    return np.exp(np.interp(z, at, [log(1 - MARGINS[name]) for name in named]))


def pair(
    kind: str, seed: int, seconds: float = SECONDS, better: Collection[MetricName] = ()
) -> tuple[RequestTable, RequestTable]:
    """The before and the after arm of one stream."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    return arm(kind, rng, 0, seconds), arm(kind, rng, 1, seconds, better)


def wald_pairs(name: MetricName, error_rate: float, kind: str = "white noise") -> float:
    """The pairs that Wald's sequential test of no change against a change by the margin needs on average, for equal
    error rates: 2 ln(1 / error rate) variance / margin^2. The variance is that of the sum of many pairs, for each of
    them: correlation between neighbours is in it. Told for log-normal latencies.
    """
    margin = MARGINS[name]
    if name not in LEVELS:
        first = HITS if name == "hit_ratio" else ERRORS_SHARE
        second = first + margin * (1 if name == "hit_ratio" else -1)
        return 2 * log(1 / error_rate) * (first * (1 - first) + second * (1 - second)) / margin**2
    quantile = LEVELS[name]
    at = norm.ppf(quantile)
    # Of the logarithm of the quantile, in which the margin is the same at all levels (and nearly the relative one).
    variance = 2 * quantile * (1 - quantile) * (SIGMA / norm.pdf(at)) ** 2
    phi = float(kind.rpartition(" ")[2]) if kind in NORMAL else 0.0
    if phi and name == "latency_p50_ms":  # elsewhere in the distribution there is no closed form
        variance *= 1 + 2 * sum(2 / pi * asin(phi**lag) for lag in range(1, 500))
    return 2 * log(1 / error_rate) * variance / log(1 - margin) ** 2
