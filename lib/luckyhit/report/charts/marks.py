"""The marks of a chart as SVG elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import (
    Arrow,
    Band,
    Bars,
    Box,
    Dashes,
    Label,
    Line,
    Mark,
    Points,
    Rule,
    Shape,
    Values,
)

Clean = Callable[[str], str]
FAR_PX = 4000.0
"""Beyond this no place is drawn: a renderer's numbers end somewhere."""
_DASHES: dict[Dashes, str] = {"": "", "dash": "6 3", "dot": "1.5 3", "short": "3 2.5"}
_ROUND: dict[Shape, float] = {"circle": 1.0, "dot": 0.55, "open": 0.9}
_SHAPES: dict[Shape, Sequence[tuple[float, float]]] = {
    "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
    "up": [(0, -1.2), (1.1, 0.9), (-1.1, 0.9)],
    "down": [(0, 1.2), (1.1, -0.9), (-1.1, -0.9)],
    "left": [(-1.2, 0), (0.9, -1.1), (0.9, 1.1)],
    "right": [(1.2, 0), (-0.9, -1.1), (-0.9, 1.1)],
    "bar": [(-0.25, -1.5), (0.25, -1.5), (0.25, 1.5), (-0.25, 1.5)],
    "cross": [
        (-1.2, -0.7), (-0.7, -1.2), (0, -0.5), (0.7, -1.2), (1.2, -0.7), (0.5, 0), (1.2, 0.7), (0.7, 1.2), (0, 0.5),
        (-0.7, 1.2), (-1.2, 0.7), (-0.5, 0),
    ],
}  # fmt: skip


def px(value: float) -> str:
    """Two decimals are finer than any screen."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


@dataclass(frozen=True)
class Plot:
    """Where a panel's values lie in the drawing."""

    x_axis: Axis
    y_axis: Axis
    left: float
    top: float
    width: float
    height: float
    name: str

    def x(self, value: float) -> float:
        return _near(self.left + self.width * self.x_axis.place(float(value)))

    def y(self, value: float) -> float:
        return _near(self.top + self.height * (1 - self.y_axis.place(float(value))))

    def sample(self, mark: Mark) -> str:
        """A small piece of the mark, which fills the frame."""
        middle = [0.5]
        small: Mark = mark
        if isinstance(mark, Line):
            small = Line([0, 1], [0.5, 0.5], mark.tone, dashes=mark.dashes, width=mark.width)
        elif isinstance(mark, Points):
            small = Points(middle, middle, mark.tone, shape=mark.shape, size=min(mark.size, 4.0))
        elif isinstance(mark, Bars):
            small = Bars([0.0], [1.0], [0.0], [1.0], mark.tone, mark.look)
        elif isinstance(mark, Band):
            small = Band([0, 1], [0, 0], [1, 1], mark.tone)
        elif isinstance(mark, Rule):
            small = (
                Rule(x=0.5, tone=mark.tone, dashes=mark.dashes, width=mark.width)
                if mark.x is not None
                else Rule(y=0.5, tone=mark.tone, dashes=mark.dashes, width=mark.width)
            )
        return drawn_mark(small, self, str)


def _near(place: float) -> float:
    return min(max(place, -FAR_PX), FAR_PX) if math.isfinite(place) else -FAR_PX


def drawn_mark(mark: Mark, frame: Plot, text_of: Clean) -> str:
    """One element, or a group of them for a series."""
    body = "".join(_elements(mark, frame, text_of))
    if not body:
        return ""
    name = getattr(mark, "name", "")
    series = f' data-series="{text_of(name)}"' if name else ""
    tone = getattr(mark, "tone", "ink")
    title = f"<title>{text_of(mark.title)}</title>" if isinstance(mark, Points) and mark.title else ""
    return f'<g class="t-{tone}"{series}>{title}{body}</g>'


def _elements(mark: Mark, frame: Plot, text_of: Clean) -> Iterator[str]:
    if isinstance(mark, Line):
        yield from _line(mark, frame)
    elif isinstance(mark, Band):
        yield from _band(mark, frame)
    elif isinstance(mark, Bars):
        yield from _bars(mark, frame)
    elif isinstance(mark, Points):
        yield from _points(mark, frame)
    elif isinstance(mark, Rule):
        if mark.x is not None:
            path = f"M{px(frame.x(mark.x))} {px(frame.top)}V{px(frame.top + frame.height)}"
        else:
            path = f"M{px(frame.left)} {px(frame.y(mark.y or 0.0))}H{px(frame.left + frame.width)}"
        yield _stroke(path, mark.width, mark.dashes)
    elif isinstance(mark, Label):
        yield _label(mark, frame, text_of)
    elif isinstance(mark, Box):
        yield from _box(mark, frame, text_of)
    else:
        yield from _arrow(mark, frame, text_of)


