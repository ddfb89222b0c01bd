"""Every goal against its margin: intervals in margins, better to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from luckyhit.records import Result, kind_of
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import Bars, Chart, Label, Line, Mark, Panel, Points, Rule, Shape, Tone
from luckyhit.report.figures.facts.verdict_words import INVALID
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import listed, sentence_case
from luckyhit.text.quantities import difference_text, interval_text, name_of


@dataclass(frozen=True)
class Row:
    """One metric of the forest plot, in margins, turned so that more is better. Bounds may be infinite."""

    name: str
    text: str
    effect: str
    middle: float
    low: float
    high: float
    verdict: str


def data(recorded: Recorded) -> list[Row]:
    """The goals of the result, what must get better first; those without numbers or margin are left out."""
    rows = []
    judged = sorted(
        (recorded.result.metrics if recorded.result else {}).items(), key=lambda item: item[1].want != "better"
    )
    for name, metric in judged:
        if metric.verdict is None or not metric.margin or metric.effect is None:
            continue
        sign = 1.0 if kind_of(name).higher_is_better else -1.0
        scale = sign / metric.margin
        ends = (
            (-np.inf if metric.low is None else metric.low) * scale,
            (np.inf if metric.high is None else metric.high) * scale,
        )
        effect = difference_text(name, metric.effect)
        text = f"{effect} ({interval_text(name, metric.low, metric.high)})"
        rows.append(Row(name_of(name), text, effect, metric.effect * scale, min(ends), max(ends), metric.verdict))
    return rows


def draw(rows: Sequence[Row]) -> Chart:
    """Each goal's interval in margins, better to the right; inside the band a difference does not matter."""
    farthest = max([1.0, *(abs(end) for row in rows for end in (row.low, row.high, row.middle) if np.isfinite(end))])
    limit = max(2.0, 1.35 * farthest)
    x = Axis(-limit, limit, "← worse \u00a0 \u00a0 in margins \u00a0 \u00a0 better →", form="signed", grid=False)
    if limit > 4:
        x = replace(x, scale="symlog").with_ticks(*(tick for tick in _FAR_TICKS if abs(tick) <= limit))
    marks: list[Mark] = [Bars([-1.0], [1.0], tone="band"), Rule(x=0.0)]
    for at, row in enumerate(rows):
        marks += _interval(row, float(at), limit)
        name, verdict = sentence_case(row.name), row.verdict
        marks.append(Label(0.0, at - 0.36, f"{name}: {verdict}", size=10.5, dy=3, across_x=True))
        marks.append(Label(1.0, at - 0.36, row.text, "soft", "end", size=10.5, dy=3, across_x=True))
    y = Axis(len(rows) - 0.6, -0.75, ticks=[], grid=False)
    return Chart([Panel(x, y, marks, height=24 + 55.0 * len(rows))], keys=False)


_FAR_TICKS = (-1000, -100, -10, -1, 0, 1, 10, 100, 1000)


def _interval(row: Row, at: float, limit: float) -> list[Mark]:
    """The interval; an arrow where it has no bound on that side."""
    tone = cast(Tone, row.verdict)
    low, high = max(row.low, -limit), min(row.high, limit)
    marks: list[Mark] = [Line([low, high], [at, at], tone, width=3.0, quiet=True)]
    for end, bound, arrow in ((low, row.low, "left"), (high, row.high, "right")):
        shape = cast(Shape, "bar" if np.isfinite(bound) else arrow)
        marks.append(Points([end], [at], tone, shape=shape, size=4.5, quiet=True))
    title = f"{sentence_case(row.name)}: {row.verdict}, {row.text}"
    middle = Points(
        [row.middle], [at], tone, row.name, size=3.8, left=[row.low], right=[row.high], title=title, whiskers=False
    )  # fmt: skip
    return [*marks, middle]


def say(rows: Sequence[Row], result: Result | None) -> str:
    if result is None:
        return "The run was not judged, so there are no intervals to show."
    if not rows:
        return "No goal could be compared: none had numbers in both arms."
    if result.verdict == "INVALID":
        return f"The intervals of {listed([row.name for row in rows])} in margins. {INVALID}"
    words = {"HELPED": "better", "HURT": "worse", "EQUIVALENT": "inside the margin", "INCONCLUSIVE": "not decided"}
    groups = {
        words_of_verdict: [f"{row.name} ({row.effect})" for row in rows if row.verdict == verdict]
        for verdict, words_of_verdict in words.items()
        if any(row.verdict == verdict for row in rows)
    }
    groups_text = "; ".join(f"{verdict_words}: {listed(names)}" for verdict_words, names in groups.items())
    return f"Against the margins that the case sets, {groups_text}. Overall: {result.verdict}."


def is_empty(rows: Sequence[Row]) -> bool:
    return not rows
