"""The run over time, as figure, sentence and table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from luckyhit.records import Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import Bars, Chart, Label, Line, Look, Mark, Panel, Points, Shape, Tone
from luckyhit.report.figures.facts.course import WASH_OUT, Course, Span, joined
from luckyhit.report.figures.facts.course import course as course_of
from luckyhit.report.figures.facts.stage_marks import TIME_LABEL, WARM_UP, WASHED_OUT
from luckyhit.report.figures.facts.verdict_words import washouts_text
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import DASH, listed, number, plural

MOST_NUMBERS = 24
"""Of blocks, in the figure."""


def data(recorded: Recorded) -> Course:
    return course_of(recorded)


def draw(course: Course) -> Chart:
    """Each block's number over a lane for each arm: warm-ups pale, wash-outs hatched, clears marked, the time with the
    change bracketed, looks and the stop on its line. Under the lanes the intended pace, if it changes."""
    lanes = [arm for arm in ARMS if any(arm in span.arms for span in course.spans)]
    marks = [mark for lane, arm in enumerate(lanes) for mark in _lane(course, arm, lane)]
    marks += _bracket(course, len(lanes))
    stretches = [*course.spans, *course.washouts]
    ends = [time_s - course.origin_s for span in stretches for time_s in (span.start_s, span.end_s)]
    paced = course.pace is not None and bool(course.pace.lines)
    x = replace(Axis.around(ends, TIME_LABEL, many=8), grid=False)
    y = Axis(len(lanes) + 0.12, -0.9, ticks=[(lane, arm) for lane, arm in enumerate(lanes)], grid=False)
    marks += _numbers(course, -0.62)
    height = 50 + 40.0 * len(lanes)
    panels = [Panel(replace(x, label="") if paced else x, y, marks, height=height, x_ticks=not paced)]
    return Chart([*panels, _pace(x, course)] if paced else panels)


def _numbers(course: Course, at: float) -> list[Mark]:
    """The number of each block above its measured part, as sentences and tables have it; of many blocks every few."""
    spans = course.spans
    step = -(-len(spans) // MOST_NUMBERS) or 1
    return [
        Label((span.measure_s + span.end_s) / 2 - course.origin_s, at, str(span.block), anchor="middle", size=10.5)
        for span in spans[::step]
    ]


def _lane(course: Course, arm: str, lane: int) -> list[Mark]:
    origin_s, tone = course.origin_s, cast(Tone, arm)
    own_spans = [span for span in course.spans if arm in span.arms]
    warming = [(span.start_s, span.measure_s) for span in own_spans if span.measure_s > span.start_s]
    measured = [(span.measure_s, span.end_s) for span in own_spans if span.end_s > span.measure_s]
    washed = [(span.start_s, span.end_s) for span in joined([span for span in course.washouts if arm in span.arms])]
    marks: list[Mark] = []
    for stretches, look, name in (
        (warming, "pale", WARM_UP),
        (measured, "full", "measured"),
        (washed, "hatch", WASHED_OUT),
    ):
        if stretches:
            left, right = ([stretch[side] - origin_s for stretch in stretches] for side in (0, 1))
            low, high = ([lane + half] * len(stretches) for half in (-0.3, 0.3))
            marks.append(Bars(left, right, low, high, tone, cast(Look, look), name))
    cleared = [span.start_s - origin_s for span in own_spans if span.cleared is not None]
    if cleared:
        marks.append(Points(cleared, [lane - 0.44] * len(cleared), name="keys cleared", shape="down", quiet=True))
    return marks


def _bracket(course: Course, lanes: int) -> list[Mark]:
    """The time with the change in place; on its line the looks, and what ended it early."""
    below = lanes - 0.52
    times = _changed(course)
    marks: list[Mark] = []
    for start_s, end_s in times:
        up, down = below - 0.08, below
        marks.append(Line([start_s, start_s, end_s, end_s], [up, down, down, up], width=1.2, quiet=True))
    if times:
        middle_s, room = (times[0][0] + times[-1][1]) / 2, 19 if course.looks_s else 14
        marks.append(Label(middle_s, below, "the change is in place", anchor="middle", size=10.5, dy=room))
    continued = [at_s - course.origin_s for at_s in course.looks_s if at_s != course.stopped_s]
    if continued:
        heights = [below] * len(continued)
        marks.append(Points(continued, heights, name="look, continued", shape="open", size=3.6, quiet=True))
    if course.stopped_s is not None:
        look = course.stopped_by == "look"
        name, shape = ("look, stopped", "diamond") if look else ("stopped by a limit", "cross")
        at_s = course.stopped_s - course.origin_s
        marks.append(Points([at_s], [below], name=name, shape=cast(Shape, shape), size=4.0, quiet=True))
    return marks


def _changed(course: Course) -> list[tuple[float, float]]:
    """When the change was in place: from the first to the last stretch of load with it, of those that follow each
    other."""
    times: list[tuple[float, float]] = []
    before: Span | None = None
    for span in sorted([*course.spans, *course.washouts], key=lambda span: span.start_s):
        if "after" in span.arms:
            start, end = span.start_s - course.origin_s, span.end_s - course.origin_s
            goes_on = before is not None and "after" in before.arms
            times = [*times[:-1], (times[-1][0], end)] if goes_on else [*times, (start, end)]
        before = span
    return times


def _pace(x: Axis, course: Course) -> Panel:
    assert course.pace is not None
    marks: list[Mark] = []
    rates: list[float] = []
    for points in course.pace.lines.values():
        at_s, values = zip(*points, strict=True)
        rates += values
        marks.append(Line([time_s - course.origin_s for time_s in at_s], values, width=1.2, fill=True))
    y = Axis.around(rates, "intended\nrequests/s", from_zero=True, many=3)
    return Panel(x, y, marks, height=80)


def say(course: Course, result: Result | None) -> str:
    spans = course.spans
    if not spans:
        return "Nothing was measured, so there is no timeline."
    everything = [*spans, *course.washouts]
    seconds = max(span.end_s for span in everything) - min(span.start_s for span in everything)
    measured = sum(span.end_s - span.measure_s for span in spans)
    counts = {stage: sum(span.stage == stage for span in spans) for stage in ("baseline", "change", "after-rollback")}
    parts = [
        f"{plural(count, 'block')} {words}"
        for count, words in (
            (counts["baseline"], "of the baseline"),
            (counts["change"], "with the change in place" if _side_by_side(spans) else "of both arms in turn"),
            (counts["after-rollback"], "after the rollback"),
        )
        if count
    ]
    text = f"{listed(parts)} in {number(seconds)} seconds, {number(measured)} of them measured."
    text += " Above the lanes are the numbers of the blocks, as everywhere in the report."
    cleared = [span.cleared for span in spans if span.cleared is not None]
    if cleared:
        text += f" Declared keys were cleared before {'each' if len(cleared) == len(spans) else len(cleared)} of them"
        text += f" ({sum(cleared):,} keys in all)."
    if course.washouts:
        text += f" Hatched: {washouts_text(course.washouts)}; not counted."
    if course.pace is not None:
        text += f" {course.pace.text}"
    text += _looked(course)
    if counts["change"] and not counts["after-rollback"]:
        text += " Nothing was measured after the rollback."
    return text


def _looked(course: Course) -> str:
    if course.stopped_by == "limit":
        return " A limit of the target stopped the run (the cross)."
    looks = len(course.looks_s)
    if not looks:
        return ""
    times = {1: "once", 2: "twice"}.get(looks, f"{looks} times")
    text = f" Between blocks the run was looked at {times} (diamonds)"
    if course.stopped_s is None:
        return f"{text}, and continued to its end."
    return f"{text}; {'the last look' if looks > 1 else 'this look'} decided it and ended it early."


def _side_by_side(spans: Sequence[Span]) -> bool:
    return any(len(span.arms) > 1 for span in spans)


MOST_ROWS = 120
HEADINGS = ("Block", "Stage", "Arms", "From", "Counted from", "To", "Requests due", "Per second and arm")
_WORDS = {"baseline": "baseline", "change": "change", "after-rollback": "rolled back", WASH_OUT: "wash-out"}


def course_rows(recorded: Recorded) -> list[tuple[str, ...]]:
    """A row under HEADINGS for each stretch of load, in the order of time; requests are those of all its arms."""
    course = recorded.aggregates.get("timeline") or data(recorded)
    stretches = sorted([*course.spans, *course.washouts], key=lambda span: span.start_s)
    return [_row(recorded, course, span) for span in stretches[:MOST_ROWS]]


def _row(recorded: Recorded, course: Course, span: Span) -> tuple[str, ...]:
    def seconds(at_s: float) -> str:
        return f"{at_s - course.origin_s:,.1f} s".replace("-", "−")

    due = course.due.get(span.block)
    return (
        DASH if span.stage == WASH_OUT else str(span.block),
        _WORDS[span.stage],
        " and ".join(span.arms) or DASH,
        seconds(span.start_s),
        DASH if span.stage == WASH_OUT else seconds(span.measure_s),
        seconds(span.end_s),
        DASH if due is None else f"{due:,}",
        _pace_text(recorded, course, span) or DASH,
    )


def _pace_text(recorded: Recorded, course: Course, span: Span) -> str:
    if course.pace is not None:
        return course.pace.rates(span.block)
    rate = recorded.case.workload.rate if recorded.case is not None else None
    return number(rate) if rate is not None else ""


def is_empty(course: Course) -> bool:
    return not course.spans
