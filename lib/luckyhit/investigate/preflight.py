"""Looking at the target before measuring: does the route answer as the case expects? Safe requests only."""

from __future__ import annotations

import os
from collections.abc import Mapping

import httpx

from luckyhit.case import Case
from luckyhit.case.model import Route
from luckyhit.case.placeholders import fill_text
from luckyhit.errors import ArgumentError, ResponseUnexpected
from luckyhit.measure.expect import mismatch
from luckyhit.records import Guard
from luckyhit.target import Stack


def secret_headers(case: Case, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Request headers whose values come from the environment. Raises ArgumentError for one that is not set."""
    missing = [name for name in case.target.headers_env.values() if name not in environ]
    if missing:
        raise ArgumentError(f"not set in the environment: {', '.join(missing)}", hint="Export them, then start again.")
    return {header: environ[name] for header, name in case.target.headers_env.items()}


def expected_response(case: Case, stack: Stack, headers: Mapping[str, str]) -> Guard:
    """Ask each safe route once and hold the answer against the case.

    The answers fill the cache; that doesn't matter, since each block starts with a clear and a warm-up.
    Raises ResponseUnexpected, with the last log lines of a service that we started.
    """
    asked = []
    with httpx.Client(
        base_url=stack.base_url, timeout=case.workload.timeout, trust_env=False, follow_redirects=False
    ) as client:
        for route in case.workload.routes:
            if route.method not in ("GET", "HEAD"):
                continue
            path = _first_path(route)
            expected = route.response or case.expected.response
            try:
                answer = client.request(route.method, path, headers={**route.headers, **headers})
            except httpx.HTTPError as error:
                raise ResponseUnexpected(
                    f"{route.method} {path} gave no answer: {type(error).__name__}: {error}",
                    hint="Is the route right, and does the service answer within workload.timeout?",
                    log=stack.log_tail(),
                ) from None
            found = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
            wrong = mismatch(expected, answer.status_code, found, answer.content)
            if wrong:
                raise ResponseUnexpected(
                    f"{route.method} {path} does not answer as the case expects: {wrong}",
                    hint="Mend the service, or what the case expects (expected.response, or the route's response).",
                    log=stack.log_tail(),
                )
            asked.append(f"{route.method} {path} answered {answer.status_code}")
    if not asked:
        return Guard(
            name="expected response",
            ok=False,
            detail="The workload has no GET or HEAD route, so no answer could be checked beforehand.",
            remedy="Add a read route to workload.routes.",
        )
    return Guard(name="expected response", ok=True, detail="; ".join(asked) + ", as the case expects.")


def _first_path(route: Route) -> str:
    key = str(route.keys.first) if route.keys else ""
    return fill_text(route.path, {"key": key, "number": 1})
