"""The freshness probe of a block, simulated: each planned event as a generator that yields when it goes on."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from simulated_service import Answer, S, Service

from luckyhit.case.freshness import VersionRead
from luckyhit.probe.probe_plan import GAP_NS, LEAD_NS, WARMING_READS, ProbeEvent, next_gap_ns
from luckyhit.probe.probe_run import LASTING_AFTER_FLAP, LASTING_READS

Steps = Generator[int, int, None]
"""Yields instants, and is sent them when they come."""


@dataclass
class Probing:
    """One arm's probe in one block. `reads`, `writes`: its rows. `start_ns`, `end_ns`: of the measured part, in the
    block; `origin_ns`: the block's start, in the run. `requests`: how many it sent."""

    arm: str
    block: int
    service: Service
    routes: Sequence[VersionRead]
    within_s: float
    start_ns: int
    end_ns: int
    origin_ns: int
    reads: list[dict[str, Any]] = field(default_factory=list)
    writes: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0

    def event(self, event: ProbeEvent) -> Steps:
        now = yield self.start_ns + event.at_ns
        ready = now + LEAD_NS
        key, knobs = int(event.key), self.service.behaviour
        asked: dict[int, tuple[int, int] | None] = {}
        if event.prestate == "in-flight":
            done, _ = self.write(now, event, event.version - 1)
            now = yield max(done, ready)
            yield from self._race(now, event)
            return
        if event.prestate != "cold":
            routes = range(len(self.routes)) if event.mode == "burst" else (event.route,)
            for route in routes:
                for _ in range(WARMING_READS if event.mode == "burst" else 1):
                    answer = self._look(now, route, key)
                    ready = max(ready, now + answer.took_ns)
                    asked[route] = (answer.version, now) if event.conditional and knobs.validator_s else None
        now = yield ready
        done, accepted = self.write(now, event, event.version)
        if accepted:
            yield from self._behind(done, event, asked)

    def _race(self, now: int, event: ProbeEvent) -> Steps:
        """A read and a write that lands somewhere inside of it (see `luckyhit.probe.probe_run`)."""
        knobs = self.service.behaviour
        read_ns = round((knobs.hit_ms + knobs.load_ms) * S / 1e3)
        write_ns = round((knobs.write_ms + knobs.commit_ms) * S / 1e3)
        write_at = round(event.offset * (read_ns + write_ns)) - write_ns
        read_at, write_at = now + max(0, -write_at), now + max(0, write_at)
        done, accepted = 0, False
        for at, what in sorted([(read_at, "read"), (write_at, "write")]):
            now = yield at
            if what == "read":
                self._read(now, event, event.route, 0, None)
            else:
                done, accepted = self.write(now, event, event.version)
        if accepted:
            yield from self._behind(done, event, {})

    def _behind(self, done: int, event: ProbeEvent, asked: dict[int, tuple[int, int] | None]) -> Steps:
        if event.mode == "once":
            now = yield done + event.delay_ns
            if now < self.end_ns:
                self._read(now, event, event.route, event.delay_ns, asked.get(event.route))
            return
        for route in range(len(self.routes)):
            yield from self._poll(done, event, route, asked.get(route))

    def _poll(self, done: int, event: ProbeEvent, route: int, validator: tuple[int, int] | None) -> Steps:
        past = done + round(self.within_s * S) + 1
        in_a_row, lasting, gap, waited = 0, LASTING_READS, GAP_NS, 0
        now = yield done
        while now < self.end_ns:
            answer = self._read(now, event, route, waited, validator)
            if validator is not None and not answer.not_modified:
                validator = answer.version, now
            ended = now + answer.took_ns
            if not answer.failed:
                fresh = answer.version >= event.version
                lasting = LASTING_AFTER_FLAP if in_a_row and not fresh else lasting
                in_a_row = in_a_row + 1 if fresh else 0
            due = ended + gap
            if in_a_row >= lasting:
                if now >= past:
                    return
                due = max(due, past)
            if due > done + event.delay_ns and in_a_row == 0:
                return
            waited, gap = due - ended, next_gap_ns(gap)
            now = yield due

    def write(self, now: int, event: ProbeEvent, version: int) -> tuple[int, bool]:
        self.requests += 1
        done, accepted = self.service.write(now, int(event.key), version)
        self.writes.append(
            {
                **self._row(event),
                "version": version,
                "prestate": event.prestate,
                "sent_ns": self.origin_ns + now,
                "acked_ns": self.origin_ns + done if accepted else None,
                "status": 200 if accepted else 503,
                "connection": 1,
            }
        )
        return done, accepted

    def _look(self, now: int, route: int, key: int) -> Answer:
        self.requests += 1
        return self.service.read(now, self.routes[route].path, key)

    def _read(
        self, now: int, event: ProbeEvent, route: int, delay_ns: int, validator: tuple[int, int] | None
    ) -> Answer:
        self.requests += 1
        answer = self.service.read(now, self.routes[route].path, int(event.key), validator)
        self.reads.append(
            {
                **self._row(event),
                "route": self.routes[route].name,
                "delay_ns": delay_ns,
                "conditional": validator is not None,
                "sent_ns": self.origin_ns + now,
                "done_ns": self.origin_ns + now + answer.took_ns,
                "seen_version": None if answer.failed else answer.version,
                "absent": False,
                "connection": 1,
                "fresh_connection": event.new_connection,
                "cache": answer.cache,
                "status": 500 if answer.failed else 304 if answer.not_modified else 200,
            }
        )
        return answer

    def _row(self, event: ProbeEvent) -> dict[str, Any]:
        return {"arm": self.arm, "block": self.block, "key": event.key, "probe": event.version, "mode": event.mode}
