"""Everything one worker needs for one block: the schedule, a client and ready-made requests for each arm, the rows."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from luckyhit.case.workload import Response
from luckyhit.load.http1.client import Client
from luckyhit.load.http1.response import HttpResponse, OnKnown, PendingRequest
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.responses import KEPT_FOR_LATER, ResponseHandler
from luckyhit.load.schedule import Schedule
from luckyhit.load.signals import LaterSource, ResponseSource, SignalReader, with_headers
from luckyhit.records import Arm

CONNECTIONS_PER_CLIENT = 10_000_000
"""Connections are numbered apart: by worker and arm, then those of the freshness probe (`PROBE_CONNECTIONS` higher)."""
PROBE_CONNECTIONS = 2_000_000_000
_CHUNK = 512
"""Slots that are read out of the schedule at a time: single numbers out of arrays are slow."""

Request = tuple[int, int, int, int, int, bool]
"""One slot of the schedule: slot, route, key, number, due_ns (from the block's start), swapped."""


class BlockContext:
    """Arms are numbered in the order of `targets` (base URLs). Instants are raw nanoseconds of the monotonic clock.

    `limit`: connections, over all arms together. This worker, one of `workers`, has every `workers`-th slot, from
    `worker` on (none of them unless it `sends`). `endless`: after the last slot the first comes again, under a number
    of its own. `later`: sources that report on requests once their responses have come. Raises ArgumentError for
    requests that can't be sent.
    """

    def __init__(
        self,
        schedule: Schedule,
        targets: Mapping[Arm, str],
        *,
        limit: int,
        timeout_s: float,
        block: int = 0,
        origin_ns: int = 0,
        warmup_ns: int = 0,
        headers: Mapping[str, str] = {},
        signals: ResponseSource | None = None,
        expected: Response | None = None,
        directory: Path | None = None,
        worker: int = 0,
        workers: int = 1,
        sends: bool = True,
        endless: bool = False,
        fresh: bool = False,
        http: str = "auto",
        tls: ssl.SSLContext | None = None,
        cookies: Mapping[str, str] | None = None,
        later: Sequence[LaterSource] = (),
    ) -> None:
        self.arms, self.schedule, self.later, self.timeout_s = tuple(targets), schedule, later, timeout_s
        self.worker, self.workers, self._sends, self._endless = worker, workers, sends, endless
        self.start_ns = 0
        self.methods = [route.method for route in schedule.routes]
        self.clients = tuple(
            Client(
                url,
                limit=max(1, limit // len(targets)),
                first_connection=CONNECTIONS_PER_CLIENT * (len(targets) * worker + arm),
                fresh=fresh,
                http=http,
                reads_at_once=endless,
                ssl_context=tls,
            )
            for arm, url in enumerate(targets.values())
        )
        self.templates = tuple(
            tuple(
                RouteTemplate(route, client.origin, headers, table=table, cookies=cookies or {})
                for route, table in zip(schedule.routes, schedule.tables, strict=True)
            )
            for client in self.clients
        )
        # By arm and route, requests that are always the same.
        self.fixed = [
            [
                _fixed(template) if table is None else None
                for template, table in zip(of_arm, schedule.tables, strict=True)
            ]
            for of_arm in self.templates
        ]
        self.recorder = RequestRecorder(
            schedule,
            self.arms,
            block=block,
            warmup_ns=warmup_ns,
            directory=directory,
            origin_ns=origin_ns,
            worker=worker,
            workers=workers,
            sends=sends,
            endless=endless,
            later=later,
        )
        self.responses = ResponseHandler(
            schedule,
            self.recorder,
            self.arms,
            self.templates,
            signals or SignalReader(),
            expected,
            secrets=tuple(headers.values()),
            later_bytes=KEPT_FOR_LATER,
        )

    def begin(self, start_ns: int) -> None:
        """The block starts at `start_ns`."""
        self.start_ns = self.recorder.start_ns = start_ns

    def requests(self) -> Iterator[Request]:
        """This worker's slots, in order."""
        schedule, lap = self.schedule, 0
        while len(schedule) and self._sends:
            for start in range(self.worker, len(schedule), _CHUNK * self.workers):
                part = slice(start, start + _CHUNK * self.workers, self.workers)
                columns = (schedule.route, schedule.key, schedule.number, schedule.due_ns, schedule.swapped)
                slots = range(lap + start, lap + len(schedule), self.workers)
                yield from zip(slots, *(column[part].tolist() for column in columns), strict=False)
            if not self._endless:
                return
            lap += len(schedule)

    def pending_request(
        self,
        request: Request,
        arm: int,
        tag: int,
        on_done: Callable[[PendingRequest, HttpResponse], None],
        on_known: OnKnown | None = None,
    ) -> PendingRequest:
        """A request to one arm, ready to be sent. Without `on_known`, `on_done` gets each response."""
        slot, route, key, number, _, _ = request
        payload = self.fixed[arm][route]
        if payload is None:
            payload = self.templates[arm][route].render(key, number)
        if self.later:
            payload = self.identify(payload, slot, arm)
        pending = PendingRequest(payload, on_done, self.methods[route], tag)
        if on_known is not None and (known := self.responses.known[arm][route]) is not None:
            pending.known, pending.learns, pending.on_known = known.by_bytes, known.learns, on_known
        return pending

    def identify(self, payload: bytes, slot: int, arm: int) -> bytes:
        """The request with the header by which each later source recognises it."""
        return with_headers(payload, [source.header(slot, arm) for source in self.later])

    def holds_rows(self, now_ns: int) -> bool:
        """Whether recorded rows may still change, and are not to be written yet."""
        return self.responses.holds_rows(now_ns) or any(source.waits(now_ns) for source in self.later)

    async def finish_signals(self) -> None:
        """Wait for what later sources still have to report. Every response has come."""
        for source in self.later:
            await source.finish()

    @property
    def unlogged(self) -> int:
        """Requests on which no later source has reported."""
        return sum(source.unlogged for source in self.later)

    @property
    def retries(self) -> int:
        """Requests sent a second time, because a kept-alive connection was closed under the first."""
        return sum(client.retries for client in self.clients)


def _fixed(template: RouteTemplate) -> bytes | None:
    """The request, if it is always the same."""
    if template.route.keys is not None:
        return None
    first, second = template.render(0, 1), template.render(0, 2)
    return first if first == second else None
