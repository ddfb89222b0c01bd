"""Settings that the case shows: a time to live, a number of processes. Only what stands in it by name is used."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from luckyhit.system.start_settings import Settings

if TYPE_CHECKING:
    from luckyhit.experiments.means.bench import Bench

TOLERATED_S = 1.0
"""A declared staleness from so much on is a time to live that readers were promised; less is the time of a write."""
_TTL = re.compile(
    r"(^|_)(TTL|TIME_TO_LIVE|EXPIR\w*|MAX_?AGE|LIFETIME|(GOOD|FRESH|VALID|KEEP|CACHE)_FOR|FRESH(NESS)?|VALIDITY"
    r"|CACHE_(TIMEOUT|DURATION|SECONDS|MINUTES|MS|S))(_|$)"
)
_UNITS = (("_MS", 0.001), ("_MINUTES", 60.0), ("_MIN", 60.0), ("_H", 3600.0), ("_HOURS", 3600.0))
_WORKERS = re.compile(r"(^|_)(WORKERS|WEB_CONCURRENCY|PROCESSES|WORKER_COUNT)$")


def ttl_setting(bench: Bench) -> tuple[str, float] | None:
    """Name and seconds of the one variable that is a time to live; None where there is none, or several. What the
    service shows of itself under another name counts where the case starts it with no such variable."""
    start = bench.case.target.start
    named = {
        name: seconds for name, value in _variables(bench).items() if (seconds := _seconds(name, value)) is not None
    }
    declared = {name: seconds for name, seconds in named.items() if start is not None and name in start.env}
    chosen = declared or named
    return next(iter(chosen.items())) if len(chosen) == 1 else None


def worker_setting(bench: Bench) -> str | None:
    """The variable with the number of processes."""
    named = [name for name, value in _variables(bench).items() if _WORKERS.search(name) and value.strip().isdigit()]
    return named[0] if len(named) == 1 else None


def declared_ttl_s(bench: Bench) -> float | None:
    """How long an entry may live: as long as readers accept old data, where that is more than the time of a write and
    no write touches the entry; else by the setting."""
    if bench.bound_s >= TOLERATED_S and bench.left_by_writes:
        return bench.bound_s
    setting = ttl_setting(bench)
    return setting[1] if setting is not None else None


def with_variable(settings: Settings, name: str, value: str) -> Settings:
    """The same settings with one variable more."""
    return replace(settings, env={**settings.env, name: value})


def multiplied(bench: Bench, name: str, times: int) -> str:
    """So many times the value of a variable, in its own unit."""
    return f"{times * float(_variables(bench)[name]):g}"


def scaled(bench: Bench, name: str, factor: float) -> str:
    """The value of a variable times `factor`, in its own unit: at least 1, and whole where it was whole."""
    before = float(_variables(bench)[name])
    after = max(min(1.0, before), before * factor)
    return f"{round(after) if before.is_integer() else after:g}"


def _variables(bench: Bench) -> dict[str, str]:
    start = bench.case.target.start
    declared = dict(start.env) if start is not None else {}
    return {
        **bench.configured,
        **declared,
        **{name: str(value) for name, value in bench.stack.settings.env.items() if value is not None},
    }


def _seconds(name: str, value: str) -> float | None:
    if not _TTL.search(name):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    factor = next((factor for suffix, factor in _UNITS if name.endswith(suffix)), 1.0)
    return number * factor if number > 0 else None
