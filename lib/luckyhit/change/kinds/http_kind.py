"""A change by an HTTP call to the service. Its inverse is journalled whole, and can be sent again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from jsonpath_rfc9535 import find

from luckyhit.case.changes.http import HTTP, HttpCall, HttpChange, StateRead
from luckyhit.case.target import Target
from luckyhit.change.journal import Step
from luckyhit.change.kinds.kind import StatedKind, UndoContext, undo_stated
from luckyhit.change.permissions.called_routes import check_admin_routes
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.waiting import shown
from luckyhit.errors import TargetError, refusal_of
from luckyhit.system import Stack
from luckyhit.system.control import client_options

_TIMEOUT_S = 10.0


class HttpKind(StatedKind[HttpChange]):
    """The calls of a case to one service, each with the target's `headers_env`."""

    inverse_kind = HTTP

    @property
    def where(self) -> str:
        return _where(self._change.verify)

    def check(self, findings: Findings) -> None:
        super().check(findings)
        check_admin_routes(self._stack, self._change, findings)

    def inverse(self) -> dict[str, Any]:
        change, service = self._change, self._service()
        return {
            "kind": HTTP,
            "base_url": service.base_url,
            "call": change.revert.model_dump(),
            "verify": change.verify.model_dump(),
            "shows": change.before,
            "within_s": change.within,
            "by_hand": service.by_hand(change.revert),
        }

    def apply(self) -> dict[str, Any]:
        self._service().send(self._change.apply)
        return {"call": _name(self._change.apply)}

    def state(self) -> str:
        return self._service().read(self._change.verify)

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str:
        inverse = step.inverse
        call, verify = HttpCall.model_validate(inverse["call"]), StateRead.model_validate(inverse["verify"])
        with context.service(needed=True) as stack:
            base_url = stack.base_url if stack.owned else str(inverse.get("base_url") or stack.base_url)
            service = ServiceCalls(context.case.target, base_url, context.project, context.environ)
            return undo_stated(
                step,
                context,
                lambda: service.send(call),
                lambda: service.read(verify),
                done=f"{_name(call)} was accepted",
                where=_where(verify),
            )

    def _service(self) -> ServiceCalls:
        stack: Stack = self._stack
        return ServiceCalls(stack.case.target, stack.base_url, stack.project, stack.environ)


def _name(call: HttpCall) -> str:
    """`PUT /flags/new-keys`."""
    return f"{call.method} {call.path}"


def _where(verify: StateRead) -> str:
    return f"GET {verify.path} at {verify.value}"


class ServiceCalls:
    """The calls to the service, outside of any measurement."""

    def __init__(self, target: Target, base_url: str, project: Path, environ: Mapping[str, str]) -> None:
        self.base_url = base_url
        self._target, self._project, self._environ = target, project, environ

    def send(self, call: HttpCall) -> None:
        """Raises TargetError unless it is answered with one of its statuses."""
        body: dict[str, Any] = {}
        if isinstance(call.body, str):
            body = {"content": call.body.encode()}
        elif call.body is not None:
            body = {"json": call.body}
        response = self._ask(call.method, call.path, call.headers, **body)
        if response.status_code not in call.status:
            refusal = refusal_of(response.status_code)
            hint = "Look at the service's log."
            if refusal is not None:
                hint = "Name the variable with the token in target.headers_env; `luckyhit check` tries it beforehand."
            raise TargetError(
                f"{_name(call)} answered {response.status_code} ({shown(response.text.strip())}); "
                f"expected {', '.join(map(str, call.status))}",
                hint=hint,
                refusal=refusal,
            )

    def read(self, verify: StateRead) -> str:
        response = self._ask("GET", verify.path, {})
        where = f"GET {verify.path} (change.verify)"
        if response.status_code != 200:
            raise TargetError(
                f"{where} answered {response.status_code}",
                hint="It has to answer 200, with JSON that shows the state.",
                refusal=refusal_of(response.status_code),
            )
        try:
            value = _value(response.json(), verify.value)
        except (ValueError, LookupError, TypeError):
            raise TargetError(
                f"{where} has nothing at {verify.value}: {shown(response.text)}",
                hint="Set change.verify.value to the JSONPath of the state in the response.",
            ) from None
        return value if isinstance(value, str) else json.dumps(value)

    def by_hand(self, call: HttpCall) -> str:
        """The call as a command, with names of variables in place of secrets."""
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
    """The one value at a JSONPath. Raises LookupError for none or several."""
    nodes = find(path, document)
    if len(nodes) != 1:
        raise LookupError(path)
    return nodes[0].value
