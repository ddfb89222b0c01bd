"""Latency by percentile of one load, as a figure.

The axis counts nines (p0, p90, p99, p99.9, ...), so that the slowest of a thousand requests get as much room as all
others. Curves are pairs of quantiles (below 1) and latencies in ms, by name: `all`, and if both exist `hit` and `miss`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luckyhit.errors import ArgumentError, ReportNotWritten
from luckyhit.report import plot_style as style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

# Not the colours of the arms: a hit is not an arm.
COLOURS = {"all": style.INK, "hit": "#00785a", "miss": "#8a3f94", "stale": "#a8650a", "bypass": "#5b6573"}
DASHES = {"all": (0, (1, 1.2)), "hit": "-", "miss": (0, (5, 1.6)), "stale": (0, (3, 1, 1, 1)), "bypass": (0, (1, 3))}
FORMATS = (".png", ".svg")
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)


def percentile_figure(curves: Curves, title: str) -> Figure:
    """`title` must say if the loop was closed."""
    if not curves:
        with style.styled():
            return style.message_figure(f"{title}: no request completed, so there is no latency to show.")
    with style.styled():
        figure = style.new_figure(height=3.9, width=7.6)
        axes = figure.add_subplot()
        for name, (quantiles, values) in curves.items():
            axes.plot(
                _nines(quantiles), np.maximum(values, 1e-4), color=COLOURS.get(name, style.INK),
                linestyle=DASHES.get(name, "-"), label=name, drawstyle="steps-pre",
            )  # fmt: skip
        axes.set_yscale("log")
        style.plain_log_axis(axes.yaxis)
        end = _last_nines(curves)
        ticks = [quantile for quantile in _TICKS if _nines(quantile) <= end + 1e-9]
        axes.set_xticks([float(_nines(tick)) for tick in ticks], [f"p{tick * 100:.6g}" for tick in ticks])
        axes.set(xlim=(0, end), xlabel="percentile (by nines)", ylabel="latency in ms (log scale)")
        axes.set_title(title, color=style.INK)
        style.legend(figure, axes, columns=5)
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
    with style.styled():
        figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=150)
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise ReportNotWritten(f"{path} can't be written: {error.strerror}", hint="Name another file.") from None


def _nines(quantiles: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return -np.log10(1 - np.asarray(quantiles, dtype=np.float64))


def _last_nines(curves: Curves) -> float:
    return max(0.3, *(float(_nines(quantiles[-1])) for quantiles, _ in curves.values()))
