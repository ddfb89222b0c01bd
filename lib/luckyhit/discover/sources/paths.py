"""From paths that were requested to templates: `/items/7` and `/items/8` are `/items/{id}`.

A segment is a parameter where it looks like an identifier by itself (a number, a UUID, a hash), or where it is one of
many at its place. No request is needed to decide it, and each path belongs to exactly one template.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["integer", "string"]
MANY_SLUGS = 4
"""Distinct segments with a digit, a hyphen or the like at one place that make a parameter."""
MANY_WORDS = 12
"""Plain words at one place, all followed by the same, that make a parameter."""
MANY_FIRST_WORDS = 50
"""The same for the first segment: a service has many resources."""
MOST_SEGMENTS = 40
_INTEGER = re.compile(r"-?\d{1,20}")
_IDENTIFIER = re.compile(
    r"\{?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\}?"  # UUID
    r"|(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}|[0-9a-fA-F]{24,}"  # hash, ObjectId
    r"|(?=[A-Z]*\d)[0-9A-HJKMNP-TV-Z]{26}"  # ULID
    r"|(?=[^\d]*\d)(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])[\w~-]{16,}={0,2}"  # base64, nanoid, KSUID
)
_VERSION = re.compile(r"v\d+(?:\.\d+)*")
_SLUG = re.compile(r".*[\d_%.~:@,A-Z-].*", re.DOTALL)


@dataclass(frozen=True)
class PathMatch:
    """A path as its template and the parameters' texts, as they stand in the path, in order."""

    template: str
    names: tuple[str, ...] = ()
    kinds: tuple[Kind, ...] = ()
    values: tuple[str, ...] = ()


def is_identifier(segment: str) -> bool:
    """Whether a segment of a path is an identifier, whatever else was requested."""
    return bool(_INTEGER.fullmatch(segment) or _IDENTIFIER.fullmatch(segment)) or bool({"{", "}", "@"} & set(segment))


def templates_of(paths: Iterable[str], is_value: Callable[[str, str], bool] | None = None) -> dict[str, PathMatch]:
    """The template of each path. `is_value(segment before, segment)`: whether a segment is no literal, whatever it
    looks like: a secret."""
    split = {path: path.removeprefix("/").split("/", MOST_SEGMENTS) for path in paths}
    matches: dict[str, PathMatch] = {}
    groups: list[tuple[list[str], list[Kind | None], list[str]]] = [([], [], list(split))]
    while groups:
        literals, kinds, group = groups.pop()
        depth = len(literals)
        ended = [path for path in group if len(split[path]) == depth]
        for path in ended:
            matches[path] = _match(literals, kinds, split[path])
        at_place: dict[str, list[str]] = defaultdict(list)
        for path in group:
            if len(split[path]) > depth:
                at_place[split[path][depth]].append(path)
        before = literals[-1] if literals else ""
        values = {
            segment
            for segment in at_place
            if is_identifier(segment) or (is_value is not None and is_value(before, segment))
        }
        values |= _varying(at_place, split, depth, values)
        if values:
            kind: Kind = "integer" if all(map(_INTEGER.fullmatch, values)) else "string"
            of_values = [path for segment in values for path in at_place[segment]]
            groups.append(([*literals, ""], [*kinds, kind], of_values))
        groups += [
            ([*literals, segment], [*kinds, None], of_segment)
            for segment, of_segment in at_place.items()
            if segment not in values
        ]
    return matches


def _varying(
    at_place: dict[str, list[str]], split: dict[str, list[str]], depth: int, identifiers: set[str]
) -> set[str]:
    """Segments that are no identifiers by themselves, but too many to be literals."""
    others = [segment for segment in at_place if segment and segment not in identifiers]
    slugs = {segment for segment in others if _SLUG.fullmatch(segment) and not _VERSION.fullmatch(segment)}
    varying = slugs if len(slugs) >= MANY_SLUGS else set()
    alike: dict[frozenset[str | None], set[str]] = defaultdict(set)
    for segment in others:
        following = frozenset(
            split[path][depth + 1] if len(split[path]) > depth + 1 else None for path in at_place[segment]
        )
        alike[following].add(segment)
    many = MANY_WORDS if depth else MANY_FIRST_WORDS
    return varying.union(*(segments for segments in alike.values() if len(segments) >= many))


def _match(literals: Sequence[str], kinds: Sequence[Kind | None], segments: Sequence[str]) -> PathMatch:
    places = [place for place, kind in enumerate(kinds) if kind is not None]
    names: dict[int, str] = {}
    for place in places:
        before = literals[place - 1] if place else ""
        name = f"{_singular(before)}_id" if len(places) > 1 and before.isidentifier() else "id"
        taken = set(names.values())
        names[place] = name if name not in taken else f"{name}_{place}"
    parts = [f"{{{names[place]}}}" if place in names else literal for place, literal in enumerate(literals)]
    return PathMatch(
        template="/" + "/".join(parts),
        names=tuple(names.values()),
        kinds=tuple(kind for kind in kinds if kind is not None),
        values=tuple(segments[place] for place in places),
    )


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
