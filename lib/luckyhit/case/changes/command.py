"""The change by a pair of commands, and a third one that shows the state."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from luckyhit.case.changes.spec import DASH, STATE, ChangeSpec, Check, Inverse, Rows, field_text
from luckyhit.case.findings import Finding
from luckyhit.case.values.placeholders import placeholder_names
from luckyhit.case.values.texts import CACHE_NAMES, ChangeText, EnvName, Line, Text
from luckyhit.case.values.units import Duration
from luckyhit.designs import design_of
from luckyhit.text.json_values import as_list

if TYPE_CHECKING:
    from luckyhit.case.model import Case

COMMAND = "command"


def _arms_told_apart(change: CommandChange, case: Case) -> Iterator[Finding]:
    """Side by side, each command contains `{base_url}`, `{port}`, `{cache_url}` or `{workdir}`, so that it changes one
    arm. For a service that is already running, `{port}` and `{workdir}` can't be used."""
    for field in ("apply", "revert", "verify"):
        names = {name for text in getattr(change, field) for name in placeholder_names(text)}
        if design_of(case).isolated and not names & {"base_url", "port", "cache_url", "cache_port", "workdir"}:
            expected = "{base_url}, {port}, {cache_url} or {workdir} in an argument, to tell the two stacks apart"
            yield Finding(("change", field), "the same command for both arms", expected)
        if case.target.start is not None:
            continue
        unknown = names & {"port", "workdir"} | (names & {*CACHE_NAMES} if case.cache.url_env is None else set())
        if unknown:
            placeholder = f"{{{sorted(unknown)[0]}}}"
            yield Finding(("change", field), placeholder, "{base_url} or {python}: the run does not start this service")
    if change.restart and case.target.start is None:
        yield Finding(("change", "restart"), "true", "false: a service at target.url is not restarted")


def _run_back(inverse: Inverse) -> str:
    if inverse.get("gone_with_it"):
        return "Stop the run's own service: what the commands changed goes with it."
    command, verify = _words(inverse.get("command")), _words(inverse.get("verify"))
    return f"Run {command}, until {verify} prints “{field_text(inverse, 'shows')}”."


def _words(value: object) -> str:
    words = as_list(value)
    return f"`{shlex.join(map(str, words))}`" if words else DASH


class CommandChange(ChangeSpec):
    """A pair of commands that apply and revert the change. Each can be repeated at any time."""

    kind: Literal["command"] = Field(description="The kind of change: a pair of commands.")
    what: Line = Field(description="What the change does, in one line.")
    apply: list[ChangeText] = Field(
        min_length=1,
        description="Program and arguments that apply the change. `{base_url}` (the service's URL) and the "
        "placeholders of `target.start.command` are filled in. Exit status 0 means success.",
    )
    revert: list[ChangeText] = Field(min_length=1, description="Program and arguments that revert it.")
    verify: list[ChangeText] = Field(
        min_length=1, description="Program and arguments that print the state, and change nothing."
    )
    before: Line = Field(description="What `verify` prints before the change (without surrounding spaces).")
    after: Line = Field(description="What `verify` prints after the change.")
    restart: bool = Field(
        default=False,
        description="True if the service reads what the commands change only when it starts; it is restarted then.",
    )
    cwd: Line = Field(default=".", description="Working directory of the commands, relative to the project.")
    pass_env: list[EnvName] = Field(
        default_factory=list, description="Names of environment variables passed on to the commands."
    )
    within: Duration = Field(default=30.0, description="How long a command may take.")
    smallest: Text = Field(description="Why this is the smallest safe change.")

    checks: ClassVar[tuple[Check, ...]] = (_arms_told_apart,)
    inverses: ClassVar[Mapping[str, Callable[[Inverse], str]]] = {COMMAND: _run_back}

    @property
    def entry(self) -> str | None:
        return STATE

    @property
    def word_for(self) -> str:
        return "that the change's commands may be is declared by the case"

    def variables(self) -> Iterator[tuple[str, str]]:
        return ((name, "change.pass_env") for name in self.pass_env)

    def templates(self) -> list[str]:
        return [*self.apply, *self.revert, *self.verify]

    def calls(self, case: Case) -> Rows:
        rows = [
            ("To apply it", shlex.join(self.apply)),
            ("To revert it", shlex.join(self.revert)),
            ("To see it", shlex.join(self.verify)),
        ]
        if self.restart:
            rows.append(("After each", "the service is restarted"))
        passed = ", ".join(f"${name}" for name in self.pass_env)
        return [*rows, *([("Variables passed on", passed)] if passed else [])]

    def diff(self, case: Case) -> Rows:
        return [
            (sign, line)
            for sign, command, value in (("-", self.revert, self.before), ("+", self.apply, self.after))
            for line in (shlex.join(command), f"  # {shlex.join(self.verify)} prints {value}")
        ]
