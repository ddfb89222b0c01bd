"""A report on an arm whose cache status is not reliable: said first, and no hit ratio of it anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from page_reader import Page
from synthetic_run import ARM, judged, make_run

from luckyhit.report.ci_summary import summary
from luckyhit.report.figures import hit_ratio, latency_split
from luckyhit.report.junit import junit
from luckyhit.report.page import render
from luckyhit.report.recorded import Recorded, recorded
from luckyhit.report.run_outcome import RunOutcome
from luckyhit.report.tables.baseline_rows import baseline
from luckyhit.report.tables.finding_sentences import finding_lines
from luckyhit.report.tables.metric_rows import NOT_VISIBLE, MetricRow, key_numbers, metrics
from luckyhit.text.numbers import DASH


def lying_run(folder, **after):
    """The before arm says hit on each response."""
    arms = {"before": {**ARM["before"], "hit": 0.7, "lies": True}, "after": {**ARM["after"], "hit": 0.7, **after}}
    run = make_run(folder, arms=arms)
    return run, judged(run)


@pytest.fixture(scope="module")
def lied(tmp_path_factory):
    """The other arm does not always show its database calls."""
    return lying_run(tmp_path_factory.mktemp("lied"), calls_visible=0.9)


@pytest.fixture(scope="module")
def lied_recorded(lied) -> Recorded:
    return recorded(*lied)


def hit_row(result) -> MetricRow:
    return next(row for row in metrics(result) if row.name == "Hit ratio")


def test_calls_give_both_arms_their_hit_ratio(tmp_path) -> None:
    run, result = lying_run(tmp_path)
    metric, row, series = result.metrics["hit_ratio"], hit_row(result), hit_ratio.data(recorded(run, result))
    assert list(result.doubts) == ["before"] and metric.before == pytest.approx(0.7, abs=0.05)
    assert NOT_VISIBLE not in (row.before, row.after)
    assert set(series.bins["arm"]) == {"before", "after"}
    assert series.measured["change", "before"] == pytest.approx(metric.before, abs=0.01)
    assert result.findings[0].facts["by_calls"] is True


def test_it_is_the_first_finding(lied) -> None:
    _, result = lied
    assert list(result.doubts) == ["before"] and result.verdict != "HURT"
    assert result.findings[0].id == "status-not-believable"
    (doubt,) = result.doubts["before"]
    assert f"{doubt.count:,} of {doubt.of:,}" in finding_lines(result)[0]


def test_rows_say_not_visible_in_that_arm(lied, lied_recorded) -> None:
    row = hit_row(lied[1])
    assert row.before == NOT_VISIBLE and row.after != NOT_VISIBLE
    assert any(row.before == NOT_VISIBLE for row in key_numbers(lied_recorded))
    assert {level.name: level.value for level in baseline(lied_recorded)}["Hit ratio of the baseline"] == DASH


def test_figures_leave_the_arm_out(lied_recorded) -> None:
    series, parts = hit_ratio.data(lied_recorded), latency_split.data(lied_recorded).parts
    assert set(series.bins["arm"]) == {"after"} and {arm for _, arm in series.measured} == {"after"}
    assert {status for status, label in parts if label == "before"} == {latency_split.NOT_VISIBLE}
    assert np.isnan(lied_recorded.rows.hit[lied_recorded.mask("change", "before")]).all()


def test_other_outputs_have_no_hit_ratio_of_it_either(lied) -> None:
    run, result = lied
    outcome = RunOutcome(run.name, run=run.id, result=result)
    assert NOT_VISIBLE in summary(outcome)
    assert "100 %" not in junit(outcome).partition("hit_ratio")[2].partition("testcase")[0]


def test_the_page_shows_it_before_the_numbers(lied, tmp_path, plain_figures) -> None:
    run, result = lied
    page = Page.read(render(run, result, tmp_path))
    (doubt,) = result.doubts["before"]
    rest = page.text.partition(result.reason)[2]
    assert rest.index(f"{doubt.count:,} of {doubt.of:,}") < rest.index(NOT_VISIBLE)
