"""What stands beside the verdict: the naive answer, the noise floor, the decomposition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from luckyhit.judge.decompose import decompose
from luckyhit.judge.naive import naive_answer
from luckyhit.judge.samples import rows_of


def rows(latency_ms, cache="hit"):  # type: ignore[no-untyped-def]
    import pandas as pd

    latency = np.asarray(latency_ms, dtype=float)
    frame = pd.DataFrame({"arm": "before", "block": 0, "slot": np.arange(len(latency)), "phase": "measure"})
    return rows_of(frame.assign(due_ns=0, sent_ns=0, done_ns=(latency * 1e6).round(), cache=cache))


def test_the_naive_test_is_welchs() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.lognormal(1, 0.5, 300), rng.lognormal(0.9, 0.9, 200)
    naive = naive_answer(rows(before), rows(after))
    assert naive.p_value == pytest.approx(ttest_ind(before, after, equal_var=False).pvalue, rel=1e-4)


@pytest.mark.parametrize(
    ("before", "after", "claim", "sentence"),
    [
        (12.1, 5.1, "faster", "A plain before/after would have said: 58 % faster (12.1 → 5.1 ms, p < 0.001), with a hit ratio of 100 % before and 100 % after."),
        (5.1, 12.1, "slower", "137 % slower (5.1 → 12.1 ms"),
        (5.0, 5.0, "no difference", "would have said: no difference (5 → 5 ms"),
    ],
)  # fmt: skip
def test_the_claim_of_a_plain_look(before: float, after: float, claim: str, sentence: str) -> None:
    spread = np.linspace(-0.5, 0.5, 201)
    naive = naive_answer(rows(before + spread), rows(after + spread))
    assert naive.claim == claim and sentence in naive.sentence


@pytest.mark.parametrize(("before", "after"), [([], [1, 2]), ([1, 2], []), ([], [])])
def test_nothing_to_compare(before: list, after: list) -> None:
    assert naive_answer(rows(before), rows(after)).claim == "no data"


def test_too_little_for_a_test_claims_nothing() -> None:
    assert naive_answer(rows([5]), rows([1])).claim == "no difference"
    assert naive_answer(rows([5, 5]), rows([1, 1])).claim == "no difference"


@given(
    st.lists(st.tuples(st.floats(0.1, 100), st.sampled_from(["hit", "miss", "stale"])), min_size=1, max_size=60),
    st.lists(st.tuples(st.floats(0.1, 100), st.sampled_from(["hit", "miss", "stale"])), min_size=1, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_the_parts_of_a_latency_change_add_up(before: list, after: list) -> None:
    arms = [rows([latency for latency, _ in arm], [cache for _, cache in arm]) for arm in (before, after)]
    parts = decompose(*arms)
    total = np.mean([latency for latency, _ in after]) - np.mean([latency for latency, _ in before])
    assert parts.total == pytest.approx(total, abs=1e-4)


def test_a_better_hit_ratio_is_all_mix_and_a_faster_miss_is_all_within() -> None:
    mix = decompose(
        rows([2, 12, 12, 12], ["hit", "miss", "miss", "miss"]), rows([2, 2, 2, 12], ["hit", "hit", "hit", "miss"])
    )
    assert mix.mix == pytest.approx(-5) and sum(mix.within.values()) == pytest.approx(0)
    within = decompose(rows([2, 12], ["hit", "miss"]), rows([2, 6], ["hit", "miss"]))
    assert within.mix == 0 and within.within == {"hits": 0, "misses": pytest.approx(-3)}
    assert str(within) == (
        "The mean latency of requests with a visible cache status changed by −3 ms: 0 ms by the mix of hits and misses, "
        "0 ms within hits and −3 ms within misses."
    )


def test_the_noise_floor_grows_with_the_noise(simulate, case_with) -> None:
    goals = {"latency_p50_ms": {"want": "better", "margin": "25 %"}}
    quiet, loud = (
        simulate(1, before={"sigma": sigma, "hit": 0.99}, blocks=2, seconds=5).judge(case_with(goals)).noise_floor
        for sigma in (0.1, 0.5)
    )
    assert 0 < quiet["latency_p50_ms"] < loud["latency_p50_ms"]
    assert 0 < quiet["stale_reads"] < 1
