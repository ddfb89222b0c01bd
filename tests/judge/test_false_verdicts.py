"""Whole runs in which nothing changed: all goals at once, and no verdict that claims otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from tier import one_of_many, seeds

GOALS = {
    "hit_ratio": {"want": "better", "margin": "4 %"},
    "latency_p50_ms": {"want": "better", "margin": "25 %"},
    "latency_p95_ms": {"want": "better", "margin": "25 %"},
    "error_rate": {"want": "no-worse", "margin": "1 %"},
}


def slow_minutes(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """One host's noise, in both arms."""
    host = np.exp(0.6 * lfilter([np.sqrt(1 - 0.995**2)], [1, -0.995], rng.normal(size=count)))
    return {"before": host, "after": host}


def own_queues(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    noise = lfilter([np.sqrt(1 - 0.9**2)], [1, -0.9], rng.normal(size=(2, count)), axis=1)
    return {"before": np.exp(0.4 * noise[0]), "after": np.exp(0.4 * noise[1])}


def own_bursts(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    return {
        arm: 1 + 9.0 * (np.convolve(rng.random(count) < 0.001, np.ones(40), "same") > 0) for arm in ("before", "after")
    }


NOISES = {"white": None, "slow minutes": slow_minutes, "own queues": own_queues, "own bursts": own_bursts}


def verdicts(noise: str, seeds: range, simulate, case_with) -> list[str]:  # type: ignore[no-untyped-def]
    errors = {"errors": 0.003}
    case = case_with(GOALS, freshness=False)
    knobs = {"noise": NOISES[noise], "before": errors, "after": errors, "probed": False}
    runs = (simulate(seed, blocks=3, seconds=4.0, **knobs) for seed in seeds)
    return [run.judge(case, interim=True).verdict for run in runs]


@pytest.mark.parametrize(
    ("noise", "runs", "most"),
    [
        *((noise, seeds(8), 0) for noise in NOISES),
        *(one_of_many(noise, range(1000, 1300), 3, quick=False) for noise in NOISES),
    ],
)
def test_no_change_is_rarely_called_one(noise: str, runs: range, most: int, simulate, case_with) -> None:
    claims = [verdict for verdict in verdicts(noise, runs, simulate, case_with) if verdict in ("HELPED", "HURT")]
    assert len(claims) <= most


def test_a_gain_as_large_as_the_margin_is_found(simulate, case_with) -> None:
    case = case_with({"hit_ratio": {"want": "better", "margin": "4 %"}}, freshness=False)
    runs = (simulate(seed, after={"hit": 0.86}, probed=False) for seed in seeds(10))
    assert {run.judge(case, interim=True).verdict for run in runs} == {"HELPED"}
