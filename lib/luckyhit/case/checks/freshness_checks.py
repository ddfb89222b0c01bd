"""What has to hold in a case's freshness section."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from luckyhit.case.checks.workload_checks import body_findings, in_order, names_in, present
from luckyhit.case.findings import FieldAbsent, FieldPath, Finding, get, shown
from luckyhit.case.values.placeholders import placeholder_names
from luckyhit.case.values.texts import WRITE_NAMES
from luckyhit.case.values.units import format_duration, format_rate

if TYPE_CHECKING:
    from luckyhit.case.freshness import Freshness, ProbeKeys, VersionWrite
    from luckyhit.case.model import Case

_READING = ("GET", "HEAD")
ENGINES_OWN = ("host", "content-length", "transfer-encoding", "connection")
VALIDATORS = ("if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "range", "if-range")
"""A conditional read is made by the probe itself."""


def _writes(probe: Freshness) -> Iterator[tuple[FieldPath, VersionWrite]]:
    """Each write of the probe, with its place."""
    yield ("freshness", "write"), probe.write
    if (absent := get(probe, "absent")) is not None and (create := get(absent, "create")) is not None:
        yield ("freshness", "absent", "create"), create
    if (refused := get(probe, "refused")) is not None:
        yield ("freshness", "refused"), refused


def _ways(write: VersionWrite) -> list[str]:
    return [name for name in ("path", "command", "sql") if getattr(write, name) is not None]


def _ranges(probe: Freshness) -> Iterator[tuple[FieldPath, ProbeKeys]]:
    yield ("freshness", "keys"), probe.keys
    if (absent := get(probe, "absent")) is not None:
        yield ("freshness", "absent", "keys"), absent.keys


def _keys_in_order(case: Case) -> Iterator[Finding]:
    """`last` is not before `first`, in the keys of the probe; keys that exist are none of those that don't."""
    if case.freshness is None:
        return
    ranges = list(_ranges(case.freshness))
    for at, keys in ranges:
        yield from in_order(keys, (*at, "last"))
    if len(ranges) == 2 and _overlap(ranges[0][1], ranges[1][1]):
        at, keys = ranges[1]
        value = f"{keys.first} to {keys.last}"
        yield Finding(at, value, f"keys apart from freshness.keys ({ranges[0][1].first} to {ranges[0][1].last})")


def _overlap(one: ProbeKeys, other: ProbeKeys) -> bool:
    return one.first <= other.last and other.first <= one.last


def _way_of_writing(case: Case) -> Iterator[Finding]:
    """Each write of the probe goes one way (`path`, `command` or `sql`); `sql` comes with its database."""
    if case.freshness is None:
        return
    for at, write in _writes(case.freshness):
        try:
            ways = _ways(write)
        except FieldAbsent:
            continue
        if len(ways) != 1:
            value = " and ".join(ways) or "neither path, command nor sql"
            yield Finding(at, value, "one of them: path (through the service), command or sql (round it)")
        databases = [name for name in ("database", "database_env") if get(write, name) is not None]
        if ways == ["sql"] and len(databases) != 1:
            value = " and ".join(databases) or "sql without a database"
            yield Finding((*at, "database"), value, "one of them: database (a URL) or database_env (a variable's name)")
        elif databases and ways != ["sql"]:
            yield Finding((*at, databases[0]), f"{databases[0]} without sql", "sql too: the statement that writes")
        if ways == ["path"] and get(write, "method") in _READING:
            yield Finding((*at, "method"), shown(write.method), "a method that writes, such as PUT")


def _templates(case: Case) -> Iterator[Finding]:
    """The probe's writes have `{key}` and `{version}` in them, and no other name in braces."""
    if case.freshness is None:
        return
    for at, write in _writes(case.freshness):
        try:
            if _ways(write) not in (["path"], ["command"]):
                continue
            yield from body_findings(write.body, (*at, "body"), WRITE_NAMES)
            texts = [write.path or "", *(write.command or []), *write.headers.values()]
            names = {*placeholder_names(texts), *names_in(write.body)}
        except FieldAbsent:
            continue
        missing = [name for name in WRITE_NAMES if name not in names]
        if missing:
            value = " and ".join(f"no {{{name}}}" for name in missing) + " in path, body or command"
            yield Finding(at, value, "a write that says which key, and which version")


def _reads(case: Case) -> Iterator[Finding]:
    """Each read of the probe has `{key}` in its path (or where its version stands), one place for the version, and a
    name of its own."""
    if case.freshness is None:
        return
    first_use: dict[str, int] = {}
    for index, read in enumerate(case.freshness.reads):
        at: FieldPath = ("freshness", "reads", index)
        try:
            places = [name for name in ("version", "header", "regex") if getattr(read, name) is not None]
            if len(places) != 1 and places != ["header", "regex"]:
                value = " and ".join(places) or "neither version, header nor regex"
                yield Finding(at, value, "where the version stands: one of them, or a regex for the header")
            texts = (read.path, read.version or "", read.regex or "")
            if not any("{key}" in text for text in texts):
                yield Finding((*at, "path"), shown(read.path), "a path with {key} in it")
            if read.name in first_use:
                value = f"{shown(read.name)}, as freshness.reads[{first_use[read.name]}]"
                yield Finding((*at, "name"), value, "a name of its own for each read")
            first_use.setdefault(read.name, index)
        except FieldAbsent:
            continue


