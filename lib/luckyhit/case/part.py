"""What the parts of a case have in common, and the kinds of value that several of them use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from luckyhit.case.findings import FieldAbsent

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Port = Annotated[int, Field(ge=1, le=65535)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]
_STATUS = {"type": "integer", "minimum": 100, "maximum": 599}


def _statuses(value: Any) -> int | list[int]:
    for status in each_status(value) or [value]:
        if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 599:
            raise ValueError("an HTTP status, from 100 and up to 599, or a list of them such as [200, 409]")
    if len(set(each_status(value))) < len(each_status(value)):
        raise ValueError("each status once")
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
    """Of one status, or of a list."""
    return statuses if isinstance(statuses, list) else [statuses]


class Part(BaseModel):
    """A part of a case file: unknown fields are refused, and nothing changes after loading."""

    # Built when first used: the load engine starts for each block, and needs a few of them.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Only a part that was salvaged from a case with problems lacks a field (see luckyhit.case.reading.salvage).
            if name in type(self).model_fields:
                raise FieldAbsent(name)
            return super().__getattr__(name)
