"""Values to ask a route's parameters for: from samples, from other answers, from links in them, and small numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from luckyhit.discover.evidence import Parameter, ServiceRoute
from luckyhit.discover.exploring.json_places import ID_NAMES, bounded_leaves

MOST_NUMBERS = 2_000
"""No greater id is looked for."""
_SMALL = ("1", "2", "3", "10", "100")
_MOST_VALUES = 80


def parameter_names(path: str) -> list[str]:
    return re.findall(r"\{([^}]*)\}", path)


def shape_of(path: str) -> str:
    """A path whatever its parameters are called, without its query: `/items/{}`."""
    return re.sub(r"\{[^}]*\}", "{}", path.partition("?")[0]).rstrip("/") or "/"


def filled_path(path: str, values: Mapping[str, str]) -> str:
    """A path with the values that are known, each quoted; other parameters stay."""
    return re.sub(
        r"\{([^}]*)\}", lambda match: quote(values[match[1]], safe="") if match[1] in values else match[0], path
    )


def parameter_of(route: ServiceRoute, name: str) -> Parameter:
    named = [own for own in route.parameters if own.name == name and own.place != "header"]
    return min(named, key=lambda own: own.place != "path", default=Parameter(name))


def candidates(route: ServiceRoute, name: str, documents: Mapping[str, Any]) -> list[str]:
    """Values to try for a path parameter, the most probable first. `documents`: the JSON answers so far, by path."""
    parameter = parameter_of(route, name)
    from_answers = [*linked(route.path, name, documents.values()), *listed(route.path, name, documents)]
    numbers = () if parameter.choices else _SMALL
    values = dict.fromkeys([*parameter.examples[:_MOST_VALUES], *parameter.choices, *from_answers, *numbers])
    fitting = [value for value in values if parameter.kind != "integer" or re.fullmatch(r"-?\d+", value)]
    return fitting[:_MOST_VALUES]


def linked(path: str, name: str, documents: Iterable[Any]) -> list[str]:
    """Values from links in answers that have the form of the path."""
    names = parameter_names(path)
    if name not in names:
        return []
    parts = re.split(r"\{[^}]*\}", path)
    pattern = re.compile("([^/?#]+)".join(map(re.escape, parts)) + "/?")
    values: list[str] = []
    for document in documents:
        for _, text in bounded_leaves(document):
            if isinstance(text, str) and "/" in text and len(text) < 2_000:
                match = pattern.fullmatch(_path_in(text))
                if match is not None:
                    values.append(match[names.index(name) + 1])
    return list(dict.fromkeys(values))


def listed(path: str, name: str, documents: Mapping[str, Any]) -> list[str]:
    """Values of fields with the parameter's name, and ids in the collection that the path continues."""
    collection = shape_of(path.partition("{" + name + "}")[0])
    values: list[str] = []
    for own, document in sorted(documents.items(), key=lambda item: shape_of(item[0]) != collection):
        wanted = {name, *ID_NAMES} if shape_of(own) == collection else {name} - set(ID_NAMES)
        for steps, value in bounded_leaves(document):
            in_list = any(isinstance(step, int) for step in steps)
            plain = isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(str(value)) <= 100
            if in_list and plain and steps[-1] in wanted:
                values.append(str(value))
    return list(dict.fromkeys(values))


def numbers_answered(answers_ok: Callable[[str], bool], known: Iterable[str]) -> tuple[str, ...]:
    """All numbers from the least known one to the greatest that answers (by doubling and bisection, at most 2,000),
    where spot checks in between answer too; else the known ones alone. `known`: values that answered."""
    values = [value for value in known if re.fullmatch(r"[1-9]\d{0,8}|0", value)]
    if len(values) < 2:
        return tuple(known)
    least = min(map(int, values))
    low = max((number for number in map(int, values) if number <= MOST_NUMBERS), default=0)
    if not low or least > MOST_NUMBERS:
        return tuple(known)
    high = low
    while high < MOST_NUMBERS:
        high = min(high * 2, MOST_NUMBERS)
        if not answers_ok(str(high)):
            break
        low = high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if answers_ok(str(middle)) else (low, middle)
    spots = {least + 1, least + (low - least) // 3, least + 2 * (low - least) // 3}
    if all(answers_ok(str(spot)) for spot in spots if least <= spot <= low):
        return tuple(map(str, range(least, low + 1)))
    return tuple(known)


def spread(ids: tuple[str, ...], count: int = 3) -> list[str]:
    """A few ids far apart, in an order that no shard by remainder follows."""
    if len(ids) <= count:
        return list(ids)
    places = [(number * len(ids)) // count + number for number in range(count)]
    return list(dict.fromkeys(ids[min(place, len(ids) - 1)] for place in places))


def _path_in(text: str) -> str:
    try:
        return urlsplit(text).path
    except ValueError:
        return ""
