"""GET routes: with which ids they answer, what their headers tell, and which cache keys they touch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode

from luckyhit.caches.base import AnyCache
from luckyhit.discover.asking import NO_SUCH_PATH, Answer, Asker, NotJson
from luckyhit.discover.evidence import ReadRoute, ServiceEvidence, ServiceRoute
from luckyhit.discover.exploring.ids import (
    alike_answered,
    candidates,
    filled_path,
    numbers_answered,
    parameter_names,
    parameter_of,
    shape_of,
    spread,
)  # fmt: skip
from luckyhit.discover.exploring.json_places import bounded_leaves, fields_of
from luckyhit.discover.exploring.key_templates import Touched, Verb, key_templates
from luckyhit.load.signals import SignalReader, offered, offered_calls
from luckyhit.load.signals.signal_table import CALL_HEADERS

MOST_ATTEMPTS = 10
_MOST_ROWS = 60
_ALL_ANSWERED, _UNASKED_EACH, _ENOUGH_UNASKED = 6, 3, 4
"""Values of one parameter that may fail."""
_MOST_QUERY_KEYS = 3
_NO_SUCH_ID = "987654321"
ENOUGH, MOST_TEXTS = 3, 60
_MOST_SHOWN = 12
_NOT_OF_THESE_IDS = (400, 404, 410, 422)


@dataclass
class Exploring:
    """What is known so far, and how to find out more. `over`: why no further route is begun; empty before that.
    `documents`: JSON answers by path. `cache`: a server of our own, or None."""

    asker: Asker
    cache: AnyCache | None
    tell: Callable[[str], None]
    over: Callable[[], str]
    documents: dict[str, Any] = field(default_factory=dict)
    reads: list[ReadRoute] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    answers_all: bytes | None = None
    """The body for an impossible path, where that is answered with 200."""
    ids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By the shape of the path up to a parameter."""
    id_texts: Sequence[tuple[str, ...]] = ()
    """Rows of texts that ids may look like; asked for where nothing else answers."""
    key_uses: dict[str, list[Touched]] = field(default_factory=dict)
    """By the `path` of a read."""

    def add_keys(self, read: ReadRoute, path: str, key: str) -> None:
        """Read a path once more, and see its keys: those with a time or a version in them are others after a write."""
        name = next(iter(parameter_names(read.path)), "")
        uses = self.touched(lambda: self.asker.get(path))
        self.key_uses.setdefault(read.path, []).append(Touched({name: key} if name else {}, uses))

    def with_all_keys(self) -> tuple[ReadRoute, ...]:
        """The reads, each with the templates of all keys that it touched."""
        return tuple(
            replace(read, keys=key_templates(self.key_uses[read.path])) if self.key_uses.get(read.path) else read
            for read in self.reads
        )

    def skip(self, route: ServiceRoute, reason: str) -> None:
        self.skipped.append((f"{route.method} {route.path}", reason))

    def empty_cache(self) -> None:
        """Does nothing where there is no cache of our own."""
        if self.cache is not None and self.cache.commands is not None:
            self.cache.commands.empty()

    def touched(self, do: Callable[[], object]) -> frozenset[tuple[Verb, str]]:
        """The keys that our own cache was asked for meanwhile."""
        if self.cache is None or self.cache.commands is None:
            do()
            return frozenset()
        with self.cache.commands.window() as window:
            do()
            commands = window.close()
        return frozenset((command.verb, key) for command in commands for key in command.keys)


def find_reads(evidence: ServiceEvidence, state: Exploring) -> None:
    """Ask all GET routes; fills in `state.reads`, `documents`, `skipped`."""
    probe = state.asker.get(NO_SUCH_PATH)
    if probe.status == 200:
        state.answers_all = probe.body
        state.unknown.append(
            "Which routes exist: the service answers 200 to a path that cannot exist, too. Routes with that same "
            "answer were left out; check the others."
        )
    routes = [route for route in evidence.routes if route.method == "GET"]
    for route in sorted(routes, key=lambda route: (len(parameter_names(route.path)), route.path)):
        if reason := state.over():
            state.skip(route, reason)
        elif route.risk:
            state.skip(route, route.risk)
        else:
            state.tell(f"reading {route.path}")
            read = _read(route, state)
            if read is not None:
                state.reads.append(read)


def _read(route: ServiceRoute, state: Exploring) -> ReadRoute | None:
    names = parameter_names(route.path)
    query = _query(route)
    if not names:
        keyed = _keyed_by_query(route, state)
        if keyed is not None:
            return keyed
        path = route.path + query
        answer = state.asker.get(path)
        if not _accepted(route, answer, state):
            return None
        return _described(ReadRoute(route, path, where="asked: it answered 200"), [(path, {})], state)
    fixed = _fixed(route, names[:-1], names[-1], query, state)
    if not fixed:
        return None
    path = filled_path(route.path, fixed[0]) + query
    ids = _ids(route, path, names[-1], state)
    if not ids:
        return None
    # Another value of the other parameters shows whether they are in the cache's keys.
    values = [{**fixed[0], names[-1]: value} for value in _sample(path, names[-1], ids, state)] + [
        {**fixed[-1], names[-1]: ids[0]}
    ]
    sample = [(filled_path(route.path, each) + query, each) for each in values[: None if fixed[1:] else -1]]
    return _described(ReadRoute(route, path, ids, where=f"asked: {len(ids)} ids, samples answered 200"), sample, state)


