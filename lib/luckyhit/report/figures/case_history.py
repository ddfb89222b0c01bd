"""Earlier runs of the case beside this one: what the change did each time, and what was there without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from luckyhit.records import GoalName, Result, kind_of
from luckyhit.report.charts.axis import Axis, Form
from luckyhit.report.charts.chart import Chart, Line, Mark, Panel, Points, Rule, Tone
from luckyhit.report.figures.facts.verdict_words import INVALID
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables.metric_rows import in_order
from luckyhit.text.numbers import plural, sentence_case
from luckyhit.text.quantities import name_of

MOST_GOALS = 2
Side = Literal["effect", "baseline"]


@dataclass(frozen=True)
class RunSeries:
    """One metric of the runs, oldest first: its effect with the interval, or its value without the change with the
    noise floor around it. NaN where a run does not have it; a bound that is open is NaN, too. `margin`: what matters,
    by this run's case; None for a baseline."""

    name: GoalName
    side: Side
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    margin: float | None


@dataclass(frozen=True)
class History:
    """`runs`: (date, run, verdict) of each, the oldest first; the last is this run."""

    runs: Sequence[tuple[str, str, str]]
    series: Sequence[RunSeries]


def data(recorded: Recorded) -> History:
    """No runs where this one was not judged, or is the first."""
    result = recorded.result
    if result is None or not recorded.earlier:
        return History([], [])
    results = [*recorded.earlier, result]
    runs = [(one.date[:16].replace("T", " "), one.run, _verdict(one)) for one in results]
    goals = [name for name in in_order(result) if result.metrics[name].before is not None][:MOST_GOALS]
    series = [made for side in ("effect", "baseline") for name in goals if (made := _series(name, side, results))]
    return History(runs, series)


def _verdict(result: Result) -> str:
    alone = all(metric.after is None for metric in result.metrics.values())
    return "OBSERVED" if alone and result.verdict != "INVALID" else result.verdict


def _series(name: GoalName, side: Side, results: Sequence[Result]) -> RunSeries | None:
    """None with fewer than two runs that have it. What a failed guard forbids to rely on is left out."""
    points = [_point(name, side, result) for result in results]
    value, low, high = np.array(points, dtype=float).T
    if np.count_nonzero(np.isfinite(value)) < 2:
        return None
    margin = results[-1].metrics[name].margin if side == "effect" else None
    return RunSeries(name, side, value, low, high, margin)


def _point(name: GoalName, side: Side, result: Result) -> tuple[float, float, float]:
    metric = result.metrics.get(name)
    if metric is None or result.verdict == "INVALID":
        return np.nan, np.nan, np.nan
    if side == "effect":
        value, low, high = metric.effect, metric.low, metric.high
    else:
        value, floor = metric.before, result.noise_floor.get(name)
        low, high = (None, None) if value is None or floor is None else (value - floor, value + floor)
    ends = (value, low, high)
    return tuple(np.nan if end is None else end for end in ends)  # type: ignore[return-value]


def draw(numbers: History) -> Chart:
    """A panel for each series: a point and its interval for each run, this one in the darkest colour."""
    count = len(numbers.runs)
    every = max(1, -(-count // 6))
    ticks = [(place, date[5:10]) for place, (date, _, _) in enumerate(numbers.runs) if (count - 1 - place) % every == 0]
    panels = []
    for number, series in enumerate(numbers.series):
        last = number == len(numbers.series) - 1
        x = Axis(-0.5, count - 0.5, "runs of the case, the newest last" if last else "", ticks=ticks, grid=False)
        panels.append(_panel(series, x, last=last))
    return Chart(panels)


def _panel(series: RunSeries, x: Axis, *, last: bool) -> Panel:
    form: Form = "percent" if kind_of(series.name).unit in ("share", "ratio") else "number"
    ends = [*series.value, *series.low, *series.high]
    marks: list[Mark] = []
    if series.side == "effect":
        marks.append(Rule(y=0.0))
        ends.append(0.0)
        if series.margin:
            marks += [Rule(y=end, name="margin", dashes="dot") for end in (-series.margin, series.margin)]
            ends += [-series.margin, series.margin]
    tone: Tone = "after" if series.side == "effect" else "before"
    at = np.arange(len(series.value))
    low, high = (np.where(np.isfinite(end), end, series.value) for end in (series.low, series.high))
    for part, name, size in ((at < at[-1], "earlier runs", 2.6), (at == at[-1], "this run", 4.6)):
        marks.append(
            Points(at[part], series.value[part], tone, name, "circle" if name == "this run" else "open", size,
                   low=low[part], high=high[part])
        )  # fmt: skip
    if series.side == "baseline":
        marks.insert(0, Line(at, series.value, "soft", width=0.8, quiet=True))
    title = sentence_case(name_of(series.name))
    title += ": the difference, with its interval" if series.side == "effect" else " without the change, ± noise floor"
    y = Axis.around(ends, form=form, many=3)
    return Panel(x, y, marks, height=66, title=title, x_ticks=last)


def say(numbers: History, result: Result | None) -> str:
    if not numbers.runs:
        return "No earlier run of this case lies beside this one, so there is no history to show."
    earlier = numbers.runs[:-1]
    counts: dict[str, int] = {}
    for _, _, verdict in earlier:
        counts[verdict] = counts.get(verdict, 0) + 1
    counted = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    text = f"{plural(len(earlier), 'earlier run')} of this case: {counted}. This run: {numbers.runs[-1][2]}."
    if not numbers.series:
        text += " No metric has numbers in two of them."
    return f"{text} {INVALID}" if result is not None and result.verdict == "INVALID" else text


def is_empty(numbers: History) -> bool:
    return not numbers.series