def _stroke(path: str, width: float, dashes: Dashes = "") -> str:
    dashed = f' stroke-dasharray="{_DASHES[dashes]}"' if dashes else ""
    stroke = f'stroke="currentColor" stroke-width="{px(width)}"{dashed} stroke-linejoin="round"'
    return f'<path d="{path}" fill="none" {stroke}/>'


def _line(mark: Line, frame: Plot) -> Iterator[str]:
    pieces = list(_pieces(mark.x, mark.y, frame, steps=mark.steps))
    if mark.fill:
        floor = px(frame.y(0.0 if frame.y_axis.scale != "log" else frame.y_axis.low))
        area = "".join(f"{path}V{floor}H{first}Z" for path, first, _ in pieces)
        if area:
            yield f'<path d="{area}" fill="currentColor" opacity=".22"/>'
    path = "".join(path for path, _, count in pieces if count > 1)
    if path:
        yield _stroke(path, mark.width, mark.dashes)
    for path, _, count in pieces:
        if count == 1:  # one point is no line
            x, y = path.removeprefix("M").split(" ")
            yield f'<circle cx="{x}" cy="{y}" r="{px(mark.width)}" fill="currentColor"/>'


def _pieces(x: Values, y: Values, frame: Plot, *, steps: bool) -> Iterator[tuple[str, str, int]]:
    """(path, its first x, its points) of each stretch of finite values."""
    path: list[str] = []
    first, last, count = "", "", 0
    for at, value in zip(x, y, strict=True):
        if not (math.isfinite(value) and math.isfinite(at)):
            if count:
                yield "".join(path), first, count
            path, count = [], 0
            continue
        place, height = px(frame.x(at)), px(frame.y(value))
        if not count:
            path, first = [f"M{place} {height}"], place
        elif steps:
            path.append(f"H{place}" if height == last else f"H{place}V{height}")
        else:
            path.append(f"L{place} {height}")
        last, count = height, count + 1
    if count:
        yield "".join(path), first, count


def _band(mark: Band, frame: Plot) -> Iterator[str]:
    x, low, high = (np.asarray(values, dtype=float) for values in (mark.x, mark.low, mark.high))
    if mark.steps:
        x, low, high = np.repeat(x, 2)[1:], np.repeat(low, 2)[:-1], np.repeat(high, 2)[:-1]
    if not len(x):
        return
    there = [f"{px(frame.x(at))} {px(frame.y(value))}" for at, value in zip(x, high, strict=True)]
    back = [f"{px(frame.x(at))} {px(frame.y(value))}" for at, value in zip(x[::-1], low[::-1], strict=True)]
    yield f'<path d="M{"L".join([*there, *back])}Z" fill="currentColor" opacity=".22"/>'


def _bars(mark: Bars, frame: Plot) -> Iterator[str]:
    fill = {"hatch": f"url(#hatch-{frame.name})"}.get(mark.look, "currentColor")
    more = ' opacity=".3"' if mark.look == "pale" else ""
    lows = [None] * len(mark.left) if mark.low is None else mark.low
    highs = [None] * len(mark.left) if mark.high is None else mark.high
    for left, right, low, high in zip(mark.left, mark.right, lows, highs, strict=True):
        x, end = sorted((frame.x(left), frame.x(right)))
        bottom = frame.top + frame.height if low is None else frame.y(low)
        top = frame.top if high is None else frame.y(high)
        y, floor = sorted((top, bottom))
        if end > x and floor > y:
            yield (
                f'<rect x="{px(x)}" y="{px(y)}" width="{px(max(end - x, 0.4))}" height="{px(floor - y)}" '
                f'fill="{fill}"{more}/>'
            )


