"""Bodies of writes: from a schema, an example or an answer; corrected by what validation errors say."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from luckyhit.discover.exploring.json_places import ID_NAMES, Steps, bounded_leaves, value_at
from luckyhit.text.json_values import is_object

QUERY = "?"
"""Name in a body under which the parameters of the query are, while both are tried together."""
_DEEPEST = 8
_MOST_NAMES = 5
_VERSIONS = ("version", "revision", "rev", "generation", "sequence", "seq", "serial")
_AMOUNTS = frozenset(
    {"price", "amount", "cents", "value", "count", "quantity", "qty", "stock", "level", "score", "number", "total"}
    | {"balance", "rank", "limit", "points", "size"}
)
_MOST_INNER = 3
USUAL_FIELDS = ("version", "value")
"""Tried where nothing says what a body has."""
_REQUIRED = re.compile(r"required|missing|may not be (null|blank)|must be (present|provided)", re.IGNORECASE)
_UNWANTED = re.compile(r"extra|unknown|unexpected|not permitted|not allowed|additional", re.IGNORECASE)
_NUMBER = re.compile(r"int|number|float|decimal|digit", re.IGNORECASE)
_TEXT = re.compile(r"str|text|char", re.IGNORECASE)
_NAMED = re.compile(r"['\"`]([A-Za-z_]\w{0,60})['\"`]|\b([A-Za-z_]\w{0,60}) (?:is|are|field is)? ?(?:required|missing)")
FEWEST_VERSIONS = 5_000
_AT_MOST = re.compile(
    r"(?:less than|at most|no more than|not exceed|max(?:imum)?\b|up to|<=?)\D{0,30}(\d{1,15})", re.IGNORECASE
)
_LIMITED = re.compile(r"one of|literal|enum|choice|Input should be '", re.IGNORECASE)
_AROUND = ("detail", "errors", "error", "message", "messages", "json", "fields")
"""Names under which complaints are."""
_FIELD_NAMES = ("field", "param", "parameter", "property", "attribute", "pointer", "path", "name")
_MESSAGES = ("message", "msg", "detail", "reason", "error", "description", "code", "title")
_TEXTS = {
    "date": "2030-01-02",
    "date-time": "2030-01-02T03:04:05Z",
    "email": "someone@example.com",
    "uuid": "00000000-0000-4000-8000-000000000001",
    "uri": "https://example.com/",
}
_CHOICE = re.compile(r"'([^']{1,60})'")


def sample_of(schema: Any, depth: int = 0) -> Any:
    """A small value that fits a JSON Schema, as far as it is a plain one; None where it is not understood."""
    if depth > _DEEPEST:
        return None
    match schema:
        case {"example": value} | {"default": value} | {"const": value} if value is not None:
            return copy.deepcopy(value)
        case {"examples": [value, *_]} | {"enum": [value, *_]}:
            return copy.deepcopy(value)
        case {"anyOf": [*options]} | {"oneOf": [*options]}:
            return next((value for option in options if (value := sample_of(option, depth + 1)) is not None), None)
        case {"allOf": [*options]}:
            parts = [sample_of(option, depth + 1) for option in options]
            return {name: value for part in parts if is_object(part) for name, value in part.items()}
        case {"properties": {**properties}}:
            samples = {name: sample_of(part, depth + 1) for name, part in properties.items() if not _read_only(part)}
            return {name: value for name, value in samples.items() if value is not None}
        case {"type": "array", "items": items}:
            return [sample_of(items, depth + 1)]
        case {"type": "integer" | "number" | ["integer" | "number", *_]}:
            return max(1, 1 + max(_limit(schema, "minimum", 0), _limit(schema, "exclusiveMinimum", 0)))
        case {"type": "boolean" | ["boolean", *_]}:
            return True
        case {"type": "string" | ["string", *_]}:
            text = _TEXTS.get(str(schema.get("format")), "text")
            return text.ljust(min(_limit(schema, "minLength", 0), 1_000), "x")[: _limit(schema, "maxLength", 200)]
    return None


def _read_only(schema: Any) -> bool:
    match schema:
        case {"readOnly": True}:
            return True
    return False


def _limit(schema: Mapping[str, Any], name: str, default: int) -> int:
    value = schema.get(name)
    plain = isinstance(value, int | float) and math.isfinite(value)
    return int(value) if plain and value is not None else default


def first_bodies(schema: Any, example: Any, answer: Any, names: Sequence[str], last_word: str) -> list[dict[str, Any]]:
    """Bodies to begin with, the most probable first. `answer`: what the resource's GET route shows; `names`: fields
    that the view is known to read; `last_word`: of the path (`/items/{id}/price`)."""
    bodies: list[dict[str, Any]] = []
    answer = answer if is_object(answer) else {}
    plain = {name: value for name, value in answer.items() if isinstance(value, str | int | float | bool)}
    if is_object(example):
        bodies.append(copy.deepcopy(example))
    made = sample_of(schema)
    if is_object(made) and made:
        bodies.append(made)
    if names:  # one alone first: what else a view reads may be optional, and 1 a wrong value for it
        ranked = [steps[0] for steps in number_places(dict.fromkeys(names, 1))]
        bodies += [{name: 1} for name in ranked if isinstance(name, str)][:_MOST_NAMES]
        bodies.append({name: plain.get(name, 1) for name in names})
    if answer:
        bodies += [plain] if plain else []
        nested = {name: value for name, value in answer.items() if is_object(value)}
        bodies += [{**plain, **copy.deepcopy(nested)}] if nested else []
        # A field of its own, which the answer has deeper down.
        inner = dict.fromkeys(str(steps[-1]) for steps in number_places(nested))
        bodies += [{name: 1} for name in inner][:_MOST_INNER]
    bodies += [{name: 1} for name in dict.fromkeys([last_word, *USUAL_FIELDS]) if name]
    return [body for number, body in enumerate(bodies) if body not in bodies[:number]]


def number_places(body: Any) -> list[Steps]:
    """Places that may take a version, the most probable first; ids not."""
    ranked: list[tuple[int, int, Steps]] = []
    for steps, value in bounded_leaves(body):
        names = [step for step in steps if isinstance(step, str)]
        if not names or isinstance(value, bool) or not isinstance(value, int | float) or is_id(steps):
            continue
        words = set(re.findall(r"[a-z]+", names[-1].lower()))
        rank = 0 if names[-1].lower() in _VERSIONS else 1 if words & set(_VERSIONS) else 2 if words & _AMOUNTS else 3
        ranked.append((rank + (isinstance(value, float) and not value.is_integer()), len(ranked), steps))
    return [steps for _, _, steps in sorted(ranked)]


def text_places(body: Any) -> list[Steps]:
    """Places of texts, which may take a number's digits; those of dates, times, addresses and links last."""
    places = [
        (re.search(r"[@:/]|\d-\d", value) is not None, steps)
        for steps, value in bounded_leaves(body)
        if steps and isinstance(value, str) and not is_id(steps)
    ]
    return [steps for _, steps in sorted(places, key=lambda place: place[0])]


