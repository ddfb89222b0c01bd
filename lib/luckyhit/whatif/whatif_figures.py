"""The figures of the answer, in the style of the reports: one row each in FIGURES."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isnan
from typing import TYPE_CHECKING, Any

import numpy as np

from luckyhit.errors import ArgumentError
from luckyhit.report import plot_style as style
from luckyhit.text.numbers import listed, percent
from luckyhit.whatif.answer_words import knee_texts, nearest_row, today_column
from luckyhit.whatif.answering import WhatIf
from luckyhit.whatif.settings_now import size_text, ttl_text
from luckyhit.whatif.surfaces import HIGH, LOW, VALUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("#0068a8", "#c4500a", "#1a7f37", "#6b3fa0", "#8a5a00")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.5, 1.5)), (0, (5, 1.5, 1.5, 1.5)), (0, (8, 2)))


@dataclass(frozen=True)
class WhatIfFigure:
    """`draw` makes the figure, `say` what a reader should see in it; None: nothing to draw."""

    id: str
    title: str
    draw: Callable[[WhatIf], Figure | None]
    say: Callable[[WhatIf], str]


def _shown_ttls(answer: WhatIf) -> list[int]:
    """The columns of at most four times to live, today's among them."""
    count = len(answer.grid.ttls_s)
    chosen = {int(place) for place in np.linspace(0, count - 1, min(4, count)).round()}
    if answer.now is not None:
        today = answer.grid.ttls_s.index(answer.now.ttl_s)
        chosen = {today, *sorted(chosen - {today}, key=lambda place: -abs(place - today))[:3]}
    return sorted(chosen)


def _size_axis(axes: Axes, answer: WhatIf) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
    axes.xaxis.set_minor_locator(NullLocator())
    unit = (lambda size, _: size_text(size, by_bytes=True)) if answer.by_bytes else (lambda size, _: f"{size:,.0f}")
    axes.xaxis.set_major_formatter(FuncFormatter(unit))
    axes.set_xlabel("size of the cache" if answer.by_bytes else "size of the cache, in entries")


def _ttl_axis(axis: Any, ttls_s: list[float]) -> None:
    """Evenly spaced, one tick for each time to live."""
    axis.set_ticks(range(len(ttls_s)), [ttl_text(ttl_s) for ttl_s in ttls_s])


def _today(axes: Axes, answer: WhatIf, x: float, share: tuple[float, float, float] | None, label: str) -> None:
    """The measured point with its interval."""
    if share is None:
        return
    low, value, high = share
    bars = None if isnan(low) else [[value - low], [high - value]]
    axes.errorbar(
        [x], [value], yerr=bars, fmt="D", color=style.INK, markersize=5, capsize=4, linewidth=1.4, label=label, zorder=5
    )  # fmt: skip


def _by_size(answer: WhatIf) -> Figure | None:
    if len(answer.grid.sizes) < 2:
        return None
    with style.styled():
        figure = style.new_figure()
        axes = figure.add_subplot()
        sizes = np.array(answer.grid.sizes, float)
        band = answer.surface.hit_ratio
        for number, column in enumerate(_shown_ttls(answer)):
            ttl_s = answer.grid.ttls_s[column]
            today = answer.now is not None and answer.now.ttl_s == ttl_s
            colour = _LINES[number % len(_LINES)]
            axes.plot(
                sizes, band[VALUE, :, column], color=colour, linestyle=_DASHES[number % len(_DASHES)],
                linewidth=2.4 if today else 1.6, label=ttl_text(ttl_s) + (" (today)" if today else ""),
            )  # fmt: skip
            if not np.isnan(band[LOW]).all():
                axes.fill_between(
                    sizes, band[LOW, :, column], band[HIGH, :, column], color=colour, alpha=0.12, linewidth=0
                )
        if answer.now is not None:
            _today(axes, answer, float(min(answer.now.size, sizes[-1])), answer.fact.hit_ratio, "measured")
        _size_axis(axes, answer)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("hit ratio")
        style.percent_axis(axes.yaxis)
        style.legend(figure, axes, columns=3)
    return figure


def _say_by_size(answer: WhatIf) -> str:
    lives = listed([ttl_text(answer.grid.ttls_s[column]) for column in _shown_ttls(answer)])
    return f"A line for each time to live: {lives}. {knee_texts(answer)[0]}"


