"""Whether an HTTP call that changes something would be accepted: asked with OPTIONS and HEAD, never by sending it.

A response to OPTIONS that names the method proves it. Many services don't support OPTIONS, or name one method of
several: then it can't be proven, and a note says so. Only a certain failure is a problem: no response, a refused login,
a path that does not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from luckyhit.case import Case
from luckyhit.case.changes.http import HttpCall, HttpChange
from luckyhit.change.clearing.purge_calls import Call, calls_of, client_for, request_of
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.load.http1.request_head import Origin
from luckyhit.system import Stack
from luckyhit.system.control import client_options

_TIMEOUT_S = 5.0
_SAFE = ("GET", "HEAD", "OPTIONS")
UNPROVEN = "can't be proven without sending it"


def check_admin_routes(stack: Stack, change: HttpChange, findings: Findings) -> None:
    """Whether the calls of a change of kind http would be accepted."""
    target = stack.case.target
    secret = {
        header: stack.environ[name]
        for header, name in target.headers_env.items()
        if stack.environ.get(name) is not None
    }
    origin = Origin.parse(stack.base_url)
    options = client_options(target, stack.base_url, stack.project)
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False, **options) as client:
        for role, call in _different(change):
            headers = {**secret, **call.headers}
            asked = Call(call.method, origin, origin.prefix + call.path, headers, frozenset(call.status))
            call_text = f"{call.method} {call.path} ({role})"
            _ask(client, asked, call_text, findings, "the variable with the token in target.headers_env")


def check_purges(case: Case, base_url: str, environ: Mapping[str, str], project: Path, findings: Findings) -> None:
    """Whether the calls of `cache.purge` would be accepted: the first of each entry. Nothing is purged. Raises
    ArgumentError for a variable that is not set."""
    for purge in case.cache.purge:
        secret = {header: environ[name] for header, name in case.target.headers_env.items() if name in environ}
        calls = calls_of(purge, base_url, environ, secret)
        call_text = f"{purge.method} {calls[0].url}" + (f" (and {len(calls) - 1:,} more)" if len(calls) > 1 else "")
        with client_for(case, calls[0], base_url, project) as client:
            # HEAD would make some caches fetch the page; OPTIONS bypasses them.
            _ask(
                client,
                calls[0],
                call_text,
                findings,
                "the variable with the token in cache.purge.headers_env",
                head=False,
            )


def _different(change: HttpChange) -> Iterator[tuple[str, HttpCall]]:
    """Both calls, or one where only their bodies differ."""
    if (change.apply.method, change.apply.path, change.apply.headers) == (
        change.revert.method,
        change.revert.path,
        change.revert.headers,
    ):
        yield "apply and revert", change.apply
        return
    yield "apply", change.apply
    yield "revert", change.revert


def _ask(
    client: httpx.Client, call: Call, call_text: str, findings: Findings, token: str, *, head: bool = True
) -> None:
    try:
        response = client.send(request_of(client, call, "OPTIONS"))
        allowed = {name.strip().upper() for name in response.headers.get("allow", "").split(",") if name.strip()}
        asked = f"OPTIONS answers {response.status_code}"
        if not allowed and response.status_code >= 400 and response.status_code not in (401, 403, 404, 410) and head:
            response = client.send(request_of(client, call, "HEAD"))
            asked += f", HEAD {response.status_code}"
            if response.status_code == 404:  # a path may answer so to other methods
                findings.note(f"Whether {call_text} is accepted {UNPROVEN} ({asked}).")
                return
    except httpx.HTTPError as error:
        findings.problem(
            f"{call_text}: no answer ({type(error).__name__}: {error})",
            "Check the address, and that it can be reached from here.",
        )
        return
    status = response.status_code
    if status in (401, 403):
        findings.problem(f"{call_text} is refused: {asked}", f"Name {token}, or let this machine in.")
    elif status in (404, 410):
        findings.problem(f"{call_text}: the path does not exist ({asked})", "Correct the path, or the base URL.")
    elif call.method in allowed:
        findings.note(f"{call_text} is accepted: OPTIONS names {call.method}.")
    elif allowed and status < 400 and call.method not in _SAFE and head:
        findings.problem(
            f"{call_text} is not accepted: OPTIONS names {', '.join(sorted(allowed))}",
            "Correct the method, or ask whoever runs the service to allow it.",
        )
    else:
        named = f", and names {', '.join(sorted(allowed))} only" if allowed else ""
        findings.note(f"Whether {call_text} is accepted {UNPROVEN} ({asked}{named}).")
