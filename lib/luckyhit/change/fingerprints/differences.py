"""Compare fingerprints: the declared difference has to be there, and nothing else may differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from luckyhit.case import Case
from luckyhit.change.fingerprints.configuration import LEFT_OUT
from luckyhit.change.fingerprints.effective import not_shown, remedy, visibility_note
from luckyhit.change.fingerprints.sources import LISTS, only_differing
from luckyhit.change.kinds import CHANGE_KINDS
from luckyhit.records import Arm, Guard
from luckyhit.text.numbers import listed

_UNSET = "not set"
OBSERVED = "observed."
_MOST_NAMED = 8

Fingerprint = Mapping[str, str]


def differences(before: Fingerprint, after: Fingerprint) -> dict[str, tuple[str, str]]:
    """What differs, by name: the value before and the value after. Names that begin with `observed.` don't count."""
    return {
        name: (before.get(name, _UNSET), after.get(name, _UNSET))
        for name in sorted(before.keys() | after.keys())
        if not name.startswith(OBSERVED) and before.get(name) != after.get(name)
    }


def difference_guard(
    case: Case, before: Fingerprint, after: Fingerprint, *, revisions: Mapping[Arm, str] | None = None
) -> Guard:
    """Whether the declared change differs between the arms, and nothing else. `revisions`: full hashes of the arms,
    where the change is a revision. A configuration entry may differ where it echoes the change: by the variable's name,
    or with the declared values in it. Another revision may show as another version."""
    changed = differences(before, after)
    change = case.change
    if change.nothing:
        if changed:
            return _fails(
                f"No change is declared, but something differs: {named(changed)}.",
                f"Find out who changed it, then run again.{_ignorable(changed)}",
            )
        return Guard(
            id="declared-difference-only",
            ok=True,
            detail=f"No change is declared, and nothing differs.{_observed(before, after)}",
        )

    kind = CHANGE_KINDS[change.kind]
    declared = kind.declared(change, before, after, revisions or {})
    if any(values[0] == values[1] for values in declared.values()):
        return _fails(
            f"The change had no effect: the command has no argument {change.before!r} before the change.",
            "Write change.before exactly as the argument in target.start.command.",
        )
    missing = {name: values for name, values in declared.items() if changed.get(name) != values}
    if missing:
        name, (_, wanted) = next(iter(missing.items()))
        value = after.get(name, _UNSET)
        return _fails(
            f"The change had no effect: {name} should be {wanted!r} after the change, and is {value!r}"
            + (f" (before: {before.get(name, _UNSET)!r})." if before.get(name, _UNSET) != declared[name][0] else "."),
            "Check how the service gets this setting; the case may name the wrong one.",
        )
    if reason := not_shown(case, before, after):
        return _fails(reason, remedy(case))
    rest = {name: values for name, values in changed.items() if name not in declared}
    echoes = {name: values for name, values in rest.items() if kind.echoes(change, name, values)}
    others = {name: values for name, values in rest.items() if name not in echoes}
    if others:
        return _fails(
            f"More than the declared change differs: {named(others)}.",
            "Change one thing at a time: make these equal in both arms, then run again." + _ignorable(others),
        )
    detail = f"Only the declared change differs: {named({name: changed[name] for name in declared})}"
    if echoes:
        detail += f"; the service's own configuration shows it ({named(echoes)})"
    elif any(name.startswith("config.") for name in before):
        detail += "; the service's own configuration does not show it"
    detail += visibility_note(case, before)
    return Guard(id="declared-difference-only", ok=True, detail=f"{detail}.{_observed(before, after)}")


def same_guard(before: Fingerprint, after: Fingerprint) -> Guard:
    """Whether nothing differs: after the rollback, or between two arms before a change."""
    changed = differences(before, after)
    if changed:
        return Guard(
            id="same-as-before",
            ok=False,
            detail=f"Not as before: {named(changed)}.",
            remedy="Find out who changed it. The journal has what the run itself changed, with the inverse."
            + _ignorable(changed),
        )
    compared = sum(not name.startswith(OBSERVED) for name in before)
    if not compared:
        remedy = "Check that the service and its cache answer, then run again."
        return Guard(id="same-as-before", ok=False, detail="Nothing was visible to compare.", remedy=remedy)
    return Guard(
        id="same-as-before",
        ok=True,
        detail=f"All {compared} entries of the fingerprint are equal.{_observed(before, after)}",
    )


def named(changed: Mapping[str, tuple[str, str]]) -> str:
    """What differs, for a message: each name with both values, the first few of many."""
    named_first = list(changed.items())[:_MOST_NAMED]
    sides = [(name, only_differing(*values) if name in LISTS else values) for name, values in named_first]
    parts = [f"{name} ({_short(a)} -> {_short(b)})" for name, (a, b) in sides]
    more = len(changed) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _short(value: str) -> str:
    return value if len(value) <= 160 else f"{value[:150]}… ({len(value)} characters)"


def _ignorable(changed: Iterable[str]) -> str:
    """What to do about entries of the service's configuration that are no settings, as one more sentence."""
    names = [name.removeprefix("config.") for name in changed if name.startswith("config.")][:_MOST_NAMED]
    if not names:
        return ""
    entry = f"target.config_ignore: [{', '.join(names)}]"
    return f" If that differs from process to process, as a pid does, leave it out with {entry}."


def _observed(before: Fingerprint, after: Fingerprint) -> str:
    """What differs by itself, as more sentences."""
    name = f"{OBSERVED}keys_outside_scope"
    counts = before.get(name), after.get(name)
    sentence = ""
    if None not in counts and counts[0] != counts[1]:  # counted both times
        sentence = f" Keys outside the declared scope: {counts[0]} before, {counts[1]} after."
    names = {name for side in (before, after) for name in side.get(LEFT_OUT, "").split(", ")} - {""}
    left_out = listed(sorted(names))
    return sentence + (f" Left out of the configuration, since no settings: {left_out}." if left_out else "")


def _fails(detail: str, remedy: str) -> Guard:
    return Guard(id="declared-difference-only", ok=False, detail=detail, remedy=remedy)
