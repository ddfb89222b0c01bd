"""Whether a change of how the service is started shows in the service's own configuration (`target.config`).

A misspelt variable is set, and nothing reads it: both arms are the same service, and a number that stays says nothing
about the change. Where the configuration is the same to the last entry in both arms, nothing shows the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher

from luckyhit.case import Case
from luckyhit.change.fingerprints.normalize import hashed, words

CONFIG = "config"
_LIVENESS = frozenset({"status", "state", "health", "ok", "up", "ready", "alive", "live", "healthy"})
_IDENTITY = frozenset({"service", "name", "app", "application", "version"})
_WELL = frozenset({"ok", "up", "healthy", "ready", "alive", "live", "pass", "passing", "running"})
_WELL_TEXTS = frozenset(hashed(spelt) for text in _WELL for spelt in (text, text.upper(), text.capitalize()))
_ALIKE = 0.6
_MOST_NAMED = 3


def shows_nowhere(case: Case, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Why nothing shows that the service took the change; "" where the configuration differs, where the case declares
    none, or where it tells that the service is well and nothing else: such an answer could show no change."""
    change, path = case.change, case.target.config
    if path is None or not change.configured:
        return ""
    shown = configuration(before)
    if shown != configuration(after) or not tells_settings(shown):
        return ""
    if CONFIG in shown and not _is_hash(shown[CONFIG]):
        return f"The change shows nowhere: the configuration at {path} can't be seen ({shown[CONFIG]})."
    variable = f"{change.variable} " if change.variable is not None else ""
    values = f"{_value(change.before)} before and {_value(change.after)} after"
    same = f"The change shows nowhere: the configuration at {path} is the same in both arms"
    return f"{same}, with {variable}{values}.{_near(case, shown)}"


def remedy(case: Case) -> str:
    """What to do where nothing shows the change."""
    change = case.change
    name = (
        f"Is {change.variable} spelt as the service reads it? If so"
        if change.variable is not None
        else "Does the service read this argument? If so"
    )
    return f"{name}, add it to what {case.target.config} tells, or leave target.config out."


def unseen(case: Case, before: Mapping[str, str]) -> str:
    """What is worth knowing where no configuration is looked at; "" where one is."""
    if not case.change.configured:
        return ""
    if case.target.config is None:
        return "; no target.config is declared, so nothing shows that the service took it"
    if not tells_settings(configuration(before)):
        return f"; {case.target.config} tells no settings, so nothing shows that the service took it"
    return ""


def configuration(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """The entries of a fingerprint that are the service's own configuration."""
    return {name: value for name, value in fingerprint.items() if name == CONFIG or name.startswith(f"{CONFIG}.")}


def tells_settings(shown: Mapping[str, str]) -> bool:
    """Whether there is anything beside `{"status": "ok", "service": "shop"}`."""
    return any(
        name.rsplit(".", 1)[-1].lower() not in _LIVENESS | _IDENTITY
        and value.strip().lower() not in _WELL
        and value not in _WELL_TEXTS
        for name, value in shown.items()
    )


def close_names(name: str, shown: Mapping[str, str]) -> list[str]:
    """The entries whose names are most like that of a variable: `CACHE_TLT` and `config.cache_ttl_s`. A name is as like
    as its likest word, and then as the whole of it."""
    wanted = words(name)

    def alike(entry: str) -> tuple[float, float]:
        leaf = words(entry.rsplit(".", 1)[-1])
        pairs = [SequenceMatcher(None, one, other).ratio() for one in wanted for other in leaf]
        return max(pairs, default=0.0), SequenceMatcher(None, "_".join(wanted), "_".join(leaf)).ratio()

    ranked = sorted(((alike(entry), entry) for entry in shown if entry != CONFIG), reverse=True)
    return [entry for (word, _), entry in ranked if word >= _ALIKE][:_MOST_NAMED]


def _near(case: Case, shown: Mapping[str, str]) -> str:
    if case.change.variable is None:
        return ""
    near = close_names(case.change.variable, shown)
    entries = ", ".join(f"{name.removeprefix(f'{CONFIG}.')} = {shown[name][:60]}" for name in near)
    return f" Entries with a name like it: {entries}." if entries else " It has no entry with a name like it."


def _value(value: str | None) -> str:
    return "not set" if value is None else repr(value)


def _is_hash(value: str) -> bool:
    return not value.startswith(("no answer", "status "))
