"""What all experiments work with: keys that nobody used yet, versions that grow, reads and writes of one route."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from statistics import median
from typing import Any

from luckyhit.case import Case
from luckyhit.case.values.placeholders import fill, fill_text
from luckyhit.errors import TargetError
from luckyhit.experiments.means.calls import Reading, Requester
from luckyhit.experiments.means.command_relay import CommandRelay
from luckyhit.experiments.means.routes import DiagnosedRead, Key, Routes
from luckyhit.experiments.means.traced import AFTERWARDS_S, CacheView, TouchedKeys
from luckyhit.judge.diagnosis.outcome import Observations, RowReference
from luckyhit.probe.probe_reads import filled_headers
from luckyhit.records.experiment_requests import EXPERIMENT_TABLE
from luckyhit.system import Stack
from luckyhit.text.json_values import leaves

_FEW_KEYS = 60
FILLS_WITHIN_S = 4.0
SETTLED_S = 0.4
MOST_ROWS = 12
"""Rows of evidence that an outcome names."""


@dataclass(frozen=True)
class Trial:
    """One trial: its outcome, None where it can't tell, and the rows that it rests on."""

    outcome: str | None
    rows: Sequence[int] = ()
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """A write. `acked_s`: when its answer was whole, on the monotonic clock."""

    version: int
    acked_s: float
    accepted: bool
    row: int
    status: int
    ms: float


@dataclass
class Costs:
    """What a load of the route costs, learned from reads of keys that nobody read before. `calls`: database calls of a
    load, and `floor` of an answer without one; None where they are not visible. `load_ms`, `hit_ms`: medians."""

    calls: int | None = None
    floor: int | None = None
    load_ms: float = 1.0
    hit_ms: float = 1.0
    tells_status: bool = False


class Bench:
    """One service on a stack of our own. `route`: the read that is diagnosed."""

    def __init__(
        self, case: Case, stack: Stack, calls: Requester, routes: Routes, cache: CacheView | None,
        relay: CommandRelay | None, seed: int,
    ) -> None:  # fmt: skip
        self.case, self.stack, self.calls, self.routes = case, stack, calls, routes
        self.cache, self.relay = cache, relay
        self.random = random.Random(seed)
        self.route: DiagnosedRead = (routes.diagnosable or routes.reads)[0]
        self.costs = Costs()
        self.configured = _configured(calls, case)
        self.bound_s = case.freshness.within if case.freshness is not None else 0.0
        self.late_s = SETTLED_S
        """So long after the declared bound a read that is old has no excuse left."""
        self._versions = count(routes.first_version + 10)
        self.absent: list[Key] | None = None
        """Keys under which there is nothing yet; None where they were not looked for."""
        self._keys: list[Key] = []
        self._lock = threading.Lock()

    # keys

    def take(self) -> Key:
        """A key that no experiment used yet. Once all are used, the cache is emptied and they begin anew."""
        with self._lock:
            if not self._keys:
                self._keys = list(self.routes.keys)
                self.random.shuffle(self._keys)
                if self.calls.rows:
                    self.empty()
            return self._keys.pop()

    def renew(self) -> None:
        """Begin anew with all keys where few are left: within an experiment that would empty the cache under it."""
        if len(self._keys) < min(_FEW_KEYS, len(self.routes.keys) // 2):
            self._keys = []

    # requests

    def read(self, key: Key, route: DiagnosedRead | None = None, *, fresh: bool = False, **options: Any) -> Reading:
        chosen = route or self.route
        own = options.pop("headers", {})
        replaced = {name.lower() for name in own}
        sent = filled_headers(chosen.headers, str(key))
        headers = {**{name: text for name, text in sent.items() if name.lower() not in replaced}, **own}
        path = options.pop("path", None) or chosen.path(key)
        return self.calls.read(
            path, route=chosen.name, key=str(key), reader=chosen.reader, headers=headers, fresh=fresh, **options
        )

    def write(self, key: Key, version: int | None = None) -> Written:
        """Write the next version. Raises TargetError where no write is declared."""
        write = self.routes.write
        if write is None or write.path is None:
            raise TargetError("this case declares no write through the service")
        with self._lock:
            number = next(self._versions) if version is None else version
        values: dict[str, Any] = {"key": key, "version": number, "number": number}
        body: Any = None
        if isinstance(write.body, str):
            body = fill_text(write.body, values).encode()
        elif write.body is not None:
            body = fill(write.body, values)
        headers = {name: fill_text(value, values) for name, value in write.headers.items()}
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"content-type": "application/json", **headers}
        reading = self.calls.send(
            write.method, fill_text(write.path, values), key=str(key), body=body, headers=headers, written=number
        )
        accepted = reading.status in write.statuses
        return Written(number, reading.done_s, accepted, reading.row, reading.status, reading.ms)

    def warm(self, key: Key, times: int = 2) -> Reading:
        """Read until it should be stored; the last answer."""
        for _ in range(times):
            reading = self.read(key)
        return reading

    # the cache

    def empty(self) -> None:
        if self.cache is not None:
            self.cache.empty()
            self.calls.note("empty", "all keys of the cache deleted")

    def fill(self, keys: Sequence[Key], *, within_s: float = FILLS_WITHIN_S) -> int:
        """Read these keys, as far as the time suffices; how many were read."""
        begun_s = time.monotonic()
        for number, key in enumerate(keys):
            if time.monotonic() - begun_s > within_s:
                return number
            self.read(key)
        return len(keys)

    def traced_read(self, key: Key, *, fresh: bool = False) -> tuple[TouchedKeys, Reading]:
        """A read that runs alone, and what it does in the cache."""
        readings: list[Reading] = []
        touched = self.touched(lambda: readings.append(self.read(key, fresh=fresh)))
        return touched, readings[0]

    def traced_write(self, key: Key) -> tuple[TouchedKeys, Written]:
        """The same for a write, with what it does after its acknowledgement."""
        writes: list[Written] = []
        touched = self.touched(lambda: writes.append(self.write(key)), afterwards_s=AFTERWARDS_S)
        return touched, writes[0]

    def touched(self, do: Callable[[], object], *, afterwards_s: float = 0.0) -> TouchedKeys:
        """What `do` does in the cache. Raises TargetError without a cache of our own."""
        if self.cache is None:
            raise TargetError("the commands of this cache can't be seen")
        return self.cache.during(do, afterwards_s=afterwards_s)

    # what an answer shows

    def loaded(self, reading: Reading) -> bool | None:
        """Whether the answer was loaded, not taken from a cache: by its database calls, else by its status."""
        calls, floor = self.costs.calls, self.costs.floor
        if reading.db_calls is not None and calls is not None and floor is not None and calls > floor:
            return reading.db_calls >= calls
        if reading.db_calls is not None and calls is not None and calls > 0 and calls == floor:
            return True
        if reading.cache in ("hit", "stale"):
            return False
        return True if reading.cache == "miss" else None

    def learn(self, keys: int = 4) -> None:
        """Learn the costs of the route by reading some keys twice."""
        first, again = [], []
        for _ in range(keys):
            key = self.take()
            first.append(self.read(key))
            again += [self.read(key), self.read(key)]
        counted = [one.db_calls for one in first if one.db_calls is not None]
        floors = [one.db_calls for one in (*first, *again) if one.db_calls is not None]
        self.costs = Costs(
            calls=max(counted) if counted else None,
            floor=min(floors) if floors else None,
            load_ms=median(one.ms for one in first),
            hit_ms=median(one.ms for one in again),
            tells_status=any(one.cache != "unknown" for one in (*first, *again)),
        )

    @cached_property
    def entry_life_s(self) -> float | None:
        """The time to live that a new entry gets; None where it has no end, or can't be seen."""
        if self.cache is None:
            return None
        read, _ = self.traced_read(self.take())
        lives = [life for life in self.cache.lifetimes_s(read.filled).values() if life is not None]
        return min(lives, default=None)

    @cached_property
    def left_by_writes(self) -> bool:
        """Whether a write leaves the entry of its thing as it is, also after the declared bound."""
        if self.routes.write is None or self.cache is None:
            return True
        key = self.take()
        read, _ = self.traced_read(key)
        late_s = self.bound_s * 1.1 + SETTLED_S
        write = self.cache.during(lambda: self.write(key), afterwards_s=late_s)
        return not write.flushed and not set(read.entries) & set(write.changed)

    # trials

    def each(self, trials: int, one: Callable[[], Trial], *, at_once: int = 1) -> list[Trial]:
        """So many trials, `at_once` of them side by side."""
        if at_once <= 1:
            return [one() for _ in range(trials)]
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda _: one(), range(trials)))


