"""Checks of a case's workload: its keys, its pace, its routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

from luckyhit.case.findings import FieldPath, Finding, field_name, shown
from luckyhit.case.values.placeholders import PlaceholderError, placeholder_names
from luckyhit.case.values.texts import WORKLOAD_NAMES, wrong_placeholder
from luckyhit.case.values.units import format_rate, rate_of_at_most
from luckyhit.case.workload import MEASURED_PER_S, MOST_PER_S, MOST_SENDERS
from luckyhit.designs import design_of
from luckyhit.text.json_values import leaves

if TYPE_CHECKING:
    from luckyhit.case.freshness import ProbeKeys
    from luckyhit.case.model import Case
    from luckyhit.case.workload import Keys, Route


def in_order(keys: Keys | ProbeKeys, path: FieldPath) -> Iterator[Finding]:
    if keys.first is not None and keys.last is not None and keys.last < keys.first:
        yield Finding(path, str(keys.last), f"at least {keys.first} (first)")


def duplicates(names: Sequence[str], path: FieldPath) -> Iterator[Finding]:
    """Names in a list of parts that an earlier part has as well."""
    for index, name in enumerate(names):
        first = names.index(name)
        if first != index:
            actual = f"{shown(name)}, as {field_name((*path, first))}"
            yield Finding((*path, index, "name"), actual, "a unique name")


def body_findings(value: Any, path: FieldPath, names: tuple[str, ...]) -> Iterator[Finding]:
    """Each text of a JSON body that can't be filled in, with its path."""
    for place, text in leaves(value, path):
        if not isinstance(text, str):
            continue
        try:
            unknown = sorted(set(placeholder_names(text)) - set(names))
        except PlaceholderError as error:
            yield Finding(place, shown(text), str(error))
            continue
        if unknown:
            yield Finding(place, shown(text), wrong_placeholder(names, unknown[0]))


def names_in(body: Any) -> set[str]:
    try:
        return set(placeholder_names(body))
    except PlaceholderError:
        return set()


def _keys_in_order(case: Case) -> Iterator[Finding]:
    """`last` is not before `first` in the keys of each route."""
    for index, route in enumerate(case.workload.routes):
        if route.keys is not None:
            yield from in_order(route.keys, ("workload", "routes", index, "keys", "last"))


def _which_keys(case: Case) -> Iterator[Finding]:
    """A route's keys are a range or a file; `hot` goes with `hot-set`, and some keys are not hot."""
    for index, route in enumerate(case.workload.routes):
        keys, at = route.keys, ("workload", "routes", index, "keys")
        if keys is None:
            continue
        given = [name for name in ("first", "last") if getattr(keys, name) is not None]
        if keys.file is not None and given:
            yield Finding((*at, "file"), f"file and {given[0]}", "either first and last, or file")
        elif keys.file is None and len(given) < 2:
            yield Finding(at, f"only {given[0]}" if given else "no keys", "first and last, or file")
        if (keys.hot is not None) != (keys.popularity == "hot-set"):
            actual = "no hot" if keys.hot is None else f"hot without hot-set ({keys.hot})"
            expected = "hot, the number of hot keys" if keys.hot is None else "popularity: hot-set (or no hot)"
            yield Finding((*at, "hot"), actual, expected)
        elif keys.hot is not None and keys.first is not None and keys.last is not None:
            count = keys.last - keys.first + 1
            if keys.hot >= count:
                yield Finding((*at, "hot"), f"{keys.hot} of {count} keys", "fewer, so that some keys are not hot")


def _pace(case: Case) -> Iterator[Finding]:
    """The workload has exactly one of a rate, stages, and an access log with its own gaps."""
    workload, replay = case.workload, case.workload.replay
    given = [name for name in ("rate", "stages") if getattr(workload, name)]
    if replay is not None and replay.timing == "log":
        if given:
            expected = "neither rate nor stages, or replay.timing: rate"
            yield Finding(("workload", given[0]), f"{given[0]} and a log with its own gaps", expected)
    elif len(given) != 1:
        actual = "rate and stages" if given else "neither rate nor stages"
        yield Finding(("workload", "rate"), actual, "either rate (such as 100/s) or stages")
    if replay is not None and replay.timing == "rate" and replay.speed != 1.0:
        yield Finding(("workload", "replay", "speed"), "speed with timing: rate", "speed with timing: log only")


