"""Looking at the target before measuring: does the route answer as the case expects? Safe requests only."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import httpx
import numpy as np

from luckyhit.case import Case
from luckyhit.case.units import format_rate
from luckyhit.errors import ArgumentError, ResponseUnexpected
from luckyhit.measure.expect import expected_of, mismatch
from luckyhit.measure.head import Origin
from luckyhit.measure.inputs import Inputs, Table
from luckyhit.measure.probe_survey import survey
from luckyhit.measure.templates import RouteTemplate
from luckyhit.records import Guard
from luckyhit.target import Stack
from luckyhit.target.control import client_options


def secret_headers(case: Case, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Request headers whose values come from the environment. Raises ArgumentError for one that is not set."""
    missing = [name for name in case.target.headers_env.values() if name not in environ]
    if missing:
        raise ArgumentError(f"not set in the environment: {', '.join(missing)}", hint="Export them, then start again.")
    return {header: environ[name] for header, name in case.target.headers_env.items()}


def expected_response(
    case: Case,
    stack: Stack,
    headers: Mapping[str, str],
    inputs: Inputs | None = None,
    *,
    on_headers: Callable[[list[tuple[bytes, bytes]]], None] | None = None,
) -> Guard:
    """Ask each safe route once and hold the answer against the case. `inputs`: of the files that its workload names;
    `on_headers` gets the headers of each answer, names in small letters.

    The answers fill the cache; that doesn't matter, since each block starts with a clear and a warm-up.
    Raises ResponseUnexpected, with the last log lines of a service that we started.
    """
    asked = []
    origin = Origin.parse(stack.base_url)
    tables = _tables(case, inputs)
    options = client_options(case.target, stack.base_url, stack.project)
    with httpx.Client(
        base_url=f"{origin.scheme}://{origin.authority}",
        timeout=case.workload.timeout,
        trust_env=False,
        follow_redirects=False,
        **options,
    ) as client:
        for route, table in zip(case.workload.routes, tables, strict=True):
            if route.method not in ("GET", "HEAD") or (case.workload.replay is not None and table is None):
                continue
            template = RouteTemplate(route, origin, headers, table=table, cookies=case.workload.cookies)
            key = route.keys.first if route.keys is not None and route.keys.first is not None else 0
            path = template.path(key, 1)
            expected = expected_of(route, case.expected.response)
            try:
                answer = client.request(route.method, path, headers=template.headers(key, 1))
            except httpx.HTTPError as error:
                raise ResponseUnexpected(
                    f"{route.method} {path} gave no answer: {type(error).__name__}: {error}",
                    hint="Is the route right, and does the service answer within workload.timeout?",
                    log=stack.log_tail(),
                ) from None
            found = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
            if on_headers is not None:
                on_headers(found)
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


def refuse_fast_log(case: Case, inputs: Inputs) -> None:
    """Raise ArgumentError for a log that is replayed with its own gaps, where any second of it holds more requests than
    the target's limits allow (other paces are checked when the case is read)."""
    ceiling, replay = case.target.ceilings.rate, case.workload.replay
    if ceiling is None or replay is None or replay.timing != "log" or inputs.log is None:
        return
    longest_s = case.plan.warmup + max(case.plan.baseline, case.plan.block, case.plan.after_rollback)
    due_ns = np.sort(inputs.log.due_ns(longest_s, replay.speed)[1])
    most = int(np.max(np.searchsorted(due_ns, due_ns + 1_000_000_000) - np.arange(len(due_ns)), initial=0))
    if most > ceiling:
        raise ArgumentError(
            f"{replay.file} has {most} requests within one second; the target's limits allow {format_rate(ceiling)}",
            hint="Lower workload.replay.speed, set the pace with timing: rate, or raise target.limits.rate.",
        )


def originals_of(case: Case, stack: Stack, headers: Mapping[str, str], seconds: float) -> dict[str, int]:
    """What the probe's cold keys hold, read before the cache is cleared (they must not be read after it); {} without a
    probe. Raises ResponseUnexpected where the probe's reads can't work, or its keys are not what they have to be."""
    if case.freshness is None:
        return {}
    return survey(
        case.freshness,
        stack.base_url,
        headers,
        seconds=seconds,
        timeout_s=case.workload.timeout,
        options=client_options(case.target, stack.base_url, stack.project),
    )


def probe_databases(case: Case, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """URLs of the databases that the probe's writes name by a variable. Raises ArgumentError for one that isn't set."""
    if case.freshness is None:
        return {}
    probe = case.freshness
    writes = [probe.write, probe.absent.create if probe.absent else None, probe.refused]
    names = {write.database_env for write in writes if write is not None and write.database_env is not None}
    if missing := sorted(name for name in names if name not in environ):
        raise ArgumentError(
            f"not set in the environment: {', '.join(missing)} (named in freshness)",
            hint="Export what is missing, then start again.",
        )
    return {name: environ[name] for name in names}


def _tables(case: Case, inputs: Inputs | None) -> tuple[Table | None, ...]:
    """What the keys of each route stand for, where they come from files."""
    if inputs is not None and inputs.log is not None:
        return inputs.log.tables
    return tuple(inputs.keys.get(route.name) if inputs is not None else None for route in case.workload.routes)
