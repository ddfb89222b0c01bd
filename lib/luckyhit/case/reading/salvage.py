"""What is right in a case that has problems, so that the checks between fields can run on it all the same."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo

from luckyhit.case.part import Part
from luckyhit.text.json_values import as_object, member

P = TypeVar("P", bound=Part)
_ABSENT = object()


def salvage(part: type[P], data: dict[str, Any]) -> P:
    """`part` with each field of `data` that is right; reading another one raises `findings.FieldAbsent`."""
    values: dict[str, Any] = {}
    absent = set()
    for name, field in part.model_fields.items():
        value = _value(part, name, field, data[name]) if name in data else _ABSENT
        if value is not _ABSENT:
            values[name] = value
        elif name in data or field.is_required():
            absent.add(name)
    salvaged: P = part.model_construct(**values)  # type: ignore[assignment]
    for name in absent:
        salvaged.__dict__.pop(name, None)
    return salvaged


def _value(part: type[Part], name: str, field: FieldInfo, raw: Any) -> Any:
    try:
        return getattr(_alone(part, name).model_validate({name: raw}), name)
    except ValidationError:
        pass
    inner = parts_of(field.annotation, raw)
    if inner is not None and isinstance(raw, dict):
        return salvage(inner, raw)
    item = _item(field.annotation)
    if item is None:
        return _ABSENT
    if isinstance(raw, list):
        # What is no mapping keeps its place as None: an index has to mean what it means in the file.
        return [_entry(item, entry) for entry in raw]
    if isinstance(raw, dict):
        entries = {key: _entry(item, raw[key]) for key in raw if key in _known_keys(field.annotation)}
        return {key: entry for key, entry in entries.items() if entry is not None}
    return _ABSENT


def _entry(part: type[Part], raw: Any) -> Part | None:
    return salvage(part, raw) if isinstance(raw, dict) else None


@cache
def _alone(part: type[Part], name: str) -> type[BaseModel]:
    """A model with just that field of `part`, to validate it on its own."""
    field = part.model_fields[name]
    definitions: dict[str, Any] = {name: (field.annotation, field)}
    return create_model(f"{part.__name__}_{name}", __config__=ConfigDict(extra="forbid", strict=True), **definitions)


def parts_of(annotation: Any, raw: Any) -> type[Part] | None:
    """The part that an annotation such as `Part | None` stands for; of several, the one of the same `kind`."""
    if isinstance(annotation, type):
        return annotation if issubclass(annotation, Part) else None
    if get_origin(annotation) is Annotated:
        return parts_of(get_args(annotation)[0], raw)
    if get_origin(annotation) in (Union, UnionType):
        parts = [part for arg in get_args(annotation) if (part := parts_of(arg, raw)) is not None]
        if len(parts) == 1:
            return parts[0]
        kind = as_object(raw).get("kind")
        for part in parts:
            if kind is not None and get_args(part.model_fields["kind"].annotation) == (kind,):
                return part
    return None


def parts_in(part: type[Part]) -> list[type[Part]]:
    """`part` and every part below it, each once, in the order of the file."""
    parts = {part: None}
    for field in part.model_fields.values():
        for inner in all_parts(field.annotation):
            parts |= dict.fromkeys(parts_in(inner))
    return list(parts)


def all_parts(annotation: Any) -> list[type[Part]]:
    """Every part that an annotation names: in a union, a list or a mapping too."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return [annotation]
    return [part for arg in get_args(annotation) for part in all_parts(arg)]


def _item(annotation: Any) -> type[Part] | None:
    """The part that a list or mapping holds."""
    args = get_args(annotation)
    return parts_of(args[-1], None) if get_origin(annotation) in (list, dict) else None


def _known_keys(annotation: Any) -> tuple[Any, ...]:
    return get_args(get_args(annotation)[0])


def field_of(part: type[Part], path: tuple[str | int, ...], data: Any) -> tuple[type[Part] | None, FieldInfo | None]:
    """The part that the last step of `path` leads into (if it is one), and the field that it passed last."""
    current: type[Part] | None = part
    field: FieldInfo | None = None
    item: type[Part] | None = None
    for step in path:
        data = member(data, step)
        if current is not None and step in current.model_fields:
            field = current.model_fields[str(step)]
            current, item = parts_of(field.annotation, data), _item(field.annotation)
        elif item is not None:
            current, item = item, None
        else:
            return None, None
    return current, field
