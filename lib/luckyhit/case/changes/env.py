"""The change of one environment variable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from luckyhit.case.changes.spec import ChangeSpec, Check, Rows
from luckyhit.case.findings import FieldPath, Finding, shown
from luckyhit.case.values.texts import EnvName, Line, StartText, Text

if TYPE_CHECKING:
    from luckyhit.case.model import Case


def _in_start(change: EnvChange, case: Case) -> Iterator[Finding]:
    """In `target.start.env`, the changed variable has the value `change.before` or is left out; it is not passed on."""
    start = case.target.start
    if start is None:
        return
    at: FieldPath = ("target", "start", "env", change.name)
    if change.name in start.env and start.env[change.name] != change.before:
        wanted = "no value" if change.before is None else shown(change.before)
        yield Finding(at, shown(start.env[change.name]), f"{wanted}, as in change.before (or no such line)")
    if change.name in start.pass_env:
        at = ("target", "start", "pass_env", start.pass_env.index(change.name))
        yield Finding(at, f"{change.name}, which the change sets", "only variables that both arms share")


class EnvChange(ChangeSpec):
    """One environment variable of a service that the case starts."""

    kind: Literal["env"] = Field(description="The kind of change: an environment variable.")
    what: Line = Field(description="What the change does, in one line.")
    name: EnvName = Field(description="The variable's name.")
    before: StartText | None = Field(
        description="Its value before the change, filled in like `target.start.env`; null if it is not set."
    )
    after: StartText | None = Field(
        description="Its value after the change, filled in like `target.start.env`; null if it is not set."
    )
    smallest: Text = Field(description="Why this is the smallest safe change.")

    needs_start: ClassVar[bool] = True
    configured: ClassVar[bool] = True
    checks: ClassVar[tuple[Check, ...]] = (_in_start,)

    @property
    def entry(self) -> str | None:
        return f"env.{self.name}"

    @property
    def variable(self) -> str | None:
        return self.name

    @property
    def subject(self) -> tuple[str, str] | None:
        return "Variable", self.name

    def start_texts(self) -> list[str]:
        return [value for value in (self.before, self.after) if value is not None]

    def diff(self, case: Case) -> Rows:
        return [
            (sign, f"{self.name}={value}" if value is not None else f"# {self.name} is not set")
            for sign, value in (("-", self.before), ("+", self.after))
        ]
