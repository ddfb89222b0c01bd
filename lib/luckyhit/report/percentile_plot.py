"""Latency by percentile of one load, as a figure.

The axis counts nines (p0, p90, p99, p99.9, ...), so that the slowest of a thousand requests get as much room as all
others. Curves are pairs of quantiles (below 1) and latencies in ms, by name: `all`, and if both exist `hit` and `miss`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from luckyhit.errors import ArgumentError, ReportNotWritten

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _SOFT = "#1c2430", "#5b6573"


_RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": _INK,
    "axes.edgecolor": "#9aa3af",
    "axes.labelcolor": _SOFT,
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
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
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

Curves = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

# Not the colours of the arms: a hit is not an arm.
COLOURS = {"all": _INK, "hit": "#00785a", "miss": "#8a3f94", "stale": "#a8650a", "bypass": "#5b6573"}
DASHES = {"all": (0, (1, 1.2)), "hit": "-", "miss": (0, (5, 1.6)), "stale": (0, (3, 1, 1, 1)), "bypass": (0, (1, 3))}
FORMATS = (".png", ".svg")
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)


def percentile_figure(curves: Curves, title: str) -> Figure:
    """`title` must say if the loop was closed."""
    if not curves:
        with _styled():
            return _message_figure(f"{title}: no request completed, so there is no latency to show.")
    with _styled():
        figure = _new_figure(height=3.9, width=7.6)
        axes = figure.add_subplot()
        for name, (quantiles, values) in curves.items():
            axes.plot(
                _nines(quantiles), np.maximum(values, 1e-4), color=COLOURS.get(name, _INK),
                linestyle=DASHES.get(name, "-"), label=name, drawstyle="steps-pre",
            )  # fmt: skip
        axes.set_yscale("log")
        _plain_log_axis(axes.yaxis)
        end = _last_nines(curves)
        ticks = [quantile for quantile in _TICKS if _nines(quantile) <= end + 1e-9]
        axes.set_xticks([float(_nines(tick)) for tick in ticks], [f"p{tick * 100:.6g}" for tick in ticks])
        axes.set(xlim=(0, end), xlabel="percentile (by nines)", ylabel="latency in ms (log scale)")
        axes.set_title(title, color=_INK)
        _legend(figure, axes, columns=5)
        return figure


def check_plot(path: Path) -> None:
    """Raises ArgumentError for a file that can't be written; to be called before anything is measured."""
    if path.suffix.lower() not in FORMATS:
        raise ArgumentError(f"{path} is not a PNG or SVG file", hint="Name the plot latency.png, for example.")
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise ArgumentError(f"{path} can't be written", hint="Name a file in a directory that exists.")


def write_plot(path: Path, curves: Curves, title: str) -> None:
    """Raises ReportNotWritten where the file can't be written."""
    figure, buffer = percentile_figure(curves, title), io.BytesIO()
    with _styled():
        figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=150)
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise ReportNotWritten(f"{path} can't be written: {error.strerror}", hint="Name another file.") from None


def _nines(quantiles: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return -np.log10(1 - np.asarray(quantiles, dtype=np.float64))


def _last_nines(curves: Curves) -> float:
    return max(0.3, *(float(_nines(quantiles[-1])) for quantiles, _ in curves.values()))


@contextmanager
def _styled() -> Iterator[None]:
    """Everything drawn or saved inside is in the style; nothing outside is touched."""
    import matplotlib

    with matplotlib.rc_context(_RC):
        yield


def _new_figure(*, height: float, width: float) -> Figure:
    """An empty figure without pyplot: no window, no global state, safe in threads and in a notebook's kernel."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _message_figure(text: str) -> Figure:
    """A figure that says why there is nothing to see: an empty plot would look like a measured zero."""
    import textwrap

    figure = _new_figure(height=1.4, width=4.4)
    figure.text(0.5, 0.5, textwrap.fill(text, 52), ha="center", va="center", color=_SOFT, parse_math=False)
    return figure


def _legend(figure: Figure, axes: Axes, *, columns: int = 4) -> None:
    """The legend above the plot, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside upper left", ncols=columns, handlelength=2.4, columnspacing=1.4)


def _plain_log_axis(axis: Any) -> None:
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
