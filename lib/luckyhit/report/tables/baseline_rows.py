"""The numbers of the baseline, and what was not visible in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from luckyhit.case.values.units import format_duration
from luckyhit.judge.facade import level_of_values, values_of
from luckyhit.records import LATENCIES, METRICS, OF_REQUESTS, GoalName, MetricName
from luckyhit.report.figures.late_reads import facts_of_baseline
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import DASH, percent, sentence_case
from luckyhit.text.quantities import difference_text, value_text

TAIL = 0.999
LATENCIES_SHOWN = [name for name in LATENCIES if METRICS[name].baseline]


@dataclass(frozen=True)
class Level:
    """One number of the baseline, with the noise floor of the metric where the judge found one."""

    name: str
    value: str
    noise: str = DASH


def baseline(recorded: Recorded) -> list[Level]:
    """What the system did before anything was changed; measured phase only."""
    mask = recorded.mask("baseline", "before")
    if not mask.any():
        return []
    levels = plain_numbers(recorded, mask)
    floor = recorded.result.noise_floor if recorded.result else {}

    def noise(name: GoalName) -> str:
        return f"± {difference_text(name, floor[name])}" if name in floor else DASH

    def shown(name: GoalName, value: float | None) -> str:
        return DASH if value is None else value_text(name, value)

    rows = [Level("Requests", f"{levels.requests:,} due, {levels.completed:,} completed")]
    for name, kind in METRICS.items():
        if not kind.baseline:
            continue
        value = shown(name, levels.levels[name]) if kind.column else _baseline_stale(recorded)
        rows.append(Level(sentence_case(kind.baseline), value, noise(name)))
        if name == LATENCIES_SHOWN[-1]:
            rows.append(Level("P99.9 latency", shown(name, levels.tail_ms)))
    return rows


def _baseline_stale(recorded: Recorded) -> str:
    if recorded.within_s is None:
        return DASH
    facts = facts_of_baseline(recorded)
    if facts is None or facts.share is None:
        return DASH
    reads = facts.stale + facts.fresh
    later = f"later than {format_duration(recorded.within_s)} after a write"
    text = f"{facts.stale:,} of {reads:,} reads of the probe, {later}"
    possible = "" if facts.zero_bound is None else f", up to {percent(facts.zero_bound)} possible"
    return f"{percent(facts.share)} ({text}{possible})"


def not_seen(recorded: Recorded) -> list[str]:
    """What was not visible in the baseline, one sentence each."""
    mask = recorded.mask("baseline", "before")
    if not mask.any():
        return ["No baseline was measured, so nothing is known about the system as it is."]
    levels = plain_numbers(recorded, mask)
    texts = [f"Workload: {note}" for note in recorded.manifest.inputs]
    for name, kind in METRICS.items():
        if not kind.told:
            continue
        visible, completed = levels.visible[name], levels.completed
        if kind.value == "hit" and recorded.result is not None and "before" in recorded.result.unseen_status:
            texts.append(f"{sentence_case(kind.told)}: reported, but not reliable.")
        elif completed and not visible:
            texts.append(f"{sentence_case(kind.told)}: in no response.")
        elif completed and visible < 0.995 * completed:
            texts.append(f"{sentence_case(kind.told)}: only in {percent(visible / completed)} of the responses.")
    if recorded.case is not None and recorded.case.freshness is None:
        texts.append("Stale reads: the case has no freshness probe, so old data would go unnoticed.")
    elif recorded.within_s is not None and _baseline_stale(recorded) == DASH:
        texts.append("Stale reads: no read of the probe could be compared with a write.")
    if levels.tail_ms is None:
        texts.append(f"The p99.9 latency: {levels.completed:,} completed requests are too few.")
    for block in recorded.blocks:
        if block.stage == "baseline":
            texts += [f"Freshness probe: {problem}" for problem in block.probe.problems]
    return texts


@dataclass(frozen=True)
class PlainNumbers:
    """Plain numbers of some rows. `levels`: of each metric of requests, None where it is not visible; `visible`: how
    many requests show it. `tail_ms`: the p99.9 latency, None with too few completed requests."""

    requests: int
    completed: int
    levels: Mapping[MetricName, float | None]
    visible: Mapping[MetricName, int]
    tail_ms: float | None


def plain_numbers(recorded: Recorded, mask: np.ndarray) -> PlainNumbers:
    """Of the rows in `mask`. A quantile needs a request beyond it."""
    rows = recorded.rows.take(mask)
    latency = rows.latency_ms[np.isfinite(rows.latency_ms)]
    levels: dict[MetricName, float | None] = {}
    visible: dict[MetricName, int] = {}
    for name in OF_REQUESTS:
        values = values_of(name, rows)
        values = values[np.isfinite(values)]
        visible[name] = len(values)
        enough = len(values) * (1 - (METRICS[name].quantile or 0.0)) >= 1
        levels[name] = level_of_values(name, values) if enough else None
    enough = len(latency) * (1 - TAIL) >= 1
    tail_ms = float(np.quantile(latency, TAIL, method="inverted_cdf")) if enough else None
    return PlainNumbers(len(rows), len(latency), levels, visible, tail_ms)
