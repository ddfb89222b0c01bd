"""Write routes with one key each: which bodies a service accepts for them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from luckyhit.discover.asking import Answer, NotJson
from luckyhit.discover.evidence import FORM, ReadRoute, ServiceRoute
from luckyhit.discover.exploring.bodies import (
    QUERY,
    corrected,
    first_bodies,
    limit_in,
    number_places,
    text_places,
)  # fmt: skip
from luckyhit.discover.exploring.ids import candidates, filled_path, parameter_names, shape_of
from luckyhit.discover.exploring.json_places import Steps
from luckyhit.discover.exploring.numbered_bodies import in_query, numbered, query_of, with_key
from luckyhit.discover.exploring.reads import Exploring

_FIRST_NUMBER = 1_700_003
"""Above every id and version that a service has on its own; the case's first version is a million too."""
_MOST_CORRECTIONS = 6
MOST_REJECTED = 14
_MOST_PLACES = 4
_MOST_TRIED = 6
"""Places that are looked for in reads: each that shows nowhere takes a second."""
_NOT_ABOUT_THE_BODY = frozenset({0, 401, 403, 404, 405})
"""Statuses after which no other body is tried."""
_SEVENTH = 6
"""Place of the id that is written: not one of the first, which other fields have too, but on a list's first page."""


@dataclass(frozen=True)
class Accepted:
    """A body that was accepted, with the place of its number, and the answer."""

    body: dict[str, Any]
    place: Steps
    answer: Answer


@dataclass
class Attempt:
    """One write route with one key. `path`: with `{name}` in it where it has a parameter."""

    route: ServiceRoute
    path: str
    name: str
    key: str
    ids: tuple[str, ...]
    media_type: str
    numbers: Iterator[int]
    rejected: list[int] = field(default_factory=list)
    first_number: int | None = None

    def below(self, limit: int) -> None:
        """From now on, numbers that stay below a limit."""
        self.first_number = limit // 2
        self.numbers = itertools.count(self.first_number, 1)

    def url(self, key: str = "") -> str:
        return filled_path(self.path, {self.name: key or self.key}) if self.name else self.path

    def write_path(self, body: Mapping[str, Any]) -> str:
        """The path as a case has it, with its query."""
        query = "&".join(f"{name}={in_query(value)}" for name, value in (body.get(QUERY) or {}).items())
        return self.path + (f"?{query}" if query else "")


