"""What a chart draws, as CSV: one row for each value."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator

import numpy as np

from luckyhit.report.charts.chart import Band, Bars, Chart, Line, Mark, Panel, Points, Values

HEADINGS = ("panel", "series", "x", "x to", "value", "low", "high")
Cell = float | str


def csv_of(chart: Chart, clean: Callable[[str], str] = str) -> str:
    """HEADINGS, then a row for each value drawn; x and value in the units of the axes, which the first line names. A
    cell is empty where there is nothing: a band has no value, only a bar ends at another x. `clean` is applied to texts
    that come from a case."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([HEADINGS[0], HEADINGS[1], _x_label(chart), *HEADINGS[3:]])
    for panel in chart.panels:
        for mark in panel.marks:
            for row in _rows(mark):
                writer.writerow([clean(panel_name(panel)), *(_text(cell, clean) for cell in row)])
    return buffer.getvalue()


def panel_name(panel: Panel) -> str:
    return panel.title or panel.y.label


def _x_label(chart: Chart) -> str:
    labels = [panel.x.label for panel in chart.panels if panel.x.label]
    return labels[-1] if labels else "x"


def _rows(mark: Mark) -> Iterator[tuple[Cell, ...]]:
    """Without the panel."""
    name = getattr(mark, "name", "")
    if isinstance(mark, Line) and not mark.quiet:
        for x, y in zip(mark.x, mark.y, strict=True):
            yield name, float(x), "", float(y), "", ""
    elif isinstance(mark, Band):
        for x, low, high in zip(mark.x, mark.low, mark.high, strict=True):
            yield name, float(x), "", "", float(low), float(high)
    elif isinstance(mark, Bars) and not mark.quiet:
        low, high = _ends(mark.low, len(mark.left)), _ends(mark.high, len(mark.left))
        for left, right, bottom, top in zip(mark.left, mark.right, low, high, strict=True):
            yield name, float(left), float(right), top if bottom == 0 else "", "" if bottom == 0 else bottom, top
    elif isinstance(mark, Points) and not mark.quiet:
        across = mark.left is not None
        ends = (mark.left, mark.right) if across else (mark.low, mark.high)
        low, high = (_ends(values, len(mark.x)) for values in ends)
        for number, (x, y) in enumerate(zip(mark.x, mark.y, strict=True)):
            # Of an interval along x, y is only the place of its lane.
            yield name, float(x), "", "" if across else float(y), low[number], high[number]


def _ends(values: Values | None, count: int) -> list[Cell]:
    return [""] * count if values is None else [float(value) for value in values]


def _text(cell: Cell, clean: Callable[[str], str]) -> str:
    if isinstance(cell, str):
        return clean(cell) if cell else ""
    return f"{cell:.7g}" if np.isfinite(cell) else ""
