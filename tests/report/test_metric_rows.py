"""The metrics in words: where METRICS puts them, how many pairs they took, and one number for one thing everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from page_reader import Page

from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.freshness.freshness_facts import as_metric_has_it
from luckyhit.judge.stale.proportion_bounds import bounds_of_run, uncompared
from luckyhit.records import METRICS, CountOf, FreshnessFacts, Metric, Result, RunFinding
from luckyhit.report.figures import freshness_curve, hit_ratio, late_reads
from luckyhit.report.page import render
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables import observed
from luckyhit.report.tables.baseline_rows import baseline
from luckyhit.report.tables.finding_sentences import sentence_of
from luckyhit.report.tables.metric_rows import PAIRS_HEADINGS, looks, metric_row, metrics, pairs_needed
from luckyhit.report.trends import SHOWN
from luckyhit.text.numbers import DASH, sentence_case
from luckyhit.text.quantities import name_of
from luckyhit.text.wording import note
from noted import manifest_with

GOAL = {"want": "better", "verdict": "HELPED", "margin": 0.04, "pairs": 3000}
HIT = Metric(
    unit="share", before=0.8, after=0.85, effect=0.05, low=0.02, high=0.08, expected_pairs=1900, wald_pairs=1500, **GOAL
)


def one_metric(**fields) -> Recorded:
    """A result with one goal."""
    metric = HIT.model_copy(update=fields)
    names = {"case": "x", "run": "y", "date": "2026-11-23", "design": "side-by-side"}
    return Recorded(result=Result(**names, verdict="HELPED", reason="", metrics={"hit_ratio": metric}))


def test_metrics_are_shown_where_their_rows_say(recorded_run) -> None:
    levels = {level.name: level for level in baseline(recorded_run)}
    assert {sentence_case(kind.baseline) for kind in METRICS.values() if kind.baseline} <= levels.keys()
    rows = {row.name: row for row in metrics(recorded_run.result)}
    assert {sentence_case(name_of(name)) for name, kind in METRICS.items() if kind.part_of is None} <= rows.keys()
    assert [name for name, kind in METRICS.items() if kind.trend] == list(SHOWN)
    level, row = levels["Bytes per request"], rows["Bytes per request"]
    assert (level.value, row.before, row.after) == ("900 bytes",) * 3
    assert level.noise != DASH and (row.effect, row.verdict) == ("0 bytes", "")


def test_a_limit_stands_once_beside_its_margin(recorded_run) -> None:
    metric = recorded_run.result.metrics["stale_reads"].model_copy(update={"at_most": 0.25})
    row = metric_row("stale_reads", metric, recorded_run.result)
    assert row.goal.count("25 %") == 1 and row.margin not in row.verdict_text


# Two numbers of stale reads


def test_a_share_of_stale_reads_says_what_was_counted(recorded_run) -> None:
    result = recorded_run.result
    metric = result.metrics["stale_reads"]
    alone = metric_row("stale_reads", metric, result).counted
    both = metric.model_copy(update={"notes": [note("pairs-by-source", probe=1114, workload=146)]})
    mixed = metric_row("stale_reads", both, result).counted
    assert alone and "1,114" in mixed and "146" in mixed
    assert metric_row("stale_reads", metric.model_copy(update={"before": None}), result).counted == ""
    assert not any(row.counted for row in metrics(result) if row.name != sentence_case(METRICS["stale_reads"].words))


@pytest.mark.usefixtures("plain_figures")
def test_the_first_screen_says_it_beside_the_number(judged_run, page_once, observed_run, tmp_path: Path) -> None:
    _, result = judged_run
    assert metric_row("stale_reads", result.metrics["stale_reads"], result).counted in page_once.text
    (shown,) = [one for one in observed.key_numbers(observed_run.result) if one.counted]
    assert shown.counted in Page.read(render(observed_run, observed_run.result, tmp_path)).text


def test_every_stale_read_is_related_to_the_metric_where_there_is_one() -> None:
    counts = {"before": CountOf(count=340, of=420), "after": CountOf(count=0, of=559)}
    for within_ms in (0.0, 5.0):
        facts = {"within_ms": within_ms, "before_agreed": 1, "after_agreed": 2}
        alone, beside = (
            sentence_of(RunFinding(id="stale-workload-reads", facts={**facts, "probed": probed}, **counts))
            for probed in (False, True)
        )
        assert beside.startswith(alone) and METRICS["stale_reads"].words in beside[len(alone) :]


# How many pairs it took


def test_a_goal_has_its_pairs_beside_the_least_possible() -> None:
    (row,) = pairs_needed(one_metric()).rows
    assert dict(zip(PAIRS_HEADINGS, row, strict=True)) == {
        "Metric": "Hit ratio", "Pairs used": "3,000", "Expected": "1,900", "Wald's least": "1,500", "Used / least": "2",
    }  # fmt: skip
    (row,) = pairs_needed(one_metric(expected_pairs=None, wald_pairs=None, pairs=0)).rows
    assert set(row[1:]) == {DASH}, "what is not known is not zero"


def test_without_a_goal_or_a_result_there_is_no_such_table() -> None:
    assert pairs_needed(Recorded()) is None and pairs_needed(one_metric(verdict=None)) is None


@pytest.mark.parametrize(
    ("noted", "facts"),
    [
        (None, []),
        ("damaged", []),
        ([], []),
        ([{"blocks": 1, "verdict": "HELPED", "stopped": True}], ["1 block of", "HELPED; it stopped"]),
        ([{"blocks": 1, "verdict": "INCONCLUSIVE"}, {"blocks": 2, "verdict": "HURT"}], ["1 and 2 blocks", "HURT; it went"]),
        ([{"blocks": 4, "verdict": "INCONCLUSIVE", "stopped": False, "added": 1}], ["4 blocks", "1 block beyond"]),
    ],
)  # fmt: skip
def test_looks_at_the_run_are_listed(noted: object, facts: list[str]) -> None:
    text = looks(Recorded(manifest=manifest_with(looks=noted)))
    assert bool(text) == bool(facts) and all(fact in text for fact in facts)


def test_the_page_shows_the_pairs(judged_run, page_once) -> None:
    assert "pairs" in page_once.ids
    wald = [metric.wald_pairs for metric in judged_run[1].metrics.values() if metric.wald_pairs]
    assert wald and all(f" {pairs:,} " in page_once.text for pairs in wald)


# One thing has one number


def test_no_stale_read_has_one_bound_everywhere(recorded_run) -> None:
    result = recorded_run.result
    facts, metric = result.freshness["after"], result.metrics["stale_reads"]
    assert facts.stale == 0 and metric.after == 0
    assert facts.zero_bound == facts.high == result.old_data.at_most
    assert late_reads.late(recorded_run)["after"].zero_bound == facts.zero_bound
    # Few reads bound less than all of them together: no other figure contradicts it.
    curve = freshness_curve.data(recorded_run).curve
    fresh = curve[(curve["arm"] == "after") & (curve["fresh"] == curve["reads"])]
    assert len(fresh) and (1 - fresh["low"] >= facts.zero_bound).all()


def test_the_bounds_of_a_report_are_those_of_the_judge(recorded_run) -> None:
    facts, case = recorded_run.result.freshness["before"], recorded_run.case
    bounds = bounds_of_run(case, len(recorded_run.numbers("change")))
    assert (facts.low, facts.high) == bounds(facts.stale, facts.stale + facts.fresh)
    assert bounds_of_run(case, 0) is uncompared


def test_the_figure_shows_the_hit_ratio_of_the_metric(recorded_run) -> None:
    metric, measured = recorded_run.result.metrics["hit_ratio"], hit_ratio.data(recorded_run).measured
    assert (measured["change", "before"], measured["change", "after"]) == (metric.before, metric.after)


@pytest.mark.parametrize(
    ("zero_bounds", "pairs", "bound"), [((None, 0.04), 90, 0.04), ((None, None), 90, None), ((None, None), 0, 0.2)]
)
def test_the_metric_has_the_word_on_no_stale_read(zero_bounds, pairs: int, bound: float | None) -> None:
    """It may count stale ones among the workload's reads; without pairs there is none to ask."""
    facts = FreshnessFacts(fresh=15, share=0.0, low=0.0, high=0.2, zero_bound=0.2)
    agreed = as_metric_has_it(facts, Effect(pairs=pairs, zero_bounds=zero_bounds), 1)
    assert (agreed.zero_bound, agreed.high) == (bound, 0.2 if bound is None else bound)


def test_what_went_wrong_in_an_arm_stands_beside_the_arm() -> None:
    facts = {"before_unknown": 142, "after_hit": 3, "after_good_status": 3}
    counts = {"before": CountOf(count=142, of=2831), "after": CountOf(count=3, of=2831)}
    words = sentence_of(RunFinding(id="unexpected-answers", facts=facts, **counts))
    assert "142 unknown before" in words and "3 hit after" in words
