"""Comparing fingerprints: the declared difference, all of it, and nothing but it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from luckyhit.case import Case, changes
from luckyhit.change.effective import remedy, shows_nowhere, unseen
from luckyhit.change.neutral import as_declared, names_a_version, shown_env, words
from luckyhit.change.sources import LISTS, only_differing
from luckyhit.change.ways import STATE
from luckyhit.change.ways.setting import same_value
from luckyhit.records import Guard

_UNSET = "not set"
_TRUE = frozenset({"1", "true", "yes", "on", "enabled"})
_FALSE = frozenset({"0", "false", "no", "off", "disabled"})
_NOTHING = frozenset({"", "null", "none", _UNSET})
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
OBSERVED = "observed."
_MOST_NAMED = 8
REVISION = "git.revision"
_Changes = (
    changes.EnvChange
    | changes.ArgumentChange
    | changes.RevisionChange
    | changes.SettingChange
    | changes.AdminChange
    | changes.CommandChange
)

Fingerprint = Mapping[str, str]


def differences(before: Fingerprint, after: Fingerprint) -> dict[str, tuple[str, str]]:
    """What differs, by name: the value before and the value after. Names that begin with `observed.` don't count."""
    return {
        name: (before.get(name, _UNSET), after.get(name, _UNSET))
        for name in sorted(before.keys() | after.keys())
        if not name.startswith(OBSERVED) and before.get(name) != after.get(name)
    }


def difference_guard(
    case: Case, before: Fingerprint, after: Fingerprint, *, revisions: Mapping[str, str] | None = None
) -> Guard:
    """Whether the declared change is what differs between the arms, and the only thing that does. `revisions`: the full
    hashes of the arms, where the change is a revision.

    An entry of the configuration endpoint may differ where it echoes the declared change: under the variable's
    own name, or with the declared values in it. Another revision may show as another version.
    """
    found = differences(before, after)
    change = case.change
    if isinstance(change, changes.NoChange):
        if found:
            return _fails(f"Nothing was to change, but {named(found)}.", "Find out who changed it, then run again.")
        return Guard(
            id="declared-difference-only",
            ok=True,
            detail=f"Nothing was to change, and nothing did.{_observed(before, after)}",
        )

    declared = _declared(change, before, after, revisions)
    if any(values[0] == values[1] for values in declared.values()):
        return _fails(
            f"The change did not take: the command has no argument {change.before!r} before the change.",
            "Write the argument in change.before exactly as it stands in target.start.command.",
        )
    missing = {name: values for name, values in declared.items() if found.get(name) != values}
    if missing:
        name, (_, wanted) = next(iter(missing.items()))
        seen = after.get(name, _UNSET)
        return _fails(
            f"The change did not take: {name} should be {wanted!r} after the change, and is {seen!r}"
            + (f" (before: {before.get(name, _UNSET)!r})." if before.get(name, _UNSET) != declared[name][0] else "."),
            "Look at how the service gets this setting; the case's change may name the wrong one.",
        )
    if nowhere := shows_nowhere(case, before, after):
        return _fails(nowhere, remedy(case))
    rest = {name: values for name, values in found.items() if name not in declared}
    echoes = {name: values for name, values in rest.items() if _echoes(change, name, values)}
    others = {name: values for name, values in rest.items() if name not in echoes}
    if others:
        return _fails(
            f"More than the declared change differs: {named(others)}.",
            "Change one thing at a time: make these equal in both arms, then run again.",
        )
    detail = f"Only the declared change differs: {named({name: found[name] for name in declared})}"
    if echoes:
        detail += f"; the service's own configuration shows it ({named(echoes)})"
    elif any(name.startswith("config.") for name in before):
        detail += "; the service's own configuration shows no trace of it"
    detail += unseen(case, before)
    return Guard(id="declared-difference-only", ok=True, detail=f"{detail}.{_observed(before, after)}")


def same_guard(before: Fingerprint, again: Fingerprint) -> Guard:
    """Whether everything that can be seen is as it was: after the rollback, or between two arms before a change."""
    found = differences(before, again)
    if found:
        return Guard(
            id="same-as-before",
            ok=False,
            detail=f"Not as it was: {named(found)}.",
            remedy="Find out who changed it. What the run itself changed is in its journal, with the inverse.",
        )
    compared = sum(not name.startswith(OBSERVED) for name in before)
    if not compared:
        remedy = "See that the service and its cache answer, then run again."
        return Guard(
            id="same-as-before", ok=False, detail="Nothing could be seen, so nothing was compared.", remedy=remedy
        )
    return Guard(
        id="same-as-before",
        ok=True,
        detail=f"All {compared} things that can be seen are equal.{_observed(before, again)}",
    )


