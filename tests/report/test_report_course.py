"""What was done when: wash-outs, the intended pace, the looks at a run and what stopped it, in figure, words and table."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.text
import numpy as np
import pytest
from in_turns import MEASURED_S, WARMUP_S, WASHED_S, arms_in_turn
from page_reader import Page

from luckyhit.case import load_case
from luckyhit.records.manifest import LimitNotes
from luckyhit.report import style
from luckyhit.report.figures.course import course
from luckyhit.report.figures.figure_rows import figure_for
from luckyhit.report.figures.pace import staged
from luckyhit.report.figures.timeline import HEADINGS, course_rows
from luckyhit.report.page import render
from luckyhit.report.recorded import ARMS, recorded
from noted import spoil_manifest

RAMP = "  stages:\n    - {lasts: 2s, rate: 50/s}\n    - {lasts: 4s, rate: 50/s, to: 500/s}\n"


def with_ramp(text: str) -> str:
    assert "  rate: 110/s\n" in text
    return text.replace("  rate: 110/s\n", RAMP)


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def test_wash_outs_are_hatched_named_and_counted_for_nothing(tmp_path: Path) -> None:
    found = recorded(arms_in_turn(tmp_path))
    for name in ("timeline", "hit-ratio"):
        figure, sentence = figure_for(name, found)
        assert "wash-out" in texts(figure)
        hatched = {part.get_hatch() for axes in figure.axes for part in axes.collections}
        assert "////" in hatched
        assert "Hatched: 4 wash-outs of 17 s in all" in sentence and "nothing of it is counted" in sentence
        style.to_svg(figure)
    assert f"{4 * MEASURED_S:g} of them measured" in figure_for("timeline", found, draw=False)[1]


def test_the_hit_ratio_goes_on_through_a_wash_out_and_is_not_measured_there(tmp_path: Path) -> None:
    found = recorded(arms_in_turn(tmp_path))
    figure_for("hit-ratio", found)
    series = found.aggregates["hit-ratio"]
    assert set(series.bins["stage"]) == {"wash-out", "change"}
    assert {stage for stage, _ in series.measured} == {"change"}
    counted = series.bins[series.bins["stage"] == "change"]
    assert counted["requests"].sum() == pytest.approx(4 * (WARMUP_S + MEASURED_S) * 110, rel=0.01)


def test_the_change_is_in_place_in_the_blocks_of_its_arm_alone(tmp_path: Path) -> None:
    from luckyhit.report.figures.timeline import _changed

    found = course(recorded(arms_in_turn(tmp_path)))
    (one,) = _changed(found)
    after = [span for span in (*found.washouts, *found.spans) if span.arms == ("after",)]
    assert one[0] + found.origin_s == pytest.approx(min(span.start_s for span in after))
    assert one[1] + found.origin_s == pytest.approx(max(span.end_s for span in after))
    (tmp_path / "abab").mkdir()
    assert len(_changed(course(recorded(arms_in_turn(tmp_path / "abab", ("before", "after") * 2))))) == 2


def test_steps_and_ramps_are_drawn_under_the_lanes_and_told(new_run) -> None:
    found = recorded(new_run(edit_case=with_ramp, probes=0))
    figure, sentence = figure_for("timeline", found)
    lanes, pace = figure.axes
    assert "intended\nrequests/s" in texts(pace)
    assert "requests a second to each arm: 50 for 2 s, then from 50 to 500 within 4 s" in sentence
    drawn = pace.get_lines()
    assert len(drawn) == len(found.blocks)
    x, y = drawn[0].get_data()
    assert list(y) == [50, 50, 50, 500, 500, 500] and list(np.diff(x)) == pytest.approx([2, 0, 4, 0, 2])
    assert lanes.get_xlim() == pace.get_xlim()


def test_one_rate_all_the_time_needs_no_second_panel(judged_run) -> None:
    figure, sentence = figure_for("timeline", *judged_run)
    assert len(figure.axes) == 1 and "meant to change" not in sentence


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.0, 6.0, 9.0])
def test_the_pace_drawn_is_the_pace_asked_for(seconds: float, new_run) -> None:
    workload = load_case(new_run(edit_case=with_ramp, stages=()).path / "case.yml").workload
    x, y = zip(*staged(workload, 10.0, seconds), strict=True)
    assert x[0] == 10.0 and x[-1] == pytest.approx(10.0 + seconds)
    assert np.trapezoid(y, x) == pytest.approx(workload.requests_in(seconds))


def test_where_a_log_sets_the_pace_it_is_what_was_due(new_run) -> None:
    def replayed(text: str) -> str:
        text = re.sub(r"\n {6}keys: \{.*\}", "", text)  # the log says which
        return text.replace("  rate: 110/s\n", "  replay: {file: data/access.log}\n")

    found = recorded(new_run(edit_case=replayed, probes=0, rate=100.0))
    assert found.case is not None, found.problems
    figure, sentence = figure_for("timeline", found)
    assert "The log sets the pace: between" in sentence
    pace = course(found).pace
    assert pace is not None
    span = course(found).spans[1]
    x, y = zip(*pace.lines[span.block], strict=True)
    of_one_arm = np.count_nonzero((found.rows.block == span.block) & (found.rows.arm == ARMS.index("before")))
    assert np.trapezoid(y, x) == pytest.approx(of_one_arm)
    assert len(figure.axes) == 2


def test_looks_and_what_stopped_it_are_marked(new_run) -> None:
    looks = [{"blocks": number, "verdict": "INCONCLUSIVE", "stopped": number == 3} for number in (1, 2, 3)]
    found = recorded(new_run(blocks=3, probes=0, manifest={"looks": looks}))
    figure, sentence = figure_for("timeline", found)
    assert {"looked, went on", "looked, stopped"} <= set(texts(figure))
    assert "looked at 3 times (diamonds); the last look found enough and ended it early" in sentence
    told = course(found)
    ends = [span.end_s for span in told.spans if span.stage == "change"]
    assert list(told.looks_s) == ends and told.stopped_s == ends[-1]


def test_a_limit_that_stopped_it_is_marked_at_its_block(new_run) -> None:
    run = new_run(probes=0)
    *first, last = run.manifest.blocks[:3]
    limits = LimitNotes(error_rate=0.1, stopped="half of the requests failed")
    run.update(blocks=[*first, last.model_copy(update={"limits": limits})])
    figure, sentence = figure_for("timeline", recorded(run))
    assert "stopped by a limit" in texts(figure) and "A limit of the target stopped it (the cross)." in sentence


@pytest.mark.parametrize("looks", [None, 7, [7], [{"blocks": None}], [{"blocks": 99, "stopped": True}], [{}]])
def test_looks_that_make_no_sense_are_passed_over(looks, new_run) -> None:
    run = new_run(probes=0)
    spoil_manifest(run.path, looks=looks)
    told = course(recorded(run))
    assert told.looks_s == () and told.stopped_s is None


@pytest.mark.usefixtures("plain_figures")
def test_the_same_numbers_stand_in_a_table_under_the_figure(tmp_path: Path) -> None:
    run = arms_in_turn(tmp_path)
    rows = [dict(zip(HEADINGS, row, strict=True)) for row in course_rows(recorded(run))]
    assert [row["What"] for row in rows] == ["wash-out", "wash-out", "change"] * 4
    first, counted = rows[0], rows[2]
    assert first["From"] == f"−{2 * (WASHED_S + 0.25):.1f} s" and first["Counted from"] == "–"
    assert counted["From"] == "0.0 s" and counted["Counted from"] == f"{WARMUP_S} s"
    assert counted["Requests due"] == f"{(WARMUP_S + MEASURED_S) * 110:.0f}" and counted["Per second and arm"] == "110"
    page = Page(render(run, None, tmp_path / "reports").read_text(encoding="utf-8"))
    assert "The run in numbers" in page.text and first["From"] in page.text
