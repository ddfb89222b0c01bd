"""FIGURES: a row for each figure of the notebooks and the report, in the order of the page.

A new figure is one module here and one row. The module has what `FigureModule` asks for, no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from luckyhit.errors import ArgumentError
from luckyhit.report.charts.chart import Chart, message_chart
from luckyhit.report.figures import (
    case_history,
    cold_phase,
    db_calls,
    forest,
    freshness_curve,
    freshness_strip,
    hit_ratio,
    latency_spectrum,
    latency_split,
    over_time,
    service_map,
    staleness_windows,
    timeline,
)
from luckyhit.report.recorded import Recorded, recorded

if TYPE_CHECKING:
    from luckyhit.case_run import CaseRun
    from luckyhit.records import Result

Need = Literal["", "result", "probe"]


class FigureModule(Protocol):
    """`data` makes the few numbers of a figure from what was recorded; the others take these. `draw` makes a chart;
    `say` is what a reader should see in it, with the words of the verdict; `is_empty`: there is nothing to draw."""

    def data(self, recorded: Recorded, /) -> Any: ...

    def draw(self, numbers: Any, /) -> Chart: ...

    def say(self, numbers: Any, result: Result | None, /) -> str: ...

    def is_empty(self, numbers: Any, /) -> bool: ...


@dataclass(frozen=True)
class FigureRow:
    """`needs`: without it the page has no place for the figure: a result, or a probe of freshness. `of_change`: it
    compares, so it says nothing of a baseline alone."""

    id: str
    title: str
    module: FigureModule
    needs: Need = ""
    of_change: bool = False


FIGURES: dict[str, FigureRow] = {
    row.id: row
    for row in (
        FigureRow("over-time", "Response time, rate and errors over time", over_time),
        FigureRow("forest", "Every goal against its margin", forest, needs="result", of_change=True),
        FigureRow("freshness", "Do readers see what was written?", freshness_curve),
        FigureRow("staleness-windows", "For how long is the old value seen?", staleness_windows, needs="probe"),
        FigureRow("freshness-strip", "One failure, read by read", freshness_strip, needs="probe"),
        FigureRow("hit-ratio", "Hit ratio over time", hit_ratio),
        FigureRow("cold-phase", "The first seconds, before the cache is warm", cold_phase),
        FigureRow("latency-spectrum", "Latency by percentile", latency_spectrum),
        FigureRow("latency-split", "Latency of hits and of misses", latency_split),
        FigureRow("db-calls", "Database calls per request", db_calls),
        FigureRow("service-map", "What the service does with its cache", service_map),
        FigureRow("timeline", "The run", timeline),
        FigureRow("history", "Earlier runs of this case", case_history, needs="result"),
    )
}


def shown_on_page(recorded: Recorded) -> list[FigureRow]:
    """The figures that have a place on the page of this run."""
    has: dict[Need, bool] = {"": True, "result": recorded.result is not None, "probe": recorded.probed}
    return [row for row in FIGURES.values() if has[row.needs]]


def picture_of(name: str, recorded: Recorded) -> tuple[Chart | None, str]:
    """(chart, sentence) of one figure for the page; no chart where there is nothing to see."""
    row = FIGURES[name]
    numbers = numbers_of(row, recorded)
    sentence = row.module.say(numbers, recorded.result)
    if row.module.is_empty(numbers):
        return None, sentence
    return _drawn_once(row, numbers, recorded), sentence


def figure_for(
    name: str, run: CaseRun | Recorded, result: Result | None = None, *, draw: bool = True
) -> tuple[Chart | None, str]:
    """(chart, sentence) by name; the chart is None with `draw=False`. Where there is nothing to see, the chart says
    so. Raises ArgumentError for a name that no figure has."""
    if name not in FIGURES:
        raise ArgumentError(f"unknown figure {name!r}", hint=f"Figures: {', '.join(FIGURES)}.")
    row = FIGURES[name]
    source = run if isinstance(run, Recorded) else recorded(run, result)
    numbers = numbers_of(row, source)
    sentence = row.module.say(numbers, source.result)
    if not draw:
        return None, sentence
    if row.module.is_empty(numbers):
        return message_chart(sentence), sentence
    return _drawn_once(row, numbers, source), sentence


def numbers_of(row: FigureRow, recorded: Recorded) -> Any:
    """Made once for a figure, its sentence and its table."""
    if row.id not in recorded.aggregates:
        recorded.aggregates[row.id] = row.module.data(recorded)
    return recorded.aggregates[row.id]


def _drawn_once(row: FigureRow, numbers: Any, recorded: Recorded) -> Chart:
    """Once for a notebook and for the page."""
    if row.id not in recorded.charts:
        recorded.charts[row.id] = row.module.draw(numbers)
    return recorded.charts[row.id]
