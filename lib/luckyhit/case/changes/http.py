"""The change by an HTTP call to the service, with the call that reverts it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from luckyhit.case.changes.spec import (
    DASH,
    REPEATABLE,
    STATE,
    ChangeSpec,
    Inverse,
    Rows,
    field_text,
    part_of,
)
from luckyhit.case.part import HttpStatus, Json, Method, Part
from luckyhit.case.values.texts import HeaderName, HeaderValue, Line, PlainPath, StatePath, Text
from luckyhit.case.values.units import Duration, format_duration
from luckyhit.scrub.secrets import is_secret_name
from luckyhit.text.json_values import map_leaves

if TYPE_CHECKING:
    from luckyhit.case.model import Case

HTTP = "http"
REDACTED = "[redacted]"


class HttpCall(Part):
    """One request that changes something in the service. It must be idempotent."""

    method: Method = Field(default="PUT", description="The HTTP method.")
    path: PlainPath = Field(description="The path.")
    body: Json | str | None = Field(default=None, description="A JSON body, or a text that is sent as it is.")
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, description="Request headers (no secrets: see `target.headers_env`)."
    )
    status: list[HttpStatus] = Field(
        default=[200, 201, 202, 204], min_length=1, description="Statuses that mean success."
    )

    def text(self) -> str:
        """`PUT /flags/new-keys {"value": "on"}`, with the headers written in the case."""
        body = ""
        if self.body is not None:
            body = (
                self.body
                if isinstance(self.body, str)
                else json.dumps(map_leaves(self.body, _without_secret), ensure_ascii=False)
            )
        headers = "".join(f", {name}: {value}" for name, value in self.headers.items())
        return f"{self.method} {self.path} {body}".rstrip() + headers


class StateRead(Part):
    """Where the service shows whether the change is in place: a safe request."""

    path: PlainPath = Field(description="A path that answers with JSON.")
    value: StatePath = Field(
        description="The state in the response: a JSONPath (RFC 9535) that gives one value, such as "
        "`$.flags['new-keys']`."
    )


def _sent_back(inverse: Inverse) -> str:
    call, verify = part_of(inverse, "call"), part_of(inverse, "verify")
    body = "" if call.get("body") is None else f" with {json.dumps(call['body'], ensure_ascii=False, default=str)}"
    address, wanted = field_text(inverse, "base_url"), field_text(inverse, "shows")
    return (
        f"Send {call.get('method') or DASH} {call.get('path') or DASH}{body} to {address}, until "
        f"GET {verify.get('path') or DASH} shows “{wanted}” at {verify.get('value') or DASH}."
    )


class HttpChange(ChangeSpec):
    """An HTTP call that changes something, such as a feature flag, with the call that reverts it."""

    kind: Literal["http"] = Field(description="The kind of change: an HTTP call to the service.")
    what: Line = Field(description="What the change does, in one line.")
    apply: HttpCall = Field(description="The call that applies the change.")
    revert: HttpCall = Field(description="The call that reverts it.")
    verify: StateRead = Field(description="Where to read whether the change is in place.")
    before: Line = Field(description="What `verify` shows before the change, as a text: `false`, `30`, `old`.")
    after: Line = Field(description="What `verify` shows after the change.")
    within: Duration = Field(default=10.0, description="How long it may take until `verify` shows it.")
    smallest: Text = Field(description="Why this is the smallest safe change.")

    inverses: ClassVar[Mapping[str, Callable[[Inverse], str]]] = {HTTP: _sent_back}

    @property
    def entry(self) -> str | None:
        return STATE

    @property
    def word_for(self) -> str:
        methods = dict.fromkeys(call.method for call in (self.apply, self.revert) if call.method not in REPEATABLE)
        return f"that {' and '.join(methods)} of the change may be is declared by the case" if methods else ""

    def calls(self, case: Case) -> Rows:
        within = format_duration(self.within)
        rows = [
            ("To apply it", self.apply.text()),
            ("To revert it", self.revert.text()),
            ("To see it", f"GET {self.verify.path}, where {self.verify.value} is the state (within {within})"),
        ]
        names = [f"{header} (from ${name})" for header, name in case.target.headers_env.items()]
        return [*rows, *([("Headers sent with each", ", ".join(names))] if names else [])]

    def diff(self, case: Case) -> Rows:
        return [
            (sign, line)
            for sign, call, value in (("-", self.revert, self.before), ("+", self.apply, self.after))
            for line in (call.text(), f"  # GET {self.verify.path} shows {value}")
        ]


def _without_secret(name: str, value: Any) -> Any:
    return REDACTED if isinstance(value, str) and name and is_secret_name(name) else value
