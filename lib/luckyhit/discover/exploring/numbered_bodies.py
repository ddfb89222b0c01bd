"""Bodies with the key and a version in them, as they are sent and as a case has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from luckyhit.discover.evidence import ServiceRoute
from luckyhit.discover.exploring.bodies import QUERY, placed
from luckyhit.discover.exploring.json_places import Steps, bounded_leaves, value_at

_KEY_NAMES = ("id", "pk")


def query_of(route: ServiceRoute) -> dict[str, Any]:
    """A value for each parameter of the query that is a number, or has to be there."""
    query: dict[str, Any] = {}
    for parameter in route.parameters:
        values = (*parameter.examples, *parameter.choices)
        number = parameter.kind in ("integer", "number")
        if parameter.place == "query" and (parameter.required or number):
            query[parameter.name] = 1 if number and not parameter.choices else values[0] if values else "text"
    return query


def numbered(body: dict[str, Any], place: Steps, number: int | str) -> dict[str, Any]:
    """The body with a version at a place. In a text it has a zero before it: a text that is `{version}` alone becomes a
    number in a case, and one of digits is read as one."""
    text = isinstance(value_at(body, place), str)
    changed: dict[str, Any] = placed(body, place, f"0{number}" if text else number)
    return changed


def in_query(value: Any) -> str:
    return str(value) if str(value) in ("{version}", "{key}", "0{version}") else quote(str(value), safe="")


def with_key(body: dict[str, Any], key: str) -> dict[str, Any]:
    """The body with the key in the numbers that are ids."""
    for steps, value in list(bounded_leaves(body)):
        number = isinstance(value, int) and not isinstance(value, bool)
        if number and steps and steps[-1] in _KEY_NAMES and key.isdigit():
            body = placed(body, steps, int(key))
    return body


def with_placeholder(body: dict[str, Any], key: str) -> dict[str, Any]:
    """The body with `{key}` where the key is."""
    for steps, value in list(bounded_leaves(body)):
        named = steps and steps[-1] in _KEY_NAMES and str(value) == key and not isinstance(value, bool)
        if named or (value == key and not key.isdigit() and steps[:1] != (QUERY,)):
            body = placed(body, steps, "{key}")
    return body


def as_form(body: Mapping[str, Any]) -> str:
    """A form's body as the text that a case has, its placeholders kept."""
    return "&".join(f"{quote(name, safe='')}={in_query(value)}" for name, value in body.items())


def has_key(body: dict[str, Any], key: str) -> bool:
    return any(steps and steps[-1] in _KEY_NAMES and str(value) == key for steps, value in bounded_leaves(body))
