"""What has to hold in a case's workload: its keys, its pace, its routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from luckyhit.case.findings import FieldAbsent, FieldPath, Finding, get, shown
from luckyhit.case.values.placeholders import PlaceholderError, placeholder_names
from luckyhit.case.values.texts import WORKLOAD_NAMES, wrong_placeholder
from luckyhit.text.json_values import leaves

if TYPE_CHECKING:
    from luckyhit.case.freshness import ProbeKeys
    from luckyhit.case.model import Case
    from luckyhit.case.workload import Keys

P = TypeVar("P")


def keys_in_order(case: Case) -> Iterator[Finding]:
    """`last` is not before `first`, in the keys of each route."""
    for index, route in present(case.workload.routes):
        if (keys := get(route, "keys")) is not None:
            yield from in_order(keys, ("workload", "routes", index, "keys", "last"))


def in_order(keys: Keys | ProbeKeys, path: FieldPath) -> Iterator[Finding]:
    if keys.first is not None and keys.last is not None and keys.last < keys.first:
        yield Finding(path, str(keys.last), f"{keys.first} (first) or more")


def which_keys(case: Case) -> Iterator[Finding]:
    """A route's keys are a range or a file; `hot` comes with `hot-set`, and leaves keys that aren't hot."""
    for index, route in present(case.workload.routes):
        keys, at = get(route, "keys"), ("workload", "routes", index, "keys")
        if keys is None:
            continue
        ranged = [name for name in ("first", "last") if get(keys, name) is not None]
        if get(keys, "file") is not None and ranged:
            yield Finding((*at, "file"), f"file and {ranged[0]}", "either first and last, or file")
        elif get(keys, "file") is None and len(ranged) < 2:
            yield Finding(at, f"{ranged[0]} alone" if ranged else "no keys", "first and last, or file")
        hot = get(keys, "hot")
        if (hot is not None) != (get(keys, "popularity") == "hot-set"):
            expected = "hot: how many keys are hot" if hot is None else "popularity: hot-set (or leave hot out)"
            yield Finding((*at, "hot"), "no hot" if hot is None else f"hot without hot-set ({hot})", expected)
        elif hot is not None and len(ranged) == 2 and hot > keys.last - keys.first:
            yield Finding((*at, "hot"), f"{hot} of {keys.last - keys.first + 1} keys", "fewer: some keys are not hot")


def pace(case: Case) -> Iterator[Finding]:
    """The workload has a rate, or stages, or an access log with its own gaps: one of them."""
    workload, at = case.workload, ("workload", "rate")
    given = [name for name in ("rate", "stages") if get(workload, name)]
    replay = get(workload, "replay")
    if replay is not None and get(replay, "timing") == "log":
        if given:
            expected = "neither rate nor stages, or replay.timing: rate"
            yield Finding(("workload", given[0]), f"{given[0]}, and a log with its own gaps", expected)
    elif len(given) != 1:
        fields = "rate and stages" if given else "neither rate nor stages"
        yield Finding(at, fields, "one of them: rate such as 100/s, or stages")
    if replay is not None and get(replay, "timing") == "rate" and get(replay, "speed") not in (None, 1.0):
        yield Finding(("workload", "replay", "speed"), "a speed, and timing: rate", "speed with timing: log only")


def present(parts: list[P]) -> Iterator[tuple[int, P]]:
    """Parts with their index; those that are no mapping at all are passed over."""
    return ((index, part) for index, part in enumerate(parts) if part is not None)


def route_names(case: Case) -> Iterator[Finding]:
    """Each route has a name of its own."""
    first_index: dict[str, int] = {}
    for index, route in present(case.workload.routes):
        name = get(route, "name")
        if name in first_index:
            value = f"{shown(name)}, as workload.routes[{first_index[name]}]"
            yield Finding(("workload", "routes", index, "name"), value, "a name of its own for each route")
        elif name is not None:
            first_index[name] = index


def route_templates(case: Case) -> Iterator[Finding]:
    """A route with `{key}` has keys, and one with keys has `{key}`; what stands in braces is known; GET has no body."""
    for index, route in present(case.workload.routes):
        at: FieldPath = ("workload", "routes", index)
        try:
            yield from body_findings(route.body, (*at, "body"), WORKLOAD_NAMES)
            if route.body is not None and route.method in ("GET", "HEAD"):
                yield Finding((*at, "body"), f"a body with {route.method}", "no body, or a method such as POST")
            names = {*placeholder_names(route.path), *names_in(route.body), *names_in(list(route.headers.values()))}
            replayed = get(case.workload, "replay") is not None
            if "key" in names and route.keys is None and not replayed:
                yield Finding((*at, "path"), "{key}, but no keys", "keys too: which ones to ask for")
            if replayed and route.keys is not None:
                yield Finding((*at, "keys"), "keys, and a log to replay", "no keys: the log says which")
            elif "key" not in names and route.keys is not None:
                yield Finding((*at, "keys"), "keys, but no {key} in path, headers or body", "{key} where a key belongs")
        except FieldAbsent:
            continue


def body_findings(value: Any, path: FieldPath, names: tuple[str, ...]) -> Iterator[Finding]:
    """Each text of a JSON body that can't be filled in, at its own place."""
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


def versions_shown(case: Case) -> Iterator[Finding]:
    """A route's `version` is a JSON path where it reads (GET), `{number}` where it writes and sends that number; one
    that reads comes with one that writes."""
    versions: dict[bool, int] = {}
    for index, route in present(case.workload.routes):
        at: FieldPath = ("workload", "routes", index, "version")
        try:
            if route.version is None:
                continue
            reads = route.method == "GET"
            versions.setdefault(reads, index)
            if reads and route.version == "{number}":
                yield Finding(at, "{number}, in a GET", "a JSON path such as $.price_cents: where the answer shows it")
            if not reads and route.version != "{number}":
                yield Finding(at, f"{shown(route.version)}, with {route.method}", "{number}, the value that it writes")
            if not reads and "number" not in {*placeholder_names(route.path), *names_in(route.body)}:
                yield Finding(at, "{number}, which the route doesn't send", "{number} in its path or body too")
            if "key" not in {*placeholder_names(route.path), *names_in(route.body)}:
                yield Finding(at, "a version, but no {key}", "{key} in path or body: whose version it is")
        except FieldAbsent:
            return
    if len(versions) == 1:
        ((reads, index),) = versions.items()
        other = "a write route with version: '{number}'" if reads else "a GET route with a version"
        value = "a version that nothing writes" if reads else "a version that nothing reads"
        yield Finding(("workload", "routes", index, "version"), value, f"{other} too")