def _by_ttl(answer: WhatIf) -> Figure | None:
    if len(answer.grid.ttls_s) < 2:
        return None
    with style.styled():
        figure = style.new_figure()
        axes = figure.add_subplot()
        row, places = nearest_row(answer), np.arange(len(answer.grid.ttls_s))
        lines = (("hit ratio", answer.surface.hit_ratio), ("stale reads", answer.surface.stale))
        for number, (label, band) in enumerate(lines):
            axes.plot(
                places, band[VALUE, row], color=_LINES[number], linestyle=_DASHES[number], marker="o", markersize=3.5,
                label=label,
            )  # fmt: skip
            if not np.isnan(band[LOW]).all():
                axes.fill_between(
                    places, band[LOW, row], band[HIGH, row], color=_LINES[number], alpha=0.14, linewidth=0
                )
        if answer.now is not None:
            x = answer.grid.ttls_s.index(answer.now.ttl_s)
            _today(axes, answer, x, answer.fact.hit_ratio, "measured")
            _today(axes, answer, x, answer.fact.stale, "")
        _ttl_axis(axes.xaxis, list(answer.grid.ttls_s))
        axes.set_xlabel("time to live")
        axes.set_ylim(0, 1.02)
        style.percent_axis(axes.yaxis)
        style.legend(figure, axes, columns=3)
    return figure


def _say_by_ttl(answer: WhatIf) -> str:
    size = size_text(answer.grid.sizes[nearest_row(answer)], by_bytes=answer.by_bytes)
    return f"At a size of {size}. {knee_texts(answer)[1]}"


def _map(answer: WhatIf) -> Figure | None:
    sizes, ttls = answer.grid.sizes, answer.grid.ttls_s
    if len(sizes) < 2 or len(ttls) < 2:
        return None
    with style.styled():
        figure = style.new_figure(height=3.6)
        axes = figure.add_subplot()
        values = answer.surface.hit_ratio[VALUE].T
        image = axes.pcolormesh(
            np.arange(len(sizes)), np.arange(len(ttls)), values, cmap="cividis", vmin=0, vmax=1, shading="nearest"
        )
        image.set_rasterized(True)
        lines = axes.contour(
            np.arange(len(sizes)), np.arange(len(ttls)), values, levels=[0.25, 0.5, 0.75, 0.9], colors="white",
            linewidths=1.0,
        ) if values.max() > 0.25 and values.min() < 0.9 else None  # fmt: skip
        if lines is not None:
            axes.clabel(lines, fmt=lambda level: percent(level), fontsize=8)
        if answer.now is not None:
            column = answer.grid.ttls_s.index(answer.now.ttl_s)
            axes.plot(
                [nearest_row(answer)],
                [column],
                "D",
                color="white",
                markeredgecolor="black",
                markersize=7,
                label="today",
            )
            style.legend(figure, axes)
        _ttl_axis(axes.yaxis, list(ttls))
        chosen = np.linspace(0, len(sizes) - 1, min(5, len(sizes))).round().astype(int)
        axes.set_xticks(
            chosen, [size_text(sizes[place], by_bytes=answer.by_bytes).removesuffix(" entries") for place in chosen]
        )
        axes.set_xlabel("size of the cache" if answer.by_bytes else "size of the cache, in entries")
        axes.set_ylabel("time to live")
        axes.grid(visible=False)
        bar = figure.colorbar(image, ax=axes, shrink=0.9)
        style.percent_axis(bar.ax.yaxis)
        bar.set_label("hit ratio")
    return figure


def _say_map(answer: WhatIf) -> str:
    values = answer.surface.hit_ratio[VALUE]
    return (
        f"The hit ratio at each of {values.size} points, from {percent(float(values.min()))} to "
        f"{percent(float(values.max()))}. Along a contour, room and life can be traded for each other."
    )


