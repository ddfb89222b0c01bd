"""The style of figures that matplotlib draws: those of `luckyhit whatif` and `luckyhit load --plot`.

Drawn on white, so they read on dark pages as well; all letters are dark enough for print.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, SOFT, FAINT = "#1c2430", "#5b6573", "#d9dee5"
SIZE = (4.4, 3.1)
"""Inches, for every screen: shrunk to a phone of 390 px the labels are 9 to 10 px high; a desk shows it enlarged."""

_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#9aa3af",
    "axes.labelcolor": SOFT,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "grid.color": "#e6e9ee",
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "luckyhit",
    "path.simplify": True,
}


@contextmanager
def styled() -> Iterator[None]:
    """Everything drawn or saved inside is in the style; nothing outside is touched."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield


def new_figure(*, height: float = SIZE[1], width: float = SIZE[0]) -> Figure:
    """An empty figure without pyplot: no window, no global state, safe in threads and in a notebook's kernel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def message_figure(text: str) -> Figure:
    """A figure that says why there is nothing to see: an empty plot would look like a measured zero."""
    import textwrap

    figure = new_figure(height=1.4)
    figure.text(0.5, 0.5, textwrap.fill(text, 52), ha="center", va="center", color=SOFT, parse_math=False)
    return figure


def legend(figure: Figure, axes: Axes, *, columns: int = 4) -> None:
    """The legend above the plot, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=columns, handlelength=2.4, columnspacing=1.4)


def percent_axis(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{share * 100:g} %"))


def plain_log_axis(axis: Any) -> None:
    """Ticks as 0.5, 1, 10, 1,000: no powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_view_interval()
    decades = abs(_log10(high) - _log10(low))
    subs = (1.0,) if decades > 2.6 else (1.0, 2.0, 5.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    # Ticks without a label say little, and take a third of the time of a figure.
    axis.set_minor_locator(NullLocator())


def _log10(value: float) -> float:
    import math

    return math.log10(max(value, 1e-12))


def laid_out(figure: Figure) -> Figure:
    """The figure with its layout fixed: laying it out takes longer than drawing it, so no later form does it again."""
    engine = figure.get_layout_engine()
    if engine is not None:
        with styled():
            engine.execute(figure)
        figure.set_layout_engine("none")
    return figure


def to_svg(figure: Figure) -> bytes:
    """The figure as SVG with text as paths (no font is needed), without a date: the same data give the same bytes."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.BytesIO()
    with styled():
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None, "Creator": None})
    svg = re.sub(rb"<metadata>.*?</metadata>", b"", buffer.getvalue(), flags=re.DOTALL)
    svg = re.sub(rb"<!DOCTYPE[^>]*>|<\?xml[^>]*\?>|<!--.*?-->", b"", svg, flags=re.DOTALL)
    # Two decimals of a point are finer than any screen or printer (but not for the scale of a letter).
    svg = re.sub(rb'\bd="[^"]*"', lambda path: re.sub(rb"(\d\.\d\d)\d+", rb"\1", path[0]), svg)
    return re.sub(rb"\n\s*", b"\n", svg)


def to_data_uri(figure: Figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(to_svg(figure)).decode("ascii")
