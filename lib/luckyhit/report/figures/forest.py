"""Every goal against its margin: intervals in margins, better to the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from luckyhit.records import Result, kind_of
from luckyhit.report import style
from luckyhit.report.figures.verdict_words import INVALID
from luckyhit.report.recorded import Recorded
from luckyhit.report.style import INK, SOFT, new_figure, styled
from luckyhit.text.numbers import listed
from luckyhit.text.quantities import difference_text, interval_text, name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Row:
    """One metric of the forest plot, in margins, turned so that more is better. Bounds may be infinite."""

    name: str
    text: str
    effect: str
    middle: float
    low: float
    high: float
    verdict: str


def data(recorded: Recorded) -> list[Row]:
    """The goals of the result, in its order; those without numbers or margin are left out."""

    rows = []
    # What has to get better comes first.
    judged = sorted(
        (recorded.result.metrics if recorded.result else {}).items(), key=lambda item: item[1].want != "better"
    )
    for name, metric in judged:
        if metric.verdict is None or not metric.margin or metric.effect is None:
            continue
        sign = 1.0 if kind_of(name).higher_is_better else -1.0
        scale = sign / metric.margin
        ends = (
            (-np.inf if metric.low is None else metric.low) * scale,
            (np.inf if metric.high is None else metric.high) * scale,
        )
        effect = difference_text(name, metric.effect)
        text = f"{effect} ({interval_text(name, metric.low, metric.high)})"
        rows.append(Row(name_of(name), text, effect, metric.effect * scale, min(ends), max(ends), metric.verdict))
    return rows


def draw(rows: Sequence[Row], *, narrow: bool = False) -> Figure:
    """Each goal's interval in margins, better to the right; the band is the margin: inside, nothing that matters."""
    with styled():
        figure = new_figure(narrow=narrow, height=1.35 + (0.62 if narrow else 0.5) * len(rows))
        axes = figure.add_subplot()
        reach = max([1.0, *(abs(end) for row in rows for end in (row.low, row.high, row.middle) if np.isfinite(end))])
        limit = max(2.0, 1.35 * reach)
        axes.axvspan(-1, 1, color="#e4ebf2", zorder=0.4)
        axes.axvline(0, color=SOFT, linewidth=1)
        for at, row in enumerate(rows):
            colour = style.VERDICT_COLOURS[row.verdict]
            low, high = max(row.low, -limit), min(row.high, limit)
            axes.plot([low, high], [at, at], color=colour, linewidth=3, solid_capstyle="butt", zorder=3)
            for end, marker, bounded in ((low, "<", np.isfinite(row.low)), (high, ">", np.isfinite(row.high))):
                axes.plot(end, at, marker="|" if bounded else marker, markersize=10 if bounded else 6, color=colour,
                          markeredgewidth=2 if bounded else 1, zorder=3)  # fmt: skip
            axes.plot(row.middle, at, marker="o", markersize=6.5, color=colour, markeredgecolor="white", zorder=4)
            if narrow:
                axes.text(0.0, at - 0.36, f"{row.name}: {row.verdict}", transform=axes.get_yaxis_transform(),
                          fontsize=8.5, va="center")  # fmt: skip
            else:
                axes.text(1.02, at, f"{row.text}\n{row.verdict}", transform=axes.get_yaxis_transform(), fontsize=8,
                          va="center", linespacing=1.3)  # fmt: skip
        if limit > 4:
            axes.set_xscale("symlog", linthresh=1, linscale=0.9)
            ticks = [tick for tick in (-1000, -100, -10, -1, 0, 1, 10, 100, 1000) if abs(tick) <= limit]
            axes.set_xticks(ticks)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+,.3g}".replace("-", "−") if value else "0")
        axes.set(xlim=(-limit, limit), ylim=(len(rows) - 0.4, -0.75 if narrow else -0.6))
        names = [""] * len(rows) if narrow else [f"{row.name[:1].upper()}{row.name[1:]}" for row in rows]
        axes.set_yticks(range(len(rows)), [name.replace(" per request", "\nper request") for name in names])
        axes.tick_params(axis="y", labelcolor=INK, labelsize=9)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("← worse      in margins      better →")
        return figure


def say(rows: Sequence[Row], result: Result | None) -> str:
    if result is None:
        return "The run was not judged, so there are no intervals to show."
    if not rows:
        return "No goal could be compared: none had numbers in both arms."
    if result.verdict == "INVALID":
        return f"The intervals of {listed([row.name for row in rows])} in margins. {INVALID}"
    words = {"HELPED": "better", "HURT": "worse", "EQUIVALENT": "inside the margin", "INCONCLUSIVE": "not decided"}
    groups = {
        words_of_verdict: [f"{row.name} ({row.effect})" for row in rows if row.verdict == verdict]
        for verdict, words_of_verdict in words.items()
        if any(row.verdict == verdict for row in rows)
    }
    groups_text = "; ".join(f"{verdict_words}: {listed(names)}" for verdict_words, names in groups.items())
    return f"Against the margins that the case sets, {groups_text}. Overall: {result.verdict}."


def is_empty(rows: Sequence[Row]) -> bool:
    return not rows
