"""The change of one argument of the start command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from luckyhit.case.changes.spec import ChangeSpec, Check, Rows
from luckyhit.case.findings import Finding, shown
from luckyhit.case.values.texts import Line, StartText, Text

if TYPE_CHECKING:
    from luckyhit.case.model import Case


def _in_command(change: ArgumentChange, case: Case) -> Iterator[Finding]:
    """`change.before` occurs exactly once among the arguments in `target.start.command`."""
    if case.target.start is None:
        return
    count = case.target.start.command.count(change.before)
    if count != 1:
        actual = f"{shown(change.before)}, which occurs {count} times in target.start.command"
        yield Finding(("change", "before"), actual, "an argument that occurs there exactly once")


class ArgumentChange(ChangeSpec):
    """One argument of the command of a service that the case starts."""

    kind: Literal["argument"] = Field(description="The kind of change: an argument of the start command.")
    what: Line = Field(description="What the change does, in one line.")
    before: StartText = Field(description="The argument as written in `target.start.command`.")
    after: StartText = Field(description="The argument after the change, filled in the same way.")
    smallest: Text = Field(description="Why this is the smallest safe change.")

    needs_start: ClassVar[bool] = True
    configured: ClassVar[bool] = True
    checks: ClassVar[tuple[Check, ...]] = (_in_command,)

    @property
    def entry(self) -> str | None:
        return "command"

    def start_texts(self) -> list[str]:
        return [self.before, self.after]

    def diff(self, case: Case) -> Rows:
        command = case.target.start.command if case.target.start else []
        after = [self.after if word == self.before else word for word in command]
        return [("-", " ".join(command)), ("+", " ".join(after))]