def is_id(steps: Steps) -> bool:
    name = next((step for step in reversed(steps) if isinstance(step, str)), "").lower()
    return name in ID_NAMES or name.endswith("_id")


def placed(body: Any, steps: Steps, value: Any) -> Any:
    """A copy of the body with a value at a place that exists."""
    changed = copy.deepcopy(body)
    value_at(changed, steps[:-1])[steps[-1]] = value
    return changed


def corrected(body: dict[str, Any], document: Any, number: int) -> dict[str, Any]:
    """The body as a validation error asks for it: missing fields added, unwanted ones gone, kinds changed. The same
    where nothing was understood. `document`: the answer's JSON value. `number`: for new fields."""
    changed = copy.deepcopy(body)
    for place, message in _complaints(document):
        _correct(changed, place, message, number)
    return changed


def limit_in(document: Any) -> int | None:
    """The greatest number that a validation error allows, where a version can count up below it."""
    for _, message in _complaints(document):
        if (match := _AT_MOST.search(message)) and int(match[1]) >= FEWEST_VERSIONS:
            return int(match[1])
    return None


def _correct(body: Any, place: Steps, message: str, number: int) -> None:
    parent = body
    for step in place[:-1]:
        try:
            parent = parent[step]
        except (KeyError, IndexError, TypeError):
            return
    name = place[-1]
    if not is_object(parent) or not isinstance(name, str):
        return
    if name in parent and _UNWANTED.search(message):
        del parent[name]
    elif _LIMITED.search(message) and (choices := _CHOICE.findall(message)):
        parent[name] = choices[0]
    elif name not in parent and _REQUIRED.search(message):
        parent[name] = number
    elif name in parent and re.search(r"list|array", message, re.IGNORECASE):
        parent[name] = [parent[name]]
    elif name in parent and _TEXT.search(message) and not isinstance(parent[name], str):
        parent[name] = "text"
    elif name in parent and _NUMBER.search(message) and (isinstance(parent[name], str) or parent[name] is None):
        parent[name] = number


def _complaints(document: Any) -> Iterator[tuple[Steps, str]]:
    """(place, message) of each complaint: pydantic's `detail`, `{field: [messages]}`, or a sentence with names."""
    match document:
        case {"loc": [*steps], **rest}:
            place = tuple(step for step in steps if isinstance(step, str | int))
            place = place[1:] if place[:1] in (("body",), ("json",)) else place
            place = (QUERY, *place[1:]) if place[:1] == ("query",) else place
            if place:
                yield place, f"{rest.get('type', '')} {rest.get('msg', '')}"
        case {**members} if (field := _text_under(members, _FIELD_NAMES)) and _text_under(members, _MESSAGES):
            yield (re.split(r"[/.]", field)[-1],), _text_under(members, _MESSAGES)
        case {**members}:
            for name, inner in members.items():
                match inner:
                    case [str(), *_] if name not in _AROUND:
                        yield (str(name),), " ".join(map(str, inner))
                    case str() if name not in _AROUND and _REQUIRED.search(inner):
                        yield (str(name),), inner
                    case _ if name in _AROUND:
                        yield from _complaints(inner)
        case [*several]:
            for inner in several:
                yield from _complaints(inner)
        case str():
            yield from _in_sentence(document)


def _text_under(members: Mapping[Any, Any], names: Sequence[str]) -> str:
    """The first text under one of the names; empty without one."""
    return next((members[name] for name in names if isinstance(members.get(name), str)), "")


def _in_sentence(sentence: str) -> Iterator[tuple[Steps, str]]:
    for quoted, named in _NAMED.findall(sentence[:2_000]):
        yield (quoted or named,), sentence
