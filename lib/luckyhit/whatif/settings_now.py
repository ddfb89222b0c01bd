"""What the cache is set to today: time to live and size, from the command line, the case, or the cache itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf

from luckyhit.case import Case
from luckyhit.errors import ArgumentError
from luckyhit.records import Arm

_TTL_NAME = re.compile(r"TTL|EXPIR|MAX_?AGE|CACHE_TIMEOUT|LIFETIME", re.I)
_SIZE_NAME = re.compile(r"MAX_?(ENTRIES|SIZE|KEYS|ITEMS|MEMORY)|CACHE_SIZE", re.I)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(|B|kB|KB|MB|GB|KiB|MiB|GiB)")
_UNITS = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True)
class Variable:
    """A variable of the service that holds a time to live or a size: `before` as it is now (None: not set)."""

    name: str
    before: str | None

    @property
    def per_second(self) -> int:
        return 1000 if self.name.upper().endswith("_MS") else 1

    @property
    def ttl_s(self) -> float | None:
        text = (self.before or "").strip()
        return float(text) / self.per_second if _NUMBER.fullmatch(text) else None

    def of_ttl(self, ttl_s: float) -> str:
        """The value for a time to live, as the variable holds it."""
        return f"{ttl_s * self.per_second:.12g}"


def ttl_variable(case: Case, arm: Arm, name: str = "") -> Variable | None:
    """The variable with the time to live: that `name`, else the case's change, else one that the case starts the
    service with; None where none looks like one."""
    return _variable(case, arm, name, _TTL_NAME)


def size_variable(case: Case, arm: Arm, name: str = "") -> Variable | None:
    """The same for the size."""
    return _variable(case, arm, name, _SIZE_NAME)


def _variable(case: Case, arm: Arm, name: str, looks: re.Pattern[str]) -> Variable | None:
    start = case.target.start
    if start is None:
        return None
    change = case.change
    if change.kind == "env" and (change.name == name or (not name and looks.search(change.name))):
        return Variable(change.name, change.before if arm == "before" else change.after)
    if name:
        return Variable(name, start.env.get(name))
    for variable, value in start.env.items():
        if looks.search(variable) and _NUMBER.fullmatch(value.strip()):
            return Variable(variable, value)
    return None


def parse_ttl(text: str) -> float:
    """`500ms`, `30s`, `5m`, `1h`, `2d` or `none` (entries never expire) as seconds. Raises ArgumentError."""
    if text.strip().lower() in ("none", "never", "inf"):
        return inf
    if (match := _DURATION.fullmatch(text.strip())) is None or float(match[1]) <= 0:
        raise ArgumentError(
            f"{text!r} is no time to live", hint="Write it with its unit: 500ms, 30s, 5m, 1h, 2d, or none."
        )
    return float(match[1]) * _SECONDS[match[2]]


def parse_size(text: str, *, by_bytes: bool) -> int:
    """`20000` entries, or `8MB`, `64MiB` bytes. Raises ArgumentError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise ArgumentError(f"{text!r} is no size", hint="Write a number of entries (20000), or of bytes (8MB, 64MiB).")
    if match[2] and not by_bytes:
        raise ArgumentError(
            f"the size {text!r} is in bytes, but sizes are numbers of entries here", hint="Use --by bytes."
        )
    return max(round(float(match[1]) * _UNITS[match[2]]), 1)


def ttl_text(ttl_s: float) -> str:
    """`500ms`, `30s`, `5m`, `1h`, `2d`, `none`."""
    if ttl_s == inf:
        return "none"
    if ttl_s < 1:
        return f"{ttl_s * 1000:.4g}ms"
    for unit in ("d", "h", "m"):
        if ttl_s >= _SECONDS[unit] and (ttl_s / _SECONDS[unit]) % 1 == 0:
            return f"{ttl_s / _SECONDS[unit]:g}{unit}"
    return f"{ttl_s:.6g}s"


def size_text(size: float, *, by_bytes: bool) -> str:
    """`12,000 entries`, `3.4 MB`."""
    if not by_bytes:
        return f"{size:,.0f} {'entry' if round(size) == 1 else 'entries'}"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} bytes"
