"""Everything one worker needs for one block: the schedule, a client and ready-made requests for each arm, the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from luckyhit.case.model import Response
from luckyhit.measure.answers import Answers
from luckyhit.measure.rows import Rows
from luckyhit.measure.schedule import Schedule
from luckyhit.measure.signals import Signals
from luckyhit.measure.templates import RouteTemplate
from luckyhit.measure.wire import Client
from luckyhit.records import Arm

CONNECTIONS_PER_ARM = 100_000
"""Connections are numbered apart: the arms' own, then those of the freshness probe (`PROBE_CONNECTIONS` higher)."""
PROBE_CONNECTIONS = 1_000_000


@dataclass
class Job:
    """Arms are counted in the order of `arms`. Instants are raw nanoseconds of the monotonic clock."""

    arms: tuple[Arm, ...]
    schedule: Schedule
    clients: tuple[Client, ...]
    templates: tuple[tuple[RouteTemplate, ...], ...]
    rows: Rows
    answers: Answers
    origin_ns: int
    timeout_s: float
    start_ns: int = 0

    @classmethod
    def make(
        cls,
        schedule: Schedule,
        targets: Mapping[Arm, str],
        *,
        block: int,
        origin_ns: int,
        warmup_s: float,
        timeout_s: float,
        headers: Mapping[str, str],
        signals: Signals,
        expected: Response | None,
        directory: Path | None,
        limit: int,
    ) -> Job:
        """Raises ArgumentError for requests that can't be sent. `limit`: connections, over all arms together."""
        arms = tuple(targets)
        clients = tuple(
            Client(url, limit=max(1, limit // len(arms)), first_connection=CONNECTIONS_PER_ARM * index)
            for index, url in enumerate(targets.values())
        )
        templates = tuple(
            tuple(RouteTemplate(route, client.origin, headers) for route in schedule.routes) for client in clients
        )
        rows = Rows(schedule, arms, block=block, warmup_ns=round(warmup_s * 1e9), directory=directory)
        answers = Answers(schedule, rows, arms, templates, signals, expected)
        return cls(arms, schedule, clients, templates, rows, answers, origin_ns, timeout_s)

    def begin(self, start_ns: int) -> None:
        """The block starts at `start_ns`."""
        self.start_ns, self.rows.start_ns = start_ns, start_ns - self.origin_ns

    @property
    def retries(self) -> int:
        """Requests sent a second time, since a kept-alive connection was closed under the first."""
        return sum(client.retries for client in self.clients)
