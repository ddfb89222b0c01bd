"""A run that only observed, beside the earlier runs of its case: which count, and what the report says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from baselines import OBSERVED, copy_of, rewrite
from page_reader import Page, assert_self_contained
from synthetic_run import START, judged

from luckyhit.case_run import CaseRun
from luckyhit.judge.context.earlier_baselines import (
    MOST,
    NOT_FINISHED,
    NOT_READABLE,
    OTHER_HOST,
    OTHER_STATE,
    SAME_CONDITIONS,
    baseline_of,
    with_earlier,
)
from luckyhit.report.page import render
from luckyhit.report.tables.observed import as_lines


@pytest.fixture
def observed(new_run: Callable[..., CaseRun]) -> CaseRun:
    run = new_run(stages=("baseline",), manifest=OBSERVED, probes=20)
    judged(run)
    return run


def newest(run: CaseRun):
    assert run.result is not None
    return with_earlier(run, run.result)


def test_it_says_which_metric_was_never_seen_like_this_and_gives_no_verdict(observed: CaseRun) -> None:
    for day in range(1, 21):
        copy_of(observed, day, {"hit_ratio": 0.5 + day / 1000})
    result = newest(observed)

    told = result.earlier.metrics
    assert result.earlier.runs == 20 and told["hit_ratio"].outside is True
    assert (told["hit_ratio"].low, told["hit_ratio"].high) == (0.501, 0.52)
    assert [name for name, each in told.items() if each.outside] == ["hit_ratio"]
    assert result.verdict == "INCONCLUSIVE"
    assert result.reason.startswith("The change was not measured")
    assert "Outside of what 20 earlier baselines showed: hit ratio, 91 % (50 % to 52 % before)" in result.reason
    assert any(
        re.search(r"Hit ratio: 91 % \(20 earlier: 50 % to 52 %, median 51 %; OUTSIDE\)", line)
        for line in as_lines(result)
    )
    assert json.loads(result.model_dump_json())["earlier"]["metrics"]["hit_ratio"]["chance"] == pytest.approx(2 / 21)


@pytest.mark.usefixtures("plain_figures")
def test_the_report_shows_each_metric_beside_its_earlier_ones(observed: CaseRun, tmp_path: Path) -> None:
    for day in range(1, 13):
        copy_of(observed, day, {"latency_p99_ms": 300.0})
    result = newest(observed)
    page = Page(render(observed, result, tmp_path / "reports").read_text())
    assert_self_contained(page)
    assert "Beside earlier baselines" in page.text
    assert re.search(r"P99 latency [\d.]+ ms 12 300 ms 300 ms outside 15 % at most", page.text)
    assert "Nothing was changed" in page.text
    assert "No verdict: nothing was changed here" in page.text


@pytest.mark.usefixtures("plain_figures")
def test_a_run_with_its_change_measured_is_not_put_beside_earlier_ones(new_run, tmp_path: Path) -> None:
    run = new_run(blocks=1, probes=0)
    result = judged(run)
    assert with_earlier(run, result) == result
    assert "Beside earlier baselines" not in render(run, result, tmp_path / "reports").read_text()


def test_the_baseline_of_a_run_that_went_on_with_the_change_counts_too(observed: CaseRun, new_run) -> None:
    """Its result tells of the arms; its baseline is in its records."""
    # The same seed as that of the observed run: the same baseline.
    changed = new_run(now=START - timedelta(days=1), blocks=1, probes=20, stages=("baseline", "change"))
    result = judged(changed)
    assert result.metrics["hit_ratio"].before != observed.result.metrics["hit_ratio"].before
    assert baseline_of(changed) == pytest.approx(baseline_of(observed))
    assert newest(observed).earlier.runs == 1


def test_only_runs_before_it_count_and_only_so_many_of_the_newest(observed: CaseRun) -> None:
    for day in range(1, MOST + 4):
        copy_of(observed, day, {"hit_ratio": 0.9 if day <= MOST else 0.1})
    copy_of(observed, -1, {"hit_ratio": 0.01})
    told = newest(observed).earlier
    assert told.runs == MOST
    assert told.metrics["hit_ratio"].low == 0.9


def test_what_can_not_be_compared_is_left_out_and_counted(observed: CaseRun) -> None:
    copy_of(observed, 1, {})
    unlike = [copy_of(observed, day, {}) for day in range(2, 9)]
    rewrite(unlike[0].path / "case.yml", "\n  rate: ", "\n  rate: 1")
    unlike[1].update(host={"machine": "x86_64", "cpus": 64})
    (unlike[2].path / "result.json").unlink()
    rewrite(unlike[3].path / "result.json", '"INCONCLUSIVE", "reason"', '"INVALID", "reason"')
    unlike[4].update(failure={"message": "interrupted"}, state="failed")
    blocks = [block.model_copy(update={"clear": {}}) for block in unlike[5].manifest.blocks]
    unlike[5].update(blocks=blocks)
    (unlike[6].path / "result.json").write_text("{")
    told = newest(observed).earlier
    assert told.runs == 1
    assert told.left_out == {
        SAME_CONDITIONS: 1, OTHER_HOST: 1, NOT_FINISHED: 3, OTHER_STATE: 1, NOT_READABLE: 1,
    }  # fmt: skip
    assert any("1 earlier run left out: not readable" in line for line in as_lines(newest(observed)))


def test_texts_goals_and_the_other_side_of_the_change_may_differ(observed: CaseRun) -> None:
    other = copy_of(observed, 1, {})
    rewrite(other.path / "case.yml", "title: ", "title: Once more, ")
    rewrite(other.path / "case.yml", "after: reader-key", "after: some-other-way")
    assert newest(observed).earlier.runs == 1


@pytest.mark.parametrize("change", [{"failure": {"message": "interrupted"}}, {"blocks": []}])
def test_a_run_that_has_no_whole_baseline_is_not_compared(observed: CaseRun, change: dict) -> None:
    copy_of(observed, 1, {})
    observed.update(**change)
    assert newest(observed).earlier is None
