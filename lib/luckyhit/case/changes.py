"""The one change of a case: each kind with its inverse, and with the place where one sees that it took."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from luckyhit.case.part import HttpStatus, Json, Method, Part
from luckyhit.case.texts import (
    ChangeText,
    EnvName,
    HeaderName,
    HeaderValue,
    Line,
    PlainPath,
    Revision,
    SettingName,
    StartText,
    StatePath,
    Text,
)
from luckyhit.case.units import Duration


class EnvChange(Part):
    """One environment variable of a service that the case starts."""

    kind: Literal["env"] = Field(description="The kind of change: an environment variable.")
    what: Line = Field(description="What the change does, in one line.")
    name: EnvName = Field(description="The variable's name.")
    before: StartText | None = Field(
        description="Its value before the change, filled in like `target.start.env`; null where it is not set."
    )
    after: StartText | None = Field(
        description="Its value after the change, filled in like `target.start.env`; null where it is not set."
    )
    smallest: Text = Field(description="Why this is the smallest safe change.")


class ArgumentChange(Part):
    """One argument of the command of a service that the case starts."""

    kind: Literal["argument"] = Field(description="The kind of change: an argument of the start command.")
    what: Line = Field(description="What the change does, in one line.")
    before: StartText = Field(description="The argument as it stands in `target.start.command`.")
    after: StartText = Field(description="What stands in its place after the change, filled in the same way.")
    smallest: Text = Field(description="Why this is the smallest safe change.")


class RevisionChange(Part):
    """Another Git revision of a service that the case starts: each arm runs in a worktree of its own."""

    kind: Literal["revision"] = Field(description="The kind of change: a Git revision of the service.")
    what: Line = Field(description="What the change does, in one line.")
    before: Revision = Field(
        default="HEAD",
        description="A revision of the repository that `target.start.cwd` lies in: a branch, a tag or a hash. What is "
        "not committed is in neither arm.",
    )
    after: Revision = Field(description="The revision with the change.")
    smallest: Text = Field(description="Why this is the smallest safe change.")


class SettingChange(Part):
    """One setting of the cache server, by `CONFIG SET`."""

    kind: Literal["cache-setting"] = Field(description="The kind of change: a setting of the cache server.")
    what: Line = Field(description="What the change does, in one line.")
    name: SettingName = Field(
        description="The setting's name, for example `maxmemory-policy`: one of those that decide about eviction, "
        "expiry, memory and encodings."
    )
    before: Line | None = Field(
        default=None,
        description="Its value before the change. Null: whatever it is. A cache of the run's own is given this value; "
        "somebody else's must have it.",
    )
    after: Line = Field(description="Its value after the change.")
    smallest: Text = Field(description="Why this is the smallest safe change.")


class AdminCall(Part):
    """One request to the service that changes something. Sending it twice must do no more than sending it once."""

    method: Method = Field(default="PUT", description="The HTTP method.")
    path: PlainPath = Field(description="The path.")
    body: Json | str | None = Field(default=None, description="A JSON body, or a text that is sent as it is.")
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Request headers (no secrets: see `target.headers_env`)."
    )
    status: list[HttpStatus] = Field(
        default=[200, 201, 202, 204], min_length=1, description="Statuses that mean that it was done."
    )


class StateRead(Part):
    """Where the service shows whether the change is in place: a safe request."""

    path: PlainPath = Field(description="A path that answers with JSON.")
    value: StatePath = Field(
        description="Where the state stands in the answer: a JSONPath (RFC 9535) such as `$.flags['new-keys']`. It has "
        "to lead to one value."
    )


class AdminChange(Part):
    """An HTTP call that switches something, with the call that switches it back: a feature flag, say."""

    kind: Literal["http"] = Field(description="The kind of change: an HTTP call to the service.")
    what: Line = Field(description="What the change does, in one line.")
    apply: AdminCall = Field(description="The call that puts the change in place.")
    revert: AdminCall = Field(description="The call that takes it back.")
    verify: StateRead = Field(description="Where one sees whether the change is in place.")
    before: Line = Field(description="What `verify` shows before the change, as a text: `false`, `30`, `old`.")
    after: Line = Field(description="What `verify` shows after the change.")
    within: Duration = Field(default=10.0, description="How long it may take until `verify` shows it.")
    smallest: Text = Field(description="Why this is the smallest safe change.")


class CommandChange(Part):
    """A pair of commands that put the change in place and take it back. Each may be run again at any time."""

    kind: Literal["command"] = Field(description="The kind of change: a pair of commands.")
    what: Line = Field(description="What the change does, in one line.")
    apply: list[ChangeText] = Field(
        min_length=1,
        description="Program and arguments that put the change in place. `{base_url}` (the service's address) and what "
        "`target.start.command` knows are filled in. Exit status 0: it was done.",
    )
    revert: list[ChangeText] = Field(min_length=1, description="Program and arguments that take it back.")
    verify: list[ChangeText] = Field(
        min_length=1, description="Program and arguments that print the state, and change nothing."
    )
    before: Line = Field(description="What `verify` prints before the change (spaces around it aside).")
    after: Line = Field(description="What `verify` prints after the change.")
    restart: bool = Field(
        default=False,
        description="True where the service reads what the commands change only when it starts: it is restarted then.",
    )
    cwd: Line = Field(default=".", description="Working directory of the commands, relative to the project.")
    pass_env: list[EnvName] = Field(
        default_factory=list, description="Names of environment variables handed on to the commands from the shell."
    )
    within: Duration = Field(default=30.0, description="How long a command may take.")
    smallest: Text = Field(description="Why this is the smallest safe change.")


class NoChange(Part):
    """Nothing is changed: the whole run is a comparison of the service with itself."""

    kind: Literal["none"] = Field(description="The kind of change: none (both arms are the same service).")
    what: Line = Field(description="Why the service is compared with itself, in one line.")
    smallest: Text = Field(default="Nothing is changed.", description="Why this is the smallest safe change.")


Change = Annotated[
    EnvChange | ArgumentChange | RevisionChange | SettingChange | AdminChange | CommandChange | NoChange,
    Field(discriminator="kind"),
]
"""What one case changes. Those of `OF_A_START` are another way to start the service."""

OF_A_START = (EnvChange, ArgumentChange, RevisionChange)
