"""Where values are in a JSON document, as JSON paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from luckyhit.text.json_values import is_list, is_object

Steps = tuple[str | int, ...]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MOST = 5_000
_MOST_FIELDS = 60
_DEEPEST = 12
ID_NAMES = ("id", "pk", "uuid", "key", "slug", "code")


def leaves(document: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any]]:
    """Each scalar with its steps, in order; at most 12 levels deep."""
    if len(steps) > _DEEPEST:
        return
    if is_object(document):
        for name, value in document.items():
            yield from leaves(value, (*steps, name))
    elif is_list(document):
        for index, value in enumerate(document):
            yield from leaves(value, (*steps, index))
    else:
        yield steps, document


def bounded_leaves(document: Any) -> Iterator[tuple[Steps, Any]]:
    """The first few thousand of them."""
    for _, leaf in zip(range(_MOST), leaves(document), strict=False):
        yield leaf


def path_of(steps: Steps) -> str:
    """`$.items[0].id`; empty where a name needs quotes."""
    parts = ["$"]
    for step in steps:
        if isinstance(step, str) and not _NAME.fullmatch(step):
            return ""
        parts.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return "".join(parts)


def fields_of(document: Any) -> tuple[str, ...]:
    """Paths of the scalar fields; of a list those of its first item."""
    paths = [
        path_of(steps)
        for steps, _ in bounded_leaves(document)
        if steps and not any(isinstance(step, int) and step > 0 for step in steps)
    ]
    return tuple(path for path in dict.fromkeys(paths) if path)[:_MOST_FIELDS]


def value_at(document: Any, steps: Steps) -> Any:
    """The value at a place that exists."""
    for step in steps:
        document = document[step]
    return document


def place_of(document: Any, number: int, key: str = "") -> str:
    """The path of the whole number in a document; empty where it isn't. In a list whose item has the id `key`, by that
    id, since a list's order may change."""
    places = [steps for steps, value in bounded_leaves(document) if is_number(value, number) and path_of(steps)]
    if not places:
        return ""
    steps = min(places, key=lambda steps: (len(steps), steps[-1:] == ("id",)))
    if len(places) == 1 and key:
        by_id = _by_id(document, steps, key)
        if by_id:
            return by_id
    return path_of(steps)


def is_number(value: Any, number: int) -> bool:
    """Whether a value is this whole number, also as a text of digits or as 7.0."""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return re.fullmatch(rf"0?{number}(\.0+)?", value.strip()) is not None
    return isinstance(value, int | float) and value == number


def _by_id(document: Any, steps: Steps, key: str) -> str:
    for place in range(len(steps) - 1, -1, -1):
        if isinstance(steps[place], int) and place + 1 < len(steps):
            item = value_at(document, steps[: place + 1])
            for name in ID_NAMES if is_object(item) else ():
                own = item.get(name)
                placeholder = "{key}" if isinstance(own, int) else "'{key}'"
                if not isinstance(own, bool) and isinstance(own, int | str) and str(own) == key and "'" not in key:
                    return f"{path_of(steps[:place])}[?@.{name} == {placeholder}]{path_of(steps[place + 1 :])[1:]}"
            return ""
    return ""


_CONTEXTS = (4, 8, 12, 20, 32)


def regex_of(text: str, number: int) -> str:
    """A regular expression for the one place of the whole number in a text, by as little as tells it from other places
    of what stands before it; empty where it is not there once."""
    matches = list(re.finditer(rf"(?<![\d.])0?{number}(?!\d)", text))
    if len(matches) != 1:
        return ""
    start, end = matches[0].span()
    after = text[end : end + 1].replace("\n", "")
    for size in _CONTEXTS:
        before = text[max(start - size, 0) : start].rpartition("\n")[2]
        # Digits nearby may be ids, times or counts.
        pattern = re.sub(r"\d+", r"\\d+", re.escape(before)) + r"(\d+)" + re.escape(after)
        if before and len(re.findall(pattern, text)) == 1:
            return pattern
    return ""
