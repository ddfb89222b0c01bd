"""One thing has one number in the whole report: the bound of no stale read, and the hit ratio."""

from __future__ import annotations

import pytest

from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.freshness.freshness_facts import as_metric_has_it
from luckyhit.judge.stale.proportion_bounds import bounds_of_run, uncompared
from luckyhit.records import CountOf, FreshnessFacts, RunFinding
from luckyhit.report.figures import freshness_curve, hit_ratio, late_reads
from luckyhit.report.recorded import recorded
from luckyhit.report.tables.finding_sentences import sentence_of
from luckyhit.report.tables.metric_rows import metric_row


@pytest.fixture(scope="module")
def found(judged_run):  # type: ignore[no-untyped-def]
    return recorded(*judged_run)


def test_no_stale_read_has_one_bound_in_metric_facts_figures_and_table(judged_run, found) -> None:  # type: ignore[no-untyped-def]
    _, result = judged_run
    facts, metric = result.freshness["after"], result.metrics["stale_reads"]
    assert facts.stale == 0 and metric.after == 0
    assert facts.zero_bound == facts.high == result.old_data.at_most
    assert late_reads.late(found)["after"].zero_bound == facts.zero_bound
    # Few reads bound less than all of them together: no other figure contradicts it.
    curve = freshness_curve.data(found).curve
    fresh = curve[(curve["arm"] == "after") & (curve["fresh"] == curve["reads"])]
    assert len(fresh) and (1 - fresh["low"] >= facts.zero_bound).all()


def test_the_bounds_of_a_report_are_those_of_the_judge(found) -> None:  # type: ignore[no-untyped-def]
    facts = found.result.freshness["before"]
    blocks = len(found.numbers("change"))
    assert (facts.low, facts.high) == bounds_of_run(found.case, blocks)(facts.stale, facts.stale + facts.fresh)
    assert bounds_of_run(found.case, 0) is uncompared


def test_the_figure_shows_the_hit_ratio_of_the_metric(found) -> None:  # type: ignore[no-untyped-def]
    metric, measured = found.result.metrics["hit_ratio"], hit_ratio.data(found).measured
    assert (measured["change", "before"], measured["change", "after"]) == (metric.before, metric.after)


@pytest.mark.parametrize(
    ("zero_bounds", "pairs", "bound"), [((None, 0.04), 90, 0.04), ((None, None), 90, None), ((None, None), 0, 0.2)]
)
def test_the_metric_has_the_word_on_no_stale_read(
    zero_bounds: tuple[float | None, float | None], pairs: int, bound: float | None
) -> None:
    """It may count stale ones among the workload's reads; without pairs there is none to ask."""
    facts = FreshnessFacts(fresh=15, share=0.0, low=0.0, high=0.2, zero_bound=0.2)
    told = as_metric_has_it(facts, Effect(pairs=pairs, zero_bounds=zero_bounds), 1)
    assert (told.zero_bound, told.high) == (bound, 0.2 if bound is None else bound)


def test_what_went_wrong_in_an_arm_has_its_number_beside_the_arm() -> None:
    facts = {"before_unknown": 142, "after_hit": 3, "after_good_status": 3}
    counts = {"before": CountOf(count=142, of=2831), "after": CountOf(count=3, of=2831)}
    words = sentence_of(RunFinding(id="unexpected-answers", facts=facts, **counts))
    assert "142 unknown before" in words and "3 hit after" in words


def test_a_limit_stands_once_beside_its_margin(judged_run) -> None:  # type: ignore[no-untyped-def]
    _, result = judged_run
    metric = result.metrics["stale_reads"].model_copy(update={"at_most": 0.25})
    row = metric_row("stale_reads", metric, result)
    assert row.goal.count("25 %") == 1 and row.margin not in row.verdict_text