def _declared(
    change: _Changes, before: Fingerprint, after: Fingerprint, revisions: Mapping[str, str] | None
) -> dict[str, tuple[str, str]]:
    """The entries that have to differ, with both values."""
    if isinstance(change, changes.EnvChange):
        values = [
            _UNSET if value is None else shown_env(change.name, as_declared(value))
            for value in (change.before, change.after)
        ]
        return {f"env.{change.name}": (values[0], values[1])}
    if isinstance(change, changes.RevisionChange):
        wanted = revisions or {}
        seen = [found.get(REVISION, _UNSET) for found in (before, after)]
        return {REVISION: (_as_wanted(seen[0], wanted.get("before")), _as_wanted(seen[1], wanted.get("after")))}
    if isinstance(change, changes.SettingChange):
        name = f"cache.config.{change.name}"
        seen = [found.get(name, _UNSET) for found in (before, after)]
        old = seen[0] if change.before is None or same_value(seen[0], change.before) else change.before
        return {name: (old, seen[1] if same_value(seen[1], change.after) else change.after)}
    if isinstance(change, (changes.AdminChange, changes.CommandChange)):
        return {STATE: (change.before, change.after)}
    command = shlex.split(before.get("command", ""))
    old, new = (shown_env("", as_declared(value)) for value in (change.before, change.after))
    replaced = [new if argument == old else argument for argument in command]
    return {"command": (shlex.join(command), shlex.join(replaced))}


def _as_wanted(seen: str, wanted: str | None) -> str:
    """A revision as the fingerprint shows it, where it is the wanted one; else the wanted one."""
    return seen if wanted is None or wanted.startswith(seen) else wanted[: len(seen)]


def _echoes(change: _Changes, name: str, values: tuple[str, str]) -> bool:
    """Whether an entry of the configuration (or of a header) shows the declared change."""
    leaf = words(name.rsplit(".", 1)[-1])
    if isinstance(change, changes.RevisionChange):
        return name == "header.server" or (
            name.startswith(("config.", "header.")) and names_a_version(name.rsplit(".", 1)[-1])
        )
    if not name.startswith("config.") or isinstance(change, changes.SettingChange):
        return False
    if isinstance(change, changes.EnvChange) and leaf and words(change.name)[-len(leaf) :] == leaf:
        return True
    sides = list(zip((change.before, change.after), values, strict=True))
    stated = [(as_declared(declared), shown) for declared, shown in sides if declared is not None]
    if not all(_shows(declared, shown, leaf_name=name.rsplit(".", 1)[-1]) for declared, shown in stated):
        return False
    # One side may be unset (then the service's default shows), but not both.
    return bool(stated)


def _shows(declared: str, shown: str, *, leaf_name: str) -> bool:
    """Whether a configuration value is a declared value, or has it in it as a whole word."""
    if shown in (declared, shown_env(leaf_name, declared)):
        return True
    left, right = declared.strip().lower(), shown.strip().lower()
    for alike in (_TRUE, _FALSE, _NOTHING):
        if left in alike and right in alike:
            return True
    first, second = _NUMBER.fullmatch(left), _NUMBER.fullmatch(right)
    if first and second:
        ratio = (float(first[1]) * _SECONDS[first[2]], float(second[1]) * _SECONDS[second[2]])
        return ratio[0] == ratio[1] or ratio[0] * 1000 == ratio[1] or ratio[0] == ratio[1] * 1000
    return bool(left) and re.search(rf"(?<!\w){re.escape(left)}(?!\w)", right) is not None


def named(found: Mapping[str, tuple[str, str]]) -> str:
    """What differs, for a sentence: each name with both values, as many as fit."""
    named_first = list(found.items())[:_MOST_NAMED]
    sides = [(name, only_differing(*values) if name in LISTS else values) for name, values in named_first]
    parts = [f"{name} ({_short(a)} -> {_short(b)})" for name, (a, b) in sides]
    more = len(found) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _short(value: str) -> str:
    return value if len(value) <= 160 else f"{value[:150]}… ({len(value)} characters)"


def _observed(before: Fingerprint, after: Fingerprint) -> str:
    """What differs by itself, as one more sentence."""
    name = f"{OBSERVED}keys_outside_scope"
    counts = before.get(name), after.get(name)
    if None in counts or counts[0] == counts[1]:
        return ""  # a look that did not count them says nothing
    return f" Keys outside the declared scope: {counts[0]} before, {counts[1]} after."


def _fails(detail: str, remedy: str) -> Guard:
    return Guard(id="declared-difference-only", ok=False, detail=detail, remedy=remedy)
