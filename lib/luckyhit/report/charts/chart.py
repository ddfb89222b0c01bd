"""A figure as data: panels under each other, each with two axes and marks.

`svg.drawn` draws it, `chart_csv.csv_of` lists what is drawn. A mark with a `name` is a series: it has a key above the
panels (marks of one name share it, and can be hidden together), and its values are shown under the pointer.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from luckyhit.report.charts.axis import Axis

Tone = Literal[
    "before", "after", "baseline", "ink", "soft", "faint", "shade", "band", "new", "old", "absent", "set",
    "HELPED", "HURT", "EQUIVALENT", "INCONCLUSIVE", "INVALID",
]  # fmt: skip
"""What a mark means; the page's style sheet gives it a colour, in the light and in the dark."""
Look = Literal["full", "pale", "hatch", "shade"]
Shape = Literal["circle", "square", "diamond", "cross", "up", "down", "left", "right", "bar", "dot", "open"]
Dashes = Literal["", "dash", "dot", "short"]
Values = Sequence[float] | np.ndarray
ARM_DASHES: dict[str, Dashes] = {"before": "dash", "baseline": "dash", "after": ""}
ARM_SHAPES: dict[str, Shape] = {"before": "square", "baseline": "square", "after": "circle"}


@dataclass(frozen=True)
class Line:
    """Through the points (x, y); not across a y that is not finite. `steps`: each y holds until the next x. `fill`: the
    area down to 0 as well. `quiet`: no values under the pointer, no row among the numbers."""

    x: Values
    y: Values
    tone: Tone = "ink"
    name: str = ""
    dashes: Dashes = ""
    width: float = 1.8
    steps: bool = False
    fill: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Band:
    """The area between `low` and `high`."""

    x: Values
    low: Values
    high: Values
    tone: Tone = "ink"
    name: str = ""
    steps: bool = False


@dataclass(frozen=True)
class Bars:
    """Rectangles from `left` to `right`, and from `low` to `high`; without these, over the whole height."""

    left: Values
    right: Values
    low: Values | None = None
    high: Values | None = None
    tone: Tone = "shade"
    look: Look = "full"
    name: str = ""
    quiet: bool = True


@dataclass(frozen=True)
class Points:
    """`low` and `high`: the ends of an interval around each y, and `left` and `right` of one around each x; `whiskers`:
    whether they are drawn. `title`: what a browser says about them under the pointer."""

    x: Values
    y: Values
    tone: Tone = "ink"
    name: str = ""
    shape: Shape = "circle"
    size: float = 3.2
    low: Values | None = None
    high: Values | None = None
    left: Values | None = None
    right: Values | None = None
    quiet: bool = False
    whiskers: bool = True
    title: str = ""


@dataclass(frozen=True)
class Rule:
    """A line across the panel, at one x or one y."""

    x: float | None = None
    y: float | None = None
    tone: Tone = "soft"
    name: str = ""
    dashes: Dashes = ""
    width: float = 1.0


@dataclass(frozen=True)
class Label:
    """A text at (x, y), moved by (dx, dy) in units of the drawing. `across_x`, `across_y`: that place is a share of the
    panel's width or height, from the left or from the bottom."""

    x: float
    y: float
    text: str
    tone: Tone = "ink"
    anchor: Literal["start", "middle", "end"] = "start"
    size: float = 11.0
    dx: float = 0.0
    dy: float = 0.0
    across_x: bool = False
    across_y: bool = False
    italic: bool = False


@dataclass(frozen=True)
class Box:
    """A frame around a text, with its corners in values of the axes."""

    left: float
    right: float
    low: float
    high: float
    text: str
    tone: Tone = "ink"
    filled: bool = False
    strong: bool = False
    dashes: Dashes = ""


@dataclass(frozen=True)
class Arrow:
    """From one point to another, with a text on it at a share of its length."""

    start: tuple[float, float]
    end: tuple[float, float]
    text: str
    tone: Tone = "ink"
    dashes: Dashes = ""
    text_at: float = 0.5


Mark = Line | Band | Bars | Points | Rule | Label | Box | Arrow


@dataclass(frozen=True)
class Panel:
    """`height` without its axis. `framed`: whether axes are drawn; `x_ticks`: whether the ticks of x have texts."""

    x: Axis
    y: Axis
    marks: Sequence[Mark]
    height: float = 190.0
    title: str = ""
    framed: bool = True
    x_ticks: bool = True
    top: float = 0.0
    """Room above it, for what stands over its upper edge."""


@dataclass(frozen=True)
class Chart:
    panels: Sequence[Panel]
    keys: bool = True
    """Whether the names of the series stand above the panels."""
    width: float = field(default=440.0)

    @property
    def names(self) -> list[str]:
        """Of the series, each once, in the order of their marks."""
        every = [getattr(mark, "name", "") for panel in self.panels for mark in panel.marks]
        return [name for name in dict.fromkeys(every) if name]


def message_chart(text: str) -> Chart:
    """A picture that says why there is nothing to see: empty axes would look like a measured zero."""
    lines = textwrap.wrap(text, 62)
    marks = [
        Label(0.5, 0.5, line, "soft", "middle", dy=15.0 * place - 7.5 * (len(lines) - 1), across_x=True, across_y=True)
        for place, line in enumerate(lines)
    ]
    return Chart([Panel(Axis(0, 1), Axis(0, 1), marks, height=40 + 15.0 * len(lines), framed=False)], keys=False)
