"""What the parts of a case have in common, and the kinds of value that several of them use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from luckyhit.case.findings import Absent

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
Port = Annotated[int, Field(ge=1, le=65535)]
HttpStatus = Annotated[int, Field(ge=100, le=599)]
Key = Annotated[int, Field(ge=-(2**62), le=2**62)]
# Texts in it are filled in; a text that is nothing but `{version}` becomes the number itself.
Json = dict[str, Any]


class Part(BaseModel):
    """A part of a case file: unknown fields are refused, and nothing changes after loading."""

    # Built when first used: the load engine starts for each block, and needs a few of them.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # Only a part that was salvaged from a case with problems lacks a field (see luckyhit.case.salvage).
            if name in type(self).model_fields:
                raise Absent(name)
            return super().__getattr__(name)
