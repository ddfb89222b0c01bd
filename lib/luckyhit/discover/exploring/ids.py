"""Values to ask a route's parameters for: from samples, from other answers, from links in them, and small numbers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from luckyhit.discover.evidence import Parameter, ServiceRoute
from luckyhit.discover.exploring.json_places import ID_NAMES, bounded_leaves
from luckyhit.scrub.secrets import is_secret_header

MOST_NUMBERS = 2_000
"""Ids are looked for that far from the first one."""
_SMALL = ("1", "2", "3", "10", "100", "1000", "1001", "10001")
_LISTED_NAMES = frozenset(
    {*ID_NAMES, "sku", "name", "username", "handle", "ref", "reference", "number", "no", "nr", "symbol", "isbn", "ean"}
    | {"_id", "uid", "guid", "iso", "title_slug", "short_name", "ident", "identifier"}
)
"""Fields of a list's items that a path may continue with."""
_OWN = frozenset({"accept", "content-type", "content-length", "host", "user-agent"})
_MOST_SHARDS = 17
_MOST_VALUES = 80
_MOST_ALIKE = 60


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


def needed_headers(routes: Iterable[ServiceRoute]) -> dict[str, str]:
    """A value for each header that some route has to be sent. No secrets: those are the user's to give."""
    needed: dict[str, str] = {}
    for route in routes:
        for parameter in route.parameters:
            name = parameter.name.lower()
            if parameter.place == "header" and parameter.required and not is_secret_header(name) and name not in _OWN:
                values = (*parameter.examples, *parameter.choices)
                needed.setdefault(parameter.name, values[0] if values else "1" if parameter.kind != "string" else "a")
    return needed


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
        of_items = shape_of(own) == collection
        wanted = _wanted(name, collection, document) if of_items else {name} - _LISTED_NAMES
        for steps, value in bounded_leaves(document):
            in_list = any(isinstance(step, int) for step in steps)
            plain = isinstance(value, str | int) and not isinstance(value, bool) and 0 < len(str(value)) <= 100
            # A list of plain values is one of ids.
            if in_list and plain and (steps[-1] in wanted or (of_items and isinstance(steps[-1], int))):
                values.append(str(value))
    return list(dict.fromkeys(values))


def _wanted(name: str, collection: str, document: Any) -> set[str]:
    """The fields of a list's items that are their ids, as far as names tell: that of the parameter alone; else `id` and
    the like, also behind the name of the thing (`product_id`); else any that may be one."""
    names = {
        step for steps, _ in bounded_leaves(document) if any(isinstance(each, int) for each in steps)
        for step in steps[-1:] if isinstance(step, str)
    }  # fmt: skip
    thing = collection.rpartition("/")[2].rstrip("s")
    likely = {own for own in names if own in ID_NAMES or own in (f"{thing}_id", f"{thing}_{name}", f"{thing}Id")}
    return {name} & names or likely or names & _LISTED_NAMES


def numbers_answered(answers_ok: Callable[[str], bool], known: Iterable[str]) -> tuple[str, ...]:
    """All numbers from the least known one to the greatest that answers (by doubling and bisection, at most 2,000 of
    them), where spot checks in between answer too; else the known ones alone. `known`: values that answered."""
    values = [int(value) for value in known if re.fullmatch(r"[1-9]\d{0,8}|0", value)]
    if not values:
        return tuple(known)
    least = min(values)
    low = max(value for value in values if value - least < MOST_NUMBERS)
    # One number alone may be any text; a row of them goes on.
    if low == least and not answers_ok(str(low := least + 1)):
        return tuple(known)
    most = least + MOST_NUMBERS - 1
    high = low
    while high < most:
        high = min(least + 2 * max(high - least, 1), most)
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


def alike_answered(answers_ok: Callable[[str], bool], known: Sequence[str]) -> list[str]:
    """The known ids, and those like them that answer: of `DE4`, a text that ends with a number, `DE1` and on."""
    answered = dict.fromkeys(known)
    for text in known:
        match = re.fullmatch(r"(.*\D)(\d{1,6})", text)
        if match is not None:
            digits = len(match[2]) if match[2][0] == "0" else 1
            row = [f"{match[1]}{number:0{digits}d}" for number in range(1, _MOST_ALIKE)]
            answered |= dict.fromkeys(itertools.takewhile(answers_ok, row))
    return list(answered)


def spread(ids: tuple[str, ...], count: int = 3) -> list[str]:
    """A few ids far apart. Of numbers, they are not all in one shard by a remainder."""
    if len(ids) <= count:
        return list(ids)
    places = [(number * len(ids)) // count + number for number in range(count)]
    chosen = [ids[min(place, len(ids) - 1)] for place in places]
    for other in ids[places[-1] :] if all(map(str.isdigit, chosen)) else ():
        chosen[-1] = other
        if all(len({int(own) % shards for own in chosen if own.isdigit()}) > 1 for shards in range(2, _MOST_SHARDS)):
            break
    return list(dict.fromkeys(chosen))


def _path_in(text: str) -> str:
    try:
        return urlsplit(text).path
    except ValueError:
        return ""
