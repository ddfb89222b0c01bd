"""How often the judge is wrong where nothing changed, and how soon it is right where something did.

Simulated pairs of arms, request by request, from a seed: both arms the same (A/A), with the noises that real services
have, looked at again and again while they grow. A stream counts as wrong where any goal is called HELPED or HURT at any
look. Beside it what others would have said of the same latencies, each written anew from its public description:

    t, looked at      Welch's t-test at 5 %, at every look
    t, at the end     the same, once
    benchstat         Mann-Whitney U test at 5 %, at the end (golang.org/x/perf)
    Kayenta           Mann-Whitney U test at 98 %, at the end, for one metric (its judge's default confidence)
    pyperf            Student's two-sample t-test at 95 %, at the end

The second table has a hit ratio that rises by its margin: the share of streams in which that is found within five times
Wald's expected number of pairs, 2 ln(1 / error rate) variance / margin^2 (Wald 1945, for equal error rates, of
independent pairs), and the median number of pairs it took, in multiples of it.

    python benchmarks/streams.py [--streams 200] [--seed 1] [--jobs 2]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
from scipy.signal import lfilter
from scipy.stats import mannwhitneyu, ttest_ind

from luckyhit.case.model import Goal
from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.early import share_of_look
from luckyhit.judge.effects import request_effects
from luckyhit.judge.samples import ERRORS, HIT, MISS, NO_ERROR, Rows, side_by_side
from luckyhit.judge.verdict import rule_on
from luckyhit.records import MetricName

RATE, SECONDS, BLOCK_S, LOOK_S = 50, 60, 5, 2
"""Requests/s in each arm; length of a stream; of a block; and how often one looks. The first look comes after 6 s."""
ERROR_RATE = 0.01
GOALS: dict[MetricName, Goal] = {
    "hit_ratio": Goal.model_validate({"want": "better", "margin": "4 %"}),
    "latency_p50_ms": Goal.model_validate({"want": "better", "margin": "10 %"}),
    "latency_p95_ms": Goal.model_validate({"want": "better", "margin": "20 %"}),
    "latency_p99_ms": Goal.model_validate({"want": "better", "margin": "30 %"}),
    "error_rate": Goal.model_validate({"want": "no-worse", "margin": "1 %"}),
}
RISE = 0.1
"""Of the hit ratio, in the second table: the margin there, too."""
JUDGES = ("any time", "planned", "one look", "t, looked at", "t, at the end", "benchstat", "Kayenta", "pyperf")


def autoregressive(rng: np.random.Generator, count: int, phi: float) -> np.ndarray:
    noise = lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=count))
    return np.exp(0.3 * noise)


def in_bursts(rng: np.random.Generator, count: int) -> np.ndarray:
    begins = rng.random(count) < 0.002
    return np.where(np.convolve(begins, np.ones(20))[:count] > 0, 0.5, 0.001)


def white(rng: np.random.Generator, count: int, sigma: float = 0.3) -> np.ndarray:
    return np.exp(sigma * rng.normal(size=count))


Own = Callable[[np.random.Generator, int], np.ndarray]
OWN: dict[str, Own] = {
    "AR(1), 0.5": partial(autoregressive, phi=0.5),
    "AR(1), 0.9": partial(autoregressive, phi=0.9),
    "log-normal, 1.5": partial(white, sigma=1.5),
    "Pareto, 1.5": lambda rng, count: 1 + rng.pareto(1.5, count),
}
COMMON: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear drift": lambda at_s: 1 + at_s / SECONDS,
    "sinusoidal drift": lambda at_s: 1 + 0.5 * np.sin(2 * np.pi * at_s / 20),
}
RATIO: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "warm-up ramp": lambda at_s: 0.8 * (1 - np.exp(-at_s / 10)),
    "day and night": lambda at_s: 0.6 + 0.3 * np.sin(2 * np.pi * at_s / SECONDS),
}
KINDS = ("white noise", *OWN, *COMMON, *RATIO, "hits and misses", "bursts of errors")


def arm(kind: str, rng: np.random.Generator, number: int, seconds: float, rise: float = 0.0) -> Rows:
    """One arm's rows: what is random is its own, drifts are both arms'."""
    count = int(RATE * seconds)
    at_s = np.arange(count) / RATE
    ratio = RATIO.get(kind, lambda at: np.full(len(at), 0.8))(at_s) + rise
    hit = rng.random(count) < ratio
    failed = rng.random(count) < (in_bursts(rng, count) if kind == "bursts of errors" else 0.001)
    latency_ms = np.where(hit, 2.0, 12.0) if kind == "hits and misses" else np.full(count, 5.0)
    latency_ms = latency_ms * OWN.get(kind, white)(rng, count) * COMMON.get(kind, np.ones_like)(at_s)
    due = at_s * 1e9
    nothing = np.zeros(count, dtype=np.int64)
    return Rows(
        arm=np.full(count, number, dtype=np.int8),
        block=(at_s // BLOCK_S).astype(np.int64),
        slot=np.arange(count) % (RATE * BLOCK_S),
        measured=np.ones(count, dtype=bool),
        due=due,
        sent=due,
        first_byte=due,
        done=due + latency_ms * 1e6,
        error=np.where(failed, ERRORS.index("unexpected"), NO_ERROR).astype(np.int8),
        cache=np.where(hit, HIT, MISS).astype(np.int8),
        db_calls=np.where(hit, 0.0, 2.0),
        key=nothing,
        route=nothing,
    )


def decided(before: Rows, after: Rows, boundary: FixedSample | Sequential, error_rate: float) -> bool:
    """Whether any goal is called HELPED or HURT."""
    effects = request_effects(side_by_side(before, after), boundary, error_rate / len(GOALS))
    rulings = [rule_on(name, effects[name], goal, 1.0) for name, goal in GOALS.items()]
    return any(ruling.metric.verdict in ("HELPED", "HURT") for ruling in rulings)


def wrong_about(kind: str, seed: int) -> list[bool]:
    """By judge, whether one A/A stream was called a change."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    whole = [arm(kind, rng, number, SECONDS) for number in (0, 1)]
    looks = range(3 * LOOK_S, SECONDS + 1, LOOK_S)
    found = dict.fromkeys(JUDGES, False)
    for number, at_s in enumerate(looks, 1):
        before, after = (rows.take(np.arange(at_s * RATE)) for rows in whole)
        found["any time"] |= decided(before, after, Sequential(), ERROR_RATE)
        found["planned"] |= decided(before, after, FixedSample(), ERROR_RATE * share_of_look(number, len(looks)))
        latencies = [rows.latency_ms[np.isfinite(rows.latency_ms)] for rows in (before, after)]
        found["t, looked at"] |= bool(ttest_ind(*latencies, equal_var=False).pvalue < 0.05)
    found["one look"] = decided(*whole, FixedSample(), ERROR_RATE)
    found["t, at the end"] = bool(ttest_ind(*latencies, equal_var=False).pvalue < 0.05)
    found["pyperf"] = bool(ttest_ind(*latencies).pvalue < 0.05)
    ranks = mannwhitneyu(*latencies).pvalue
    found["benchstat"], found["Kayenta"] = bool(ranks < 0.05), bool(ranks < 0.02)
    return list(found.values())