def _pareto(answer: WhatIf) -> Figure | None:
    if len(answer.pareto) < 2:
        return None
    told = bool(np.isfinite(answer.surface.calls[VALUE]).all())
    with style.styled():
        figure = style.new_figure()
        axes = figure.add_subplot()
        surface = answer.surface
        cost = surface.calls[VALUE] if told else 1 - surface.hit_ratio[VALUE]
        axes.plot(surface.stale[VALUE].ravel(), cost.ravel(), ".", color=style.FAINT, markersize=5, label="all points")
        axes.plot(
            [point.stale for point in answer.pareto], [point.cost for point in answer.pareto], "o-", color=_LINES[0],
            markersize=4.5, label="none is better in both",
        )  # fmt: skip
        labelled = {0, len(answer.pareto) // 2, len(answer.pareto) - 1}
        for number in labelled:
            point = answer.pareto[number]
            axes.annotate(
                ttl_text(point.ttl_s),
                (point.stale, point.cost),
                textcoords="offset points",
                xytext=(5, 5),
                fontsize=8.5,
            )
        if answer.now is not None:
            column = answer.grid.ttls_s.index(answer.now.ttl_s)
            row = nearest_row(answer)
            axes.plot(
                [surface.stale[VALUE, row, column]],
                [cost[row, column]],
                "D",
                color=style.INK,
                markersize=6,
                label="today",
            )
        axes.set_xlabel("stale reads")
        axes.set_ylabel("database calls a read" if told else "misses a read")
        axes.set_ylim(bottom=0)
        style.percent_axis(axes.xaxis)
        style.legend(figure, axes, columns=3)
    return figure


def _say_pareto(answer: WhatIf) -> str:
    if len(answer.pareto) < 2:
        point = answer.pareto[0]
        return (
            "No trade is needed: under this rule one point has the fewest stale reads "
            f"({percent(point.stale)}) and the least cost, a time to live of {ttl_text(point.ttl_s)}."
        )
    first, last = answer.pareto[0], answer.pareto[-1]
    return (
        f"From {percent(first.stale)} stale reads at a time to live of {ttl_text(first.ttl_s)} to "
        f"{percent(last.stale)} at {ttl_text(last.ttl_s)}: less of one is more of the other."
    )


def _policies(answer: WhatIf) -> Figure | None:
    if not answer.others or len(answer.grid.sizes) < 2:
        return None
    with style.styled():
        figure = style.new_figure()
        axes = figure.add_subplot()
        column = today_column(answer)
        surfaces = {"lru": answer.surface, **answer.others}
        for number, (policy, surface) in enumerate(surfaces.items()):
            axes.plot(
                answer.grid.sizes, surface.hit_ratio[VALUE, :, column], color=_LINES[number % len(_LINES)],
                linestyle=_DASHES[number % len(_DASHES)], label=policy,
            )  # fmt: skip
        _size_axis(axes, answer)
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("hit ratio")
        style.percent_axis(axes.yaxis)
        style.legend(figure, axes, columns=3)
    return figure


def _say_policies(answer: WhatIf) -> str:
    if not answer.others:
        return "Only LRU was asked for."
    column = today_column(answer)
    ttl = ttl_text(answer.grid.ttls_s[column]) if answer.grid.ttls_s[column] < inf else "none"
    middle = len(answer.grid.sizes) // 2
    surfaces = {"lru": answer.surface, **answer.others}
    shares = [f"{policy} {percent(float(one.hit_ratio[VALUE, middle, column]))}" for policy, one in surfaces.items()]
    size = size_text(answer.grid.sizes[middle], by_bytes=answer.by_bytes)
    return f"Ways to make room, at a time to live of {ttl}. At {size}: {listed(shares)}."


FIGURES: dict[str, WhatIfFigure] = {
    row.id: row
    for row in (
        WhatIfFigure("by-size", "Hit ratio by size", _by_size, _say_by_size),
        WhatIfFigure("by-ttl", "Hits and stale reads by time to live", _by_ttl, _say_by_ttl),
        WhatIfFigure("map", "Hit ratio by time to live and size", _map, _say_map),
        WhatIfFigure("pareto", "Staleness against database calls", _pareto, _say_pareto),
        WhatIfFigure("policies", "Ways to make room", _policies, _say_policies),
    )
}
"""By id, in the order of the page."""


def figure_of(name: str, answer: WhatIf) -> tuple[Figure, str]:
    """(figure, sentence) by name; where there is nothing to draw, the figure says so. Raises ArgumentError."""
    if name not in FIGURES:
        raise ArgumentError(f"unknown figure {name!r}", hint=f"Figures: {', '.join(FIGURES)}.")
    row = FIGURES[name]
    sentence = row.say(answer)
    figure = row.draw(answer)
    return (style.message_figure(sentence) if figure is None else style.laid_out(figure)), sentence
