"""A chart as SVG: text as text, colours as classes, so that a page's style sheet has them in the light and in the dark.

The same chart gives the same bytes. A program finds its way by attributes: a panel's `data-x` and `data-y` have the
place of its axes, a series' `data-series` its name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from html import escape

from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import Chart, Panel
from luckyhit.report.charts.chart_csv import panel_name
from luckyhit.report.charts.marks import Plot, drawn_mark, px

TEXT_SIZE, SMALL = 12.0, 11.0
CHARACTER = 0.56
"""Width of a character of average width, in sizes of the text."""
RIGHT, TOP, BETWEEN = 14.0, 9.0, 16.0
TICK_ROOM, LABEL_ROOM, TITLE_ROOM, KEY_ROOM, KEY_SWATCH = 17.0, 16.0, 17.0, 18.0, 26.0

STYLE = (
    "svg.chart{background:#fff;color:#1c2430;font-family:system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
    ".chart text{fill:currentColor}.t-before,.t-baseline{color:#b3480a}.t-after,.t-new{color:#0068a8}"
    ".t-ink{color:#1c2430}.t-soft{color:#525c6a}.t-faint{color:#d9dee5}.t-shade{color:#e6eaef}.t-band{color:#e4ebf2}"
    ".t-new{color:#00785a}.t-old{color:#b3261e}.t-absent{color:#8a3f94}.t-set{color:#8a5a00}"
    ".t-HELPED{color:#1a7f37}.t-HURT{color:#b3261e}.t-EQUIVALENT{color:#3d5a80}.t-INCONCLUSIVE{color:#8a5a00}"
    ".t-INVALID{color:#6b3fa0}.card-fill{fill:#fff}.box-fill{fill:#eef1f5}"
)
"""For a picture that stands alone; a page has its own."""


def drawn(
    chart: Chart, name: str, *, clean: Callable[[str], str] = str, labelled_by: str = "", alone: bool = False
) -> str:
    """The `svg` element. `name`: of the figure, for ids, which have to be unique in a page. `clean` is applied to each
    text. `labelled_by`: ids of the elements that say what it shows. `alone`: with its colours, as a file of its own."""

    def text_of(text: str) -> str:
        return escape(clean(text), quote=True)

    left = max((_left_room(panel, clean) for panel in chart.panels), default=0.0)
    parts: list[str] = []
    y = TOP
    if chart.keys and chart.names:
        keys, y = _keys(chart, name, left, y, clean, text_of)
        parts.append(keys)
    for number, panel in enumerate(chart.panels):
        drawn_panel, y = _panel(chart, panel, number, name, left, y, text_of, clean)
        parts.append(drawn_panel)
        y += BETWEEN if number + 1 < len(chart.panels) else 0.0
    label = f' aria-labelledby="{labelled_by}"' if labelled_by else ""
    own = f' xmlns="http://www.w3.org/2000/svg" width="{px(chart.width)}" height="{px(y + 4)}"' if alone else ""
    style = f"<style>{STYLE}</style>" if alone else ""
    hatch = (
        f'<defs><pattern id="hatch-{name}" width="6" height="6" patternUnits="userSpaceOnUse" '
        'patternTransform="rotate(45)"><rect width="2" height="6" class="t-soft" fill="currentColor" opacity=".45"/>'
        "</pattern></defs>"
    )
    head = f'<svg class="chart" viewBox="0 0 {px(chart.width)} {px(y + 4)}" role="img"{label}{own} data-name="{name}">'
    body = "".join(parts)
    return f"{head}{style}{hatch if f'url(#hatch-{name})' in body else ''}{body}</svg>"


def _left_room(panel: Panel, clean: Callable[[str], str]) -> float:
    if not panel.framed:
        return 4.0
    lines = [line for _, text in panel.y.marked() for line in clean(text).split("\n")]
    longest = max((len(line) for line in lines), default=0)
    room = longest * CHARACTER * SMALL + 9 if lines else 8.0
    return room + (LABEL_ROOM if panel.y.label else 2.0)


def _keys(
    chart: Chart, figure: str, left: float, y: float, clean: Callable[[str], str], text_of: Callable[[str], str]
) -> tuple[str, float]:
    """The names of the series with a piece of each, in as many rows as they take."""
    parts, x, top = [], left, y
    for name in chart.names:
        width = KEY_SWATCH + len(clean(name)) * CHARACTER * TEXT_SIZE + 14
        if x > left and x + width > chart.width:
            x, top = left, top + KEY_ROOM
        swatch = "".join(_swatches(chart, figure, name, x, top + 5))
        parts.append(
            f'<g class="key" data-series="{text_of(name)}"><rect x="{px(x - 4)}" y="{px(top - 5)}" '
            f'width="{px(width - 4)}" height="18" rx="4" fill="none" pointer-events="all"/>{swatch}'
            f'<text x="{px(x + KEY_SWATCH)}" y="{px(top + 9)}" font-size="{TEXT_SIZE}">{text_of(name)}</text></g>'
        )
        x += width
    return "".join(parts), top + KEY_ROOM + 4


def _swatches(chart: Chart, figure: str, name: str, x: float, y: float) -> Iterator[str]:
    """A small piece of the marks of this name, one of each kind, with the pattern of this figure."""
    kinds = set()
    frame = Plot(Axis(0, 1), Axis(0, 1), x, y - 5, 20, 10, figure)
    for mark in (mark for panel in chart.panels for mark in panel.marks if getattr(mark, "name", "") == name):
        if type(mark) not in kinds:
            kinds.add(type(mark))
            yield frame.sample(mark)


def _panel(
    chart: Chart,
    panel: Panel,
    number: int,
    name: str,
    left: float,
    top: float,
    text_of: Callable[[str], str],
    clean: Callable[[str], str],
) -> tuple[str, float]:
    """(the panel, where it ends)."""
    parts = []
    if panel.title:
        parts.append(f'<text x="{px(left)}" y="{px(top + 9)}" font-size="{SMALL}">{text_of(panel.title)}</text>')
        top += TITLE_ROOM
    top += panel.top
    width, bottom = chart.width - left - RIGHT, top + panel.height
    frame = Plot(panel.x, panel.y, left, top, width, panel.height, name)
    if panel.framed:
        parts.append(_grid(frame))
    clip = f"clip-{name}-{number}"
    # Markers at the edge stay whole.
    parts.append(
        f'<clipPath id="{clip}"><rect x="{px(left - 6)}" y="{px(top - 30)}" width="{px(width + 12)}" '
        f'height="{px(panel.height + 60)}"/></clipPath>'
    )
    marks = "".join(drawn_mark(mark, frame, text_of) for mark in panel.marks)
    parts.append(f'<g class="marks" clip-path="url(#{clip})">{marks}</g>')
    if panel.framed:
        parts.append(_axes(panel, frame, text_of))
        bottom += TICK_ROOM if panel.x_ticks else 4.0
        bottom += LABEL_ROOM if panel.x.label else 0.0
    ends: dict[str, object] = {"px": [left, top, width, panel.height], "name": clean(panel_name(panel))}
    ends |= {side: _ends(axis, clean) for side, axis in (("x", panel.x), ("y", panel.y))}
    data = escape(json.dumps(ends, ensure_ascii=False)) if panel.framed else ""
    attribute = f' data-panel="{data}"' if data else ""
    return f'<g class="panel"{attribute}>{"".join(parts)}</g>', bottom


def _ends(axis: Axis, clean: Callable[[str], str]) -> dict[str, object]:
    ends = {"scale": axis.scale, "low": axis.low, "high": axis.high, "near": axis.near, "form": axis.form}
    return {**ends, "label": clean(axis.label), "fixed": axis.ticks is not None}


def _grid(frame: Plot) -> str:
    lines = []
    if frame.y_axis.grid:
        for value, _ in frame.y_axis.marked():
            y = px(frame.y(value))
            lines.append(f"M{px(frame.left)} {y}H{px(frame.left + frame.width)}")
    return f'<path class="grid t-faint" d="{"".join(lines)}" fill="none" stroke="currentColor"/>' if lines else ""


def _axes(panel: Panel, frame: Plot, text_of: Callable[[str], str]) -> str:
    bottom, right = frame.top + frame.height, frame.left + frame.width
    parts = [
        f'<path class="t-soft" d="M{px(frame.left)} {px(bottom)}H{px(right)}" fill="none" stroke="currentColor" '
        'stroke-width=".8"/>'
    ]
    ticks, free_from = [], -1e9
    for value, text in panel.x.marked() if panel.x_ticks else []:
        x, half = frame.x(value), len(text) * CHARACTER * SMALL / 2
        ticks.append(f"M{px(x)} {px(bottom)}v3")
        if x - half < free_from:
            continue  # the mark says enough where two texts would touch
        free_from = x + half + 4
        parts.append(_tick(min(x, frame.left + frame.width + RIGHT - half), bottom + 14, text_of(text), "middle"))
    ticks_path = f'<path class="t-soft" d="{"".join(ticks)}" stroke="currentColor" stroke-width=".8"/>' if ticks else ""
    across = f'<g class="x-ticks">{ticks_path}{"".join(parts[1:])}</g>'
    up = []
    for value, text in panel.y.marked():
        lines = text.split("\n")
        first = frame.y(value) + 3.6 - 6 * (len(lines) - 1)
        up += [_tick(frame.left - 6, first + 12 * place, text_of(line), "end") for place, line in enumerate(lines)]
    labels = []
    if panel.x.label:
        y = bottom + (TICK_ROOM if panel.x_ticks else 4.0) + 11
        labels.append(
            f'<text class="t-soft" x="{px(frame.left + frame.width / 2)}" y="{px(y)}" font-size="{SMALL}" '
            f'text-anchor="middle">{text_of(panel.x.label)}</text>'
        )
    if panel.y.label:
        lines = panel.y.label.split("\n")
        x, y = 10.0, frame.top + frame.height / 2
        labels += [
            f'<text class="t-soft" transform="translate({px(x + 11 * place)} {px(y)}) rotate(-90)" '
            f'font-size="{SMALL}" text-anchor="middle">{text_of(line)}</text>'
            for place, line in enumerate(lines)
        ]
    return f'{parts[0]}{across}<g class="y-ticks">{"".join(up)}</g>{"".join(labels)}'


def _tick(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="t-soft" x="{px(x)}" y="{px(y)}" font-size="{SMALL}" text-anchor="{anchor}">{text}</text>'
