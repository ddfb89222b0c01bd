"""The run over time: wash-outs, the intended pace, the looks and what stopped it, in figure, words and table."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from charted import marks_of, svg_of, texts
from in_turns import MEASURED_S, WARMUP_S, WASHED_S, arms_in_turn
from page_reader import Page

from luckyhit.case import load_case
from luckyhit.judge.guards.block_guards import washed_out_guard
from luckyhit.records.manifest import LimitNotes, WashoutNotes
from luckyhit.report.charts.chart import Bars, Label, Line
from luckyhit.report.figures.facts.course import course, staged
from luckyhit.report.figures.figure_rows import figure_for
from luckyhit.report.figures.timeline import HEADINGS, course_rows
from luckyhit.report.page import render
from luckyhit.report.recorded import ARMS, Recorded, recorded
from luckyhit.text.numbers import DASH
from noted import manifest_with

RAMP = "  stages:\n    - {lasts: 2s, rate: 50/s}\n    - {lasts: 4s, rate: 50/s, to: 500/s}\n"


def with_ramp(text: str) -> str:
    assert "  rate: 110/s\n" in text
    return text.replace("  rate: 110/s\n", RAMP)


def replayed(text: str) -> str:
    text = re.sub(r"\n {6}keys: \{.*\}", "", text)  # the log says which
    return text.replace("  rate: 110/s\n", "  replay: {file: data/access.log}\n")


@pytest.fixture(scope="module")
def turns(tmp_path_factory):
    return arms_in_turn(tmp_path_factory.mktemp("turns"))


@pytest.fixture(scope="module")
def in_turn(turns) -> Recorded:
    return recorded(turns)


@pytest.mark.parametrize("name", ["timeline", "hit-ratio"])
def test_wash_outs_are_hatched_and_named(name: str, in_turn) -> None:
    figure, sentence = figure_for(name, in_turn)
    assert "wash-out" in texts(figure)
    assert {bars.look for bars in marks_of(figure, Bars, "wash-out")} == {"hatch"}
    assert "4 wash-outs of 17 s" in sentence
    assert "url(#hatch-figure)" in svg_of(figure)


def test_the_figure_has_the_numbers_of_sentences_and_tables(in_turn) -> None:
    figure, _ = figure_for("timeline", in_turn)
    labels = [
        mark for panel in figure.panels for mark in panel.marks if isinstance(mark, Label) and mark.text.isdigit()
    ]
    assert [label.text for label in labels] == ["0", "1", "2", "3"]
    spans = course(in_turn).spans
    assert all(
        span.measure_s < label.x + spans[0].start_s < span.end_s for span, label in zip(spans, labels, strict=True)
    )
    moving = {"washout": WashoutNotes(stretches=2, seconds=4.0, settled=False)}
    guard = washed_out_guard([block.model_copy(update=moving) for block in in_turn.blocks])
    assert guard is not None and re.findall(r"\d+", guard.detail.rpartition("block ")[2]) == ["0", "1", "2", "3"]


def test_wash_outs_count_for_nothing(in_turn) -> None:
    assert f"{4 * MEASURED_S:g} of them measured" in figure_for("timeline", in_turn, draw=False)[1]
    figure_for("hit-ratio", in_turn, draw=False)
    series = in_turn.aggregates["hit-ratio"]
    assert set(series.bins["stage"]) == {"wash-out", "change"} and {stage for stage, _ in series.measured} == {"change"}
    counted = series.bins[series.bins["stage"] == "change"]
    assert counted["requests"].sum() == pytest.approx(4 * (WARMUP_S + MEASURED_S) * 110, rel=0.01)


def test_the_change_is_in_place_in_the_blocks_of_its_arm_alone(in_turn, tmp_path: Path) -> None:
    from luckyhit.report.figures.timeline import _changed

    run = course(in_turn)
    ((start_s, end_s),) = _changed(run)
    after = [span for span in (*run.washouts, *run.spans) if span.arms == ("after",)]
    assert start_s + run.origin_s == pytest.approx(min(span.start_s for span in after))
    assert end_s + run.origin_s == pytest.approx(max(span.end_s for span in after))
    assert len(_changed(course(recorded(arms_in_turn(tmp_path, ("before", "after") * 2))))) == 2


def test_steps_and_ramps_are_drawn_under_the_lanes(new_run) -> None:
    run = recorded(new_run(edit_case=with_ramp, probes=0))
    figure, sentence = figure_for("timeline", run)
    lanes, pace = figure.panels
    assert "50 for 2 s, then from 50 to 500 within 4 s" in sentence
    lines = [mark for mark in pace.marks if isinstance(mark, Line)]
    assert len(lines) == len(run.blocks)
    x, y = lines[0].x, lines[0].y
    assert list(y) == [50, 50, 50, 500, 500, 500] and list(np.diff(x)) == pytest.approx([2, 0, 4, 0, 2])
    assert (lanes.x.low, lanes.x.high) == (pace.x.low, pace.x.high)


def test_one_rate_needs_no_second_panel(recorded_run) -> None:
    assert course(recorded_run).pace is None
    assert len(figure_for("timeline", recorded_run)[0].panels) == 1


def test_the_pace_drawn_is_the_pace_declared(new_run) -> None:
    workload = load_case(new_run(edit_case=with_ramp, stages=()).path / "case.yml").workload
    for seconds in (0.5, 2.0, 3.0, 6.0, 9.0):
        x, y = zip(*staged(workload, 10.0, seconds), strict=True)
        assert x[0] == 10.0 and x[-1] == pytest.approx(10.0 + seconds)
        assert np.trapezoid(y, x) == pytest.approx(workload.requests_in(seconds))


def test_a_logs_pace_is_what_was_due(new_run) -> None:
    run = recorded(new_run(edit_case=replayed, probes=0, rate=100.0, blocks=2))
    pace, span = course(run).pace, course(run).spans[1]
    assert run.case is not None and pace is not None and pace.text in figure_for("timeline", run, draw=False)[1]
    x, y = zip(*pace.lines[span.block], strict=True)
    of_one_arm = np.count_nonzero((run.rows.block == span.block) & (run.rows.arm == ARMS.index("before")))
    assert np.trapezoid(y, x) == pytest.approx(of_one_arm)


def with_manifest(run: Recorded, **fields) -> Recorded:
    notes = run.manifest.model_dump(by_alias=True, exclude_unset=True)
    return replace(run, manifest=manifest_with(**notes | fields))


def test_looks_and_what_stopped_it_are_marked(recorded_run) -> None:
    looks = [{"blocks": number, "verdict": "INCONCLUSIVE", "stopped": number == 4} for number in (1, 2, 4)]
    run = with_manifest(recorded_run, looks=looks)
    figure, sentence = figure_for("timeline", run)
    assert {"look, continued", "look, stopped"} <= set(texts(figure)) and "3 times" in sentence
    ends = [span.end_s for span in course(run).spans if span.stage == "change"]
    assert list(course(run).looks_s) == [ends[0], ends[1], ends[3]]
    assert (course(run).stopped_s, course(run).stopped_by) == (ends[3], "look")


def test_a_limit_that_stopped_it_is_marked_at_its_block(recorded_run) -> None:
    *first, last = recorded_run.manifest.blocks[:3]
    last = last.model_copy(update={"limits": LimitNotes(error_rate=0.1, stopped="half of the requests failed")})
    manifest = recorded_run.manifest.model_copy(update={"blocks": [*first, last]})
    run = replace(recorded_run, manifest=manifest, blocks=[*first, last])
    assert (course(run).stopped_s, course(run).stopped_by) == (course(run).spans[-1].end_s, "limit")
    assert "stopped by a limit" in texts(figure_for("timeline", run)[0])


@pytest.mark.parametrize("looks", [None, 7, [7], [{"blocks": None}], [{"blocks": 99, "stopped": True}], [{}]])
def test_looks_that_make_no_sense_are_skipped(looks, recorded_run) -> None:
    run = course(with_manifest(recorded_run, looks=looks))
    assert run.looks_s == () and run.stopped_s is None


@pytest.mark.usefixtures("plain_figures")
def test_the_same_numbers_stand_in_a_table(turns, in_turn, tmp_path: Path) -> None:
    rows = [dict(zip(HEADINGS, row, strict=True)) for row in course_rows(in_turn)]
    assert [row["Stage"] for row in rows] == ["wash-out", "wash-out", "change"] * 4
    assert [row["Block"] for row in rows if row["Block"] != DASH] == ["0", "1", "2", "3"]
    washed, counted = rows[0], rows[2]
    assert washed["From"] == f"−{2 * (WASHED_S + 0.25):.1f} s" and washed["Counted from"] == DASH
    assert counted["From"] == "0.0 s" and counted["Counted from"] == f"{WARMUP_S} s"
    assert counted["Requests due"] == f"{(WARMUP_S + MEASURED_S) * 110:.0f}" and counted["Per second and arm"] == "110"
    assert washed["From"] in Page.read(render(turns, None, tmp_path / "reports")).text
