"""What the catalogue can be told from its environment, read once at the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

INVALIDATIONS = ("reader-key", "writer-key", "none")


class SettingError(ValueError):
    """A setting that can't be used; the message names it, what was found and what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The catalogue's settings. Where it listens and where its data is come first; the rest is behaviour."""

    redis_url: str
    database: Path
    invalidation: str = "reader-key"
    ttl_s: float = 300.0
    single_flight: bool = True
    pool_size: int = 4
    build_label: str = "unlabelled"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. Raises SettingError, also for a CATALOGUE_ variable that isn't one of ours: a
        misspelt setting that silently does nothing has cost us a night before."""
        unknown = sorted(name for name in environ if name.startswith("CATALOGUE_") and name not in _VARIABLES)
        if unknown:
            raise SettingError(f"unknown setting {', '.join(unknown)}; there are {', '.join(_VARIABLES)}")
        for name in ("REDIS_URL", "DATABASE"):
            if not environ.get(name):
                raise SettingError(f"{name} is not set")
        values: dict[str, Any] = {}
        for variable, (field, parse, expected) in _VARIABLES.items():
            if variable not in environ:
                continue
            try:
                values[field] = parse(environ[variable])
            except (ValueError, KeyError):
                raise SettingError(f"{variable}={environ[variable]!r}; expected {expected}") from None
        return cls(redis_url=environ["REDIS_URL"], database=Path(environ["DATABASE"]), **values)

    def effective(self) -> dict[str, str | float | int]:
        """The behaviour by variable name, for `/health`. Addresses and paths are left out: they differ
        between two copies of the same service, and a Redis URL may hold a password."""
        return {variable: _say(getattr(self, field)) for variable, (field, _parse, _expected) in _VARIABLES.items()}


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


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.001 <= seconds <= 31 * 86400:
        raise ValueError(text)
    return seconds


def _pool_size(text: str) -> int:
    size = int(text)
    if not 1 <= size <= 100:
        raise ValueError(text)
    return size


def _label(text: str) -> str:
    if len(text) > 100 or not text.isprintable():
        raise ValueError(text)
    return text


# variable: (field, parser, what would be right)
_VARIABLES: dict[str, tuple[str, Callable[[str], Any], str]] = {
    "CATALOGUE_INVALIDATION": ("invalidation", _one_of(*INVALIDATIONS), f"one of {', '.join(INVALIDATIONS)}"),
    "CATALOGUE_TTL": ("ttl_s", _seconds, "seconds, from 0.001 to 31 days"),
    "CATALOGUE_SINGLE_FLIGHT": ("single_flight", _switch, "on or off"),
    "CATALOGUE_POOL_SIZE": ("pool_size", _pool_size, "a number of database connections, from 1 to 100"),
    "CATALOGUE_BUILD_LABEL": ("build_label", _label, "up to 100 printable characters"),
}
