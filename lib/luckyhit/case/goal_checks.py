"""What has to hold for the goals of a case: which units a metric's margin and limit can have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from luckyhit.case.findings import Finding, get
from luckyhit.case.units import AmountUnit

if TYPE_CHECKING:
    from luckyhit.case.model import Case

_SHARES = ("hit_ratio", "error_rate", "stale_reads")
MARGIN_UNITS: dict[str, tuple[AmountUnit, ...]] = {
    **dict.fromkeys(_SHARES, ("%",)),
    "latency_p50_ms": ("%", "ms"),
    "latency_p95_ms": ("%", "ms"),
    "latency_p99_ms": ("%", "ms"),
    "db_calls": ("%", "calls"),
    "staleness_p99_ms": ("ms",),
}
UNITS_IN_WORDS: dict[AmountUnit, str] = {
    "%": "a percentage (`2 %`)",
    "ms": "a duration (`5ms`)",
    "calls": "a bare number of database calls (`0.2`)",
}


def stale_goals(case: Case) -> Iterator[Finding]:
    """A goal for `stale_reads` or `staleness_p99_ms` comes with a `freshness` section."""
    if case.freshness is None:
        for name in case.goals:
            if name in ("stale_reads", "staleness_p99_ms"):
                expected = "a freshness section too: without the probe, stale reads are not visible"
                yield Finding(("goals", name), "a goal for stale reads, but no freshness", expected)


def margins(case: Case) -> Iterator[Finding]:
    """A margin is above zero, and in a unit that fits its metric."""
    for name, goal in case.goals.items():
        margin = get(goal, "margin")
        if margin is None:
            continue
        at = ("goals", name, "margin")
        units = MARGIN_UNITS[name]
        if margin.unit not in units:
            yield Finding(at, str(margin), f"{' or '.join(UNITS_IN_WORDS[unit] for unit in units)} for {name}")
        elif margin.amount <= 0:
            yield Finding(at, str(margin), "more than zero: the smallest difference that matters")
        elif name in _SHARES and margin.amount >= 1:
            yield Finding(at, str(margin), "less than 100 % (percentage points)")


def limits(case: Case) -> Iterator[Finding]:
    """A limit (`at_most`) is in a unit that fits its metric, and never relative; `hit_ratio` has none."""
    for name, goal in case.goals.items():
        limit = get(goal, "at_most")
        if limit is None:
            continue
        at = ("goals", name, "at_most")
        units = MARGIN_UNITS[name] if name in _SHARES else tuple(u for u in MARGIN_UNITS[name] if u != "%")
        if name == "hit_ratio":
            yield Finding(at, str(limit), "no such limit for hit_ratio, since higher is better")
        elif limit.unit not in units:
            yield Finding(at, str(limit), f"{UNITS_IN_WORDS[units[0]]} for {name}: a limit is never relative to before")
        elif name in _SHARES and limit.amount > 1:
            yield Finding(at, str(limit), "100 % at most")
