"""From picture to proof: the case of a run, with the chosen point as its change and what is predicted for it.

The change is the time to live, by the variable that holds it, or the size: by a variable, or by `maxmemory` of the
cache server where no variable is named. Everything else of the case stays as it is, comments included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

import numpy as np
import yaml

from luckyhit.case import Case
from luckyhit.case.load import parse_case
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError
from luckyhit.records import Arm
from luckyhit.whatif.answering import WhatIf
from luckyhit.whatif.settings_now import Variable, size_text, size_variable, ttl_text, ttl_variable
from luckyhit.whatif.surfaces import HIGH, LOW, VALUE

_TOP_LEVEL = re.compile(r"^(?=[A-Za-z_]+:)", re.MULTILINE)
_OWN_PARTS = ("change:", "predicted:")
_FIXED = "Name a point whose other number is today's: a case changes one thing."


@dataclass(frozen=True)
class Choice:
    """The point to try. None: as today. `variable`: that holds the number; empty: the one that looks like it."""

    ttl_s: float | None = None
    size: int | None = None
    variable: str = ""


def proof_case(run: CaseRun, answer: WhatIf, choice: Choice, arm: Arm = "before") -> str:
    """The text of the case. Raises ArgumentError for a point that can't be tried, or that is not in the grid."""
    if (choice.ttl_s is None) == (choice.size is None):
        raise ArgumentError("a proof tries one change: a time to live, or a size", hint=_FIXED)
    if answer.now is None:
        raise ArgumentError("today's time to live is not known, so nothing can be compared", hint="Use --now-ttl.")
    case = run.case
    change = (
        _ttl_change(case, answer, choice, arm) if choice.ttl_s is not None else _size_change(run, answer, choice, arm)
    )
    predicted = forecasts(answer, choice)
    text = (run.path / "case.yml").read_text(encoding="utf-8")
    parts = [part for part in _TOP_LEVEL.split(text) if not part.startswith("predicted:")]
    block = _yaml({"change": change})
    made = "".join(block if part.startswith("change:") else part for part in parts)
    made = f"{made.rstrip()}\n{_yaml({'predicted': predicted})}"
    parse_case(made)
    return made


def _yaml(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=120)


def _ttl_change(case: Case, answer: WhatIf, choice: Choice, arm: Arm) -> dict[str, Any]:
    assert choice.ttl_s is not None and answer.now is not None
    if choice.ttl_s == inf:
        raise ArgumentError("a proof needs a time to live that can be set", hint="Name one, such as 1h.")
    variable = ttl_variable(case, arm, choice.variable)
    if variable is None:
        raise ArgumentError(
            "no variable of the case looks like a time to live",
            hint="Name the one that holds it: --variable NAME. The case has to start the service.",
        )
    after = variable.of_ttl(choice.ttl_s)
    text = f"Entries live for {ttl_text(choice.ttl_s)} instead of {ttl_text(answer.now.ttl_s)}"
    return _env(variable, after, text, "One number; `luckyhit whatif` predicts what it does.")


def _size_change(run: CaseRun, answer: WhatIf, choice: Choice, arm: Arm) -> dict[str, Any]:
    assert choice.size is not None
    size = size_text(choice.size, by_bytes=answer.by_bytes)
    variable = size_variable(run.case, arm, choice.variable)
    text = f"The cache has room for {size}"
    if variable is not None:
        return _env(variable, str(choice.size), text, "One number; `luckyhit whatif` predicts what it does.")
    memory = server_memory(run, arm, choice.size / max(answer.recording.trace.weight.mean(), 1))
    if memory is None:
        raise ArgumentError(
            "no variable of the case looks like a size, and the cache's own counters don't show what an entry takes",
            hint="Name the variable that holds the size: --variable NAME.",
        )
    return {
        "kind": "cache-setting",
        "what": f"{text}: maxmemory {memory}",
        "name": "maxmemory",
        "before": "0",
        "after": str(memory),
        "smallest": "One setting of the cache server. Its maxmemory-policy has to be allkeys-lru, as the model's is.",
    }


def _env(variable: Variable, after: str, what: str, smallest: str) -> dict[str, Any]:
    if variable.before == after:
        raise ArgumentError(f"{variable.name} is {after} already", hint="Choose another point.")
    return {
        "kind": "env",
        "what": f"{what} ({variable.name})",
        "name": variable.name,
        "before": variable.before,
        "after": after,
        "smallest": smallest,
    }


def server_memory(run: CaseRun, arm: Arm, entries: float) -> int | None:
    """The memory (bytes) in which the cache server held that many entries in this run, from its counters `used_memory`
    and `dbsize`; None where they don't show it."""
    counters = run.counters()
    counters = counters[counters["arm"] == arm]
    table = counters.pivot_table(index="at_ns", columns="name", values="value", observed=True)
    if not {"used_memory", "dbsize"} <= set(table.columns):
        return None
    pairs = table[["dbsize", "used_memory"]].dropna().to_numpy(float)
    if len(pairs) < 3 or np.ptp(pairs[:, 0]) < 10:
        return None
    slope, base = np.polyfit(pairs[:, 0], pairs[:, 1], 1)
    return round(base + slope * entries) if slope > 0 else None


def forecasts(answer: WhatIf, choice: Choice) -> dict[str, dict[str, float]]:
    """What is predicted for all requests of the workload, by metric: {low, value, high}. The requests that no entry
    belongs to stay as they are; the nearest size of the grid that is no larger counts."""
    grid, surface, costs = answer.grid, answer.surface, answer.recording.costs
    assert answer.now is not None
    ttl_s = choice.ttl_s if choice.ttl_s is not None else answer.now.ttl_s
    size = choice.size if choice.size is not None else min(answer.now.size, grid.sizes[-1])
    if ttl_s not in grid.ttls_s or size < grid.sizes[0]:
        raise ArgumentError(
            f"{ttl_text(ttl_s)} and {size_text(size, by_bytes=answer.by_bytes)} is no point of the grid",
            hint="Name it among --ttl and --size as well.",
        )
    row = max(place for place, one in enumerate(grid.sizes) if one <= size)
    place = (row, grid.ttls_s.index(ttl_s))
    reads, others = answer.recording.trace.reads, costs.other.requests
    made = {"hit_ratio": _forecast([float(surface.hit_ratio[bound][place]) for bound in (LOW, VALUE, HIGH)])}
    for name, band, of_other in (
        ("db_calls", surface.calls, costs.other.calls),
        ("latency_mean_ms", surface.mean_ms, costs.other.mean_ms),
    ):
        told = others if isfinite(of_other) else 0
        extra = told * of_other if told else 0.0
        values = [(float(band[bound][place]) * reads + extra) / (reads + told) for bound in (LOW, VALUE, HIGH)]
        made[name] = _forecast(values)
    return {name: forecast for name, forecast in made.items() if forecast is not None}


def _forecast(values: list[float]) -> dict[str, float] | None:
    low, value, high = values
    if not isfinite(value):
        return None
    if not (isfinite(low) and isfinite(high)):
        low = high = value
    return {name: float(f"{one:.6g}") for name, one in (("low", low), ("value", value), ("high", high))}
