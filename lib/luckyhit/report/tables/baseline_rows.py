"""The numbers of the baseline, and what could not be seen in it. A dash stands for what was not visible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from luckyhit.case.units import format_duration
from luckyhit.judge.facade import stale_share
from luckyhit.records import GoalName
from luckyhit.report.figures.late_reads import bounds_of
from luckyhit.report.figures.latency_spectrum import NAMED, quantile
from luckyhit.report.recorded import Recorded
from luckyhit.text.numbers import DASH, percent, sentence_case
from luckyhit.text.quantities import difference_text, value_text


@dataclass(frozen=True)
class Level:
    """One number of the baseline, with the noise floor of the metric where the judge found one."""

    name: str
    value: str
    noise: str = DASH


def baseline(found: Recorded) -> list[Level]:
    """What the system did before anything was changed; measured phase only."""
    mask = found.mask("baseline", "before")
    if not mask.any():
        return []
    levels = whole_numbers(found, mask)
    floor = found.result.noise_floor if found.result else {}

    def noise(name: GoalName) -> str:
        return f"± {difference_text(name, floor[name])}" if name in floor else DASH

    def shown(name: GoalName, value: float | None) -> str:
        return DASH if value is None else value_text(name, value)

    rows = [
        Level("Requests", f"{levels['requests']:,} due, {levels['completed']:,} completed"),
        Level("Hit ratio of the baseline", shown("hit_ratio", levels["hit_ratio"]), noise("hit_ratio")),
        Level("Median latency", shown("latency_p50_ms", levels["p50"]), noise("latency_p50_ms")),
        Level("P95 latency", shown("latency_p95_ms", levels["p95"]), noise("latency_p95_ms")),
        Level("P99 latency", shown("latency_p99_ms", levels["p99"]), noise("latency_p99_ms")),
        Level("P99.9 latency", shown("latency_p99_ms", levels["p99.9"])),
        Level("Error rate", shown("error_rate", levels["error_rate"]), noise("error_rate")),
        Level("Database calls per request", shown("db_calls", levels["db_calls"]), noise("db_calls")),
    ]
    return [*rows, Level("Stale reads", _baseline_stale(found), noise("stale_reads"))]


def _baseline_stale(found: Recorded) -> str:
    if found.within_s is None:
        return DASH
    share = stale_share(*found.probe_of("baseline"), found.within_s)
    if share.share is None:
        return DASH
    text = f"{share.stale:,} of {share.reads:,} reads later than {format_duration(found.within_s)} after a write"
    possible = "" if share.stale else f", up to {percent(bounds_of(found)(0, share.reads)[1])} possible"
    return f"{percent(share.share)} ({text}{possible})"


def not_seen(found: Recorded) -> list[str]:
    """What could not be seen in the baseline, one sentence each."""
    mask = found.mask("baseline", "before")
    if not mask.any():
        return ["No baseline was measured, so nothing can be told about the system as it is."]
    levels = whole_numbers(found, mask)
    texts = [f"Workload: {note}" for note in found.manifest.get("inputs") or []]
    for name, what in (("hit_ratio", "the cache status"), ("db_calls", "the number of database calls")):
        told, completed = levels[f"{name}_told"], levels["completed"]
        if name == "hit_ratio" and found.result is not None and "before" in found.result.unseen_status:
            texts.append(f"{sentence_case(what)}: it was told, and can't be believed.")
        elif completed and not told:
            texts.append(f"{sentence_case(what)}: no answer told it.")
        elif completed and told < 0.995 * completed:
            texts.append(f"{sentence_case(what)}: only {percent(told / completed)} of the answers told it.")
    if found.case is not None and found.case.freshness is None:
        texts.append("Stale reads: the case has no freshness probe, so old data would not be noticed here.")
    elif found.within_s is not None and _baseline_stale(found) == DASH:
        texts.append("Stale reads: no read of the probe could be compared with a write.")
    if levels["p99.9"] is None:
        texts.append(f"The p99.9 latency: {levels['completed']:,} completed requests are too few for it.")
    for entry in found.blocks:
        probe = entry.get("probe")
        if entry.get("stage") == "baseline" and isinstance(probe, Mapping):
            texts += [f"Freshness probe: {problem}" for problem in probe.get("problems") or []]
    return texts


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
        f"p{level * 100:g}": quantile(latency, level) if len(latency) * (1 - level) >= 1 else None for level in NAMED
    }
    return {"requests": len(rows), "completed": len(latency), **means, **enough}
