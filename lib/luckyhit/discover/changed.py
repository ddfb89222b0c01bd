"""The one change of a case: the one that was named, or the first setting that could have another value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from luckyhit.discover.evidence import Discovery, Setting
from luckyhit.discover.risk import words_of

Lifetime = Literal["", "longer", "shorter", "other"]
AMOUNT = re.compile(r"(-?\d+(?:\.\d+)?)\s*(us|ms|s|sec|m|min|h|d|)")
"""A number, or one with a unit of time: `60`, `1500ms`, `5m`."""
_SECONDS = {"": 1, "us": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_LIFETIMES = frozenset({"ttl", "expire", "expires", "expiry", "expiration", "age", "lifetime", "keep", "retention"})
"""Words of settings that say how long an entry is kept."""
_OPPOSITES = {"true": "false", "yes": "no", "on": "off", "false": "true", "no": "yes", "off": "on"}


@dataclass(frozen=True)
class ChangedVariable:
    """An environment variable with its values; None: it is not set. `named`: by the user; `setting`: as the service's
    code reads it."""

    name: str
    before: str | None
    after: str | None
    named: bool = False
    setting: Setting | None = None

    @property
    def lifetime(self) -> Lifetime:
        """Whether an entry is kept longer or shorter; empty where the variable is not about that."""
        words = set(words_of(self.name))
        if not words & _LIFETIMES and not {"cache", "timeout"} <= words:
            return ""
        before, after = _seconds(self.before), _seconds(self.after)
        if before is None or after is None or before == after:
            return "other"
        return "longer" if after > before else "shorter"


def candidates(discovery: Discovery) -> list[Setting]:
    """Settings that could be changed, the most probable first. A text that the code compares with another one switches
    something; a number or a time can be changed as well."""
    cache_names = discovery.launch.cache_env if discovery.launch is not None else ()
    settings = [
        setting
        for setting in discovery.evidence.settings
        if (setting.about_cache or len(setting.choices) > 1 or setting.kind == "duration")
        and setting.kind != "url"
        and setting.name not in cache_names
    ]
    return sorted(
        settings, key=lambda setting: (other_value(setting) is None, not setting.about_cache, not setting.choices)
    )


def changed_in(discovery: Discovery, settings: Sequence[Setting]) -> ChangedVariable | None:
    """`settings`: the candidates. None where nothing says what could be changed."""
    if discovery.launch is None:
        return None
    given = discovery.launch.env
    if discovery.change is not None:
        name, named = discovery.change
        by_name = {setting.name: setting for setting in discovery.evidence.settings}
        setting = by_name.get(name)
        default = setting.default if setting is not None else None
        return ChangedVariable(name, given.get(name, default), named, named=True, setting=setting)
    setting = settings[0] if settings else None
    after = other_value(setting) if setting is not None else None
    if setting is None or after is None:
        return None
    return ChangedVariable(setting.name, given.get(setting.name, setting.default), after, setting=setting)


def other_value(setting: Setting) -> str | None:
    """What it may be changed to; None where nothing tells."""
    if setting.default is None:
        return None
    others = [choice for choice in setting.choices if choice != setting.default]
    if setting.choices:
        return others[0] if others else None
    match = AMOUNT.fullmatch(setting.default)
    if setting.kind in ("number", "duration") and match is not None:
        doubled = float(match[1]) * 2 or 1.0
        number = str(int(doubled)) if doubled == int(doubled) else f"{doubled:g}"
        return number + setting.default[len(match[1]) :]
    return _OPPOSITES.get(setting.default.lower()) if setting.kind == "boolean" else None


def _seconds(text: str | None) -> float | None:
    match = AMOUNT.fullmatch(text.strip()) if text is not None else None
    return float(match[1]) * _SECONDS[match[2]] if match is not None else None
