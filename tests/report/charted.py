"""Looking into a chart: its texts, and its marks by kind and name."""

from __future__ import annotations

from typing import TypeVar

from luckyhit.report.charts.chart import Box, Chart, Label
from luckyhit.report.charts.svg import drawn

M = TypeVar("M")


def marks_of(chart: Chart, kind: type[M], name: str | None = None) -> list[M]:
    """Of all panels; those of one name alone, where one is given."""
    marks = [mark for panel in chart.panels for mark in panel.marks if isinstance(mark, kind)]
    return marks if name is None else [mark for mark in marks if getattr(mark, "name", "") == name]


def texts(chart: Chart) -> list[str]:
    """The names of its series, its labels, ticks and titles."""
    words = [*chart.names, *(mark.text for mark in (*marks_of(chart, Label), *marks_of(chart, Box)))]
    for panel in chart.panels:
        ticks = [text for axis in (panel.x, panel.y) for _, text in axis.marked()] if panel.framed else []
        words += [panel.title, panel.x.label, panel.y.label, *ticks]
    return [word for word in words if word]


def svg_of(chart: Chart) -> str:
    return drawn(chart, "figure", alone=True)
