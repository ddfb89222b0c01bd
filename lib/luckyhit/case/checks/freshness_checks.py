"""Checks of a case's freshness section against itself and the rest of the case."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING

from luckyhit.case.checks.workload_checks import body_findings, duplicates, in_order, names_in
from luckyhit.case.findings import FieldPath, Finding, shown
from luckyhit.case.freshness import MOST_PROBES
from luckyhit.case.values.placeholders import placeholder_names
from luckyhit.case.values.texts import WRITE_NAMES
from luckyhit.case.values.units import format_duration, format_rate, rate_of_at_least, rate_of_at_most

if TYPE_CHECKING:
    from luckyhit.case.freshness import Freshness, ProbeKeys, VersionWrite
    from luckyhit.case.model import Case

_READING = ("GET", "HEAD")
ENGINES_OWN = ("host", "content-length", "transfer-encoding", "connection")
VALIDATORS = ("if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "range", "if-range")
"""Headers of conditional reads, which the probe sends itself."""


def _writes(probe: Freshness) -> Iterator[tuple[FieldPath, VersionWrite]]:
    """Each write of the probe, with its path in the file."""
    yield ("freshness", "write"), probe.write
    if probe.absent is not None:
        yield ("freshness", "absent", "create"), probe.absent.create
    if probe.refused is not None:
        yield ("freshness", "refused"), probe.refused


def _write_methods(write: VersionWrite) -> list[str]:
    return [name for name in ("path", "command", "sql") if getattr(write, name) is not None]


def _ranges(probe: Freshness) -> Iterator[tuple[FieldPath, ProbeKeys]]:
    yield ("freshness", "keys"), probe.keys
    if probe.absent is not None:
        yield ("freshness", "absent", "keys"), probe.absent.keys


def _keys_in_order(probe: Freshness, _: Case) -> Iterator[Finding]:
    """`last` is not before `first` in the keys of the probe, and keys that exist don't overlap with absent ones."""
    ranges = list(_ranges(probe))
    for at, keys in ranges:
        yield from in_order(keys, (*at, "last"))
    if len(ranges) == 2 and probe.keys.names is None and _overlap(ranges[0][1], ranges[1][1]):
        at, keys = ranges[1]
        expected = f"keys outside freshness.keys ({ranges[0][1].first} to {ranges[0][1].last})"
        yield Finding(at, f"{keys.first} to {keys.last}", expected)


def _overlap(one: ProbeKeys, other: ProbeKeys) -> bool:
    return one.first <= other.last and other.first <= one.last


def _one_write_method(probe: Freshness, _: Case) -> Iterator[Finding]:
    """Each write of the probe uses one of `path`, `command` and `sql`; `sql` needs a database."""
    for at, write in _writes(probe):
        methods = _write_methods(write)
        if len(methods) != 1:
            actual = " and ".join(methods) or "neither path, command nor sql"
            yield Finding(at, actual, "exactly one of path (through the service), command or sql (around it)")
        databases = [name for name in ("database", "database_env") if getattr(write, name) is not None]
        if methods == ["sql"] and len(databases) != 1:
            actual = " and ".join(databases) or "sql without a database"
            yield Finding((*at, "database"), actual, "either database (a URL) or database_env (a variable's name)")
        elif databases and methods != ["sql"]:
            yield Finding((*at, databases[0]), f"{databases[0]} without sql", "sql, the statement that writes")
        if methods == ["path"] and write.method in _READING:
            yield Finding((*at, "method"), shown(write.method), "a method that writes, such as PUT")


def _templates(probe: Freshness, _: Case) -> Iterator[Finding]:
    """The probe's writes contain `{key}` and `{version}`, and no other placeholder."""
    for at, write in _writes(probe):
        if _write_methods(write) not in (["path"], ["command"]):
            continue
        yield from body_findings(write.body, (*at, "body"), WRITE_NAMES)
        texts = [write.path or "", *(write.command or []), *write.headers.values()]
        names = {*placeholder_names(texts), *names_in(write.body)}
        if missing := [name for name in WRITE_NAMES if name not in names]:
            actual = " and ".join(f"no {{{name}}}" for name in missing) + " in path, body or command"
            yield Finding(at, actual, "a write with {key} and {version} in it")


def _reads(probe: Freshness, _: Case) -> Iterator[Finding]:
    """Each read of the probe has a unique name, one place for the version, and `{key}` in its path or in that place."""
    for index, read in enumerate(probe.reads):
        at: FieldPath = ("freshness", "reads", index)
        places = [name for name in ("version", "header", "regex") if getattr(read, name) is not None]
        if len(places) != 1 and places not in (["header", "regex"], ["version", "regex"]):
            actual = " and ".join(places) or "neither version, header nor regex"
            yield Finding(at, actual, "one of version, header and regex (or a regex for one of the others)")
        if not any("{key}" in text for text in (read.path, read.version or "", read.regex or "")):
            yield Finding((*at, "path"), shown(read.path), "a path with {key} in it")
    yield from duplicates([read.name for read in probe.reads], ("freshness", "reads"))


