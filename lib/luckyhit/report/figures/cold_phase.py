"""The first seconds of the blocks, both arms beside each other: what a deployment with an empty cache feels like.

They are the warm-up, which no metric counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from luckyhit.records import Result
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import ARM_DASHES, Bars, Chart, Line, Mark, Panel, Rule, Tone
from luckyhit.report.figures.facts.course import Span, spans
from luckyhit.report.figures.facts.stage_marks import WARM_UP
from luckyhit.report.figures.facts.time_bins import quantiles_of, rows_in_order
from luckyhit.report.figures.facts.verdict_words import INVALID, labelled, unreliable_status
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import listed, number, percent, plural

MOST_BINS, FEWEST_IN_BIN = 40, 30
BEYOND = 2.0
"""So many times as long as the warm-up is shown: what it leads to belongs to it."""
SETTLED = 0.9
"""Of its level after the warm-up: from there on the hit ratio has arrived."""
SLOWEST = "slowest 1 %"


@dataclass(frozen=True)
class ColdArm:
    """One arm from the start of its blocks on, an entry for each stretch: `share` of hits, NaN where no status is
    visible, and latencies. `cold_*` and `warm_*`: over the warm-ups, and over what counts after them; None where
    nothing is visible. `settled_s`: when the hit ratio reached SETTLED of its later level; None if that is not
    seen."""

    share: np.ndarray
    middle_ms: np.ndarray
    slow_ms: np.ndarray
    cold_share: float | None
    warm_share: float | None
    cold_slow_ms: float | None
    warm_slow_ms: float | None
    settled_s: float | None


@dataclass(frozen=True)
class ColdPhase:
    """`at_s`: the middle of each stretch, since the start of the block. `cleared`: whether keys were cleared before
    each of the `blocks`."""

    at_s: np.ndarray
    warmup_s: float
    blocks: int
    cleared: bool
    arms: Mapping[str, ColdArm]


def data(recorded: Recorded) -> ColdPhase:
    """Of the compared blocks: those of the change, or of the baseline alone."""
    stage = "change" if recorded.changed else "baseline"
    where = [span for span in spans(recorded) if span.stage == stage and span.measure_s > span.start_s]
    if not where:
        return ColdPhase(np.zeros(0), 0.0, 0, False, {})
    warmup_s = float(np.median([span.measure_s - span.start_s for span in where]))
    shown_s = min(warmup_s * (1 + BEYOND), min(span.end_s - span.start_s for span in where))
    cleared = all(span.cleared is not None for span in where)
    arms, edges_s = {}, np.zeros(0)
    for arm in ARMS:
        own = [span for span in where if arm in span.arms]
        places = [rows_in_order(recorded, span.block, arm) for span in own]
        if not edges_s.size:
            early = sum(_until(recorded, rows, span, shown_s) for rows, span in zip(places, own, strict=True))
            if early:
                count = int(np.clip(early / FEWEST_IN_BIN, 4, MOST_BINS))
                edges_s = np.linspace(0.0, shown_s, count + 1)
        if edges_s.size and any(len(rows) for rows in places):
            arms[recorded.label(arm)] = _cold_arm(recorded, own, places, edges_s)
    at_s = (edges_s[1:] + edges_s[:-1]) / 2 if edges_s.size else np.zeros(0)
    return ColdPhase(at_s, warmup_s, len(where), cleared, arms)


def _until(recorded: Recorded, rows: np.ndarray, span: Span, seconds: float) -> int:
    return int(np.searchsorted(recorded.rows.take(rows).due_ns, (span.start_s + seconds) * 1e9))


def _cold_arm(recorded: Recorded, where: Sequence[Span], places: Sequence[np.ndarray], edges_s: np.ndarray) -> ColdArm:
    """The blocks of one arm, laid over each other."""
    stretches: list[list[np.ndarray]] = [[] for _ in edges_s[1:]]
    cold, warm = [], []
    for span, rows in zip(where, places, strict=True):
        due_s = recorded.rows.take(rows).due_ns / 1e9 - span.start_s
        bounds = np.searchsorted(due_s, edges_s)
        for stretch, first, last in zip(stretches, bounds[:-1], bounds[1:], strict=True):
            stretch.append(rows[first:last])
        begin = int(np.searchsorted(due_s, span.measure_s - span.start_s))
        cold.append(rows[:begin])
        warm.append(rows[begin:])
    together = [np.concatenate(stretch) for stretch in stretches]
    bounds = np.concatenate([[0], np.cumsum([len(rows) for rows in together])])
    inside = np.concatenate(together)
    middle_ms, slow_ms = quantiles_of(recorded.rows.take(inside).latency_ms, bounds)
    share = np.array([_mean(recorded.rows.take(rows).hit) for rows in together])
    (cold_share, cold_slow), (warm_share, warm_slow) = (
        _levels(recorded, np.concatenate(part)) for part in (cold, warm)
    )
    settled_s = None
    if warm_share:
        arrived = np.flatnonzero(share >= SETTLED * warm_share)
        settled_s = float(edges_s[arrived[0]]) if len(arrived) else None
    return ColdArm(share, middle_ms, slow_ms, cold_share, warm_share, cold_slow, warm_slow, settled_s)


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else np.nan


def _levels(recorded: Recorded, rows: np.ndarray) -> tuple[float | None, float | None]:
    """(share of hits, p99 of the latency in ms) of some rows."""
    taken = recorded.rows.take(rows)
    share = _mean(taken.hit)
    slow_ms = float(quantiles_of(taken.latency_ms, np.array([0, len(rows)]))[1][0])
    return (share if np.isfinite(share) else None), (slow_ms if np.isfinite(slow_ms) else None)


def draw(numbers: ColdPhase) -> Chart:
    """The hit ratio, and the latency, since the start of a block; the warm-up is shaded."""
    behind: list[Mark] = [
        Bars([0.0], [numbers.warmup_s], name=WARM_UP),
        Rule(x=numbers.warmup_s, name="counted from here", dashes="dot"),
    ]
    half = (numbers.at_s[1] - numbers.at_s[0]) / 2 if len(numbers.at_s) > 1 else 0.0
    x = Axis(0.0, float(numbers.at_s[-1] + half), grid=False, many=8)
    hits: list[Mark] = [
        Line(numbers.at_s, arm.share, cast(Tone, label), label, ARM_DASHES[label])
        for label, arm in numbers.arms.items()
        if np.isfinite(arm.share).any()
    ]
    latency = [value for arm in numbers.arms.values() for value in (*arm.middle_ms, *arm.slow_ms)]
    lines: list[Mark] = []
    for label, arm in numbers.arms.items():
        tone, dashes = cast(Tone, label), ARM_DASHES[label]
        lines.append(Line(numbers.at_s, arm.slow_ms, tone, f"{label}, {SLOWEST}", "dot", 1.2))
        lines.append(Line(numbers.at_s, arm.middle_ms, tone, label, dashes, 1.5))
    y = Axis.around(latency, "ms (log scale)", scale="log")
    label = "seconds since the start of the block"
    below = Panel(
        replace(x, label=label), y, [*behind, *lines], height=110, title="Response time (dotted: the slowest 1 %)"
    )
    if not hits:
        return Chart([below])
    share = Axis(0.0, 1.0, "hit ratio", form="percent").with_ticks(0, 0.25, 0.5, 0.75, 1)
    return Chart([Panel(x, share, [*behind, *hits], height=90, title="Hit ratio", x_ticks=False), below])


def say(numbers: ColdPhase, result: Result | None) -> str:
    if not numbers.arms:
        return "No block has a warm-up, so nothing shows the first seconds."
    begun = "After the declared keys were cleared" if numbers.cleared else "At the start of a block"
    text = f"{begun}, the first {number(numbers.warmup_s)} s ({plural(numbers.blocks, 'block')}, not counted)"
    shares = [
        f"{percent(arm.cold_share)} {labelled(label)} (later {percent(arm.warm_share)})"
        for label, arm in numbers.arms.items()
        if arm.cold_share is not None and arm.warm_share is not None
    ]
    slow = [
        f"{number(arm.cold_slow_ms)} ms {labelled(label)} (later {number(arm.warm_slow_ms)} ms)"
        for label, arm in numbers.arms.items()
        if arm.cold_slow_ms is not None and arm.warm_slow_ms is not None
    ]
    facts = [f"a hit ratio of {listed(shares)}"] if shares else []
    facts += [f"a p99 of {listed(slow)}"] if slow else []
    text += f" had {' and '.join(facts)}." if facts else " had no answer to show."
    settled = [
        f"{number(arm.settled_s)} s {labelled(label)}" for label, arm in numbers.arms.items()
        if arm.settled_s is not None
    ]  # fmt: skip
    if settled:
        text += f" Nine tenths of the later hit ratio were reached within {listed(settled)}."
    if result is not None and result.unseen_status:
        text += f" {unreliable_status(result)}"
    return f"{text} {INVALID}" if result is not None and result.verdict == "INVALID" else text


def is_empty(numbers: ColdPhase) -> bool:
    return not numbers.arms
