"""No change: the service is compared with itself."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from luckyhit.case.changes.spec import ChangeSpec
from luckyhit.case.values.texts import Line, Text


class NoChange(ChangeSpec):
    """Nothing is changed: the whole run is a comparison of the service with itself."""

    kind: Literal["none"] = Field(description="The kind of change: nothing, both arms are the same service.")
    what: Line = Field(description="Why the service is compared with itself, in one line.")
    smallest: Text = Field(default="Nothing is changed.", description="Why this is the smallest safe change.")

    nothing: ClassVar[bool] = True
