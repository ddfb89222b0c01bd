"""The requests of a trace, one at a time, and the calls that the service made for each."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import urlsplit

import httpx

from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError
from luckyhit.load.block import inputs_of
from luckyhit.load.bodies.versions import VersionReader
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.schedule import closed_schedule
from luckyhit.probe.probe_plan import KeyRanges
from luckyhit.probe.probe_reads import version_shown
from luckyhit.probe.probe_writes import HttpWriter
from luckyhit.system import Stack, ports
from luckyhit.system.control import client_options
from luckyhit.workflow.step import stop_if_asked
from luckyhit.workflow.tracing.call_lines import QUIET_S, CallLines, ServiceCall

REQUESTS = 200
"""As the workload draws them."""
OF_EACH_ROUTE = 20
"""At least, also of a route that is seldom asked."""
LONGEST_DRAW = 20_000
WITHIN_S = 30.0
"""No further request begins after this."""
WRITTEN_KEYS = 5
IDLE_S = 0.3
"""How long the service is watched without a request."""
FIRST, LATE_S = 2, 0.4
"""The first requests of a route, and how long each is given to leave work to the background: later ones are given twice
what that took."""


@dataclass(frozen=True)
class AskedRequest:
    """One request that was answered. `route`: method and path of the case; `key`: its key, empty without one."""

    route: str
    key: str
    calls: tuple[ServiceCall, ...]


@dataclass
class Asked:
    """The requests of a pass. `unknown`: ids of `luckyhit.records.trace`."""

    requests: list[AskedRequest] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    unknown: list[str] = field(default_factory=list)


class _Patience:
    """How long a request of each route may be silent before it is over."""

    def __init__(self, lines: CallLines, *, background: bool) -> None:
        self._lines, self._background = lines, background
        self._asked: Counter[str] = Counter()
        self._late_s: dict[str, float] = {}

    def calls_of(self, route: str) -> tuple[ServiceCall, ...]:
        """The calls of the request that was just answered, and of what it left to the background."""
        if self._background:  # its end can't be told from what comes anyway
            return tuple(self._lines.when_quiet())
        self._asked[route] += 1
        late_s = self._late_s.get(route, 0.0)
        quiet_s = LATE_S if self._asked[route] <= FIRST else max(QUIET_S, min(2 * late_s, LATE_S))
        calls = self._lines.when_quiet(quiet_s)
        self._late_s[route] = max(late_s, self._lines.late_s)
        return tuple(calls)


def ask_service(run: CaseRun, stack: Stack, headers: Mapping[str, str], lines: CallLines) -> Asked:
    """Send the workload's requests, then the probe's write to a few keys, which get their values back."""
    asked = Asked()
    lines.when_quiet()  # what its start and its ready check asked
    if _watched_without_requests(lines):
        asked.unknown.append("background")
    patience = _Patience(lines, background="background" in asked.unknown)
    options = client_options(run.case.target, stack.base_url, stack.project)
    deadline = monotonic() + WITHIN_S
    with httpx.Client(timeout=run.case.workload.timeout, trust_env=False, **options) as client:
        for route, key, send in _requests(run, stack, headers, client):
            stop_if_asked(run)
            if monotonic() > deadline:
                break
            try:
                send()
            except httpx.HTTPError:
                patience.calls_of(route)
                asked.unanswered[route] += 1
                if not stack.alive:
                    asked.unknown.append("ended")
                    return asked
                continue
            asked.requests.append(AskedRequest(route, key, patience.calls_of(route)))
        if stack.changeable:
            asyncio.run(_write(run.case, stack, headers, client, patience, asked))
    if not loaded(stack, lines):
        asked.unknown.append("not-loaded")
    return asked


def _watched_without_requests(lines: CallLines) -> bool:
    lines.new()
    return bool(lines.when_quiet(IDLE_S))


def loaded(stack: Stack, lines: CallLines) -> bool:
    """Whether the process that answers writes lines; where it is not visible, whether any does."""
    listener = ports.listener(urlsplit(stack.base_url).port or 0)
    return bool(lines.facts.processes) and (listener is None or listener.pid in lines.facts.processes)


def _requests(
    run: CaseRun, stack: Stack, headers: Mapping[str, str], client: httpx.Client
) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """(route, key, what sends it): REQUESTS as the workload draws them, and then OF_EACH_ROUTE at least."""
    workload, origin = run.case.workload, Origin.parse(stack.base_url)
    schedule = closed_schedule(workload, LONGEST_DRAW, workload.seed, inputs_of(run))
    templates = [
        RouteTemplate(route, origin, headers, table=table, cookies=workload.cookies)
        for route, table in zip(schedule.routes, schedule.tables, strict=True)
    ]
    sent: Counter[int] = Counter()
    for slot in range(len(schedule)):
        index = int(schedule.route[slot])
        if slot >= REQUESTS and sent[index] >= OF_EACH_ROUTE:
            continue
        sent[index] += 1
        template, key, number = templates[index], int(schedule.key[slot]), int(schedule.number[slot])
        table = schedule.tables[index]
        text = "" if template.route.keys is None and table is None else str(key)
        if table is not None:
            text = table.keys[key] or ""

        def send(template: RouteTemplate = template, key: int = key, number: int = number) -> object:
            url = f"{origin.scheme}://{origin.authority}{template.path(key, number)}"
            given, body = template.headers(key, number), template.body(key, number)
            return client.request(template.method, url, headers=given, content=body)

        yield f"{template.method} {template.route.path}", text, send


async def _write(
    case: Case, stack: Stack, headers: Mapping[str, str], client: httpx.Client, patience: _Patience, asked: Asked
) -> None:
    """Send the probe's write to a few reserved keys, and write back what they held. A key that shows no value is left
    alone; so is a write around the service, which the service's libraries don't see."""
    freshness = case.freshness
    if freshness is None or freshness.write.path is None:
        return
    write, reader = freshness.write, VersionReader(freshness.reads[0])
    route, prefix = f"{write.method} {write.path}", Origin.parse(stack.base_url).prefix
    origin = stack.base_url.removesuffix(prefix)
    writing = Client(stack.base_url, http=case.target.http)
    writer = HttpWriter(write, writing, headers)
    try:
        for number, key in enumerate(map(str, KeyRanges.of(freshness).warm[:WRITTEN_KEYS])):
            path = prefix + reader.path(key)
            with suppress(httpx.HTTPError):
                answer = client.get(origin + path, headers=dict(headers))
                shown = [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
                response = HttpResponse(status=answer.status_code, headers=shown, body=answer.content)
                value, _ = version_shown(reader, key, path, response)
                patience.calls_of(f"GET {freshness.reads[0].path}")
                if value is None:
                    continue
                for version in (freshness.first_version + number, value):
                    result = await writer.write(key, version, case.workload.timeout)
                    calls = patience.calls_of(route)
                    if result.accepted:
                        asked.requests.append(AskedRequest(route, key, calls))
                    else:
                        asked.unanswered[route] += 1
                        if version == value:
                            continue
                        break
    except ArgumentError:
        return
    finally:
        await writing.close()