def _configured(calls: Requester, case: Case) -> dict[str, str]:
    """What the service says of its own settings (`target.config`): names in capital letters, on whatever level."""
    if case.target.config is None:
        return {}
    try:
        document = json.loads(calls.read(case.target.config).body)
    except ValueError:
        return {}
    known = ((path[-1], value) for path, value in leaves(document) if path and value is not None)
    return {str(name).upper(): str(value) for name, value in known}


def observed(experiment: str, trials: Iterable[Trial], order: Sequence[str], **facts: Any) -> Observations:
    """Trials as observations: counted by outcome, with the rows of the most severe one that occurred. `order`: outcome
    ids from the least to the most severe."""
    made = [trial for trial in trials if trial.outcome is not None]
    counts = {outcome: sum(trial.outcome == outcome for trial in made) for outcome in order}
    worst = next((outcome for outcome in reversed(order) if counts[outcome]), None)
    chosen = [trial for trial in made if trial.outcome == worst]
    rows = [row for trial in chosen for row in trial.rows][:MOST_ROWS]
    first = chosen[0].facts if chosen else {}
    return Observations(
        experiment,
        {outcome: number for outcome, number in counts.items() if number},
        tuple(RowReference(EXPERIMENT_TABLE, row) for row in rows),
        {**first, **facts},
    )


def every_key(bench: Bench) -> list[Key]:
    """The workload's keys and the probe's, each once."""
    return list(dict.fromkeys([*bench.routes.workload_keys, *bench.routes.keys]))


def lacking(experiment: str, *needs: str) -> Observations:
    """It could not be made."""
    return Observations(experiment, lacking=needs)


def wait_until(at_s: float) -> None:
    """Until an instant of the monotonic clock."""
    time.sleep(max(0.0, at_s - time.monotonic()))
