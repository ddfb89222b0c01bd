"""Whether the service's own configuration (`target.config`) shows a change of how the service is started.

A misspelt variable is set, and nothing reads it: both arms are the same service. So where the whole configuration is
equal in both arms, the change has no visible effect.
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
_SIMILAR = 0.6
_MOST_NAMED = 3


def not_shown(case: Case, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Why nothing shows that the change had an effect; "" where the configuration differs, where none is declared, or
    where it reports health and no settings: that could show no change."""
    change, path = case.change, case.target.config
    if path is None or not change.configured:
        return ""
    shown = configuration(before)
    if shown != configuration(after) or not has_settings(shown):
        return ""
    if CONFIG in shown and not _is_hash(shown[CONFIG]):
        return f"The change is not visible: the configuration at {path} can't be read ({shown[CONFIG]})."
    variable = f"{change.variable} " if change.variable is not None else ""
    values = f"{_value(change.before)} before and {_value(change.after)} after"
    same = f"The change is not visible: the configuration at {path} is the same in both arms"
    return f"{same}, with {variable}{values}.{_near(case, shown)}"


def remedy(case: Case) -> str:
    """What to do where nothing shows the change."""
    change = case.change
    name = (
        f"Is {change.variable} spelt as the service reads it? If so"
        if change.variable is not None
        else "Does the service read this argument? If so"
    )
    return f"{name}, add it to the response of {case.target.config}, or leave target.config out."


def visibility_note(case: Case, before: Mapping[str, str]) -> str:
    """A note where no configuration can show the change; "" where one can."""
    if not case.change.configured:
        return ""
    if case.target.config is None:
        return "; no target.config is declared, so nothing shows that the service uses it"
    if not has_settings(configuration(before)):
        return f"; {case.target.config} reports no settings, so nothing shows that the service uses it"
    return ""


def configuration(fingerprint: Mapping[str, str]) -> dict[str, str]:
    """The entries of a fingerprint that are the service's own configuration."""
    return {name: value for name, value in fingerprint.items() if name == CONFIG or name.startswith(f"{CONFIG}.")}


def has_settings(shown: Mapping[str, str]) -> bool:
    """Whether it has more than `{"status": "ok", "service": "shop"}`."""
    return any(
        name.rsplit(".", 1)[-1].lower() not in _LIVENESS | _IDENTITY
        and value.strip().lower() not in _WELL
        and value not in _WELL_TEXTS
        for name, value in shown.items()
    )


def close_names(name: str, shown: Mapping[str, str]) -> list[str]:
    """The entries whose names are most similar to a variable's: `SHOP_TLT` and `config.ttl_s`. Ranked by the most
    similar word, then by the whole name."""
    wanted = words(name)

    def similarity(entry: str) -> tuple[float, float]:
        leaf = words(entry.rsplit(".", 1)[-1])
        pairs = [SequenceMatcher(None, one, other).ratio() for one in wanted for other in leaf]
        return max(pairs, default=0.0), SequenceMatcher(None, "_".join(wanted), "_".join(leaf)).ratio()

    ranked = sorted(((similarity(entry), entry) for entry in shown if entry != CONFIG), reverse=True)
    return [entry for (word, _), entry in ranked if word >= _SIMILAR][:_MOST_NAMED]


def _near(case: Case, shown: Mapping[str, str]) -> str:
    if case.change.variable is None:
        return ""
    near = close_names(case.change.variable, shown)
    entries = ", ".join(f"{name.removeprefix(f'{CONFIG}.')} = {shown[name][:60]}" for name in near)
    return f" Entries with a similar name: {entries}." if entries else " No entry has a similar name."


def _value(value: str | None) -> str:
    return "not set" if value is None else repr(value)


def _is_hash(value: str) -> bool:
    return not value.startswith(("no answer", "status "))
