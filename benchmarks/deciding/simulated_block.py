"""One block, simulated: the same schedule and the same probe events in each arm, and noise that the arms share.

Its rows are those of `luckyhit.records`, its entry is that of the manifest.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from simulated_probe import Probing, Steps
from simulated_service import MS, Behaviour, S, Service

from luckyhit.case import Case
from luckyhit.load.schedule import schedule_for
from luckyhit.probe.probe_plan import KeyRanges, plan_events
from luckyhit.records import READS, REQUESTS, WRITES

STEP_S = 0.05
"""Of the noise that both arms share."""
PAUSE_S = 3.0
"""Between two blocks."""
VERSIONS_PER_BLOCK = 10_000
NEVER_NS = 2**62
READS_NOTHING = ("PUT", "POST", "PATCH", "DELETE")


@dataclass(frozen=True)
class Noise:
    """What the arms of a block share, since they share a host. `spread`: of the log of a slow factor on all times, an
    AR(1) with `memory` from one STEP_S to the next. `hiccups` a minute, in which nothing is answered for up to
    `hiccup_ms`."""

    spread: float = 0.1
    memory: float = 0.9
    hiccups: float = 4.0
    hiccup_ms: float = 30.0


class Weather:
    """The noise of one block: `done_ns` is when something that takes `took_ns` from `sent_ns` on is answered."""

    def __init__(self, noise: Noise, seconds: float, rng: np.random.Generator) -> None:
        steps = int(seconds / STEP_S) + 200
        shocks = rng.normal(size=steps) * np.sqrt(1 - noise.memory**2)
        state, level = np.empty(steps), rng.normal()
        for index, shock in enumerate(shocks):
            level = noise.memory * level + shock
            state[index] = level
        self._factor = np.exp(noise.spread * state)
        count = rng.poisson(noise.hiccups * seconds / 60)
        self._starts = np.sort(rng.uniform(0, seconds * S, count)).astype(np.int64)
        self._ends = self._starts + (rng.uniform(0.3, 1, count) * noise.hiccup_ms * MS).astype(np.int64)

    def took_ns(self, sent_ns: int, usual_ns: int) -> int:
        took = round(usual_ns * self._factor[min(int(sent_ns / S / STEP_S), len(self._factor) - 1)])
        for start, end in zip(self._starts, self._ends, strict=True):
            if start < sent_ns + took and sent_ns < end:
                took += int(end - max(start, sent_ns))
        return took


@dataclass(frozen=True)
class Block:
    """The rows of a block, and its entry in the manifest."""

    requests: pd.DataFrame
    reads: pd.DataFrame
    writes: pd.DataFrame
    entry: dict[str, Any]


def simulate(
    case: Case, arms: Mapping[str, Behaviour], noise: Noise, *, number: int, stage: str, pair: int, seconds: float,
    start_ns: int, seed: int, probed: bool = True,
) -> Block:  # fmt: skip
    """A block of a run of `case`. `pair`: which requests and events it has; `seed`: all that is by chance."""
    warmup_s = case.plan.warmup
    schedule = schedule_for(case.workload, warmup_s + seconds, case.workload.seed + pair)
    weather = Weather(noise, warmup_s + seconds, np.random.default_rng([seed, number]))
    freshness = case.freshness if probed else None
    events = []
    if freshness is not None:
        events = plan_events(
            freshness,
            duration_ns=round(seconds * S),
            rng=random.Random(case.workload.seed + pair),
            first_version=freshness.first_version + number * VERSIONS_PER_BLOCK,
            requests=float(np.count_nonzero(schedule.due_ns >= warmup_s * S)),
            cold_keys=list(KeyRanges.of(freshness).cold),
        )
    frames, reads, writes, sent = [], [], [], 0
    for index, (arm, behaviour) in enumerate(arms.items()):
        paths = tuple(route.path for route in case.workload.routes if route.method not in READS_NOTHING)
        service = Service(behaviour, paths, np.random.default_rng([seed, number, index]))
        of_probe = Probing(
            arm, number, service, freshness.reads if freshness is not None else [],
            freshness.within if freshness is not None else 0.0, round(warmup_s * S),
            round((warmup_s + seconds) * S), start_ns,
        )  # fmt: skip
        columns = _Columns(len(schedule.due_ns))
        _run_arm(case, schedule, weather, service, of_probe, events, columns)
        frames.append(columns.frame(arm, number, schedule, warmup_s, start_ns))
        reads += of_probe.reads
        writes += of_probe.writes
        sent += of_probe.requests
    load = int(np.count_nonzero(schedule.due_ns >= warmup_s * S)) * len(arms)
    entry = {
        "block": number,
        "stage": stage,
        "arms": list(arms),
        "pair": pair,
        "engine": dict(_ENGINE),
        "clear": dict.fromkeys(arms, _CLEARED),
        "probe": {"probes": len(events), "requests": sent, "share": sent / max(1, load)} if probed else {},
        "control": not probed,
    }
    return Block(
        pd.concat(frames, ignore_index=True),
        pd.DataFrame(reads).reindex(columns=READS.names),
        pd.DataFrame(writes).reindex(columns=WRITES.names),
        entry,
    )


_ENGINE = {"added_p50_ms": 0.3, "added_p99_ms": 0.9, "schedule_error_p99_ms": 0.2, "trustworthy": True, "detail": ""}
_CLEARED = {"scanned": 300, "matched": 300, "cleared": 300, "gone": 0, "appeared": 0, "without_ttl_kept": 0}
_CLEARED |= {"outside": 0, "outside_left": 0, "outside_gone": 0}


class _Columns:
    """What one arm's requests got, an entry for each slot."""

    def __init__(self, count: int) -> None:
        self.took = np.zeros(count, dtype=np.int64)
        self.sent = np.zeros(count, dtype=np.int64)
        self.status = np.full(count, 200, dtype=np.int16)
        self.failed = np.zeros(count, dtype=bool)
        self.cache = np.full(count, "unknown", dtype=object)
        self.calls = np.zeros(count, dtype=np.int32)
        self.version = np.full(count, -1, dtype=np.int64)
        self.body = np.zeros(count, dtype=np.int64)

    def frame(self, arm: str, block: int, schedule: Any, warmup_s: float, start_ns: int) -> pd.DataFrame:
        due, slots = schedule.due_ns + start_ns, np.arange(len(schedule.due_ns))
        sent = start_ns + self.sent
        done = sent + self.took
        rows = pd.DataFrame(
            {
                "arm": arm,
                "block": block,
                "slot": slots,
                "phase": np.where(schedule.due_ns < warmup_s * S, "warmup", "measure"),
                "route": np.array([route.name for route in schedule.routes], dtype=object)[schedule.route],
                "key": schedule.key_texts(slots).to_pandas(),
                "due_ns": due,
                "sent_ns": sent,
                "first_byte_ns": done - 10_000,
                "done_ns": done,
                "status": self.status,
                "error": np.where(self.failed, "unexpected", None),
                "cache": self.cache,
                "db_calls": self.calls,
                "version": pd.Series(self.version).astype("Int64").mask(self.version < 0),
                "body_hash": self.body,
            }
        )
        return rows.reindex(columns=REQUESTS.names)


