"""The few numbers behind each figure: made once from all rows, then drawn and put into words.

Everything here is small (hundreds of numbers) whatever the number of rows, so figures and reports stay small too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from luckyhit.records import Stage
from luckyhit.report.course import WASH_OUT, Span, spans, washouts
from luckyhit.report.recorded import ARMS, STAGES, Recorded

MOST_BINS = 500
"""Time bins of the hit ratio over the whole run."""
FEWEST_IN_BIN = 40
TAIL = 10
"""Quantiles with fewer requests than this beyond them are drawn as uncertain."""


@dataclass(frozen=True)
class HitSeries:
    """Hit ratio over time: one row per block, arm and bin: `block, arm, stage, at_s, share, requests`."""

    bins: pd.DataFrame
    spans: list[Span]
    measured: dict[tuple[Stage, str], float]
    """Hit ratio of the measured phase, by stage and arm, in the change's blocks that of the metric; those without a
    visible status are left out."""
    warmup: dict[str, tuple[float, float]]
    """By arm: the hit ratio in the first bin of all its blocks together, and in the last."""
    shifts_s: tuple[float, ...] = ()
    """When something shifted inside an arm, in seconds since the first block."""
    washouts: list[Span] = field(default_factory=list)


def hit_series(recorded: Recorded) -> HitSeries:
    rows, hit = recorded.rows, recorded.hit
    where, washed = spans(recorded), washouts(recorded)
    shown = sorted([*where, *washed], key=lambda span: span.start_s)
    told = np.isfinite(hit) & np.isfinite(rows.due)
    parts: list[pd.DataFrame] = []
    total_s = sum(max(span.end_s - span.start_s, 0.0) for span in shown)
    arms_per_span = max((len(span.arms) for span in shown), default=1) or 1
    visible = np.flatnonzero(told)
    by_block = visible[np.argsort(rows.block[visible], kind="stable")]
    block_of = rows.block[by_block]
    for span in shown:
        seconds = max(span.end_s - span.start_s, 1e-9)
        inside = by_block[np.searchsorted(block_of, span.block) : np.searchsorted(block_of, span.block, side="right")]
        # As many bins as the requests fill, and as the whole run can show.
        room = max(int(MOST_BINS / arms_per_span * seconds / max(total_s, 1e-9)), 2)
        count = int(np.clip(len(inside) / arms_per_span / FEWEST_IN_BIN, 1, min(room, 60)))
        number = np.clip(((rows.due[inside] / 1e9 - span.start_s) / seconds * count).astype(int), 0, count - 1)
        for code, arm in enumerate(ARMS):
            mine = rows.arm[inside] == code
            requests = np.bincount(number[mine], minlength=count)
            hits = np.bincount(number[mine], weights=hit[inside][mine], minlength=count)
            there = np.flatnonzero(requests)
            if not len(there):
                continue
            at = span.start_s + (there + 0.5) / count * seconds
            parts.append(
                pd.DataFrame(
                    {
                        "block": span.block,
                        "arm": arm,
                        "stage": span.stage,
                        "at_s": at,
                        "share": hits[there] / requests[there],
                        "requests": requests[there],
                    }
                )
            )
    columns = ["block", "arm", "stage", "at_s", "share", "requests"]
    bins = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    measured: dict[tuple[Stage, str], float] = {}
    for stage in STAGES:
        for arm in ARMS:
            values = hit[recorded.mask(stage, arm)]
            values = values[np.isfinite(values)]
            if len(values):
                measured[stage, arm] = float(values.mean())
    metric = recorded.result.metrics.get("hit_ratio") if recorded.result else None
    if metric is not None and recorded.changed:
        # What the blocks of the change show has one number, the metric's.
        values_of = {"before": metric.before, "after": metric.after}
        measured |= {("change", arm): value for arm, value in values_of.items() if value is not None}
    warmup = {}
    for arm, part in bins[bins["stage"] != WASH_OUT].groupby("arm"):
        ends = part.sort_values("at_s").groupby("block")["share"].agg(["first", "last"]).mean()
        warmup[str(arm)] = (float(ends["first"]), float(ends["last"]))
    from luckyhit.report.event_rows import shift_times

    shifts_s = shift_times(recorded.result.events) if recorded.result else ()
    return HitSeries(bins, where, measured, warmup, shifts_s, washed)


@dataclass(frozen=True)
class Spectrum:
    """Latency by percentile of one arm. `levels` are shares, `values` ms; from `certain` on (a share) fewer than TAIL
    requests lie beyond. `failed`: requests that were due but never completed, so they have no latency."""

    levels: np.ndarray
    values: np.ndarray
    certain: float
    requests: int
    failed: int
    named: dict[float, float]
    """p50, p95, p99 and p99.9, as far as there are requests enough."""


NAMED = (0.5, 0.95, 0.99, 0.999)


def latency_spectrum(recorded: Recorded) -> dict[str, Spectrum]:
    """By label of the compared rows. Arms without a completed request are left out."""
    found = {}
    for label, mask in recorded.arms.items():
        latency = recorded.latency_ms[mask]
        failed = int(np.count_nonzero(~np.isfinite(latency)))
        latency = np.sort(latency[np.isfinite(latency)])
        if not len(latency):
            continue
        top = min(0.999, 1 - 1 / (len(latency) + 1))
        odds = np.linspace(_log_odds(max(0.01, 1 / (len(latency) + 1))), _log_odds(top), 160)
        levels = 1 / (1 + 10**-odds)
        named = {level: _quantile(latency, level) for level in NAMED if len(latency) * (1 - level) >= 1}
        values = np.array([_quantile(latency, level) for level in levels])
        certain = 1 - TAIL / len(latency)
        found[label] = Spectrum(levels, np.maximum(values, 1e-4), certain, len(latency), failed, named)
    return found


def _log_odds(share: float) -> float:
    return float(np.log10(share / (1 - share)))


def _quantile(ordered: np.ndarray, level: float) -> float:
    """The smallest value with at least this share at or below it: a latency that happened."""
    return float(ordered[min(max(int(np.ceil(level * len(ordered))) - 1, 0), len(ordered) - 1)])


@dataclass(frozen=True)
class Split:
    """Latency of one arm at one cache status: the share of the arm's requests, their median, and a histogram
    (`density[i]`: share of the arm's requests between `edges[i]` and `edges[i + 1]`)."""

    share: float
    requests: int
    median_ms: float
    density: np.ndarray


@dataclass(frozen=True)
class Splits:
    edges: np.ndarray
    parts: dict[tuple[str, str], Split]
    """By status (`hits`, `misses`, `stale answers`, `status not visible`), then label of the arm."""

    @property
    def statuses(self) -> list[str]:
        return [status for status in STATUSES if any(key[0] == status for key in self.parts)]


STATUSES = ("hits", "misses", "stale answers", "bypassed", "status not visible")


def latency_split(recorded: Recorded) -> Splits:
    from luckyhit.judge.table.samples import CACHE

    names = {"hit": "hits", "miss": "misses", "stale": "stale answers", "bypass": "bypassed"}
    latency, cache = recorded.latency_ms, recorded.rows.cache
    compared = [mask & np.isfinite(latency) for mask in recorded.arms.values()]
    union = np.logical_or.reduce(compared) if compared else np.zeros(len(latency), dtype=bool)
    seen = np.maximum(latency[union], 1e-4)
    if not len(seen):
        return Splits(np.array([0.1, 1.0]), {})
    low, high = float(seen.min()), float(seen.max())
    low, high = low / 1.05, max(high * 1.05, low * 1.5)
    edges = np.geomspace(low, high, int(np.clip(np.sqrt(len(seen)), 12, 56)) + 1)
    parts = {}
    for label, mask in zip(recorded.arms, compared, strict=True):
        for code in (*range(len(CACHE)), -1):
            inside = mask & (cache == code)
            requests = int(np.count_nonzero(inside))
            if not requests:
                continue
            status = names.get(CACHE[code], "status not visible") if code >= 0 else "status not visible"
            values = np.maximum(latency[inside], 1e-4)
            counts = np.histogram(values, bins=edges)[0]
            total = int(np.count_nonzero(mask))
            part = Split(requests / total, requests, float(np.median(values)), counts / total)
            parts[status, label] = part
    return Splits(edges, parts)


@dataclass(frozen=True)
class Calls:
    """Database calls per request of one arm: `shares[n]` of the requests made n calls (the last: so many or more)."""

    shares: np.ndarray
    mean: float
    visible: float
    """Share of the completed requests that told their calls."""


MOST_CALLS = 10


def db_calls(recorded: Recorded) -> dict[str, Calls]:
    found = {}
    calls, latency = recorded.rows.calls, recorded.latency_ms
    for label, mask in recorded.arms.items():
        told = calls[mask]
        told = told[np.isfinite(told)]
        completed = int(np.count_nonzero(np.isfinite(latency[mask])))
        if len(told):
            counts = np.bincount(np.minimum(told, MOST_CALLS).astype(int), minlength=MOST_CALLS + 1)
            found[label] = Calls(counts / len(told), float(told.mean()), min(len(told) / max(completed, 1), 1.0))
    return found


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


def forest(recorded: Recorded) -> list[Row]:
    """The goals of the result, in its order; those without numbers or margin are left out."""
    from luckyhit.judge.wording import difference_text, interval_text, name_of
    from luckyhit.records import kind_of

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


def whole_numbers(recorded: Recorded, mask: np.ndarray) -> dict[str, Any]:
    """The plain numbers of some rows: `requests, completed, errors (share or None), hit_ratio, db_calls, p50 ... p999`.
    None stands for what was not visible."""
    rows = recorded.rows.take(mask)
    latency = np.sort(rows.latency_ms[np.isfinite(rows.latency_ms)])
    means = {}
    for name, values in (("hit_ratio", rows.hit), ("db_calls", rows.calls), ("error_rate", rows.failed)):
        told = values[np.isfinite(values)]
        means[name] = float(told.mean()) if len(told) else None
        means[f"{name}_told"] = len(told)
    enough = {
        f"p{level * 100:g}": _quantile(latency, level) if len(latency) * (1 - level) >= 1 else None for level in NAMED
    }
    return {"requests": len(rows), "completed": len(latency), **means, **enough}
