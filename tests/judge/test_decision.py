"""The whole judgement on simulated records: the verdict that a person would bet on, and the sentence under it."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from luckyhit.judge import RULES, About
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


def test_a_fix_that_costs_hits_helped_and_says_what_it_costs(simulate, case_with) -> None:
    run = simulate(3, before={"hit": 0.8}, after={"hit": 0.66}, stale={"before": 0.99, "after": 0.0})
    result = run.judge(case_with(STALE_PRICE))

    assert result.verdict == "HELPED"
    assert re.fullmatch(
        r"Stale reads fell from (99|100|98\.\d) % to 0 % \(99 % interval −100 to −8\d points\), at a cost of 1\d points of "
        r"hit ratio and 0\.\d+ database calls per request, inside what the case accepts\.",
        result.reason,
    ), result.reason
    metrics = result.metrics
    assert metrics["stale_reads"].verdict == "HELPED"
    assert metrics["hit_ratio"].high < 0 < metrics["db_calls"].low
    assert metrics["hit_ratio"].verdict == "EQUIVALENT" and has(metrics["hit_ratio"].notes, "accepted-cost")
    assert result.rollback.same_as_before is True
    assert "nothing differs by more than its margin" in result.rollback.detail
    assert set(metrics) == set(METRICS)


def test_one_cost_is_told_with_the_margin_that_the_case_accepts(simulate, case_with) -> None:
    goals = {"stale_reads": STALE_PRICE["stale_reads"], "hit_ratio": STALE_PRICE["hit_ratio"]}
    run = simulate(4, before={"hit": 0.8}, after={"hit": 0.66}, stale={"before": 0.99})
    reason = run.judge(case_with(goals)).reason
    assert re.search(r", at a cost of 1\d points of hit ratio, inside the 30 points that the case accepts\.$", reason)


def test_a_change_that_does_nothing_is_equivalent_beside_a_naive_gain(simulate, case_with) -> None:
    run = simulate(5, before={"hit": 0.9}, after={"hit": 0.9})
    # The first look was taken while the cache was still warming, in both arms.
    cold = ((run.requests["block"] == 1) & (run.requests["phase"] == "warmup")).to_numpy()
    run.requests.loc[cold, ["first_byte_ns", "done_ns"]] += 10_000_000
    run.requests.loc[cold, "cache"] = "miss"
    result = run.judge(case_with(PLACEBO))

    assert result.verdict == "EQUIVALENT"
    assert result.reason.startswith("No difference that matters: hit ratio ")
    assert result.naive.claim == "faster" and result.naive.latency_change < -0.2 and result.naive.p_value < 0.001


def test_the_naive_looks_are_at_arms_beside_each_other(simulate, case_with) -> None:
    """A host that is slower where both arms run is no gain and no loss of the change."""
    run = simulate(5, before={"hit": 0.9}, after={"hit": 0.9})
    run.requests.loc[run.requests["block"] == 0, ["first_byte_ns", "done_ns"]] -= 1_000_000
    result = run.judge(case_with(PLACEBO))
    first = run.requests[run.rows("before") & (run.requests["block"] == 1)]
    shown = first[first["due_ns"] <= first["due_ns"].min() + 5e9]
    latency_ms = (shown["done_ns"] - shown["due_ns"]).mean() / 1e6
    assert result.naive.latency_before_ms == pytest.approx(latency_ms, rel=0.01)
    assert result.naive.claim == "no-difference"


def test_a_better_hit_ratio_and_latency_helped(simulate, case_with) -> None:
    goals = {"hit_ratio": {"want": "better", "margin": "5 %"}, "latency_p95_ms": {"want": "better", "margin": "20 %"}}
    result = simulate(6, before={"hit": 0.5}, after={"hit": 0.97}).judge(case_with(goals))
    assert result.verdict == "HELPED"
    assert result.reason.startswith("Hit ratio rose from 5") and "p95 latency fell from" in result.reason
    assert has(result.notes, "latency-parts")


def test_a_loss_beyond_the_margin_hurts(simulate, case_with) -> None:
    goals = STALE_PRICE | {"hit_ratio": {"want": "no-worse", "margin": "5 %"}}
    result = simulate(7, after={"hit": 0.5}, stale={"before": 0.99}).judge(case_with(goals))
    assert result.verdict == "HURT"
    assert (
        result.reason.startswith("Hit ratio fell from 8")
        and "more than the 5 points that the case accepts" in result.reason
    )


def test_too_little_data_is_inconclusive_and_says_how_much_more(simulate, case_with) -> None:
    goals = {"hit_ratio": {"want": "better", "margin": "1 %"}}
    run = simulate(8, before={"own": 1.0}, after={"own": 1.0, "hit": 0.81}, blocks=2, seconds=2.0)
    result = run.judge(case_with(goals))
    assert result.verdict == "INCONCLUSIVE"
    assert re.search(
        r"about [\d,]+ more pairs \([\d,]+ (seconds|minutes|hours) at this rate\) would decide", result.reason
    )


@pytest.mark.parametrize("design", ["crossover", "before-after"])
def test_designs_without_pairs_see_large_effects_and_never_invent_one(design, simulate, case_with) -> None:
    goals = {"hit_ratio": {"want": "better", "margin": "5 %"}}
    case = case_with(goals, design=design)
    helped = simulate(9, after={"hit": 0.97}, design=design).judge(case)
    assert helped.verdict == "HELPED", helped.reason
    assert has(helped.notes, "arms-one-after-the-other", "arms-took-turns")
    assert all(simulate(seed, design=design).judge(case).verdict in ("EQUIVALENT", "INCONCLUSIVE") for seed in seeds(8))


def test_many_crossover_pairs_are_compared_pair_by_pair(simulate, case_with) -> None:
    case = case_with({"hit_ratio": {"want": "better", "margin": "10 %"}}, design="crossover")
    result = simulate(10, design="crossover", blocks=8, seconds=2.0).judge(case)
    assert result.verdict == "EQUIVALENT" and result.metrics["hit_ratio"].pairs == 8 * 300


def test_a_failed_guard_overrides_everything_and_is_named(simulate, case_with) -> None:
    run = simulate(11, stale={"before": 0.99})
    run.guards = [Guard(id="declared-difference-only", ok=False, detail="two variables differ", remedy="Change one.")]
    result = run.judge(case_with(STALE_PRICE))
    assert result.verdict == "INVALID"
    assert result.reason == "The guard “declared difference only” failed: two variables differ."


def test_nobody_looked_whether_only_one_thing_changed(simulate, case_with) -> None:
    run = simulate(12)
    run.guards = []
    assert run.judge(case_with(PLACEBO)).verdict == "INVALID"


def test_a_run_with_just_the_baseline_shows_it_and_decides_nothing(simulate, case_with) -> None:
    run = simulate(13)
    run.blocks = run.blocks[:1]
    run.requests = run.requests[run.requests["block"] == 0]
    result = run.judge(case_with(STALE_PRICE))
    assert result.verdict == "INCONCLUSIVE"
    assert result.reason == "The change was not measured, so there is nothing to compare."
    hits = result.metrics["hit_ratio"]
    assert 0.7 < hits.before < 0.9 and hits.after is None and hits.effect is None and hits.verdict == "INCONCLUSIVE"
    assert result.noise_floor["hit_ratio"] > 0
    assert result.naive.claim == "no-data"


def test_nothing_measured_at_all(case_with) -> None:
    from luckyhit.judge import decide

    empty = pd.DataFrame()
    result = decide(empty, empty, empty, case_with(PLACEBO), [])
    assert result.verdict == "INVALID" and "no request was recorded" in result.reason


def test_an_unknown_cache_status_is_not_visible_and_never_zero(simulate, case_with) -> None:
    run = simulate(14, before={"status": False}, after={"status": False})
    result = run.judge(case_with(PLACEBO))
    hits = result.metrics["hit_ratio"]
    assert (hits.before, hits.after, hits.effect, hits.low, hits.high) == (None,) * 5
    assert has(hits.notes, *NOT_VISIBLE) and hits.verdict == "INCONCLUSIVE"
    assert result.verdict == "INCONCLUSIVE"
    assert hits.notes[0].text.rstrip(".")[1:] in result.reason


def test_a_cache_that_only_one_arm_shows_is_no_pass(simulate, case_with) -> None:
    result = simulate(15, after={"status": False}).judge(case_with(PLACEBO))
    assert result.metrics["hit_ratio"].before is not None and result.metrics["hit_ratio"].after is None
    assert result.verdict == "INCONCLUSIVE"


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


@pytest.mark.parametrize(("after", "verdict"), [({"hit": 0.97}, "HELPED"), ({"hit": 0.6}, "HURT"), ({}, "EQUIVALENT")])
def test_a_run_that_ended_early_decides_nothing_whatever_it_shows(after, verdict, simulate, case_with) -> None:
    goals = {"hit_ratio": {"want": "better", "margin": "5 %"}}
    run = simulate(21, after=after)
    assert run.judge(case_with(goals, blocks=4)).verdict == verdict
    result = run.judge(case_with(goals, blocks=5))
    assert result.verdict == "INCONCLUSIVE"
    assert result.reason == "The run ended early: 4 of 5 planned blocks were measured."
    assert result.metrics["hit_ratio"].verdict == verdict  # what was measured is still told


def test_where_arms_take_turns_both_blocks_of_each_pair_are_planned(simulate, case_with) -> None:
    goals = {"hit_ratio": {"want": "better", "margin": "5 %"}}
    run = simulate(22, after={"hit": 0.99}, design="crossover", blocks=6)
    assert run.judge(case_with(goals, design="crossover", blocks=6)).verdict == "HELPED"
    result = run.judge(case_with(goals, design="crossover", blocks=7))
    assert result.reason == "The run ended early: 12 of 14 planned blocks were measured."


def test_a_failed_guard_is_the_verdict_of_a_run_that_ended_early_too(simulate, case_with) -> None:
    run = simulate(23, after={"hit": 0.97})
    run.guards = [Guard(id="declared-difference-only", ok=False, detail="two variables differ", remedy="Change one.")]
    assert run.judge(case_with(PLACEBO, blocks=9)).verdict == "INVALID"


def test_a_rollback_that_did_not_bring_it_back_is_told(simulate, case_with) -> None:
    result = simulate(18, rollback={"hit": 0.3}).judge(case_with(PLACEBO))
    assert result.rollback.same_as_before is False
    assert "hit ratio 28 %" in result.rollback.detail and "(before arm" in result.rollback.detail


def test_latencies_of_a_block_that_ran_alone_are_not_held_against_the_rollback(simulate, case_with) -> None:
    run = simulate(18, rollback={"hit_ms": 0.5, "miss_ms": 3.0})
    rollback = run.judge(case_with(PLACEBO)).rollback
    assert rollback.same_as_before is True and "Latencies were not compared" in rollback.detail
    latencies = case_with({"latency_p50_ms": PLACEBO["latency_p50_ms"]})
    assert run.judge(latencies).rollback.same_as_before is None
    took_turns = simulate(18, design="crossover", blocks=6, rollback={"hit_ms": 0.2, "miss_ms": 3.0})
    case = case_with({"latency_p50_ms": PLACEBO["latency_p50_ms"]}, design="crossover")
    assert took_turns.judge(case).rollback.same_as_before is False


def test_a_rollback_that_was_not_measured_again_stays_unknown(simulate, case_with) -> None:
    run = simulate(19)
    run.blocks = [entry for entry in run.blocks if entry["stage"] != "after-rollback"]
    rollback = run.judge(case_with(PLACEBO)).rollback
    assert rollback.same_as_before is None and rollback.detail == "The variable is as it was."


def test_the_result_survives_its_file(simulate, case_with) -> None:
    result = simulate(20, blocks=2, seconds=1.0).judge(case_with(PLACEBO), about=About("placebo", "r", "2026-11-23"))
    text = result.model_dump_json(by_alias=True)
    assert Result.model_validate_json(text) == result
    assert "NaN" not in text and "Infinity" not in text and json.loads(text)["schema"] == 1


def test_the_rules_are_few_and_start_with_the_verdict_they_give() -> None:
    assert [rule.split(" ")[0].strip(",") for rule in RULES] == [
        "INVALID",
        "HURT",
        "INCONCLUSIVE",
        "EQUIVALENT",
        "HELPED",
        "EQUIVALENT",
    ]
