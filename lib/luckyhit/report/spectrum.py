"""Latency by percentile of one load: as a figure, and as text for a terminal.

The axis counts nines (p0, p90, p99, p99.9, ...), so that the slowest of a thousand requests get as much room as all
the others. Curves are pairs of levels (shares below 1) and latencies in ms, by name: `all`, and where both are there
`hit` and `miss`.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from luckyhit.errors import ArgumentError, ReportNotWritten
from luckyhit.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]

# Other colours than those of the arms: a hit is no arm.
COLOURS = {"all": style.INK, "hit": "#00785a", "miss": "#8a3f94", "stale": "#a8650a", "bypass": "#5b6573"}
DASHES = {"all": (0, (1, 1.2)), "hit": "-", "miss": (0, (5, 1.6)), "stale": (0, (3, 1, 1, 1)), "bypass": (0, (1, 3))}
LETTERS = {"all": ".", "hit": "o", "miss": "x", "stale": "s", "bypass": "b"}
FORMATS = (".png", ".svg")
_TICKS = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)


def spectrum_figure(curves: Curves, title: str) -> Figure:
    """The percentile plot. `title` has to say where the loop was closed."""
    if not curves:
        with style.styled():
            return style.message_figure(f"{title}: no request completed, so there is no latency to show.")
    with style.styled():
        figure = style.new_figure(height=3.9)
        axes = figure.add_subplot()
        for name, (levels, values) in curves.items():
            axes.plot(
                _nines(levels), np.maximum(values, 1e-4), color=COLOURS.get(name, style.INK),
                linestyle=DASHES.get(name, "-"), label=name, drawstyle="steps-pre",
            )  # fmt: skip
        axes.set_yscale("log")
        style.plain_log_axis(axes.yaxis)
        reach = _reach(curves)
        ticks = [level for level in _TICKS if _nines(level) <= reach + 1e-9]
        axes.set_xticks([float(_nines(level)) for level in ticks], [f"p{level * 100:.6g}" for level in ticks])
        axes.set(xlim=(0, reach), xlabel="percentile (by nines)", ylabel="latency in ms (log scale)")
        axes.set_title(title, color=style.INK)
        style.legend(figure, axes, columns=5)
        return figure


def check_plot(path: Path) -> None:
    """Raises ArgumentError for a file that could not be written, before anything is measured."""
    if path.suffix.lower() not in FORMATS:
        raise ArgumentError(f"{path} is no PNG or SVG", hint="Name the plot for example latency.png.")
    if path.is_dir() or not path.resolve().parent.is_dir():
        raise ArgumentError(f"{path} can't be written", hint="Name a file in a directory that exists.")


def write_plot(path: Path, curves: Curves, title: str) -> None:
    """Raises ReportNotWritten where the file can't be written."""
    figure, buffer = spectrum_figure(curves, title), io.BytesIO()
    with style.styled():
        figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=150)
    try:
        path.write_bytes(buffer.getvalue())
    except OSError as error:
        raise ReportNotWritten(f"{path} can't be written: {error.strerror}", hint="Name another file.") from None


def spectrum_text(curves: Curves, *, width: int = 78, height: int = 14) -> str:
    """The percentile plot in plain characters: `o` hits, `x` misses, `.` all; empty where nothing completed."""
    if not curves:
        return ""
    inside, reach = max(20, width - 12), _reach(curves)
    low, high = _bounds(curves)
    grid = [[" "] * inside for _ in range(height)]
    letters = dict(LETTERS) if len(curves) > 1 else dict.fromkeys(curves, "*")
    for name, (levels, values) in curves.items():
        rows = _rows(np.interp(np.linspace(0, reach, inside), _nines(levels), np.log10(values.clip(1e-4)),
                               right=np.nan), low, high, height)  # fmt: skip
        before = None
        for column, row in enumerate(rows):
            if row is None:
                break
            for at in range(min(row, row if before is None else before + 1), row + 1):
                grid[at][column] = letters.get(name, "*")
            before = row
    lines = []
    for index, cells in enumerate(reversed(grid)):
        value = 10 ** (high - (high - low) * index / (height - 1))
        label = f"{value:>9.3g}" if index % 3 == 0 or index == height - 1 else " " * 9
        lines.append(f"{_plain(label)} |{''.join(cells).rstrip()}")
    lines.append(" " * 10 + "+" + "-" * inside)
    lines.append(" " * 11 + _tick_line(reach, inside))
    legend = "   ".join(f"{letters.get(name, '*')} {name}" for name in curves)
    lines.append(" " * 11 + f"latency in ms by percentile{f':   {legend}' if len(curves) > 1 else ''}")
    return "\n".join(line.rstrip() for line in lines)


def _nines(levels: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return -np.log10(1 - np.asarray(levels, dtype=np.float64))


def _reach(curves: Curves) -> float:
    return max(0.3, *(float(_nines(levels[-1])) for levels, _ in curves.values()))


def _bounds(curves: Curves) -> tuple[float, float]:
    """Lowest and highest latency as powers of ten, a little apart at least."""
    low = min(float(values[0]) for _, values in curves.values())
    high = max(float(values[-1]) for _, values in curves.values())
    low, high = np.log10(max(low, 1e-4)), np.log10(max(high, 1e-4))
    return (low - 0.05, high + 0.05) if high - low < 0.1 else (low, high)


def _rows(logs: NDArray[np.float64], low: float, high: float, height: int) -> list[int | None]:
    places = (logs - low) / (high - low) * (height - 1)
    return [None if np.isnan(place) else int(np.clip(round(float(place)), 0, height - 1)) for place in places]


def _plain(label: str) -> str:
    """1.2e+03 as 1200: nobody reads powers in a terminal."""
    return f"{float(label):>9,.0f}" if "e+" in label else label


def _tick_line(reach: float, inside: int) -> str:
    line = [" "] * (inside + 8)
    free = 0
    for level in _TICKS:
        at = round(float(_nines(level)) / reach * (inside - 1))
        text = f"p{level * 100:.6g}"
        if _nines(level) <= reach + 1e-9 and at >= free:
            line[at : at + len(text)] = text
            free = at + len(text) + 1
    return "".join(line)