def _keyed_by_query(route: ServiceRoute, state: Exploring) -> ReadRoute | None:
    """A read whose key is a parameter of its query; None where none is, or where any value will do."""
    own = [parameter for parameter in route.parameters if parameter.place == "query" and not parameter.choices]
    if not any(parameter.required for parameter in own) and state.asker.get(route.path).status == 200:
        return None
    for parameter in sorted(own, key=lambda each: not each.required)[:_MOST_QUERY_KEYS]:
        others = _query(replace(route, parameters=tuple(each for each in route.parameters if each is not parameter)))
        path = f"{route.path}{others}{'&' if others else '?'}{quote(parameter.name)}={{{parameter.name}}}"
        before = len(state.skipped)
        if state.asker.get(filled_path(path, {parameter.name: _NO_SUCH_ID})).status == 200:
            continue
        ids = _ids(route, path, parameter.name, state)
        del state.skipped[before:]
        if len(ids) > 1:
            sample = [
                (filled_path(path, {parameter.name: value}), {parameter.name: value})
                for value in _sample(path, parameter.name, ids, state)
            ]
            where = f"asked: {len(ids)} values of {parameter.name}, samples answered 200"
            return _described(ReadRoute(route, path, ids, where=where), sample, state)
    return None


def _ids(route: ServiceRoute, path: str, name: str, state: Exploring) -> tuple[str, ...]:
    answered: list[str] = []
    asked: list[str] = []

    def answers_ok(value: str) -> bool:
        asked.append(value)
        answer = state.asker.get(filled_path(path, {name: value}))
        if answer.status != 200 or answer.body == state.answers_all:
            return False
        state.documents.setdefault(filled_path(path, {name: value}), answer.document)
        return True

    before = shape_of(path.partition("{" + name + "}")[0])
    known = state.ids.get(before, ())
    if known and all(map(answers_ok, spread(known))):
        return known
    last = Answer(0)
    for attempt, value in enumerate(candidates(route, name, state.documents)):
        if value.isdigit() and answered and not answered[0].isdigit():
            break  # a list of texts: what answers to a number beside them is an empty page
        # Some of a list that answers stay unasked: a process may keep a copy of what it was asked for.
        unasked = attempt >= _ALL_ANSWERED and attempt % _UNASKED_EACH == 0 and not value.isdigit()
        if unasked and len(answered) == attempt:
            answered.append(value)
            continue
        asked.append(value)
        last = state.asker.get(filled_path(path, {name: value}))
        if last.status == 200 and last.body != state.answers_all:
            state.documents.setdefault(filled_path(path, {name: value}), last.document)
            answered.append(value)
        # Of numbers a few are enough: the others are between them.
        enough = len(answered) >= ENOUGH and value.isdigit()
        if enough or len(answered) >= MOST_TEXTS or last.status in (401, 403):
            break
        if attempt + 1 - len(answered) >= MOST_ATTEMPTS:
            break
    if not answered and last.status == 404 and parameter_of(route, name).kind == "string":
        answered = _from_texts(answers_ok, state.id_texts)
    if not answered:
        _accepted(route, last, state, asked)
        return ()
    answered = alike_answered(answers_ok, answered) if len(answered) < ENOUGH else answered
    ids = numbers_answered(answers_ok, answered)
    state.ids.setdefault(before, ids)
    return ids


def _sample(path: str, name: str, ids: tuple[str, ...], state: Exploring) -> list[str]:
    """A few ids far apart, of those that were not asked for yet if there are enough."""
    unasked = tuple(value for value in ids if filled_path(path, {name: value}) not in state.documents)
    return spread(unasked if len(unasked) >= _ENOUGH_UNASKED else ids)


