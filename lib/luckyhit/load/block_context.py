"""Everything one worker needs for one block: the schedule, a client and ready-made requests for each arm, the rows."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from luckyhit.case.workload import Response
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.response import HttpResponse, PendingRequest
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.responses import KEPT_FOR_LATER, Answers
from luckyhit.load.schedule import Schedule
from luckyhit.load.signals import LaterSource, ResponseSource, with_headers
from luckyhit.records import Arm

CONNECTIONS_PER_CLIENT = 10_000_000
"""Connections are numbered apart: by worker and arm, then those of the freshness probe (`PROBE_CONNECTIONS` higher)."""
PROBE_CONNECTIONS = 2_000_000_000


_STRETCH = 512
"""Slots that are read out of the schedule at a time: single numbers out of arrays are slow."""


Request = tuple[int, int, int, int, int, bool]
"""One slot of the schedule: slot, route, key, number, due_ns (from the block's start), swapped."""


@dataclass
class Job:
    """Arms are counted in the order of `arms`. Instants are raw nanoseconds of the monotonic clock. This worker, one
    of `workers`, has every `workers`-th slot, from `worker` on. `endless`: behind the last slot comes the first again
    (with a number of its own). `later`: what tells of requests once their responses have come. `fixed`: by arm and
    route, requests that are always the same; `methods`: by route."""

    arms: tuple[Arm, ...]
    schedule: Schedule
    clients: tuple[Client, ...]
    templates: tuple[tuple[RouteTemplate, ...], ...]
    rows: RequestRecorder
    answers: Answers
    timeout_s: float
    worker: int = 0
    workers: int = 1
    endless: bool = False
    start_ns: int = 0
    later: tuple[LaterSource, ...] = ()
    fixed: list[list[bytes | None]] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)

    @classmethod
    def make(
        cls,
        schedule: Schedule,
        targets: Mapping[Arm, str],
        *,
        block: int,
        origin_ns: int,
        warmup_ns: int,
        timeout_s: float,
        headers: Mapping[str, str],
        signals: ResponseSource,
        expected: Response | None,
        directory: Path | None,
        limit: int,
        worker: int = 0,
        workers: int = 1,
        endless: bool = False,
        fresh: bool = False,
        http: str = "auto",
        tls: ssl.SSLContext | None = None,
        cookies: Mapping[str, str] | None = None,
        later: tuple[LaterSource, ...] = (),
    ) -> Job:
        """Raises ArgumentError for requests that can't be sent. `limit`: connections, over all arms together."""
        arms = tuple(targets)
        first = len(arms) * worker
        clients = tuple(
            Client(
                url,
                limit=max(1, limit // len(arms)),
                first_connection=CONNECTIONS_PER_CLIENT * (first + index),
                fresh=fresh,
                http=http,
                ssl_context=tls,
            )
            for index, url in enumerate(targets.values())
        )
        templates = tuple(
            tuple(
                RouteTemplate(route, client.origin, headers, table=table, cookies=cookies or {})
                for route, table in zip(schedule.routes, schedule.tables, strict=True)
            )
            for client in clients
        )
        rows = RequestRecorder(
            schedule,
            arms,
            block=block,
            warmup_ns=warmup_ns,
            directory=directory,
            origin_ns=origin_ns,
            worker=worker,
            workers=workers,
            endless=endless,
            later=later,
        )
        answers = Answers(
            schedule,
            rows,
            arms,
            templates,
            signals,
            expected,
            secrets=tuple(headers.values()),
            later_bytes=KEPT_FOR_LATER,
        )
        job = cls(arms, schedule, clients, templates, rows, answers, timeout_s, worker, workers, endless)
        job.later = later
        job.fixed = [
            [
                _fixed(template) if table is None else None
                for template, table in zip(of_arm, schedule.tables, strict=True)
            ]
            for of_arm in templates
        ]
        job.methods = [route.method for route in schedule.routes]
        return job

    def begin(self, start_ns: int) -> None:
        """The block starts at `start_ns`."""
        self.start_ns = self.rows.start_ns = start_ns

    def requests(self) -> Iterator[Request]:
        """This worker's slots, in order."""
        schedule, first, lap = self.schedule, self.worker, 0
        while len(schedule):
            for start in range(first, len(schedule), _STRETCH * self.workers):
                part = slice(start, start + _STRETCH * self.workers, self.workers)
                columns = (schedule.route, schedule.key, schedule.number, schedule.due_ns, schedule.swapped)
                slots = range(lap + start, lap + len(schedule), self.workers)
                yield from zip(slots, *(column[part].tolist() for column in columns), strict=False)
            if not self.endless:
                return
            lap += len(schedule)

    def exchange(
        self, request: Request, arm: int, tag: int, on_done: Callable[[PendingRequest, HttpResponse], None]
    ) -> PendingRequest:
        """A request to one arm, ready to be sent."""
        slot, route, key, number, _, _ = request
        payload = self.fixed[arm][route]
        if payload is None:
            payload = self.templates[arm][route].render(key, number)
        if self.later:
            payload = self.identify(payload, slot, arm)
        return PendingRequest(payload, on_done, self.methods[route], tag)

    def identify(self, payload: bytes, slot: int, arm: int) -> bytes:
        """The request with what each later source knows it by."""
        return with_headers(payload, [source.header(slot, arm) for source in self.later])

    def holds_rows(self, now_ns: int) -> bool:
        """Whether rows may still be told more of, and are not to be written yet."""
        return self.answers.holds_rows(now_ns) or any(source.waits(now_ns) for source in self.later)

    async def finish_signals(self) -> None:
        """Wait for what later sources still have to tell. Every response has come."""
        for source in self.later:
            await source.finish()

    @property
    def retries(self) -> int:
        """Requests sent a second time, since a kept-alive connection was closed under the first."""
        return sum(client.retries for client in self.clients)


def _fixed(template: RouteTemplate) -> bytes | None:
    """The request, where it is always the same."""
    if template.route.keys is not None:
        return None
    once, again = template.render(0, 1), template.render(0, 2)
    return once if once == again else None
