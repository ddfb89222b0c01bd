"""What the catalogue can be told from its environment, read once at the start.

`python -m luckyhit.demo --help` lists the settings with what each of them does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INVALIDATIONS = ("reader-key", "writer-key", "before-commit", "single-only", "none")
_LONGEST_S = 31 * 86400


class SettingError(ValueError):
    """A setting that can't be used; the message names it, what was found and what would be right."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """The catalogue's settings. Where it listens and where its data is come first; the rest is behaviour."""

    redis_url: str
    database: Path
    invalidation: str = "reader-key"
    commit_pause_s: float = 0.0
    ttl_s: float = 300.0
    local_ttl_s: float = 0.0
    cache_missing: bool = False
    single_flight: bool = True
    store_guard: bool = True
    load_pause_s: float = 0.0
    pool_size: int = 4
    workers: int = 1
    build_label: str = "unlabelled"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> DemoSettings:
        """Read the settings. Raises SettingError, also for a CATALOGUE_ variable that isn't one of ours: a
        misspelt setting that silently does nothing has cost us a night before."""
        unknown = sorted(name for name in environ if name.startswith("CATALOGUE_") and name not in _VARIABLES)
        if unknown:
            raise SettingError(f"unknown setting {', '.join(unknown)}; there are {', '.join(_VARIABLES)}")
        for name in ("REDIS_URL", "DATABASE"):
            if not environ.get(name):
                raise SettingError(f"{name} is not set")
        values: dict[str, Any] = {}
        for name, variable in _VARIABLES.items():
            if name not in environ:
                continue
            try:
                values[variable.field] = variable.parse(environ[name])
            except (ValueError, KeyError):
                raise SettingError(f"{name}={environ[name]!r}; expected {variable.expected}") from None
        return cls(redis_url=environ["REDIS_URL"], database=Path(environ["DATABASE"]), **values)

    def effective(self) -> dict[str, str | float | int]:
        """The behaviour by variable name, for `/health`. Addresses and paths are left out: they differ
        between two copies of the same service, and a Redis URL may hold a password."""
        return {name: _say(getattr(self, variable.field)) for name, variable in _VARIABLES.items()}


def described() -> str:
    """The settings for `--help`: name, what it does, what it takes, and what it is by default."""
    lines = ["environment:", "  REDIS_URL  the cache", "  DATABASE   path of the SQLite file, made where it is missing"]
    for name, variable in _VARIABLES.items():
        default = _say(DemoSettings.__dataclass_fields__[variable.field].default)
        lines += [f"  {name} ({variable.expected}; default {default})", *(f"      {line}" for line in variable.does)]
    return "\n".join(lines)


def _say(value: Any) -> str | float | int:
    return ("on" if value else "off") if isinstance(value, bool) else value


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return parse


def _switch(text: str) -> bool:
    return {"on": True, "off": False}[text]


def _seconds(*, lowest: float, highest: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        seconds = float(text)
        if not (lowest <= seconds <= highest):
            raise ValueError(text)
        return seconds

    return parse


def _count(highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        count = int(text)
        if not 1 <= count <= highest:
            raise ValueError(text)
        return count

    return parse


def _label(text: str) -> str:
    if len(text) > 100 or not text.isprintable():
        raise ValueError(text)
    return text


@dataclass(frozen=True, slots=True)
class _Variable:
    field: str
    parse: Callable[[str], Any]
    expected: str
    does: tuple[str, ...]


_VARIABLES: dict[str, _Variable] = {
    "CATALOGUE_INVALIDATION": _Variable(
        "invalidation",
        _one_of(*INVALIDATIONS),
        f"one of {', '.join(INVALIDATIONS)}",
        (
            "What an update does to the cache. reader-key: deletes what readers use, after the commit. writer-key:",
            "deletes the names from before. before-commit: as reader-key, but ahead of the commit. single-only: as",
            "reader-key, but a bulk update deletes nothing. none: nothing; pages are right again when they expire.",
        ),
    ),
    "CATALOGUE_COMMIT_PAUSE": _Variable(
        "commit_pause_s",
        _seconds(lowest=0, highest=60),
        "seconds, from 0 to 60",
        ("What an update waits before it commits (behind the DEL, where that comes before the commit).",),
    ),
    "CATALOGUE_TTL": _Variable(
        "ttl_s",
        _seconds(lowest=0.001, highest=_LONGEST_S),
        "seconds, from 0.001 to 31 days",
        ("How long a page stays in the cache.",),
    ),
    "CATALOGUE_LOCAL_TTL": _Variable(
        "local_ttl_s",
        _seconds(lowest=0, highest=_LONGEST_S),
        "seconds, from 0 (off) to 31 days",
        (
            "How long a process keeps pages in its own memory, in front of Redis. An update empties those of the",
            "process that it reaches.",
        ),
    ),
    "CATALOGUE_CACHE_MISSING": _Variable(
        "cache_missing",
        _switch,
        "on or off",
        ("Whether 'there is no such page' is cached as well.",),
    ),
    "CATALOGUE_SINGLE_FLIGHT": _Variable(
        "single_flight",
        _switch,
        "on or off",
        ("Whether requests that miss the same page at the same time share one load.",),
    ),
    "CATALOGUE_STORE_GUARD": _Variable(
        "store_guard",
        _switch,
        "on or off",
        (
            "Whether a load that an update has overtaken is kept from storing what it read. It holds within each",
            "process, not between them.",
        ),
    ),
    "CATALOGUE_LOAD_PAUSE": _Variable(
        "load_pause_s",
        _seconds(lowest=0, highest=60),
        "seconds, from 0 to 60",
        ("What a load waits between reading the database and storing the page.",),
    ),
    "CATALOGUE_POOL_SIZE": _Variable(
        "pool_size",
        _count(100),
        "a number of database connections, from 1 to 100",
        ("Database connections of each process.",),
    ),
    "CATALOGUE_WORKERS": _Variable(
        "workers",
        _count(16),
        "a number of processes, from 1 to 16",
        ("Processes that serve. Each answer names its own in X-Served-By.",),
    ),
    "CATALOGUE_BUILD_LABEL": _Variable(
        "build_label",
        _label,
        "up to 100 printable characters",
        ("Any text, for /health.",),
    ),
}
