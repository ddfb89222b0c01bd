"""Check before measuring that the routes answer as the case expects. Sends safe requests only."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import numpy as np

from luckyhit.case import Case
from luckyhit.case.values.units import format_rate
from luckyhit.errors import ArgumentError, ResponseUnexpected, refusal_of
from luckyhit.load.bodies.expected import expected_of, mismatch
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.inputs import Inputs, KeyTable
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.responses import EXCERPT, LONGEST_PATH
from luckyhit.load.signals import headers_source, signals_of
from luckyhit.probe.probe_preflight import MOST_READS
from luckyhit.probe.probe_reads import variants_of
from luckyhit.probe.probe_survey import survey, unlike_variants
from luckyhit.records import FAULTS, METRICS, Guard, Preflight, UnexpectedAnswer
from luckyhit.scrub.redactor import Redactor
from luckyhit.system import Stack
from luckyhit.system.cache_refusal import refusal_hint
from luckyhit.system.control import client_options

COVERING = tuple(name for name in FAULTS if not METRICS[name].probe)
"""A goal on one of these counts unexpected answers, so that they don't stop the run."""
_MORE_KEYS = (1, 2)
"""Indexes of further keys to request if no route answered as expected: is the service down, or is it the fault?"""


def secret_headers(case: Case, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Request headers whose values come from the environment. Raises ArgumentError for one that is not set."""
    missing = [name for name in case.target.headers_env.values() if name not in environ]
    if missing:
        raise ArgumentError(f"not set in the environment: {', '.join(missing)}", hint="Export them, then try again.")
    return {header: environ[name] for header, name in case.target.headers_env.items()}


def read_routes(case: Case, stack: Stack, headers: Mapping[str, str], inputs: Inputs | None = None) -> None:
    """Request each safe route once, whatever it answers. Raises ResponseUnexpected for one without an answer."""
    with _asking(case, stack, headers) as asking:
        for template, keys in _safe_routes(case, asking.origin, headers, inputs):
            asking.ask(template, keys[0], 1)


def any_hit(case: Case, stack: Stack, headers: Mapping[str, str], inputs: Inputs | None = None) -> bool:
    """Whether a header says that a cache answered one of the safe routes, each asked once. Raises as
    `expected_response`."""
    reader, hits = headers_source(signals_of(case.target)), list[bool]()
    expected_response(
        case, stack, headers, inputs, on_headers=lambda received: hits.append(reader.read(received).cache == "hit")
    )
    return any(hits)


def expected_response(
    case: Case,
    stack: Stack,
    headers: Mapping[str, str],
    inputs: Inputs | None = None,
    *,
    on_headers: Callable[[list[tuple[bytes, bytes]]], None] | None = None,
) -> tuple[Guard, Preflight]:
    """Request each safe route once and compare the answer with the case. `inputs`: the files of its workload;
    `on_headers` gets the headers of each answer, with names in lower case.

    The answers may fill the cache; each block starts with a clear and a warm-up anyway. Raises ResponseUnexpected, with
    the last log lines of a service that the run started, for a route without an answer; and for an unexpected answer,
    unless a goal covers it and some route answers as expected.
    """
    goals = [name for name in COVERING if name in case.goals]
    answered, unexpected = list[tuple[str, str, int]](), list[UnexpectedAnswer]()
    with _asking(case, stack, headers, on_headers) as asking:
        routes = list(_safe_routes(case, asking.origin, headers, inputs))
        for template, keys in routes:
            status, wrong = asking.ask(template, keys[0], 1)
            if wrong is None:
                answered.append((template.route.name, f"{template.method} {template.path(keys[0], 1)}", status))
            elif goals:
                unexpected.append(wrong)
            else:
                raise asking.refused(wrong)
        if unexpected and not answered and not asking.any_right(routes):
            raise asking.refused(unexpected[0])
    preflight = Preflight(asked=len(routes), unexpected=unexpected)
    if not routes:
        guard = Guard(
            id="expected-response",
            ok=False,
            detail="The workload has no GET or HEAD route, so no answer can be checked before the run.",
            remedy="Add a read route to workload.routes.",
        )
        return guard, preflight
    details = [f"{_answers(answered)}, as the case expects."] if answered else []
    if unexpected:
        covered = f"which the goal on {' and '.join(goals)} covers"
        details.append(f"{len(unexpected)} of {len(routes)} routes gave an unexpected answer, {covered}.")
    return Guard(id="expected-response", ok=True, detail=" ".join(details)), preflight


def _answers(answered: list[tuple[str, str, int]]) -> str:
    """`answered`: route, request, status. Routes of one request, which differ in headers, are told apart by name."""
    count = Counter(request for _, request, _ in answered)
    return "; ".join(
        f"{request}{f' ({route})' if count[request] > 1 else ''} answered {status}"
        for route, request, status in answered
    )


def _safe_routes(
    case: Case, origin: Origin, headers: Mapping[str, str], inputs: Inputs | None
) -> Iterator[tuple[RouteTemplate, range]]:
    """The GET and HEAD routes, each with its keys (or indexes in a key table)."""
    for route, table in zip(case.workload.routes, _tables(case, inputs), strict=True):
        if route.method not in ("GET", "HEAD") or (case.workload.replay is not None and table is None):
            continue
        first = route.keys.first if route.keys is not None and route.keys.first is not None else 0
        last = route.keys.last if route.keys is not None and route.keys.last is not None else first
        keys = range(len(table.keys)) if table is not None else range(first, last + 1)
        yield RouteTemplate(route, origin, headers, table=table, cookies=case.workload.cookies), keys


@contextmanager
def _asking(
    case: Case,
    stack: Stack,
    headers: Mapping[str, str],
    on_headers: Callable[[list[tuple[bytes, bytes]]], None] | None = None,
) -> Iterator[_Asking]:
    origin = Origin.parse(stack.base_url)
    with httpx.Client(
        base_url=f"{origin.scheme}://{origin.authority}",
        timeout=case.workload.timeout,
        trust_env=False,
        follow_redirects=False,
        **client_options(case.target, stack.base_url, stack.project),
    ) as client:
        yield _Asking(case, origin, client, stack, Redactor(tuple(headers.values())), on_headers)


@dataclass(frozen=True)
class _Asking:
    """Sends single requests."""

    case: Case
    origin: Origin
    client: httpx.Client
    stack: Stack
    redactor: Redactor
    on_headers: Callable[[list[tuple[bytes, bytes]]], None] | None = None

    def ask(self, template: RouteTemplate, key: int, number: int) -> tuple[int, UnexpectedAnswer | None]:
        """The status, and the answer if it is unexpected. Raises ResponseUnexpected if there is none."""
        route, path = template.route, template.path(key, number)
        try:
            answer = self.client.request(route.method, path, headers=template.headers(key, number))
        except httpx.HTTPError as error:
            log, default = (
                self.stack.log_tail(),
                "Check the route, and that the service answers within workload.timeout.",
            )
            raise ResponseUnexpected(
                f"{route.method} {path} gave no answer: {type(error).__name__}: {error}",
                hint=refusal_hint(self.case, log) or default,
                log=log,
            ) from None
        received = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
        if self.on_headers is not None:
            self.on_headers(received)
        expected = expected_of(route, self.case.expected.response)
        wrong = mismatch(expected, answer.status_code, received, answer.content)
        if wrong is None:
            return answer.status_code, None
        return answer.status_code, UnexpectedAnswer(
            arm="before",
            route=route.name,
            request=f"{route.method} {self.redactor.quoted(path)[:LONGEST_PATH]}",
            status=answer.status_code,
            wrong=self.redactor.quoted(wrong),
            body=self.redactor.excerpt(answer.content, EXCERPT),
        )

    def any_right(self, routes: list[tuple[RouteTemplate, range]]) -> bool:
        """Whether some route answers as expected for other keys."""
        return any(
            self.ask(template, keys[min(more, len(keys) - 1)], 1 + more)[1] is None
            for more in _MORE_KEYS
            for template, keys in routes
        )

    def refused(self, answer: UnexpectedAnswer) -> ResponseUnexpected:
        log = self.stack.log_tail()
        default = "Fix the service, or what the case expects (expected.response, or the route's response)."
        return ResponseUnexpected(
            f"{answer.request} does not answer as the case expects: {answer.wrong}",
            hint=refusal_hint(self.case, log) or default,
            log=log,
            refusal=refusal_of(answer.status),
        )


def refuse_fast_log(case: Case, inputs: Inputs) -> None:
    """Raise ArgumentError for a log replayed with its own gaps if any second of it has more requests than the target's
    limits allow (other rates are checked when the case is loaded)."""
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
    """The values of the probe's cold keys, read before the cache is cleared (not after, so that they stay cold); {}
    without a probe. Raises ResponseUnexpected if the probe's reads don't work, or its keys are not as declared."""
    if case.freshness is None:
        return {}
    first, *_ = variants_of(case.freshness, case.workload.routes)
    return survey(
        case.freshness,
        stack.base_url,
        headers,
        seconds=seconds,
        timeout_s=case.workload.timeout,
        variant=first,
        options=client_options(case.target, stack.base_url, stack.project),
        most_reads=MOST_READS if any(name in COVERING for name in case.goals) else 1,
    )


def unlike_defaults(case: Case, stack: Stack, headers: Mapping[str, str]) -> list[str]:
    """Names of the variants that the probe takes from the workload (the case declares none), where the service answers
    the later ones differently than the first. Raises ResponseUnexpected where one shows no version."""
    if case.freshness is None or case.freshness.variants:
        return []
    variants = variants_of(case.freshness, case.workload.routes)
    if len(variants) < 2:
        return []
    options = client_options(case.target, stack.base_url, stack.project)
    return unlike_variants(
        case.freshness, stack.base_url, variants, headers, timeout_s=case.workload.timeout, options=options
    )


def probe_databases(case: Case, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """URLs of the databases of the probe's writes, by variable. Raises ArgumentError for one that is not set."""
    if case.freshness is None:
        return {}
    probe = case.freshness
    writes = [probe.write, probe.absent.create if probe.absent else None, probe.refused]
    names = {write.database_env for write in writes if write is not None and write.database_env is not None}
    if missing := sorted(name for name in names if name not in environ):
        raise ArgumentError(
            f"not set in the environment: {', '.join(missing)} (named in freshness)",
            hint="Export them, then try again.",
        )
    return {name: environ[name] for name in names}


def _tables(case: Case, inputs: Inputs | None) -> tuple[KeyTable | None, ...]:
    """The key table of each route; None if its keys are not from a file."""
    if inputs is not None and inputs.log is not None:
        return inputs.log.tables
    return tuple(inputs.keys.get(route.name) if inputs is not None else None for route in case.workload.routes)