def _route_names(case: Case) -> Iterator[Finding]:
    """Each route has a unique name."""
    yield from duplicates([route.name for route in case.workload.routes], ("workload", "routes"))


def _names_of(route: Route) -> set[str]:
    return {*placeholder_names(route.path), *names_in(route.body), *names_in(list(route.headers.values()))}


def _route_templates(case: Case) -> Iterator[Finding]:
    """A route has keys if and only if it contains `{key}`; other placeholders are known; GET has no body."""
    replayed = case.workload.replay is not None
    for index, route in enumerate(case.workload.routes):
        at: FieldPath = ("workload", "routes", index)
        yield from body_findings(route.body, (*at, "body"), WORKLOAD_NAMES)
        if route.body is not None and route.method in ("GET", "HEAD"):
            yield Finding((*at, "body"), f"a body with {route.method}", "no body, or a method such as POST")
        keyed = "key" in _names_of(route)
        if keyed and route.keys is None and not replayed:
            yield Finding((*at, "path"), "{key} without keys", "keys, the values of {key}")
        if replayed and route.keys is not None:
            yield Finding((*at, "keys"), "keys with a log to replay", "no keys: they come from the log")
        elif not keyed and route.keys is not None:
            yield Finding((*at, "keys"), "keys without {key} in path, headers or body", "{key} where a key belongs")


def _versions_shown(case: Case) -> Iterator[Finding]:
    """A route's `version` is a JSON path if it reads (GET), and `{number}` if it writes and sends that number; a
    reading route needs a writing one and vice versa."""
    versions: dict[bool, int] = {}
    for index, route in enumerate(case.workload.routes):
        at: FieldPath = ("workload", "routes", index, "version")
        if route.version is None:
            continue
        reads = route.method == "GET"
        versions.setdefault(reads, index)
        sent = {*placeholder_names(route.path), *names_in(route.body)}
        if reads and route.version == "{number}":
            yield Finding(at, "{number} in a GET", "a JSON path such as $.price_cents, where the answer has the value")
        if not reads and route.version != "{number}":
            yield Finding(at, f"{shown(route.version)} with {route.method}", "{number}, the value that it writes")
        if not reads and "number" not in sent:
            yield Finding(at, "{number}, which the route doesn't send", "{number} in its path or body")
        if "key" not in sent:
            yield Finding(at, "a version without {key}", "{key} in path or body, the key that has the version")
    if len(versions) == 1:
        ((reads, index),) = versions.items()
        expected = "a writing route with version: '{number}'" if reads else "a GET route with a version"
        actual = "a version that no route writes" if reads else "a version that no route reads"
        yield Finding(("workload", "routes", index, "version"), actual, expected)


def _senders(case: Case) -> Iterator[Finding]:
    """All hosts together have no more sending processes than can be told apart."""
    workload = case.workload
    if workload.senders > MOST_SENDERS:
        actual = f"{workload.hosts} hosts with {workload.workers} workers each"
        yield Finding(("workload", "hosts"), actual, f"at most {MOST_SENDERS} workers in all")


def _sendable(case: Case) -> Iterator[Finding]:
    """No sending process is asked for more requests a second than one was ever measured to send, schedule or not."""
    workload, arms = case.workload, design_of(case).arms_in_block
    sent_per_s, peak = workload.sent_per_s(arms), workload.peak_rate
    if sent_per_s is None or peak is None or sent_per_s <= MOST_PER_S * (1 + 1e-9):
        return
    processes = "one process" if workload.senders == 1 else f"each of {workload.senders} processes"
    both = " to each of two arms" if arms > 1 else ""
    actual = f"{format_rate(peak)}{both}, {sent_per_s:.0f}/s for {processes}"
    expected = f"at most {rate_of_at_most(measured_rate(case))}: one process was measured up to {MEASURED_PER_S:.0f}/s"
    senders = ceil(peak * arms / MEASURED_PER_S)
    if senders <= MOST_SENDERS:
        expected += f" (or {senders} processes, by workload.workers and hosts, each with a processor of its own)"
    yield Finding(("workload", "rate" if workload.rate is not None else "stages"), actual, expected)


def measured_rate(case: Case) -> float:
    """The highest rate to each arm at which the sending processes were measured."""
    return MEASURED_PER_S * case.workload.senders / design_of(case).arms_in_block


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _keys_in_order,
    _which_keys,
    _pace,
    _route_names,
    _route_templates,
    _versions_shown,
    _senders,
    _sendable,
)