class Attempts:
    """Tries bodies; `fields` as `RouteTable.fields`. Each number is used once."""

    def __init__(self, state: Exploring, fields: Mapping[tuple[str, str], tuple[str, ...]]) -> None:
        self._numbers: Iterator[int] = itertools.count(_FIRST_NUMBER, 7)
        self._state, self._fields = state, fields

    def attempt(self, route: ServiceRoute) -> Attempt | None:
        """With an id that some read answers; None, with the reason kept, where no value is known."""
        names = parameter_names(route.path)
        media_type = route.body.media_type if route.body is not None else "application/json"
        media_type = FORM if media_type.startswith(FORM) else "application/json"
        if not names:
            ids = max((read.ids for read in self.related(route.path)), key=len, default=())
            key = ids[min(_SEVENTH, len(ids) - 1)] if ids else "1"
            return Attempt(route, route.path, "", key, ids, media_type, self._numbers)
        known = [self._state.ids.get(shape_of(route.path.partition("{" + name + "}")[0]), ()) for name in names]
        values = [
            own or tuple(candidates(route, name, self._state.documents)[:3])
            for own, name in zip(known, names, strict=True)
        ]
        if not all(values):
            self._state.skip(route, "no value for its parameters is known")
            return None
        # That of a read varies: `/boards/{board}/cards/1`, where a read has `/boards/{board}/cards`.
        varying = max((place for place, own in enumerate(known) if own), default=len(names) - 1)
        fixed = {name: own[0] for place, (name, own) in enumerate(zip(names, values, strict=True)) if place != varying}
        ids = values[varying]
        key = ids[min(_SEVENTH, len(ids) - 1)]
        return Attempt(
            route, filled_path(route.path, fixed), names[varying], key, tuple(ids), media_type, self._numbers
        )

    def accepted(self, attempt: Attempt) -> Iterator[Accepted]:
        """Accepted bodies, each with another place for the number; every one has been sent."""
        route = attempt.route
        body = route.body
        of_path = parameter_names(route.path)
        names = [name for name in self._fields.get((route.method, route.path), ()) if name not in of_path]
        last_word = route.path.rstrip("/").rpartition("/")[2]
        seeds = first_bodies(
            body.schema if body else None,
            body.example if body else None,
            self._resource(attempt),
            names,
            "" if "{" in last_word else last_word.replace("-", "_"),
        )
        query = query_of(route)
        if query:
            seeds = [{QUERY: query}, *({**seed, QUERY: query} for seed in seeds)]
        as_json = False
        for each in self._accepted_of(attempt, seeds):
            as_json = True
            yield each
        undeclared = body is None and not query and attempt.media_type != FORM
        if not as_json and undeclared and attempt.rejected and not set(attempt.rejected) & _NOT_ABOUT_THE_BODY:
            attempt.media_type = FORM
            attempt.rejected.clear()
            yield from self._accepted_of(attempt, seeds)

    def _accepted_of(self, attempt: Attempt, seeds: Sequence[dict[str, Any]]) -> Iterator[Accepted]:
        tried: list[tuple[str, ...]] = []
        for seed in seeds:
            fitted = self._fitted(attempt, seed)
            if fitted is None:
                if len(attempt.rejected) >= MOST_REJECTED or (attempt.rejected or [0])[-1] in _NOT_ABOUT_THE_BODY:
                    return
                continue
            for place in [*number_places(fitted), *text_places(fitted)][:_MOST_PLACES]:
                outline = tuple(map(str, place))
                if outline in tried or len(tried) >= _MOST_TRIED:
                    continue
                tried.append(outline)
                answer = self.send(attempt, numbered(fitted, place, next(attempt.numbers)))
                limit = limit_in(answer.document) if answer.status in (400, 422) else None
                if limit is not None and attempt.first_number is None:
                    attempt.below(limit)
                    answer = self.send(attempt, numbered(fitted, place, next(attempt.numbers)))
                if answer.accepted:
                    yield Accepted(fitted, place, answer)
                else:
                    attempt.rejected.append(answer.status)

    def _fitted(self, attempt: Attempt, body: dict[str, Any]) -> dict[str, Any] | None:
        """The body as the service accepts it."""
        for _ in range(_MOST_CORRECTIONS):
            body = with_key(body, attempt.key)
            answer = self.send(attempt, body)
            if answer.accepted:
                return body
            attempt.rejected.append(answer.status)
            if answer.status not in (400, 415, 422) or len(attempt.rejected) >= MOST_REJECTED:
                return None
            if answer.status == 415 and attempt.media_type != FORM:
                attempt.media_type = FORM
                continue
            better = corrected(body, answer.document, next(attempt.numbers))
            if better == body:
                return None
            body = better
        return None

    def send(self, attempt: Attempt, body: Mapping[str, Any], key: str = "") -> Answer:
        """`key`: another one than the attempt's own."""
        query = body.get(QUERY)
        url = attempt.url(key) + (f"?{urlencode(query)}" if query else "")
        plain = {name: value for name, value in body.items() if name != QUERY}
        return self._state.asker.send(attempt.route.method, url, plain, attempt.media_type)

    def _resource(self, attempt: Attempt) -> Any:
        """What the GET route of the same path shows, of the longest path that it continues, or of one that continues
        it."""
        url, documents = attempt.url(), self._state.documents
        own = shape_of(attempt.route.path)
        longest = sorted(self.related(attempt.route.path), key=lambda read: -len(read.path))
        for read in sorted(longest, key=lambda read: not own.startswith(shape_of(read.path))):
            near = own.startswith(shape_of(read.path)) or shape_of(read.path).startswith(f"{own}/")
            if near and attempt.key in read.ids:
                path = path_for(read, attempt.key)
                if path not in documents:
                    documents[path] = self._state.asker.get(path).document
                return documents[path]
        return documents.get(url, NotJson)

    def related(self, path: str) -> list[ReadRoute]:
        """Reads that may show what a write to the path changes, the nearest first."""
        own = shape_of(path).split("/")

        def distance(read: ReadRoute) -> tuple[int, int]:
            theirs = shape_of(read.path).split("/")
            common = next(
                (n for n, (a, b) in enumerate(zip(own, theirs, strict=False)) if a != b), min(len(own), len(theirs))
            )
            return -common, len(theirs)

        return sorted(self._state.reads, key=distance)


def path_for(read: ReadRoute, key: str) -> str:
    names = parameter_names(read.path)
    return filled_path(read.path, {names[-1]: key}) if names else read.path