def _run_arm(
    case: Case, schedule: Any, weather: Weather, service: Service, probe: Probing, events: list[Any], into: _Columns
) -> None:
    """Requests and probes of one arm, in the order of time. Each request is sent a bit after it was due."""
    routes, jitter = list(schedule.routes), service.rng.integers(20_000, 90_000, len(schedule.due_ns))
    waiting: list[tuple[int, int, Steps]] = []
    for number, event in enumerate(events):
        steps = probe.event(event)
        heapq.heappush(waiting, (next(steps), number, steps))

    def probe_until(at_ns: int) -> None:
        while waiting and waiting[0][0] <= at_ns:
            now, number, steps = heapq.heappop(waiting)
            try:
                heapq.heappush(waiting, (max(steps.send(now), now), number, steps))
            except StopIteration:
                continue

    paths = service.routes
    due, route_of, key_of, numbers = (
        array.tolist() for array in (schedule.due_ns, schedule.route, schedule.key, schedule.number)
    )
    for slot, due_ns in enumerate(due):
        probe_until(due_ns)
        route, key = routes[route_of[slot]], key_of[slot]
        into.sent[slot] = due_ns + jitter[slot]
        if route.method in READS_NOTHING:
            done_ns, accepted = service.write(due_ns, key, numbers[slot])
            took, into.calls[slot] = done_ns - due_ns, 1
            into.status[slot], into.failed[slot] = (200, False) if accepted else (503, True)
            into.body[slot] = hash((key, numbers[slot]))
            if route.version is not None:
                into.version[slot] = numbers[slot]
        else:
            answer = service.read(due_ns, route.path, key)
            took, into.cache[slot], into.calls[slot] = answer.took_ns, answer.cache, answer.calls
            wrong = answer.route != route.path
            into.status[slot], into.failed[slot] = 500 if answer.failed else 200, answer.failed or wrong
            into.body[slot] = hash((key, answer.version, paths.index(answer.route), answer.failed))
            if route.version is not None and not answer.failed:
                into.version[slot] = answer.version
        into.took[slot] = weather.took_ns(due_ns, took) + 150_000
    probe_until(NEVER_NS)
