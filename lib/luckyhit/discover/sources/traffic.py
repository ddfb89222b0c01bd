"""Requests that were seen, in a log or an archive, as routes: templates, weights, values by popularity. No secrets.

A value is kept as an example only if nothing about it looks like a secret; a route or a parameter is kept without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from luckyhit.discover.evidence import Body, Parameter, ServiceRoute
from luckyhit.discover.risk import risk_of
from luckyhit.discover.sources.paths import PathMatch, templates_of
from luckyhit.scrub.secrets import SecretValues, find_secret, is_secret_name

METHODS = frozenset({"GET", "PUT", "POST", "PATCH", "DELETE"})
MOST_EXAMPLES = 1_000
MOST_TARGETS = 200_000
"""Distinct ones; those after them are counted, and make no route."""
MOST_ROUTES = 200
LONGEST_EXAMPLE = 200
_LONGEST_ID = 64
_ALWAYS = 0.98
"""The proportion of a route's requests that makes a query's parameter required."""


@dataclass
class _Group:
    """The requests of one route."""

    match: PathMatch
    count: int = 0
    path_values: list[Counter[str]] = field(default_factory=list)
    query_counts: Counter[str] = field(default_factory=Counter)
    query_values: dict[str, Counter[str]] = field(default_factory=dict)
    credentials: bool = False
    body: Body | None = None
    response_schema: dict[str, object] | None = None


class Traffic:
    """Counts requests. `secrets`: values that must not appear in any route."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._hidden = SecretValues(secrets)
        self._targets: Counter[tuple[str, str]] = Counter()
        self._bodies: dict[tuple[str, str], Body] = {}
        self._responses: dict[tuple[str, str], dict[str, object]] = {}
        self._with_credentials: set[tuple[str, str]] = set()
        self.total = 0
        self.left_out = 0

    def add(self, method: str, target: str) -> bool:
        """Count a request. `target`: path and query. Returns whether it makes a route."""
        self.total += 1
        key = method, target.partition("#")[0]
        if method not in METHODS or (len(self._targets) >= MOST_TARGETS and key not in self._targets):
            self.left_out += 1
            return False
        self._targets[key] += 1
        return True

    def describe(
        self, method: str, path: str, *, body: Body | None, response_schema: dict[str, object] | None, credentials: bool
    ) -> None:
        """What a request was like beyond its target; the first of a path counts."""
        if body is not None:
            self._bodies.setdefault((method, path), body)
        if response_schema is not None:
            self._responses.setdefault((method, path), response_schema)
        if credentials:
            self._with_credentials.add((method, path))

    def routes(self, where: str) -> tuple[tuple[ServiceRoute, ...], list[str]]:
        """(the routes, the most requested first, notes)."""
        paths = {target.partition("?")[0] for _, target in self._targets}
        matches = templates_of(paths, self._is_value)
        groups: dict[tuple[str, str], _Group] = {}
        for (method, target), count in self._targets.items():
            path, _, query = target.partition("?")
            match = matches[path]
            group = groups.setdefault((method, match.template), _Group(match))
            self._count(group, matches[path], query, count)
            group.credentials |= (method, path) in self._with_credentials
            group.body = group.body or self._bodies.get((method, path))
            group.response_schema = group.response_schema or self._responses.get((method, path))
        ranked = sorted(groups.items(), key=lambda item: -item[1].count)
        notes = []
        if len(ranked) > MOST_ROUTES:
            notes.append(f"{where}: {len(ranked) - MOST_ROUTES:,} routes that were requested least are left out.")
        if self.left_out:
            notes.append(
                f"{where}: {self.left_out:,} of {self.total:,} requests make no route (other methods, too many)."
            )
        return tuple(self._route(method, group, where) for (method, _), group in ranked[:MOST_ROUTES]), notes

    def _is_value(self, before: str, segment: str) -> bool:
        """Whether a segment must not stand in a template: a known secret, or what looks like one."""
        text = unquote(segment)
        after_secret = is_secret_name(before) and (len(text) >= 12 or any(map(str.isdigit, text)))
        return after_secret or self._unsafe(text) or self._unsafe(segment)

    def _unsafe(self, text: str) -> bool:
        return bool(text) and (self._hidden.hidden(text) != text or find_secret(text) is not None)

    def _example(self, text: str) -> str | None:
        """The value, if it may be kept."""
        opaque = len(text) > _LONGEST_ID and " " not in text
        kept = text and len(text) <= LONGEST_EXAMPLE and not opaque and "@" not in text and not self._unsafe(text)
        return text if kept else None

    def _count(self, group: _Group, match: PathMatch, query: str, count: int) -> None:
        group.count += count
        if not group.path_values:
            group.path_values = [Counter() for _ in match.names]
        segments = match.template.split("/")
        places = [place for place, segment in enumerate(segments) if segment.startswith("{")]
        for values, place, raw in zip(group.path_values, places, match.values, strict=True):
            example = self._example(unquote(raw))
            if example is not None and not is_secret_name(segments[place - 1]):
                values[example] += count
        named = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        for name, value in named.items():
            if self._unsafe(name) or len(name) > _LONGEST_ID:
                continue
            group.query_counts[name] += count
            values = group.query_values.setdefault(name, Counter())
            if is_secret_name(name):
                group.credentials = True
            elif (example := self._example(value)) is not None:
                values[example] += count

    def _route(self, method: str, group: _Group, where: str) -> ServiceRoute:
        match = group.match
        parameters = [
            Parameter(name, "path", kind, examples=_most_common(values))
            for name, kind, values in zip(match.names, match.kinds, group.path_values, strict=True)
        ]
        parameters += [
            Parameter(
                name, "query", "integer" if values and all(map(_is_integer, values)) else "string",
                required=group.query_counts[name] >= _ALWAYS * group.count, examples=_most_common(values),
            )
            for name, values in group.query_values.items()
        ]  # fmt: skip
        return ServiceRoute(
            method=method,
            path=match.template,
            parameters=tuple(parameters),
            body=group.body,
            response_schema=group.response_schema,
            weight=group.count / self.total,
            risk=risk_of(method, match.template),
            needs_credentials=group.credentials,
            where=(f"{where} ({group.count:,} of {self.total:,} requests)",),
        )


def _most_common(values: Counter[str]) -> tuple[str, ...]:
    return tuple(value for value, _ in values.most_common(MOST_EXAMPLES))


def _is_integer(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