def _refusals(case: Case) -> Iterator[Finding]:
    """What says that the state of a thing does not allow a write is a 4xx, and none of an accepted write."""
    if case.freshness is None:
        return
    for at, write in _writes(case.freshness):
        refused = get(write, "refused")
        if refused is None:
            continue
        place = (*at, "refused")
        try:
            if at == ("freshness", "refused") or _ways(write) != ["path"]:
                expected = "it beside a path of freshness.write or freshness.absent.create"
                yield Finding(place, "refused", expected)
            taken = (408, *write.statuses)
            wrong = [status for status in refused.status if not 400 <= status < 500 or status in taken]
            if wrong:
                expected = "statuses of 4xx that say that nothing was written (not 408), other than status"
                yield Finding((*place, "status"), shown(wrong[0]), expected)
        except FieldAbsent:
            continue


def _variants(case: Case) -> Iterator[Finding]:
    """Each variant of the probe's reads has a name and headers of its own, and sets none that the engine sets."""
    if case.freshness is None:
        return
    names: dict[str, int] = {}
    asked: dict[frozenset[tuple[str, str]], int] = {}
    for index, variant in enumerate(get(case.freshness, "variants") or []):
        at: FieldPath = ("freshness", "variants", index)
        try:
            lower = [name.lower() for name in variant.headers]
            if ours := [name for name in lower if name in ENGINES_OWN or name in VALIDATORS]:
                yield Finding((*at, "headers"), f"the header {ours[0]}", "headers that the probe doesn't set itself")
            if len(set(lower)) < len(lower):
                yield Finding((*at, "headers"), "a header twice", "each header once (capitals make no difference)")
            if variant.name in names:
                value = f"{shown(variant.name)}, as freshness.variants[{names[variant.name]}]"
                yield Finding((*at, "name"), value, "a name of its own for each variant")
            names.setdefault(variant.name, index)
            sent = frozenset(zip(lower, variant.headers.values(), strict=True))
            if sent in asked:
                value = f"the headers of freshness.variants[{asked[sent]}]"
                yield Finding((*at, "headers"), value, "headers of its own for each variant")
            asked.setdefault(sent, index)
        except FieldAbsent:
            continue


def _horizon(case: Case) -> Iterator[Finding]:
    """The probe's horizon is longer than the bound `within`."""
    probe = case.freshness
    if probe is not None and probe.horizon <= probe.within:
        at = ("freshness", "horizon")
        expected = f"more than within ({format_duration(probe.within)}): reads past the bound are what counts"
        yield Finding(at, format_duration(probe.horizon), expected)


def _fits_block(case: Case) -> Iterator[Finding]:
    """The probe's horizon is shorter than a block, and its rate makes a probe in each (`plan: auto` sees to it)."""
    probe, plan = case.freshness, case.plan
    if probe is None or "block" in plan.left_out:
        return
    if probe.horizon >= plan.block:
        expected = f"less than plan.block ({format_duration(plan.block)}): later reads would fall outside of it"
        yield Finding(("freshness", "horizon"), format_duration(probe.horizon), expected)
    if probe.rate is not None and probe.rate * plan.block < 1:
        expected = f"one probe or more in each block of {format_duration(plan.block)}"
        yield Finding(("freshness", "rate"), format_rate(probe.rate), expected)


def _key_count(case: Case) -> Iterator[Finding]:
    """The probe has keys enough not to write one again while it is still watched: rate times horizon."""
    probe = case.freshness
    if probe is None or probe.rate is None:
        return
    count, needed = probe.keys.last - probe.keys.first + 1, probe.rate * probe.horizon
    if 0 < count < needed:
        expected = f"{needed:.0f} keys or more (rate times horizon), so that none is written again while it is watched"
        yield Finding(("freshness", "keys"), f"{count} keys", expected)


def _keys_apart(case: Case) -> Iterator[Finding]:
    """The probe's keys are apart from those of each route of the workload (with `keys.shared`: of each that
    writes)."""
    probe = case.freshness
    if probe is None:
        return
    for index, route in present(case.workload.routes):
        keys = get(route, "keys")
        if keys is None:
            continue
        try:
            if keys.first is None or keys.last is None:
                continue
            for at, probed in _ranges(probe):
                if getattr(probed, "shared", False) and route.method in _READING:
                    continue
                if keys.first <= probed.last and probed.first <= keys.last:
                    expected = f"keys apart from those of workload.routes[{index}] ({keys.first} to {keys.last})"
                    if route.method in _READING and at == ("freshness", "keys"):
                        expected += ", or shared: true"
                    yield Finding(at, f"{probed.first} to {probed.last}", expected)
        except FieldAbsent:
            continue


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _keys_in_order,
    _way_of_writing,
    _templates,
    _reads,
    _refusals,
    _variants,
    _horizon,
    _fits_block,
    _key_count,
    _keys_apart,
)
