"""Latency of hits and of misses apart: the areas are shares of all the arm's requests, so the mix shows too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from luckyhit.judge.facade import CACHE
from luckyhit.records import Result
from luckyhit.report import style
from luckyhit.report.figures.verdict_words import INVALID, labelled, unreliable_status
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.report.style import COLOURS, DASHES, PALE, SOFT, few_ticks, new_figure, styled
from luckyhit.text.numbers import number, percent, sentence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    latency, cache = recorded.latency_ms, recorded.rows.cache
    compared = [mask & np.isfinite(latency) for mask in recorded.arms.values()]
    union = np.logical_or.reduce(compared) if compared else np.zeros(len(latency), dtype=bool)
    latency_ms = np.maximum(latency[union], 1e-4)
    if not len(latency_ms):
        return Splits(np.array([0.1, 1.0]), {})
    low, high = float(latency_ms.min()), float(latency_ms.max())
    low, high = low / 1.05, max(high * 1.05, low * 1.5)
    edges = np.geomspace(low, high, int(np.clip(np.sqrt(len(latency_ms)), 12, 56)) + 1)
    parts = {}
    for label, mask in zip(recorded.arms, compared, strict=True):
        for code in (*range(len(CACHE)), -1):
            inside = mask & (cache == code)
            requests = int(np.count_nonzero(inside))
            if not requests:
                continue
            status = STATUSES.get(CACHE[code], NOT_VISIBLE) if code >= 0 else NOT_VISIBLE
            values = np.maximum(latency[inside], 1e-4)
            counts = np.histogram(values, bins=edges)[0]
            total = int(np.count_nonzero(mask))
            parts[status, label] = Split(requests / total, float(np.median(values)), counts / total)
    return Splits(edges, parts)


def draw(splits: Splits) -> Figure:
    """Latency of hits and of misses apart; the areas are shares of all the arm's requests, so the mix shows too."""
    statuses = splits.statuses
    with styled():
        figure = new_figure(height=1.0 + 1.2 * max(len(statuses), 1))
        panels = figure.subplots(len(statuses), 1, sharex=True, squeeze=False)[:, 0]
        for axes, status in zip(panels, statuses, strict=True):
            labels = []
            for label in ("baseline", *ARMS):
                part = splits.parts.get((status, label))
                if part is None:
                    continue
                axes.stairs(part.density, splits.edges, fill=True, color=PALE[label], alpha=0.55)
                axes.stairs(part.density, splits.edges, color=COLOURS[label], linestyle=DASHES[label], linewidth=1.5,
                            label=label)  # fmt: skip
                axes.axvline(part.median_ms, ymax=0.12, color=COLOURS[label], linewidth=2.5)
                labels.append(f"{label} {percent(part.share)}")
            axes.set_title(f"{status}: {' · '.join(labels)}", fontsize=8.5)
            axes.set_ylim(bottom=0)
            style.percent_axis(axes.yaxis)
            axes.yaxis.set_major_locator(few_ticks())
        last = panels[-1]
        last.set_xscale("log")
        style.plain_log_axis(last.xaxis)
        last.set_xlabel("latency in ms (log scale)")
        figure.supylabel("share of the arm's requests", fontsize=9, color=SOFT)
        style.legend(figure, panels[0])
        return figure


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
