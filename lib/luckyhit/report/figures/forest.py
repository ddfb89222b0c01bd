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
from luckyhit.report.style import SOFT, new_figure, styled
from luckyhit.text.numbers import listed, sentence_case
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
    """The goals of the result, what must get better first; those without numbers or margin are left out."""
    rows = []
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


def draw(rows: Sequence[Row]) -> Figure:
    """Each goal's interval in margins, better to the right; inside the band a difference does not matter."""
    with styled():
        figure = new_figure(height=1.0 + 0.55 * len(rows))
        axes = figure.add_subplot()
        farthest = max(
            [1.0, *(abs(end) for row in rows for end in (row.low, row.high, row.middle) if np.isfinite(end))]
        )
        limit = max(2.0, 1.35 * farthest)
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
            across = axes.get_yaxis_transform()
            axes.text(0.0, at - 0.36, f"{sentence_case(row.name)}: {row.verdict}", transform=across, fontsize=8.5,
                      va="center")  # fmt: skip
            axes.text(1.0, at - 0.36, row.text, transform=across, fontsize=8, va="center", ha="right", color=SOFT)
        if limit > 4:
            axes.set_xscale("symlog", linthresh=1, linscale=0.9)
            ticks = [tick for tick in (-1000, -100, -10, -1, 0, 1, 10, 100, 1000) if abs(tick) <= limit]
            axes.set_xticks(ticks)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+,.3g}".replace("-", "−") if value else "0")
        axes.set(xlim=(-limit, limit), ylim=(len(rows) - 0.6, -0.75))
        axes.set_yticks([])
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