def wald_pairs() -> float:
    """Expected pairs to decide on a hit ratio that rises from 0.8 - RISE to 0.8, at one goal's error rate."""
    variance = 0.8 * 0.2 + (0.8 - RISE) * (0.2 + RISE)
    return float(2 * np.log(len(GOALS) / ERROR_RATE) * variance / RISE**2)


def pairs_to_find(seed: int) -> float:
    """Pairs until the rise is HELPED, with a look each half second; infinite beyond five times Wald's number."""
    rng = np.random.default_rng([seed, 99])
    goal = Goal.model_validate({"want": "better", "margin": f"{100 * RISE:g} %"})
    most_s = 5 * wald_pairs() / RATE
    whole = [arm("white noise", rng, number, most_s, rise=RISE * (number - 1)) for number in (0, 1)]
    for pairs in range(6 * RATE // 2, len(whole[0]) + 1, RATE // 2):
        before, after = (rows.take(np.arange(pairs)) for rows in whole)
        effect = request_effects(side_by_side(before, after), Sequential(), ERROR_RATE / len(GOALS))["hit_ratio"]
        if rule_on("hit_ratio", effect, goal, 1.0).metric.verdict == "HELPED":
            return float(pairs)
    return float("inf")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--streams", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--jobs", type=int, default=2)
    given = arguments.parse_args()
    seeds = range(given.seed * 1_000_000, given.seed * 1_000_000 + given.streams)
    started = time.monotonic()
    print(f"Called a change though there was none, % of {given.streams} streams of {SECONDS * RATE:,} pairs:")
    print("".join([f"{'':18}", *(f"{judge:>15}" for judge in JUDGES)]), flush=True)
    with ProcessPoolExecutor(given.jobs) as pool:
        for kind in KINDS:
            wrong = np.array(list(pool.map(partial(wrong_about, kind), seeds, chunksize=5)))
            print("".join([f"{kind:18}", *(f"{100 * share:15.1f}" for share in wrong.mean(axis=0))]), flush=True)
        pairs = np.array(list(pool.map(pairs_to_find, seeds, chunksize=5)))
    print(
        f"\nA hit ratio that rises by its margin: found in {100 * np.isfinite(pairs).mean():.1f} % of {given.streams}"
    )
    print(f"streams; median {np.median(pairs):,.0f} pairs, {np.median(pairs) / wald_pairs():.2f} times Wald's number")
    print(f"({wald_pairs():,.0f}). {time.monotonic() - started:.0f} s, seed {given.seed}.")


if __name__ == "__main__":
    main()
