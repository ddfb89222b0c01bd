"""What happened when: a stall in the middle, the first seconds, the slowest requests, earlier runs, the first page."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from charted import marks_of, texts

from luckyhit.judge.table.rows import RequestTable
from luckyhit.records import Result
from luckyhit.report.charts.chart import Line, Points
from luckyhit.report.evidence.checklist import checklist
from luckyhit.report.figures import case_history, cold_phase, over_time
from luckyhit.report.figures.facts.course import spans
from luckyhit.report.figures.facts.time_bins import time_bins
from luckyhit.report.figures.figure_rows import figure_for
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.report.tables.earlier_runs import earlier_runs
from luckyhit.report.tables.glance import glances
from luckyhit.report.tables.slowest_requests import HEADINGS, slowest_requests

STALL_S = 1.5


def stalled(run: Recorded, arm: str) -> tuple[Recorded, float]:
    """(the run, when): in the middle of its second block no answer of one arm came for a while."""
    rows = run.rows
    span = [one for one in spans(run) if one.stage == "change"][1]
    from_s = (span.measure_s + span.end_s) / 2
    due_s = rows.due_ns / 1e9
    held = (rows.block == span.block) & (rows.arm == ARMS.index(arm)) & (due_s >= from_s) & (due_s < from_s + STALL_S)
    done_ns = np.where(held, (from_s + STALL_S) * 1e9 + np.arange(len(rows)) % 1000, rows.done_ns)
    return replace(run, requests=rows.with_columns(done_ns=done_ns)), from_s


@pytest.mark.parametrize("arm", ARMS)
def test_a_stall_in_the_middle_is_seen_in_its_arm(arm: str, recorded_run) -> None:
    run, from_s = stalled(recorded_run, arm)
    bins = time_bins(run)
    longest = max(bins, key=lambda part: part.silent_s)
    assert longest.arm == arm and longest.silent_s == pytest.approx(STALL_S, abs=0.1)
    assert longest.silent_until_s == pytest.approx(from_s + STALL_S, abs=0.1)
    inside = (longest.at_s > from_s) & (longest.at_s < from_s + STALL_S)
    assert longest.slow_ms[inside].max() > 1000 and longest.completed[inside].min() == 0
    sentence = figure_for("over-time", run, draw=False)[1]
    assert "no answer came" in sentence and f"({arm})" in sentence
    assert "no answer came" not in figure_for("over-time", recorded_run, draw=False)[1]


def test_every_request_is_in_one_bin(recorded_run) -> None:
    bins = time_bins(recorded_run)
    assert sum(int(part.requests.sum()) for part in bins) == len(recorded_run.rows)
    assert sum(int(part.failed.sum()) for part in bins) == 0
    assert {part.arm for part in bins} == set(ARMS) and all(np.all(np.diff(part.at_s) > 0) for part in bins)


def test_bins_are_those_of_the_rows_they_are_asked_of(recorded_run) -> None:
    first = time_bins(recorded_run)
    assert time_bins(recorded_run) is first
    other, _ = stalled(recorded_run, "after")
    assert isinstance(other.requests, RequestTable) and time_bins(other) is not first


def test_failures_have_a_panel_and_their_time(recorded_run) -> None:
    rows = recorded_run.rows
    error = np.where(np.arange(len(rows)) % 50 == 0, 0, rows.error).astype(np.int8)
    run = replace(recorded_run, requests=rows.with_columns(error=error))
    chart, sentence = figure_for("over-time", run)
    assert chart is not None and len(chart.panels) == 3 and "failed, between" in sentence
    assert over_time.data(run).failed == np.count_nonzero(np.arange(len(rows)) % 50 == 0)


def test_the_first_seconds_of_both_arms_stand_apart(recorded_run) -> None:
    numbers = cold_phase.data(recorded_run)
    assert set(numbers.arms) == set(ARMS) and numbers.warmup_s == pytest.approx(2.0, abs=0.1)
    for arm in numbers.arms.values():
        assert arm.cold_share is not None and arm.warm_share is not None and arm.cold_share < arm.warm_share
        assert arm.settled_s is not None and 0 < arm.settled_s < 2.5
        assert arm.share[0] < 0.5 * arm.share[-1]
    chart, sentence = figure_for("cold-phase", recorded_run)
    assert chart is not None and {"warm-up", "before", "after"} <= set(texts(chart)) and "not counted" in sentence
    assert len(marks_of(chart, Line, "after")) == 2


def test_the_slowest_requests_are_the_slowest(judged_run, recorded_run) -> None:
    rows = [dict(zip(HEADINGS, row, strict=True)) for row in slowest_requests(judged_run[0], recorded_run)]
    took_ms = [float(row["Took"].split()[0].replace(",", "")) for row in rows]
    requests = judged_run[0].requests()
    compared = requests[requests["block"].isin(judged_run[0].blocks("change"))]
    latency_ms = np.sort((compared["done_ns"] - compared["due_ns"]).to_numpy(dtype=float) / 1e6)[::-1]
    assert took_ms == pytest.approx(latency_ms[:10].tolist(), rel=0.01)
    slowest = compared.loc[(compared["done_ns"] - compared["due_ns"]).astype(float).idxmax()]
    assert (rows[0]["Key"], rows[0]["Arm"], rows[0]["Route"]) == (slowest["key"], slowest["arm"], slowest["route"])


def after(run: Recorded, *results: Result) -> Recorded:
    made = replace(run)
    made.__dict__["earlier"] = list(results)
    return made


def test_earlier_runs_have_their_intervals(judged_run, recorded_run) -> None:
    result = judged_run[1]
    worse = result.metrics["stale_reads"].model_copy(update={"effect": 0.25, "low": 0.1, "high": None})
    first = result.model_copy(
        update={"run": "20261120-021530-0001", "metrics": {**result.metrics, "stale_reads": worse}}
    )
    invalid = result.model_copy(update={"run": "20261121-021530-0002", "verdict": "INVALID"})
    run = after(recorded_run, first, invalid)
    numbers = case_history.data(run)
    stale = next(series for series in numbers.series if series.name == "stale_reads" and series.side == "effect")
    assert (stale.value[0], stale.low[0]) == (0.25, 0.1) and np.isnan(stale.high[0]), "an open bound is no number"
    assert np.isnan(stale.value[1]), "nothing of an INVALID run is shown"
    rows = earlier_runs(run, numbers)
    assert rows is not None and [row.run for row in rows.rows] == [result.run, invalid.run, first.run]
    assert rows.rows[0].this and set(rows.rows[1].cells) == {"–"} and "+25 points" in rows.rows[2].cells[0]
    chart, _ = figure_for("history", run)
    assert chart is not None and len(marks_of(chart, Points, "this run")) == len(numbers.series)


def test_without_an_earlier_run_there_is_no_history(recorded_run) -> None:
    run = after(recorded_run)
    assert earlier_runs(run, case_history.data(run)) is None


def test_the_glance_says_what_is_open_and_what_it_costs(recorded_run) -> None:
    result = recorded_run.result
    answers = {
        one.id: one for one in glances(recorded_run, checklist(recorded_run), ["a", "b", "c", "d"], open_steps=2)
    }
    assert answers["undone"].ok is False and answers["undone"].more == "open"
    assert "And 1 more" in answers["not-looked-at"].text
    hurt = result.metrics["hit_ratio"].model_copy(update={"verdict": "HURT"})
    run = recorded_run.with_result(result.model_copy(update={"metrics": {**result.metrics, "hit_ratio": hurt}}))
    price = {one.id: one for one in glances(run, [], [], open_steps=0)}["price"]
    assert price.ok is False and "Hit ratio" in price.text


def test_of_an_unjudged_run_the_glance_claims_nothing(recorded_run) -> None:
    ids = {one.id for one in glances(recorded_run.with_result(None), [], [], open_steps=0)}
    assert "price" not in ids and {"took", "sent"} <= ids
