"""A slice of `make bench-judge`: simulated streams, looked at again and again, and the rules of others."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "judge"))

import peers
from looks import looks, settled
from streams import ERRORS_SHARE, GOALS, HITS, KINDS, LEVELS, MARGINS, RATE, pair, wald_pairs

from tier import one_of_many, seeds

CHANGED = {"HELPED", "HURT"}
LONGEST_S = 5 * max(wald_pairs(name, 0.002) for name in GOALS) / RATE


@pytest.mark.parametrize(
    "kind", [one_of_many(kind, quick=kind in ("white noise", "bursts of errors")) for kind in KINDS]
)
def test_an_unchanged_stream_is_never_called_changed(kind: str) -> None:
    for seed in range(3):
        for pairs, verdicts in looks(*pair(kind, seed), GOALS, 0.01, each=250):
            assert not CHANGED & set(verdicts.values()), (seed, pairs, verdicts)


@pytest.mark.parametrize(("moved", "verdict"), [(list(GOALS), "HELPED"), ([], "EQUIVALENT")])
def test_five_goals_are_decided_in_time(moved: list[str], verdict: str) -> None:
    for seed in range(1 + len(seeds(4)) // 2):
        pairs, verdicts = settled(*pair("white noise", seed, LONGEST_S, moved), GOALS, 0.01, each=500)
        assert pairs < RATE * LONGEST_S and set(verdicts.values()) == {verdict}, (seed, verdicts)


def test_a_stream_has_the_differences_it_says() -> None:
    before, after = pair("white noise", 1, 20_000, list(GOALS))
    assert np.nanmean(before.hit) == pytest.approx(HITS, abs=0.002)
    assert np.nanmean(after.hit) - np.nanmean(before.hit) == pytest.approx(MARGINS["hit_ratio"], abs=0.003)
    assert np.nanmean(before.failed) == pytest.approx(ERRORS_SHARE, abs=0.001)
    assert np.nanmean(before.failed) - np.nanmean(after.failed) == pytest.approx(MARGINS["error_rate"], abs=0.001)
    for name, quantile in LEVELS.items():
        first, second = (np.nanquantile(rows.latency_ms, quantile) for rows in (before, after))
        assert 1 - second / first == pytest.approx(MARGINS[name], abs=0.005)


def test_correlated_requests_need_more_pairs() -> None:
    numbers = [wald_pairs("latency_p50_ms", 0.01, kind) for kind in ("white noise", "AR(1), 0.5", "AR(1), 0.9")]
    assert numbers == sorted(numbers) and numbers[2] > 10 * numbers[0]


@pytest.mark.parametrize("rule", [peers.welch, peers.benchstat, peers.kayenta, peers.pyperf])
def test_the_rules_of_others_find_a_plain_shift_only(rule) -> None:  # type: ignore[no-untyped-def]
    sample = np.random.default_rng(1).lognormal(size=3000)
    assert rule(sample, 1.3 * sample) and rule(1.3 * sample, sample)
    assert not rule(sample, sample.copy())


def test_the_estimated_shift_is_the_shift() -> None:
    rng = np.random.default_rng(2)
    assert peers.hodges_lehmann(rng.normal(size=4000), rng.normal(0.5, size=4000)) == pytest.approx(0.5, abs=0.1)
