"""Latency of hits and of misses apart: the areas are shares of all the arm's requests, so the mix shows too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from luckyhit.judge.facade import CACHE
from luckyhit.records import Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import ARM_DASHES, Bars, Chart, Line, Mark, Panel, Tone
from luckyhit.report.figures.facts.verdict_words import INVALID, labelled, unreliable_status
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import number, percent, sentence

STATUSES = {"hit": "hits", "miss": "misses", "stale": "stale responses", "bypass": "bypassed"}
NOT_VISIBLE = "status not visible"


@dataclass(frozen=True)
class Split:
    """Latency of one arm at one cache status: the share of the arm's requests, their median, and a histogram
    (`density[i]`: share of the arm's requests between `edges[i]` and `edges[i + 1]`)."""

    share: float
    median_ms: float
    density: np.ndarray


@dataclass(frozen=True)
class Splits:
    edges: np.ndarray
    parts: dict[tuple[str, str], Split]
    """By status, then label of the arm."""

    @property
    def statuses(self) -> list[str]:
        return [status for status in (*STATUSES.values(), NOT_VISIBLE) if any(key[0] == status for key in self.parts)]


def data(recorded: Recorded) -> Splits:
    arms = {}
    for label, mask in recorded.arms.items():
        rows = recorded.rows.take(mask)
        latency_ms = rows.latency_ms
        completed = np.isfinite(latency_ms)
        if completed.any():
            arms[label] = np.maximum(latency_ms[completed], 1e-4), rows.cache[completed]
    if not arms:
        return Splits(np.array([0.1, 1.0]), {})
    low = min(float(latency_ms.min()) for latency_ms, _ in arms.values())
    high = max(float(latency_ms.max()) for latency_ms, _ in arms.values())
    low, high = low / 1.05, max(high * 1.05, low * 1.5)
    count = sum(len(latency_ms) for latency_ms, _ in arms.values())
    edges = np.geomspace(low, high, int(np.clip(np.sqrt(count), 12, 56)) + 1)
    parts = {}
    for label, (latency_ms, cache) in arms.items():
        for code in (*range(len(CACHE)), -1):
            values = latency_ms[cache == code]
            if not len(values):
                continue
            status = STATUSES.get(CACHE[code], NOT_VISIBLE) if code >= 0 else NOT_VISIBLE
            counts = np.histogram(values, bins=edges)[0]
            share, middle_ms = len(values) / len(latency_ms), float(np.median(values))
            parts[status, label] = Split(share, middle_ms, counts / len(latency_ms))
    return Splits(edges, parts)


def draw(splits: Splits) -> Chart:
    """Latency of hits and of misses apart; the areas are shares of all the arm's requests, so the mix shows too."""
    left, right = splits.edges[:-1], splits.edges[1:]
    panels = []
    for status in splits.statuses:
        marks: list[Mark] = []
        labels, highest = [], 0.0
        for label in ("baseline", *ARMS):
            part = splits.parts.get((status, label))
            if part is None:
                continue
            tone: Tone = label
            zero = np.zeros(len(left))
            marks.append(Bars(left, right, zero, part.density, tone, "pale", label, quiet=False))
            outline = np.append(part.density, part.density[-1])
            marks.append(Line(splits.edges, outline, tone, label, ARM_DASHES[label], 1.5, steps=True, quiet=True))
            middle = [part.median_ms] * 2
            highest = max(highest, float(part.density.max()))
            marks.append(Line(middle, [0.0, 0.12 * part.density.max()], tone, label, width=2.5, quiet=True))
            labels.append(f"{label} {percent(part.share)}")
        last = status == splits.statuses[-1]
        x = Axis(splits.edges[0], splits.edges[-1], "latency in ms (log scale)" if last else "", "log", grid=False)
        y = Axis(0.0, 1.08 * highest or 1.0, "share", form="percent", many=3)
        panels.append(Panel(x, y, marks, height=92, title=f"{status}: {' · '.join(labels)}", x_ticks=last))
    return Chart(panels)


def say(splits: Splits, result: Result | None) -> str:
    if not splits.parts:
        return "No request was completed, so there is nothing to split into hits and misses."
    if splits.statuses == [NOT_VISIBLE]:
        doubt = result is not None and result.unseen_status
        why = unreliable_status(result) if result is not None and doubt else "No response shows its cache status."
        return f"Latency can't be split into hits and misses. {why}"
    parts = []
    for status in splits.statuses:
        arms = [
            f"{labelled(label)} {percent(part.share)} of requests at a median of {number(part.median_ms)} ms"
            for (name, label), part in splits.parts.items()
            if name == status
        ]
        parts.append(f"{status}: {', '.join(arms)}")
    text = sentence("; ".join(parts))
    if result is not None and result.unseen_status:
        text = f"{text} {unreliable_status(result)}"
    return f"{text} {INVALID}" if result is not None and result.verdict == "INVALID" else text


def is_empty(splits: Splits) -> bool:
    return splits.statuses in ([], [NOT_VISIBLE])
