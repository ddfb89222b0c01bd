"""The base class of all parts of a case, the value types that several of them share, and the walk over their fields."""

from __future__ import annotations

from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic.fields import FieldInfo

from luckyhit.text.json_values import as_object, member

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Port = Annotated[int, Field(ge=1, le=65535)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]
_STATUS = {"type": "integer", "minimum": 100, "maximum": 599}


def _statuses(value: Any) -> int | list[int]:
    for status in each_status(value) or [value]:
        if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
            raise ValueError("an HTTP status (100 to 599) or a list of them, such as [200, 409]")
    if len(set(each_status(value))) < len(each_status(value)):
        raise ValueError("each status only once")
    return value


Statuses = Annotated[
    int | list[int],
    PlainValidator(_statuses),
    WithJsonSchema({"anyOf": [_STATUS, {"type": "array", "items": _STATUS, "minItems": 1, "uniqueItems": True}]}),
]
Key = Annotated[int, Field(ge=-(2**62), le=2**62)]
# Texts in it are filled in; a text that is nothing but `{version}` becomes the number itself.
Json = dict[str, Any]


def each_status(statuses: int | list[int]) -> list[int]:
    """The statuses as a list, whether one or several are written."""
    return statuses if isinstance(statuses, list) else [statuses]


class Part(BaseModel):
    """A part of a case file: unknown fields are refused, and nothing changes after loading."""

    # Built when first used: the load engine starts for each block, and needs a few of them.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


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
