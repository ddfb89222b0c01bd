"""Database calls per request: how many of the requests made none, one, two, ..."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from luckyhit.records import Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import Bars, Chart, Label, Mark, Panel, Tone
from luckyhit.report.figures.facts.verdict_words import labelled, with_verdict
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import listed, number, percent

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
    for label, mask in recorded.arms.items():
        rows = recorded.rows.take(mask)
        known_calls = rows.number("db_calls")
        known_calls = known_calls[np.isfinite(known_calls)]
        completed = int(np.count_nonzero(np.isfinite(rows.latency_ms)))
        if len(known_calls):
            counts = np.bincount(np.minimum(known_calls, MOST_CALLS).astype(int), minlength=MOST_CALLS + 1)
            by_label[label] = Calls(
                counts / len(known_calls), float(known_calls.mean()), min(len(known_calls) / max(completed, 1), 1.0)
            )
    return by_label


def draw(calls: Mapping[str, Calls]) -> Chart:
    """Bars for no call, one, two, ... in each arm; the mean is beside the arm's name."""
    most = max((int(np.flatnonzero(part.shares)[-1]) for part in calls.values()), default=0)
    highest = max((float(part.shares.max()) for part in calls.values()), default=1.0)
    width = 0.8 / max(len(calls), 1)
    marks: list[Mark] = []
    for index, (label, part) in enumerate(calls.items()):
        at = np.arange(most + 1) + (index - (len(calls) - 1) / 2) * width
        shares, half, tone = part.shares[: most + 1], width * 0.46, cast(Tone, label)
        name = f"{label}: {number(part.mean)} on average"
        marks.append(Bars(at - half, at + half, np.zeros(most + 1), shares, tone, name=name, quiet=False))
        if most <= 5:
            shown = [(x, share) for x, share in zip(at, shares, strict=True) if share > 0]
            marks += [Label(x, share, percent(share), anchor="middle", size=10.5, dy=-4) for x, share in shown]
    texts = [(n, f"{n} or more" if n == MOST_CALLS else str(n)) for n in range(most + 1)]
    x = Axis(-0.6, most + 0.6, "database calls of one request", ticks=texts, grid=False)
    y = Axis(0.0, highest * 1.14, "share of requests", form="percent", many=3)
    return Chart([Panel(x, y, marks, height=150)])


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