def _refusals(probe: Freshness, _: Case) -> Iterator[Finding]:
    """A refusal that depends on the state of the data is a 4xx status that no accepted write has."""
    for at, write in _writes(probe):
        if write.refused is None:
            continue
        place = (*at, "refused")
        if at == ("freshness", "refused") or _write_methods(write) != ["path"]:
            expected = "refused only next to a path of freshness.write or freshness.absent.create"
            yield Finding(place, "refused", expected)
        accepted = (408, *write.statuses)
        if wrong := [status for status in write.refused.status if not 400 <= status < 500 or status in accepted]:
            yield Finding((*place, "status"), shown(wrong[0]), "a 4xx status other than 408 and those in status")


def _variants(probe: Freshness, _: Case) -> Iterator[Finding]:
    """Each variant of the probe's reads has a unique name and unique headers, and none that the engine sets."""
    sent_by: dict[frozenset[tuple[str, str]], int] = {}
    for index, variant in enumerate(probe.variants):
        at: FieldPath = ("freshness", "variants", index)
        lower = [name.lower() for name in variant.headers]
        if reserved := [name for name in lower if name in ENGINES_OWN or name in VALIDATORS]:
            yield Finding((*at, "headers"), f"the header {reserved[0]}", "headers that the probe doesn't set itself")
        if len(set(lower)) < len(lower):
            yield Finding((*at, "headers"), "a header twice", "each header once (case is ignored)")
        sent = frozenset(zip(lower, variant.headers.values(), strict=True))
        if sent in sent_by:
            actual = f"the headers of freshness.variants[{sent_by[sent]}]"
            yield Finding((*at, "headers"), actual, "different headers for each variant")
        sent_by.setdefault(sent, index)
    yield from duplicates([variant.name for variant in probe.variants], ("freshness", "variants"))


def _horizon(probe: Freshness, _: Case) -> Iterator[Finding]:
    """The probe's horizon is longer than the bound `within`."""
    if probe.horizon <= probe.within:
        expected = f"more than within ({format_duration(probe.within)}): only reads after the bound count"
        yield Finding(("freshness", "horizon"), format_duration(probe.horizon), expected)


def _fits_block(probe: Freshness, case: Case) -> Iterator[Finding]:
    """The probe's horizon is shorter than a block, and its rate gives one probe or more per block, and no more than a
    block has versions for (`plan: auto` does that itself)."""
    plan, at = case.plan, ("freshness", "rate")
    if "block" in plan.left_out:
        return
    if probe.horizon >= plan.block:
        expected = f"less than plan.block ({format_duration(plan.block)}): later reads would fall outside the block"
        yield Finding(("freshness", "horizon"), format_duration(probe.horizon), expected)
    if probe.rate is None:
        return
    if probe.rate * plan.block < 1:
        expected = f"at least {rate_of_at_least(1 / plan.block)}: one probe per block of {format_duration(plan.block)}"
        yield Finding(at, format_rate(probe.rate), expected)
    elif probe.rate * plan.block >= MOST_PROBES + 1:
        expected = f"at most {rate_of_at_most(MOST_PROBES / plan.block)}: a block ({format_duration(plan.block)}) has "
        expected += f"versions for {MOST_PROBES:,} probes"
        yield Finding(at, format_rate(probe.rate), expected)


def _key_count(probe: Freshness, _: Case) -> Iterator[Finding]:
    """The probe has enough keys that none is written again while it is still watched: rate times horizon."""
    if probe.rate is None:
        return
    count, needed = probe.keys.last - probe.keys.first + 1, probe.rate * probe.horizon
    if 0 < count < needed:
        expected = f"at least {needed:.0f} keys (rate times horizon), so that none is written again while it is watched"
        yield Finding(("freshness", "keys"), f"{count} keys", expected)


def _keys_apart(probe: Freshness, case: Case) -> Iterator[Finding]:
    """The probe's keys don't overlap with those of any route of the workload (with `keys.shared`: of any that
    writes)."""
    for index, route in enumerate(case.workload.routes):
        keys = route.keys
        if keys is None or keys.first is None or keys.last is None:
            continue
        for at, probed in _ranges(probe):
            if getattr(probed, "names", None) is not None:
                continue
            if getattr(probed, "shared", False) and route.method in _READING:
                continue
            if keys.first <= probed.last and probed.first <= keys.last:
                expected = f"keys outside those of workload.routes[{index}] ({keys.first} to {keys.last})"
                if route.method in _READING and at == ("freshness", "keys"):
                    expected += ", or shared: true"
                yield Finding(at, f"{probed.first} to {probed.last}", expected)


def _where_probed(check: Callable[[Freshness, Case], Iterator[Finding]]) -> Callable[[Case], Iterator[Finding]]:
    @wraps(check)
    def check_case(case: Case) -> Iterator[Finding]:
        if case.freshness is not None:
            yield from check(case.freshness, case)

    return check_case


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = tuple(
    _where_probed(check)
    for check in (
        _keys_in_order,
        _one_write_method,
        _templates,
        _reads,
        _refusals,
        _variants,
        _horizon,
        _fits_block,
        _key_count,
        _keys_apart,
    )
)
