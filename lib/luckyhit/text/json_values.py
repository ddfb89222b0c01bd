"""Walk, rewrite and leniently read JSON values of any shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

Path = tuple[str | int, ...]


def members(value: Any) -> Iterator[tuple[Any, Any]]:
    """(name or index, value) of an object or a list; nothing for any other value."""
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, value) of everything that is neither an object nor a list, in order. `path`: that of `value` itself."""
    if isinstance(value, (Mapping, list, tuple)):
        for step, inner in members(value):
            yield from leaves(inner, (*path, step))
    else:
        yield path, value


def map_leaves(value: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    """A copy with `change(name, leaf)` for each leaf. `name`: the nearest field around it."""
    if isinstance(value, Mapping):
        return {key: map_leaves(inner, change, str(key)) for key, inner in value.items()}
    return (
        [map_leaves(inner, change, name) for inner in value]
        if isinstance(value, (list, tuple))
        else change(name, value)
    )


def map_texts(value: Any, change: Callable[[str], Any]) -> Any:
    """A copy with `change(text)` for each text; names are kept."""
    return map_leaves(value, lambda _, leaf: change(leaf) if isinstance(leaf, str) else leaf)


def value_at(value: Any, path: Sequence[str | int]) -> Any:
    """The value at `path`; None if there is none."""
    for step in path:
        value = member(value, step)
    return value


def member(value: Any, step: str | int, missing: Any = None) -> Any:
    """The member of an object by name, or of a list by index."""
    if isinstance(value, Mapping):
        return value.get(step, missing)
    if isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return missing


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value is a JSON object, as the parsers of JSON and YAML give it."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value is a JSON list."""
    return isinstance(value, list)


def as_object(value: Any) -> Mapping[str, Any]:
    """An object unchanged; an empty one for any other value."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """A list unchanged; an empty one for any other value."""
    return value if isinstance(value, list) else []