def _points(mark: Points, frame: Plot) -> Iterator[str]:
    whiskers = []
    for number, (at, value) in enumerate(zip(mark.x, mark.y, strict=True)):
        if not (math.isfinite(at) and math.isfinite(value)):
            continue
        x, y = frame.x(at), frame.y(value)
        if mark.whiskers and mark.low is not None and mark.high is not None:
            low, high = frame.y(mark.low[number]), frame.y(mark.high[number])
            whiskers.append(f"M{px(x)} {px(low)}V{px(high)}")
        if mark.whiskers and mark.left is not None and mark.right is not None:
            whiskers.append(f"M{px(frame.x(mark.left[number]))} {px(y)}H{px(frame.x(mark.right[number]))}")
    if whiskers:
        yield _stroke("".join(whiskers), 1.3)
    for at, value in zip(mark.x, mark.y, strict=True):
        if math.isfinite(at) and math.isfinite(value):
            yield shape_path(mark.shape, frame.x(at), frame.y(value), mark.size)


def shape_path(shape: Shape, x: float, y: float, size: float) -> str:
    if shape in _ROUND:
        look = (
            'class="card-fill" stroke="currentColor" stroke-width="1.4"' if shape == "open" else 'fill="currentColor"'
        )
        return f'<circle cx="{px(x)}" cy="{px(y)}" r="{px(size * _ROUND[shape])}" {look}/>'
    places = "L".join(f"{px(x + size * right)} {px(y + size * down)}" for right, down in _SHAPES[shape])
    return f'<path class="m" d="M{places}Z" fill="currentColor"/>'


def _label(mark: Label, frame: Plot, text_of: Clean) -> str:
    x = frame.left + frame.width * mark.x if mark.across_x else frame.x(mark.x)
    y = frame.top + frame.height * (1 - mark.y) if mark.across_y else frame.y(mark.y)
    fixed = ' data-fixed=""' if mark.across_x else ""
    anchor = f' text-anchor="{mark.anchor}"' if mark.anchor != "start" else ""
    slant = ' font-style="italic"' if mark.italic else ""
    return (
        f'<text x="{px(x + mark.dx)}" y="{px(y + mark.dy)}" font-size="{px(mark.size)}"{anchor}{slant}{fixed}>'
        f"{text_of(mark.text)}</text>"
    )


def _box(mark: Box, frame: Plot, text_of: Clean) -> Iterator[str]:
    left, right = sorted((frame.x(mark.left), frame.x(mark.right)))
    top, bottom = sorted((frame.y(mark.low), frame.y(mark.high)))
    dashed = f' stroke-dasharray="{_DASHES[mark.dashes]}"' if mark.dashes else ""
    inside = 'class="box-fill"' if mark.filled else 'class="card-fill"'
    yield (
        f'<rect x="{px(left)}" y="{px(top)}" width="{px(right - left)}" height="{px(bottom - top)}" rx="5" {inside} '
        f'stroke="currentColor" stroke-width="{"1.8" if mark.strong else ".9"}"{dashed}/>'
    )
    yield (
        f'<text class="t-ink" x="{px((left + right) / 2)}" y="{px((top + bottom) / 2 + 3.4)}" font-size="10.5" '
        f'text-anchor="middle">{text_of(mark.text)}</text>'
    )


def _arrow(mark: Arrow, frame: Plot, text_of: Clean) -> Iterator[str]:
    (x0, y0), (x1, y1) = ((frame.x(x), frame.y(y)) for x, y in (mark.start, mark.end))
    yield _stroke(f"M{px(x0)} {px(y0)}L{px(x1)} {px(y1)}", 1.4, mark.dashes)
    angle = math.atan2(y1 - y0, x1 - x0)
    sides = [(x1 - 7 * math.cos(angle + turn), y1 - 7 * math.sin(angle + turn)) for turn in (-0.45, 0.45)]
    yield _stroke("M" + "L".join(f"{px(x)} {px(y)}" for x, y in (sides[0], (x1, y1), sides[1])), 1.4)
    x, y = x0 + (x1 - x0) * mark.text_at, y0 + (y1 - y0) * mark.text_at
    wide = len(mark.text) * 5.7 + 4
    yield f'<rect class="card-fill" x="{px(x - wide / 2)}" y="{px(y - 6)}" width="{px(wide)}" height="12"/>'
    yield f'<text x="{px(x)}" y="{px(y + 3.2)}" font-size="10.5" text-anchor="middle">{text_of(mark.text)}</text>'
