"""What stands beside the verdict: the naive answer, the noise floor, the decomposition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, ttest_ind
from simulated_blocks import a_run

from luckyhit.judge.context.decompose import decompose
from luckyhit.judge.context.naive import naive_answer
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.table.samples import by_batches, rows_of, side_by_side
from luckyhit.text.wording import has
from tier import examples, seeds


def rows(latency_ms, cache="hit"):  # type: ignore[no-untyped-def]
    latency = np.asarray(latency_ms, dtype=float)
    frame = pd.DataFrame({"arm": "before", "block": 0, "slot": np.arange(len(latency)), "phase": "measure"})
    return rows_of(frame.assign(due_ns=0, sent_ns=0, done_ns=(latency * 1e6).round(), cache=cache))


def decomposed(before, after):  # type: ignore[no-untyped-def]
    return decompose(side_by_side(before, after), FixedSample(), 0.01)


def test_the_naive_test_is_welchs() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.lognormal(1, 0.5, 300), rng.lognormal(0.9, 0.9, 200)
    naive = naive_answer(rows(before), rows(after))
    assert naive.p_value == pytest.approx(ttest_ind(before, after, equal_var=False).pvalue, rel=1e-4)


@pytest.mark.parametrize(
    ("before", "after", "claim"), [(12.1, 5.1, "faster"), (5.1, 12.1, "slower"), (5.0, 5.0, "no-difference")]
)
def test_the_claim_of_a_plain_look(before: float, after: float, claim: str) -> None:
    noise = np.linspace(-0.5, 0.5, 201)
    naive = naive_answer(rows(before + noise), rows(after + noise))
    assert naive.claim == claim and naive.latency_change == pytest.approx(after / before - 1)


@pytest.mark.parametrize(("before", "after"), [([], [1, 2]), ([1, 2], []), ([], [])])
def test_nothing_to_compare(before: list, after: list) -> None:
    assert naive_answer(rows(before), rows(after)).claim == "no-data"


def test_too_little_for_a_test_claims_nothing() -> None:
    assert naive_answer(rows([5]), rows([1])).claim == "no-difference"
    assert naive_answer(rows([5, 5]), rows([1, 1])).claim == "no-difference"


@given(
    st.lists(st.tuples(st.floats(0.1, 100), st.sampled_from(["hit", "miss", "stale"])), min_size=1, max_size=60),
    st.lists(st.tuples(st.floats(0.1, 100), st.sampled_from(["hit", "miss", "stale"])), min_size=1, max_size=60),
)
@settings(max_examples=examples(60), deadline=None)
def test_the_parts_of_a_latency_change_add_up(before: list, after: list) -> None:
    arms = [rows([latency for latency, _ in arm], [cache for _, cache in arm]) for arm in (before, after)]
    parts = decomposed(*arms)
    total = np.mean([latency for latency, _ in after]) - np.mean([latency for latency, _ in before])
    assert parts.total.value == pytest.approx(total, abs=1e-4)
    summed = parts.mix.value + sum(part.value for part in parts.within.values())
    assert summed == pytest.approx(parts.total.value, abs=1e-9)


def test_hit_ratio_is_mix_and_a_faster_miss_is_within() -> None:
    mix = decomposed(
        rows([2, 12, 12, 12], ["hit", "miss", "miss", "miss"]), rows([2, 2, 2, 12], ["hit", "hit", "hit", "miss"])
    )
    assert mix.mix.value == pytest.approx(-5)
    assert sum(part.value for part in mix.within.values()) == pytest.approx(0)
    within = decomposed(rows([2, 12], ["hit", "miss"]), rows([2, 6], ["hit", "miss"]))
    assert within.mix.value == 0
    assert {name: part.value for name, part in within.within.items()} == {"hits": 0, "misses": pytest.approx(-3)}
    (noted,) = within.notes(99)
    assert noted.id == "latency-parts" and noted.facts["total"] == "−3 ms"
    assert [part.split()[0] for part in noted.facts["parts"]] == ["0", "0", "−3"]


def arms_of(seed, after, **knobs):  # type: ignore[no-untyped-def]
    run = a_run(seed, before={"own": 1.0, **knobs}, after={"own": 1.0, **knobs, **after}, blocks=3)
    measured = run.requests["phase"].eq("measure")
    return [rows_of(run.requests[run.rows(arm) & measured]) for arm in ("before", "after")]


@pytest.mark.parametrize("cut", [side_by_side, by_batches])
def test_the_intervals_of_the_parts_hold_what_is_true(cut) -> None:  # type: ignore[no-untyped-def]
    """Hit ratio 0.6 to 0.8, misses at 12 and then 9 ms: computed by hand, with the mean of the log-normal noise."""
    mean = np.exp(0.3**2 / 2)
    mix = (0.8 - 0.6) * 2 * mean + (0.2 - 0.4) * (12 + 9) / 2 * mean
    misses = (0.4 + 0.2) / 2 * (9 - 12) * mean
    covered = {"mix": 0, "misses": 0, "hits": 0}
    runs = seeds(60)
    for seed in runs:
        arms = arms_of(seed, {"hit": 0.8, "miss_ms": 9.0}, hit=0.6)
        parts = decompose(cut(*arms), FixedSample(), 0.05)
        true = {
            "mix": (parts.mix, mix),
            "misses": (parts.within["misses"], misses),
            "hits": (parts.within["hits"], 0.0),
        }
        for name, (part, value) in true.items():
            covered[name] += part.low <= value <= part.high
            assert part.high - part.low < 1.5
    # What 95 % gives in all but one of a thousand simulations.
    assert min(covered.values()) >= binom.ppf(0.001, len(runs), 0.95), covered


def test_what_both_arms_shared_is_taken_out() -> None:  # type: ignore[no-untyped-def]
    def shared(rng, count):  # type: ignore[no-untyped-def]
        host = np.exp(0.5 * np.sin(np.arange(count) / 80))
        return {"before": host, "after": host}

    run = a_run(4, noise=shared, blocks=3)
    measured = run.requests["phase"].eq("measure")
    arms = [rows_of(run.requests[run.rows(arm) & measured]) for arm in ("before", "after")]
    beside = decompose(side_by_side(*arms), FixedSample(), 0.01)
    assert beside.paired_away > 0.5 and has(beside.notes(99), "latency-paired-away")
    apart = decompose(by_batches(*arms), FixedSample(), 0.01)
    assert apart.paired_away is None and not has(apart.notes(99), "latency-paired-away")
    assert apart.total.high - apart.total.low > beside.total.high - beside.total.low


def test_without_a_status_there_are_no_parts() -> None:
    assert decomposed(rows([2, 3], "unknown"), rows([2, 3], "hit")) is None


def test_the_noise_floor_grows_with_the_noise() -> None:
    goals = {"latency_p50_ms": {"want": "better", "margin": "25 %"}}
    quiet, loud = (
        a_run(1, before={"sigma": sigma, "hit": 0.99}, blocks=2, seconds=3)
        .judge(a_case(goals, freshness=True))
        .noise_floor
        for sigma in (0.1, 0.5)
    )
    assert 0 < quiet["latency_p50_ms"] < loud["latency_p50_ms"]
    assert 0 < quiet["stale_reads"] < 1
