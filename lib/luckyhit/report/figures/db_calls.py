"""Database calls per request: how many of the requests made none, one, two, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from luckyhit.records import Result
from luckyhit.report import style
from luckyhit.report.figures.verdict_words import labelled, with_verdict
from luckyhit.report.recorded import Recorded
from luckyhit.report.style import COLOURS, INK, few_ticks, new_figure, styled
from luckyhit.text.numbers import listed, number, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CALLS = 10


@dataclass(frozen=True)
class Calls:
    """Database calls per request of one arm: `shares[n]` of the requests made n calls (the last: n or more)."""

    shares: np.ndarray
    mean: float
    visible: float
    """Share of the completed requests whose calls are visible."""


def data(recorded: Recorded) -> dict[str, Calls]:
    by_label = {}
    calls, latency = recorded.rows.number("db_calls"), recorded.latency_ms
    for label, mask in recorded.arms.items():
        known_calls = calls[mask]
        known_calls = known_calls[np.isfinite(known_calls)]
        completed = int(np.count_nonzero(np.isfinite(latency[mask])))
        if len(known_calls):
            counts = np.bincount(np.minimum(known_calls, MOST_CALLS).astype(int), minlength=MOST_CALLS + 1)
            by_label[label] = Calls(
                counts / len(known_calls), float(known_calls.mean()), min(len(known_calls) / max(completed, 1), 1.0)
            )
    return by_label


def draw(calls: Mapping[str, Calls]) -> Figure:
    """Bars for no call, one, two, ... in each arm; the mean is beside the arm's name."""
    with styled():
        figure = new_figure(height=2.6)
        axes = figure.add_subplot()
        most = max((int(np.flatnonzero(part.shares)[-1]) for part in calls.values()), default=0)
        width = 0.8 / max(len(calls), 1)
        for index, (label, part) in enumerate(calls.items()):
            at = np.arange(most + 1) + (index - (len(calls) - 1) / 2) * width
            bars = axes.bar(
                at, part.shares[: most + 1], width=width * 0.92, color=COLOURS[label],
                label=f"{label}: {number(part.mean)} on average",
            )  # fmt: skip
            if most <= 5:
                texts = [percent(share) if share > 0 else "" for share in part.shares[: most + 1]]
                axes.bar_label(bars, texts, fontsize=8, color=INK, padding=2)
        labels = [f"{count} or more" if count == MOST_CALLS else str(count) for count in range(most + 1)]
        axes.set_xticks(range(most + 1), labels)
        axes.margins(y=0.14)
        axes.set(xlabel="database calls of one request", ylabel="share of requests")
        style.percent_axis(axes.yaxis)
        axes.yaxis.set_major_locator(few_ticks())
        axes.grid(visible=False, axis="x")
        style.legend(figure, axes, columns=2)
        return figure


def say(calls: Mapping[str, Calls], result: Result | None) -> str:
    if not calls:
        return "Database calls are not visible: no response shows them."
    parts = [
        f"{labelled(label)} {number(part.mean)} ({percent(float(part.shares[0]))} of requests made none)"
        for label, part in calls.items()
    ]
    text = f"Database calls per request, on average: {listed(parts)}."
    partly = [part.visible for part in calls.values() if part.visible < 0.995]
    if partly:
        text += f" Only {percent(min(partly))} of the responses show them."
    return with_verdict(text, "db_calls", result)


def is_empty(calls: Mapping[str, Calls]) -> bool:
    return not calls
