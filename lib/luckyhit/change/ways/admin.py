"""A change by an HTTP call to the service, and its inverse: both are journalled whole, and sent again if need be."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import httpx
from jsonpath_rfc9535 import find

from luckyhit.case.changes import AdminCall, AdminChange, StateRead
from luckyhit.change.ways.way import Again, Sleep, await_state, expect, repeatedly, shown
from luckyhit.errors import TargetError, refusal_of
from luckyhit.target.control import client_options

if TYPE_CHECKING:
    from pathlib import Path

    from luckyhit.case.target import Target
    from luckyhit.change.journal import Step
    from luckyhit.target import Stack

HTTP = "http"
_TIMEOUT_S = 10.0


class Admin:
    """The calls of a case to one service. `headers_env` of the target is sent with each of them."""

    restarts = False

    def __init__(self, stack: Stack, change: AdminChange, sleep: Sleep) -> None:
        self._change, self._sleep = change, sleep
        self._service = _Service(stack.case.target, stack.base_url, stack.project, stack.environ)

    def prepare(self) -> None:
        where = f"GET {self._change.verify.path}, {self._change.verify.value}"
        expect(self.state(), self._change.before, where)

    def inverse(self) -> dict[str, Any]:
        change = self._change
        return {
            "kind": HTTP,
            "base_url": self._service.base_url,
            "call": change.revert.model_dump(),
            "verify": change.verify.model_dump(),
            "shows": change.before,
            "within_s": change.within,
            "by_hand": self._service.by_hand(change.revert),
        }

    def apply(self) -> dict[str, Any]:
        self._service.send(self._change.apply)
        seen = await_state(self.state, self._change.after, self._change.within, self._sleep)
        if seen != self._change.after:
            raise TargetError(
                f"{said(self._change.apply)} was accepted, but GET {self._change.verify.path} still shows "
                f"{shown(seen)} at {self._change.verify.value}, not {shown(self._change.after)}",
                hint="Look at how the service takes this change; or allow it more time (change.within).",
            )
        return {"shows": seen, "call": said(self._change.apply)}

    def revert(self, step: Step) -> str:
        change = self._change
        return _reverted(self._service, change.revert, change.verify, change.before, change.within, self._sleep)

    def state(self) -> str:
        return self._service.look(self._change.verify)


def undo(step: Step, again: Again, base_url: str) -> str:
    """Send the inverse that a step's journal holds to the service at `base_url`; says what was done.

    Raises TargetError (with the call to send by hand) where the service does not do it, ArgumentError where a variable
    is not set.
    """
    inverse = step.inverse
    service = _Service(again.run.case.target, base_url, again.project, again.environ)
    call, verify = AdminCall.model_validate(inverse["call"]), StateRead.model_validate(inverse["verify"])
    return _reverted(service, call, verify, str(inverse["shows"]), float(inverse["within_s"]), again.sleep)


def said(call: AdminCall) -> str:
    """`PUT /flags/new-keys`."""
    return f"{call.method} {call.path}"


def _reverted(service: _Service, call: AdminCall, verify: StateRead, wanted: str, within_s: float, sleep: Sleep) -> str:
    def do() -> str:
        service.send(call)
        return await_state(lambda: service.look(verify), wanted, within_s, sleep)

    try:
        seen = repeatedly(do, sleep)
    except TargetError as error:
        raise error.with_hint(f"{error.hint} By hand: {service.by_hand(call)}") from None
    if seen != wanted:
        raise TargetError(
            f"{said(call)} was accepted, but GET {verify.path} shows {shown(seen)} at {verify.value}, not "
            f"{shown(wanted)}",
            hint=f"Take it back by hand: {service.by_hand(call)}",
        )
    return f"{said(call)}; GET {verify.path} shows {shown(seen)} at {verify.value}"


class _Service:
    """The service, as the control plane sees it."""

    def __init__(self, target: Target, base_url: str, project: Path, environ: Mapping[str, str]) -> None:
        self.base_url = base_url
        self._target, self._project, self._environ = target, project, environ

    def send(self, call: AdminCall) -> None:
        body: dict[str, Any] = {}
        if isinstance(call.body, str):
            body = {"content": call.body.encode()}
        elif call.body is not None:
            body = {"json": call.body}
        answer = self._ask(call.method, call.path, call.headers, **body)
        if answer.status_code not in call.status:
            refusal = refusal_of(answer.status_code)
            hint = "Look at the service's log."
            if refusal is not None:
                hint = (
                    "Name the variable with the token in target.headers_env; `luckyhit check` looks at it beforehand."
                )
            raise TargetError(
                f"{said(call)} answered {answer.status_code} ({shown(answer.text.strip())}); "
                f"{', '.join(map(str, call.status))} would mean that it was done",
                hint=hint,
                refusal=refusal,
            )

    def look(self, verify: StateRead) -> str:
        answer = self._ask("GET", verify.path, {})
        where = f"GET {verify.path} (change.verify)"
        if answer.status_code != 200:
            raise TargetError(
                f"{where} answered {answer.status_code}",
                hint="It has to answer 200 with JSON that shows the state.",
                refusal=refusal_of(answer.status_code),
            )
        try:
            value = _value(answer.json(), verify.value)
        except (ValueError, LookupError, TypeError):
            raise TargetError(
                f"{where} has nothing at {verify.value}: {shown(answer.text)}",
                hint="Say in change.verify.value where the state stands in the answer.",
            ) from None
        return value if isinstance(value, str) else json.dumps(value)

    def by_hand(self, call: AdminCall) -> str:
        """The call as a command: names of variables stand for what they hold."""
        words = ["curl", "--fail", "-X", call.method, self.base_url + call.path]
        for name, value in call.headers.items():
            words += ["-H", f"{name}: {value}"]
        if call.body is not None:
            words += ["-d", call.body if isinstance(call.body, str) else json.dumps(call.body)]
            if not isinstance(call.body, str):
                words += ["-H", "Content-Type: application/json"]
        secret = "".join(f' -H "{header}: ${name}"' for header, name in self._target.headers_env.items())
        return shlex.join(words) + secret

    def _ask(self, method: str, path: str, headers: Mapping[str, str], **body: Any) -> httpx.Response:
        from_environment = {
            header: self._environ[name] for header, name in self._target.headers_env.items() if name in self._environ
        }
        options = client_options(self._target, self.base_url, self._project)
        try:
            with httpx.Client(timeout=_TIMEOUT_S, trust_env=False, **options) as client:
                return client.request(method, self.base_url + path, headers={**from_environment, **headers}, **body)
        except httpx.HTTPError as error:
            raise TargetError(
                f"{method} {path} gave no answer: {type(error).__name__}: {error}",
                hint="Check that the service runs and can be reached from here.",
            ) from None


def _value(document: Any, path: str) -> Any:
    """The one value that a JSONPath leads to. Raises LookupError where it leads to none, or to several."""
    found = find(path, document)
    if len(found) != 1:
        raise LookupError(path)
    return found[0].value
