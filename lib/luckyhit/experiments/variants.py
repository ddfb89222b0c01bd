"""One part of the request is varied: does each variant get its own answer, in both orders?"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from luckyhit.experiments.means.bench import Bench, Trial, lacking, observed
from luckyhit.experiments.means.calls import Reading
from luckyhit.experiments.means.routes import DiagnosedRead
from luckyhit.experiments.repeats import ids
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.probe.probe_reads import filled_headers
from luckyhit.text.json_values import leaves

_USUAL: tuple[tuple[str, str, str], ...] = (
    ("query", "page=1", "page=2"), ("query", "limit=1", "limit=2"), ("query", "lang=en", "lang=de"),
    ("query", "format=short", "format=long"), ("query", "sort=id", "sort=-id"), ("query", "offset=0", "offset=1"),
    ("query", "currency=EUR", "currency=USD"), ("Accept-Language", "en", "de"),
    ("Accept", "application/json", "text/html"), ("Host", "one.example", "two.example"),
    ("X-Forwarded-Host", "one.example", "two.example"), ("X-Forwarded-Proto", "http", "https"),
    ("Cookie", "user=1", "user=2"), ("X-User-Id", "1", "2"), ("X-User", "one", "two"), ("X-Tenant", "one", "two"),
    ("X-Currency", "EUR", "USD"), ("X-Country", "DE", "US"), ("X-Api-Version", "1", "2"),
    ("Authorization", "Bearer one", "Bearer two"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile"),
)  # fmt: skip
"""Dimensions that services answer differently by, whether a case names them or not: (header or query, two values)."""
_Content = dict[tuple[str | int, ...], Any]
_NUMBER = re.compile(r"([?&][^=&]+=)(\d+)")
_PARAMETER = re.compile(r"([?&])([^=&]+)=[^&]*")


@dataclass(frozen=True)
class _Own:
    """What belongs to one variant: the values that each of its answers has, and the paths of all of them."""

    stable: _Content
    paths: frozenset[tuple[str | int, ...]]


@dataclass(frozen=True)
class Ask:
    """One variant of a request."""

    route: DiagnosedRead
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)


def vary_one_dimension(bench: Bench, trials: int) -> list[Observations]:
    """For each pair of variants whose answers differ on an empty cache: one, then the other, in both orders."""
    if bench.cache is None:
        return [lacking("vary-one-dimension", "variants")]
    made: list[Trial] = []
    dimensions = 0
    for name, pair in itertools.chain(_declared_pairs(bench), _usual_pairs(bench)):
        trial = _differs(bench, name, pair)
        if trial is None:
            continue
        dimensions += 1
        made += [trial, _order(bench, name, (pair[1], pair[0]))]
        if trial.outcome == "answer-of-another":
            made += [_order(bench, name, pair) for _ in range(2)]
            break
    if not dimensions:
        return [lacking("vary-one-dimension", "variants")]
    return [observed("vary-one-dimension", made, ids("vary-one-dimension"), dimensions=dimensions)]


_Pairs = Iterator[tuple[str, tuple[Ask, Ask]]]


def _declared_pairs(bench: Bench) -> _Pairs:
    """Pairs of requests that differ in one part which the case names."""
    key, second_key = bench.take(), bench.take()
    routes = bench.routes.reads
    for one, other in itertools.combinations(routes, 2):
        if one.template.partition("?")[0] == other.template.partition("?")[0]:
            named = (_query(one), _query(other)) if one.template != other.template else (one.name, other.name)
            yield " or ".join(named), (Ask(one, one.path(key)), Ask(other, other.path(key)))
    for route in routes:
        if "{key}" in route.template:
            yield f"key of {route.name}", (Ask(route, route.path(key)), Ask(route, route.path(second_key)))
    probe = bench.case.freshness
    for variant, second in itertools.combinations(probe.variants if probe is not None else [], 2):
        headers = [filled_headers(chosen.headers, str(key)) for chosen in (variant, second)]
        asks = [Ask(replace(bench.route, headers=filled), bench.route.path(key)) for filled in headers]
        yield f"{variant.name} or {second.name}", (asks[0], asks[1])
    for route in [bench.route, *(route for route in routes if route is not bench.route)]:
        for match in _NUMBER.finditer(route.template):
            changed = route.template[: match.start(2)] + str(int(match[2]) + 1) + route.template[match.end(2) :]
            asks = [Ask(route, one.path(key)) for one in (route, replace(route, template=changed))]
            yield match[1].strip("?&="), (asks[0], asks[1])
        for match in _PARAMETER.finditer(route.template):
            rest = route.template[match.end() :].removeprefix("&")
            shorter = route.template[: match.start()] + (match[1] if rest else "") + rest
            asks = [Ask(route, one.path(key)) for one in (route, replace(route, template=shorter))]
            yield f"with {match[2]} or without", (asks[0], asks[1])


def _usual_pairs(bench: Bench) -> _Pairs:
    """Pairs of requests for one key that differ in one part, where it makes a difference: one read tells that."""
    path = bench.route.path(bench.take())
    plain = _content(_loaded(bench, Ask(bench.route, path)))
    for name, *values in _USUAL:
        if name == "query":
            joint = "&" if "?" in path else "?"
            asks = [Ask(bench.route, f"{path}{joint}{value}") for value in values]
        else:
            asks = [Ask(bench.route, path, {name: value}) for value in values]
        if _content(_loaded(bench, asks[1])) != plain:
            yield name if name != "query" else values[0].partition("=")[0], (asks[0], asks[1])


def _query(route: DiagnosedRead) -> str:
    return route.template.partition("?")[2] or "no query"


def _differs(bench: Bench, name: str, pair: tuple[Ask, Ask]) -> Trial | None:
    """The pair in this order; None where their own answers, from an empty cache, are the same, or are no answers."""
    first, second = (_loaded(bench, ask) for ask in pair)
    if not first.ok or not second.ok or _content(first) == _content(second):
        return None
    own = [_own(bench, ask) for ask in pair]
    if own[0] is None or own[1] is None or own[0] == own[1]:
        return None
    return _order(bench, name, pair, own)


def _order(bench: Bench, name: str, pair: tuple[Ask, Ask], own: list[_Own | None] | None = None) -> Trial:
    first_own, second_own = own or [_own(bench, ask) for ask in pair]
    bench.empty()
    first = _sent(bench, pair[0])
    second = _sent(bench, pair[1])
    shown = _content(second)
    outcome = None
    if second.ok and first_own is not None and second_own is not None:
        right, wrong = _is(shown, second_own), _is(shown, first_own)
        outcome = "own-answer" if right else "answer-of-another" if wrong else None
    return Trial(outcome, [first.row, second.row], {"dimension": name})


def _own(bench: Bench, ask: Ask) -> _Own | None:
    """What two requests on an emptied cache agree in; None without an answer. What differs between them belongs to a
    request, not to its variant."""
    contents = []
    for _ in range(2):
        reading = _loaded(bench, ask)
        if not reading.ok:
            return None
        contents.append(_content(reading))
    first, second = contents
    if first.keys() != second.keys():
        return None
    return _Own({path: value for path, value in first.items() if second[path] == value}, frozenset(first))


def _is(shown: _Content, own: _Own) -> bool:
    return shown.keys() == own.paths and all(shown[path] == value for path, value in own.stable.items())


def _loaded(bench: Bench, ask: Ask) -> Reading:
    bench.empty()
    return _sent(bench, ask)


def _sent(bench: Bench, ask: Ask) -> Reading:
    return bench.read(bench.routes.keys[0], ask.route, path=ask.path, headers=dict(ask.headers))


def _content(reading: Reading) -> _Content:
    """The values of a JSON answer by their paths; of another one its bytes."""
    try:
        document = json.loads(reading.body)
    except ValueError:
        return {(): reading.body}
    return dict(leaves(document))
