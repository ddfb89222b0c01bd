"""A report on an arm whose cache status can't be believed: said first, and no hit ratio of it anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from page_reader import Page
from synthetic_run import ARM, judged, make_run

from luckyhit.case_run import CaseRun
from luckyhit.records import Result
from luckyhit.report.ci_summary import summary
from luckyhit.report.figures import hit_ratio, latency_split
from luckyhit.report.junit import junit
from luckyhit.report.page import render
from luckyhit.report.recorded import Recorded, recorded
from luckyhit.report.run_outcome import RunOutcome
from luckyhit.report.tables.baseline_rows import baseline
from luckyhit.report.tables.finding_sentences import finding_lines
from luckyhit.report.tables.metric_rows import NOT_VISIBLE, key_numbers, metrics


@pytest.fixture(scope="module")
def lied(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseRun, Result, Recorded]:
    """The before arm says hit on each answer, and the other does not always tell its database calls."""
    after = {**ARM["after"], "hit": 0.7, "calls_visible": 0.9}
    arms = {"before": {**ARM["before"], "hit": 0.7, "lies": True}, "after": after}
    run = make_run(tmp_path_factory.mktemp("lied"), arms=arms)
    result = judged(run)
    return run, result, recorded(run, result)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Recorded]:
    """The same, where the other arm's database calls tell its status."""
    arms = {"before": {**ARM["before"], "hit": 0.7, "lies": True}, "after": {**ARM["after"], "hit": 0.7}}
    run = make_run(tmp_path_factory.mktemp("counted"), arms=arms)
    result = judged(run)
    return result, recorded(run, result)


def test_calls_give_both_arms_their_hit_ratio(counted) -> None:
    result, found = counted
    metric = result.metrics["hit_ratio"]
    assert list(result.doubts) == ["before"] and metric.before == pytest.approx(0.7, abs=0.05)
    (row,) = [row for row in metrics(result) if row.name == "Hit ratio"]
    assert NOT_VISIBLE not in (row.before, row.after)
    assert set(hit_ratio.data(found).bins["arm"]) == {"before", "after"}
    assert hit_ratio.data(found).measured["change", "before"] == pytest.approx(metric.before, abs=0.01)
    assert result.findings[0].facts["by_calls"] is True


def test_it_is_the_first_thing_that_is_shown(lied) -> None:
    _, result, _ = lied
    assert list(result.doubts) == ["before"] and result.verdict != "HURT"
    assert result.findings[0].id == "status-not-believable"
    (doubt,) = result.doubts["before"]
    assert f"{doubt.count:,} of {doubt.of:,}" in finding_lines(result)[0]


def test_rows_say_not_visible_in_that_arm(lied) -> None:
    _, result, found = lied
    (row,) = [row for row in metrics(result) if row.name == "Hit ratio"]
    assert row.before == NOT_VISIBLE and row.after != NOT_VISIBLE
    assert any(row.before == NOT_VISIBLE for row in key_numbers(found))
    assert {level.name: level.value for level in baseline(found)}["Hit ratio of the baseline"] == "–"


def test_figures_leave_the_arm_out(lied) -> None:
    found = lied[2]
    series = hit_ratio.data(found)
    assert set(series.bins["arm"]) == {"after"} and {arm for _, arm in series.measured} == {"after"}
    assert {status for status, label in latency_split.data(found).parts if label == "before"} == {"status not visible"}
    assert np.isnan(found.hit[found.mask("change", "before")]).all()


def test_other_outputs_have_no_hit_ratio_of_it_either(lied) -> None:
    run, result, _ = lied
    told = RunOutcome(run.name, run=run.id, result=result)
    assert NOT_VISIBLE in summary(told)
    assert "100 %" not in junit(told).partition("hit_ratio")[2].partition("testcase")[0]


def test_the_page_shows_it_before_the_numbers(lied, tmp_path, plain_figures) -> None:
    run, result, _ = lied
    page = Page(render(run, result, tmp_path).read_text(encoding="utf-8"))
    (doubt,) = result.doubts["before"]
    text = " ".join(page.text.split())
    behind = text.index(result.reason) + len(result.reason)
    assert text.index(f"{doubt.count:,} of {doubt.of:,}") < text.index(NOT_VISIBLE, behind)