def _from_texts(answers_ok: Callable[[str], bool], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The texts that answer: of a row all where its first one does."""
    answered: list[str] = []
    for row in rows[:_MOST_ROWS]:
        if answers_ok(row[0]):
            answered.append(row[0])
            answered += itertools.takewhile(answers_ok, row[1:])
        if len(answered) >= MOST_TEXTS:
            break
    return list(dict.fromkeys(answered))


def _fixed(route: ServiceRoute, names: Sequence[str], last: str, query: str, state: Exploring) -> list[dict[str, str]]:
    """Up to two choices of values for the parameters other than the last one, with which some value of that answers."""
    if not names:
        return [{}]
    options = [state.ids.get(shape_of(route.path.partition("{" + name + "}")[0]), ())[:2] for name in names]
    options = [
        tuple(own) or tuple(candidates(route, name, state.documents)[:2])
        for own, name in zip(options, names, strict=True)
    ]
    choices = (
        [dict(zip(names, (own[min(number, len(own) - 1)] for own in options), strict=True)) for number in (0, 1)]
        if all(options)
        else []
    )
    answered: list[dict[str, str]] = []
    last_answer = Answer(0)
    asked: list[str] = []
    for fixed in choices:
        for value in candidates(route, last, state.documents)[:ENOUGH]:
            asked.append("/".join((*fixed.values(), value)))
            last_answer = state.asker.get(filled_path(route.path, {**fixed, last: value}) + query)
            if last_answer.status == 200 and fixed not in answered:
                answered.append(fixed)
                break
    if not answered:
        _accepted(route, last_answer, state, asked)
    return answered


def _accepted(route: ServiceRoute, answer: Answer, state: Exploring, asked: Sequence[str] = ()) -> bool:
    """Whether the answer is one of the route's own. If not, the reason is kept. `asked`: the ids that were asked for;
    `answer` is that of the last one."""
    if answer.status == 200 and answer.body != state.answers_all:
        return True
    if answer.status in (401, 403):
        state.unknown.append(
            f"What GET {route.path} answers: it wants credentials ({answer.status}). Put them into an environment "
            "variable and name it: --header-env Authorization=VARIABLE."
        )
    elif parameter_names(route.path) and answer.status in _NOT_OF_THESE_IDS:
        shown = ", ".join(asked[:_MOST_SHOWN]) + (", ..." if len(asked) > _MOST_SHOWN else "")
        known = f"{len(asked)} were asked for ({shown})" if asked else "none is known"
        state.unknown.append(
            f"Which ids GET {route.path} has: {known}. Give a path of it that answers: --path '{route.path}' with "
            "values for its braces, and the query that it needs."
        )
    reason = "the same answer as an impossible path" if answer.status == 200 else f"it answered {answer.status}"
    state.skip(route, reason if answer.status else "no answer came")
    return False


def _query(route: ServiceRoute) -> str:
    """The query that the route needs."""
    needed = {}
    for parameter in route.parameters:
        if parameter.place == "query" and parameter.required:
            values = (*parameter.examples, *parameter.choices)
            default = "1" if parameter.kind in ("integer", "number") else "true" if parameter.kind == "boolean" else "a"
            needed[parameter.name] = values[0] if values else default
    return "?" + urlencode(needed) if needed else ""


def _described(read: ReadRoute, sample: Sequence[tuple[str, Mapping[str, str]]], state: Exploring) -> ReadRoute:
    """With fields, headers, hits and keys, from two requests for each of a few paths. `sample`: paths, each with the
    values of its parameters."""
    touched: list[Touched] = []
    signals = SignalReader()
    first, second = Answer(0), Answer(0)
    for path, values in sample:
        pair: list[Answer] = []
        state.empty_cache()
        uses = state.touched(lambda path=path, pair=pair: pair.extend((state.asker.get(path), state.asker.get(path))))  # type: ignore[misc]
        if pair[0].status == pair[1].status == 200:
            first, second = pair
            touched.append(Touched(values, uses))
            if first.document is not NotJson:
                state.documents.setdefault(path, first.document)
    state.key_uses[read.path] = touched
    status = signals.read(second.headers).cache
    return replace(
        read,
        fields=fields_of(first.document) if first.document is not NotJson else (),
        cache_header=_cache_header(signals, first, second),
        db_header=_db_header(signals, first),
        db_offer=next(iter(offered_calls(first.headers)), None) if not _db_header(signals, first) else None,
        hits=None if status == "unknown" else status in ("hit", "stale"),
        keys=key_templates(touched) if touched else (),
    )


def _cache_header(signals: SignalReader, *answers: Answer) -> str:
    """The header that shows the cache status, as `name: value`; the later answer's, which should be a hit."""
    for answer in reversed(answers):
        layers = signals.read(answer.headers).layers
        name = layers.split("=")[0] if layers else ""
        if name and answer.header(name):
            return f"{name}: {answer.header(name)[:100]}"
        if own := offered(answer.headers):
            return f"{own[0][0]}: {own[0][1]}"
    return ""


def _db_header(signals: SignalReader, answer: Answer) -> str:
    if signals.read(answer.headers).db_calls is None:
        return ""
    for header in (*(name.decode() for name in CALL_HEADERS), "server-timing"):
        if answer.header(header):
            return f"{header}: {answer.header(header)[:100]}"
    return ""


def config_path_of(evidence: ServiceEvidence, state: Exploring) -> str | None:
    """The parameterless read whose answer names the most settings."""
    names = {setting.name.lower() for setting in evidence.settings}
    best = (0, "")
    for read in state.reads:
        if "{" in read.path:
            continue
        fields = {str(steps[-1]) for steps, _ in bounded_leaves(state.documents.get(read.path)) if steps}
        count = sum(name.lower() in names or ("_" in name and name.isupper()) for name in fields)
        if count:
            best = max(best, (count, read.path))
    return best[1] or None
