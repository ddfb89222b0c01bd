"""The whole judgement on simulated records: the verdict that a person would bet on."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from luckyhit.judge import RULES, RunHeader, decide
from luckyhit.records import METRICS, NOT_VISIBLE, Guard, Result
from luckyhit.text.wording import has, note
from tier import seeds

STALE_PRICE = {
    "stale_reads": {"want": "better", "margin": "5 %", "at_most": "10 %"},
    "hit_ratio": {"want": "no-worse", "margin": "30 %"},
    "db_calls": {"want": "no-worse", "margin": 1},
    "latency_p95_ms": {"want": "no-worse", "margin": "50ms"},
}
PLACEBO = {
    "hit_ratio": {"want": "better", "margin": "4 %"},
    "latency_p50_ms": {"want": "better", "margin": "25 %"},
    "error_rate": {"want": "no-worse", "margin": "1 %"},
}
HITS = {"hit_ratio": {"want": "better", "margin": "5 %"}}
HITS_AND_LATENCY = {**HITS, "latency_p95_ms": {"want": "better", "margin": "20 %"}}
UNDECLARED = Guard(id="declared-difference-only", ok=False, detail="two variables differ", remedy="Change one.")


def test_a_fix_that_costs_hits_helped(simulate, case_with) -> None:
    run = simulate(3, before={"hit": 0.8}, after={"hit": 0.66}, stale={"before": 0.99, "after": 0.0})
    result = run.judge(case_with(STALE_PRICE))
    metrics = result.metrics
    assert result.verdict == metrics["stale_reads"].verdict == "HELPED"
    assert metrics["hit_ratio"].high < 0 < metrics["db_calls"].low
    assert metrics["hit_ratio"].verdict == "EQUIVALENT" and has(metrics["hit_ratio"].notes, "accepted-cost")
    assert result.rollback.same_as_before is True
    assert set(metrics) == set(METRICS)


@pytest.mark.parametrize(
    ("goals", "knobs", "verdict"),
    [
        (HITS_AND_LATENCY, {"before": {"hit": 0.5}, "after": {"hit": 0.97}}, "HELPED"),
        (STALE_PRICE | {"hit_ratio": {"want": "no-worse", "margin": "5 %"}}, {"after": {"hit": 0.5}, "stale": {"before": 0.99}}, "HURT"),
        ({"hit_ratio": {"want": "better", "margin": "1 %"}}, {"before": {"own": 1.0}, "after": {"own": 1.0, "hit": 0.81}, "blocks": 2, "seconds": 2.0}, "INCONCLUSIVE"),
        (PLACEBO, {"after": {"status": False}}, "INCONCLUSIVE"),
    ],
    ids=["better", "worse than the margin", "too few pairs", "visible in one arm"],
)  # fmt: skip
def test_the_verdict_follows_the_effect(goals, knobs, verdict: str, simulate, case_with) -> None:
    result = simulate(7, **knobs).judge(case_with(goals))
    assert result.verdict == verdict, result.reason
    metric = result.metrics["hit_ratio"]
    assert has(metric.notes, "pairs-needed") == (knobs.get("blocks") == 2)
    assert has(result.notes, "latency-parts") or verdict != "HELPED"


def test_no_change_is_equivalent_beside_a_naive_gain(simulate, case_with) -> None:
    run = simulate(5, before={"hit": 0.9}, after={"hit": 0.9})
    # The first look was taken while the cache was still warming, in both arms.
    cold = ((run.requests["block"] == 1) & (run.requests["phase"] == "warmup")).to_numpy()
    run.requests.loc[cold, ["first_byte_ns", "done_ns"]] += 10_000_000
    run.requests.loc[cold, "cache"] = "miss"
    result = run.judge(case_with(PLACEBO))
    assert result.verdict == "EQUIVALENT"
    assert result.naive.claim == "faster" and result.naive.latency_change < -0.2 and result.naive.p_value < 0.001


def test_naive_looks_are_at_arms_measured_side_by_side(simulate, case_with) -> None:
    """A host that is slower where both arms run is no gain and no loss of the change."""
    run = simulate(5, before={"hit": 0.9}, after={"hit": 0.9})
    run.requests.loc[run.requests["block"] == 0, ["first_byte_ns", "done_ns"]] -= 1_000_000
    naive = run.judge(case_with(PLACEBO)).naive
    first = run.requests[run.rows("before") & (run.requests["block"] == 1)]
    look = first[first["due_ns"] <= first["due_ns"].min() + 5e9]
    assert naive.latency_before_ms == pytest.approx((look["done_ns"] - look["due_ns"]).mean() / 1e6, rel=0.01)
    assert naive.claim == "no-difference"


@pytest.mark.parametrize("design", ["crossover", "before-after"])
def test_designs_without_pairs_find_large_effects_only(design, simulate, case_with) -> None:
    case = case_with(HITS, design=design)
    helped = simulate(9, after={"hit": 0.97}, design=design).judge(case)
    assert helped.verdict == "HELPED", helped.reason
    assert has(helped.notes, "arms-one-after-the-other", "arms-took-turns")
    verdicts = {simulate(seed, design=design).judge(case, interim=True).verdict for seed in seeds(8)}
    assert verdicts <= {"EQUIVALENT", "INCONCLUSIVE"}


def test_many_crossover_pairs_are_compared_pair_by_pair(simulate, case_with) -> None:
    case = case_with({"hit_ratio": {"want": "better", "margin": "10 %"}}, design="crossover")
    result = simulate(10, design="crossover", blocks=8, seconds=2.0).judge(case)
    assert result.verdict == "EQUIVALENT" and result.metrics["hit_ratio"].pairs == 8 * 300


@pytest.mark.parametrize("guards", [[], [UNDECLARED]], ids=["not compared", "failed"])
@pytest.mark.parametrize("planned", [4, 9])
def test_a_failed_guard_overrides_everything(guards, planned: int, simulate, case_with) -> None:
    run = simulate(11, stale={"before": 0.99}, seconds=2.0)
    run.guards = guards
    result = run.judge(case_with(STALE_PRICE, blocks=planned), interim=True)
    assert result.verdict == "INVALID" and all(guard.detail in result.reason for guard in guards)


def test_a_run_with_just_the_baseline_decides_nothing(simulate, case_with) -> None:
    run = simulate(13)
    run.blocks = run.blocks[:1]
    run.requests = run.requests[run.requests["block"] == 0]
    result = run.judge(case_with(STALE_PRICE))
    hits = result.metrics["hit_ratio"]
    assert result.verdict == hits.verdict == "INCONCLUSIVE"
    assert 0.7 < hits.before < 0.9 and hits.after is None and hits.effect is None
    assert result.noise_floor["hit_ratio"] > 0 and result.naive.claim == "no-data"


def test_nothing_measured_at_all_is_invalid(case_with) -> None:
    empty = pd.DataFrame()
    assert decide(empty, empty, empty, case_with(PLACEBO), []).verdict == "INVALID"


def test_an_unknown_cache_status_is_not_visible_and_never_zero(simulate, case_with) -> None:
    result = simulate(14, before={"status": False}, after={"status": False}).judge(case_with(PLACEBO))
    hits = result.metrics["hit_ratio"]
    assert (hits.before, hits.after, hits.effect, hits.low, hits.high) == (None,) * 5
    assert has(hits.notes, *NOT_VISIBLE) and hits.verdict == result.verdict == "INCONCLUSIVE"


def test_without_a_probe_freshness_is_not_visible(simulate, case_with) -> None:
    result = simulate(16).judge(case_with(PLACEBO, freshness=False))
    assert result.metrics["stale_reads"].before is None
    assert [note.id for note in result.notes if note.metric == "stale_reads"] == ["not-visible-no-probe"]


def test_blocks_that_were_not_finished_do_not_count(simulate, case_with) -> None:
    run = simulate(17, blocks=5)
    run.blocks = [entry for entry in run.blocks if entry["block"] != 5]
    result = run.judge(case_with(PLACEBO, blocks=5))
    assert result.metrics["hit_ratio"].pairs == 4 * 750
    assert note("blocks-left-out", measured=4, planned=5) in result.notes


@pytest.mark.parametrize(
    ("design", "blocks", "after", "verdict"),
    [
        ("side-by-side", 4, {"hit": 0.97}, "HELPED"),
        ("side-by-side", 4, {"hit": 0.6}, "HURT"),
        ("side-by-side", 4, {}, "EQUIVALENT"),
        ("crossover", 6, {"hit": 0.99}, "HELPED"),
    ],
)
def test_a_run_that_ended_early_decides_nothing(design, blocks: int, after, verdict, simulate, case_with) -> None:
    run = simulate(22, after=after, design=design, blocks=blocks, seconds=4.0)
    assert run.judge(case_with(HITS, design=design, blocks=blocks), interim=True).verdict == verdict
    result = run.judge(case_with(HITS, design=design, blocks=blocks + 1), interim=True)
    assert result.verdict == "INCONCLUSIVE"
    assert result.metrics["hit_ratio"].verdict == verdict  # the metric keeps its own


BUSIER = {"hit_ms": 0.5, "miss_ms": 3.0}
LATENCY = {"latency_p50_ms": PLACEBO["latency_p50_ms"]}


@pytest.mark.parametrize(
    ("design", "goals", "rollback", "same"),
    [
        ("side-by-side", PLACEBO, {"hit": 0.3}, False),
        # That block had the host to itself, so its latencies are not compared.
        ("side-by-side", PLACEBO, BUSIER, True),
        ("side-by-side", LATENCY, BUSIER, None),
        ("crossover", LATENCY, {"hit_ms": 0.2, "miss_ms": 3.0}, False),
    ],
)
def test_the_rollback_is_compared_with_the_before_arm(
    design: str, goals: Any, rollback: Any, same: bool | None, simulate, case_with
) -> None:
    run = simulate(18, design=design, blocks=6 if design == "crossover" else 4, rollback=rollback)
    assert run.judge(case_with(goals, design=design)).rollback.same_as_before is same


def test_a_rollback_that_was_not_measured_again_stays_unknown(simulate, case_with) -> None:
    run = simulate(19, seconds=2.0)
    run.blocks = [entry for entry in run.blocks if entry["stage"] != "after-rollback"]
    assert run.judge(case_with(PLACEBO)).rollback.same_as_before is None


def test_the_result_survives_its_file(simulate, case_with) -> None:
    header = RunHeader("placebo", "r", "2026-11-23")
    result = simulate(20, blocks=2, seconds=1.0).judge(case_with(PLACEBO), header=header)
    text = result.model_dump_json(by_alias=True)
    assert Result.model_validate_json(text) == result
    assert "NaN" not in text and "Infinity" not in text and json.loads(text)["schema"] == 1


def test_the_rules_are_few_and_start_with_their_verdict() -> None:
    verdicts = ["INVALID", "HURT", "INCONCLUSIVE", "EQUIVALENT", "HELPED", "EQUIVALENT"]
    assert [rule.split(" ")[0].strip(",") for rule in RULES] == verdicts
