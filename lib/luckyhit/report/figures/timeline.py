"""The run over time, as figure, sentence and table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from luckyhit.records import Result
from luckyhit.report import style
from luckyhit.report.figures.course import WASH_OUT, Course, Span, joined
from luckyhit.report.figures.course import course as course_of
from luckyhit.report.figures.verdict_words import washouts_text
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.report.style import COLOURS, INK, PALE, few_ticks, new_figure, styled
from luckyhit.text.numbers import DASH, listed, number, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def data(recorded: Recorded) -> Course:
    return course_of(recorded)


HATCH = "////"
_GREY = "#8a94a1"


def draw(course: Course) -> Figure:
    """A lane for each arm: warm-ups pale, wash-outs hatched, clears marked, the time with the change bracketed, looks
    and the stop on its line. Under the lanes the intended pace, if it changes."""
    with styled():
        paced = course.pace is not None and bool(course.pace.lines)
        figure = new_figure(height=2.2 + (1.25 if paced else 0.0))
        axes, *under = figure.subplots(
            2 if paced else 1, 1, sharex=True, squeeze=False, height_ratios=(1.6, 1.0) if paced else None
        )[:, 0]
        lanes = [arm for arm in ARMS if any(arm in span.arms for span in course.spans)]
        for lane, arm in enumerate(lanes):
            _lane(axes, course, arm, lane)
        _bracket(axes, course, len(lanes))
        axes.set_yticks(range(len(lanes)), lanes)
        room = 0.02 if course.looks_s else 0.12 if len(lanes) > 1 else 0.5
        axes.set(ylim=(len(lanes) - room, -0.75))
        axes.tick_params(axis="y", labelcolor=INK, labelsize=9.5)
        axes.grid(visible=False, axis="y")
        axes.plot([], [], linewidth=7, color="#cfd5dd", label="warm-up")
        axes.plot([], [], linewidth=7, color="#6b7480", label="measured")
        _name_washouts(axes, course)
        for panel in under:
            _pace(panel, course)
        (under[0] if under else axes).set_xlabel("seconds since the first block")
        style.legend(figure, axes, columns=3)
        return figure


def _lane(axes: Axes, course: Course, arm: str, lane: int) -> None:
    origin, own_spans = course.origin_s, [span for span in course.spans if arm in span.arms]
    for colours, edges in (
        (PALE, [(span.start_s - origin, max(span.measure_s - span.start_s, 0)) for span in own_spans]),
        (COLOURS, [(span.measure_s - origin, max(span.end_s - span.measure_s, 0)) for span in own_spans]),
    ):
        axes.broken_barh(edges, (lane - 0.3, 0.6), facecolor=colours[arm], edgecolor="white", linewidth=0.5)
    washed = joined([span for span in course.washouts if arm in span.arms])
    bars = [(span.start_s - origin, max(span.end_s - span.start_s, 0)) for span in washed]
    if bars:
        axes.broken_barh(bars, (lane - 0.3, 0.6), facecolor="white", edgecolor=COLOURS[arm], hatch=HATCH, linewidth=0.5)
    cleared = [span.start_s - origin for span in own_spans if span.cleared is not None]
    axes.plot(
        cleared, [lane - 0.42] * len(cleared), linestyle="none", marker=7, markersize=6, color=INK,
        label="keys cleared" if lane == 0 and cleared else None,
    )  # fmt: skip


def _name_washouts(axes: Axes, course: Course) -> None:
    if course.washouts:
        axes.fill_between([], [], facecolor="white", edgecolor=_GREY, hatch=HATCH, linewidth=0.5, label="wash-out")


def _bracket(axes: Axes, course: Course, lanes: int) -> None:
    """The time with the change in place; on its line the looks, and what ended it early."""
    below = lanes - 0.52
    times = _changed(course)
    for start, end in times:
        axes.plot([start, start, end, end], [below - 0.08, below, below, below - 0.08], color=INK, linewidth=1.2)
    if times:
        text, middle = below + (0.16 if course.looks_s else 0.06), (times[0][0] + times[-1][1]) / 2
        axes.text(middle, text, "the change is in place", ha="center", va="top", fontsize=8.5, color=INK)
    continued = [at_s - course.origin_s for at_s in course.looks_s if at_s != course.stopped_s]
    if continued:
        axes.plot(
            continued, [below] * len(continued), linestyle="none", marker="D", markersize=4.5, markerfacecolor="white",
            markeredgecolor=INK, label="look, continued", zorder=4,
        )  # fmt: skip
    if course.stopped_s is not None:
        look = course.stopped_by == "look"
        axes.plot(
            [course.stopped_s - course.origin_s], [below], linestyle="none", marker="D" if look else "X", color=INK,
            markersize=5.5 if look else 7, label="look, stopped" if look else "stopped by a limit", zorder=4,
        )  # fmt: skip


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


def _pace(axes: Axes, course: Course) -> None:
    assert course.pace is not None
    for points in course.pace.lines.values():
        x, y = zip(*points, strict=True)
        at = [at_s - course.origin_s for at_s in x]
        axes.fill_between(at, y, color="#e3e7ed", linewidth=0)
        axes.plot(at, y, color=INK, linewidth=1.2, solid_joinstyle="miter")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("intended\nrequests/s")
    axes.yaxis.set_major_locator(few_ticks(whole=True))


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
        str(span.block),
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
