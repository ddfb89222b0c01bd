"""The figures over the time of a run: the hit ratio, and what was done when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from luckyhit.report import style
from luckyhit.report.aggregates import HitSeries
from luckyhit.report.course import Course, Span, joined
from luckyhit.report.recorded import ARMS
from luckyhit.report.style import COLOURS, DASHES, INK, MARKERS, PALE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HATCH = "////"
_GREY = "#8a94a1"


def hit_ratio(series: HitSeries, *, narrow: bool = False) -> Figure:
    """Hit ratio over time: blocks apart, warm-ups shaded, wash-outs hatched, clears marked, each stage named above."""
    with styled():
        figure = new_figure(narrow=narrow)
        axes = figure.add_subplot()
        origin = min((span.start_s for span in series.spans), default=0.0)
        _shade_warmups(axes, series.spans, origin)
        _hatch_washouts(axes, series.washouts, origin)
        named: set[str] = set()
        for (_, arm), part in series.bins.groupby(["block", "arm"], sort=False):
            label = None if arm in named else str(arm)
            named.add(str(arm))
            axes.plot(
                part["at_s"] - origin, part["share"], color=COLOURS[arm], linestyle=DASHES[arm], label=label,
                marker=MARKERS[arm] if len(part) == 1 else None, markersize=4, zorder=3 if arm == "after" else 2.5,
            )  # fmt: skip
        cleared = [span.start_s - origin for span in series.spans if span.cleared is not None]
        if cleared:
            axes.plot(
                cleared, [0.0] * len(cleared), linestyle="none", marker=7, markersize=7, color=INK, clip_on=False,
                label="keys cleared", zorder=4,
            )  # fmt: skip
        for index, at_s in enumerate(series.shifts_s):
            label = "shift inside an arm" if index == 0 else None
            axes.axvline(at_s, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), label=label, zorder=2)
        axes.set(ylim=(0, 1.0), xlabel="seconds since the first block", ylabel="hit ratio")
        style.percent_axis(axes.yaxis)
        _stages(axes, series.spans, origin, narrow=narrow)
        axes.grid(visible=False, axis="x")
        style.legend(figure, axes, columns=2 if narrow else 4)
        return figure


def _shade_warmups(axes: Axes, spans: Sequence[Span], origin: float) -> None:
    bars = [(span.start_s - origin, max(span.measure_s - span.start_s, 0.0)) for span in spans]
    if bars:
        axes.broken_barh(
            bars, (0, 1), transform=axes.get_xaxis_transform(), facecolor="#e3e7ed", zorder=0.5,
            label="warm-up",
        )  # fmt: skip


def _hatch_washouts(axes: Axes, stretches: Sequence[Span], origin: float) -> None:
    bars = [(span.start_s - origin, max(span.end_s - span.start_s, 0.0)) for span in joined(list(stretches))]
    if bars:
        axes.broken_barh(
            bars, (0, 1), transform=axes.get_xaxis_transform(), facecolor="white", edgecolor="#c3cad3", hatch=HATCH,
            linewidth=0, zorder=0.4, label="wash-out",
        )  # fmt: skip


def _stages(axes: Axes, spans: Sequence[Span], origin: float, *, narrow: bool) -> None:
    """The name of each stage above its blocks, with a rule under it."""
    names = {"baseline": "baseline", "change": "both arms", "after-rollback": "rolled back"}
    short = {"baseline": "base", "change": "both arms", "after-rollback": "back"}
    for stage, name in (short if narrow else names).items():
        inside = [span for span in spans if span.stage == stage]
        if not inside:
            continue
        start, end = inside[0].start_s - origin, inside[-1].end_s - origin
        if stage == "change" and not any(len(span.arms) > 1 for span in inside):
            name = "arms in turn"
        axes.plot(
            [start, end], [1.02, 1.02], transform=axes.get_xaxis_transform(), color=INK, linewidth=1.2, clip_on=False,
            solid_capstyle="butt",
        )  # fmt: skip
        axes.text(
            (start + end) / 2, 1.035, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom",
            fontsize=8.5, color=INK,
        )  # fmt: skip


def timeline(course: Course, *, narrow: bool = False) -> Figure:
    """What was done when: a lane for each arm, warm-ups pale, wash-outs hatched, clears marked, the time with the
    change bracketed, looks and the stop on its line; under the lanes the intended pace, where it changes."""
    with styled():
        paced = course.pace is not None and bool(course.pace.lines)
        figure = new_figure(narrow=narrow, height=2.2 + (1.25 if paced else 0.0))
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
        style.legend(figure, axes, columns=2 if narrow else 3)
        return figure


def _lane(axes: Axes, course: Course, arm: str, lane: int) -> None:
    origin, mine = course.origin_s, [span for span in course.spans if arm in span.arms]
    for colours, edges in (
        (PALE, [(span.start_s - origin, max(span.measure_s - span.start_s, 0)) for span in mine]),
        (COLOURS, [(span.measure_s - origin, max(span.end_s - span.measure_s, 0)) for span in mine]),
    ):
        axes.broken_barh(edges, (lane - 0.3, 0.6), facecolor=colours[arm], edgecolor="white", linewidth=0.5)
    washed = joined([span for span in course.washouts if arm in span.arms])
    bars = [(span.start_s - origin, max(span.end_s - span.start_s, 0)) for span in washed]
    if bars:
        axes.broken_barh(bars, (lane - 0.3, 0.6), facecolor="white", edgecolor=COLOURS[arm], hatch=HATCH, linewidth=0.5)
    cleared = [span.start_s - origin for span in mine if span.cleared is not None]
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
    going_on = [at_s - course.origin_s for at_s in course.looks_s if at_s != course.stopped_s]
    if going_on:
        axes.plot(
            going_on, [below] * len(going_on), linestyle="none", marker="D", markersize=4.5, markerfacecolor="white",
            markeredgecolor=INK, label="looked, went on", zorder=4,
        )  # fmt: skip
    if course.stopped_s is not None:
        look = course.stopped_by == "look"
        axes.plot(
            [course.stopped_s - course.origin_s], [below], linestyle="none", marker="D" if look else "X", color=INK,
            markersize=5.5 if look else 7, label="looked, stopped" if look else "stopped by a limit", zorder=4,
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
    axes.yaxis.set_major_locator(_few_ticks())


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=3, integer=True)
