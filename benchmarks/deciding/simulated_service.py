"""One arm's service with its cache, simulated: what a read shows, how long it takes, when a write is seen.

Time is in nanoseconds of the block. Calls have to come in the order of time. The truth is known here: what is committed
when, and what the cache holds.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

import numpy as np

MS, S = 1_000_000, 1_000_000_000
COMMIT, DELETE = 0.5, 0.7
"""Where in a write's time it is committed, and where its entry is deleted, of a service without a fault."""


@dataclass(frozen=True)
class Behaviour:
    """A service without a fault, and the knobs of each fault class.

    ttl_s, capacity      how long an entry lives; how many there are at most (0: any number), the least used goes
    invalidates          whether a write deletes its entry, and when
    missed, lost         share of the keys whose entry a write does not delete; of all deletions that get lost
    commit_ms            before-commit: how long the transaction is open behind the deletion
    early_ms             a write is acknowledged so long before it is committed
    lag_ms               loads read a replica that is so far behind
    guarded              a load that a write overtook stores nothing
    single_flight        readers of a key that is being loaded wait for it
    contention           each load under way makes another one so much longer (a share)
    flushes              a write deletes every entry
    unique               share of the reads whose key is never the same again
    confuses             the key leaves the route out
    load_errors          share of the loads that fail; errors_live_s: how long a failure is kept as the answer
    write_errors         share of the writes that fail
    copies               caches that know nothing of each other; a write reaches one of them
    outer_s              a second cache in front keeps answers so long, and hears of no write
    validator_s          a conditional read is answered 304 so long
    cleaned_every_s      something deletes every entry at such intervals
    growth_ms            a miss takes so much longer with each key that was ever stored
    status               what the header says: the truth, or `hit` on each answer
    replays              a hit tells the database calls of its fill
    """

    hit_ms: float = 2.0
    load_ms: float = 15.0
    write_ms: float = 6.0
    sigma: float = 0.25
    calls: int = 2
    ttl_s: float = 60.0
    capacity: int = 0
    invalidates: Literal["after-commit", "before-commit", "never"] = "after-commit"
    missed: float = 0.0
    lost: float = 0.0
    commit_ms: float = 0.0
    early_ms: float = 0.0
    lag_ms: float = 0.0
    guarded: bool = True
    single_flight: bool = True
    contention: float = 0.0
    flushes: bool = False
    unique: float = 0.0
    confuses: bool = False
    load_errors: float = 0.0
    errors_live_s: float = 0.0
    write_errors: float = 0.0
    copies: int = 1
    outer_s: float = 0.0
    validator_s: float = 0.0
    cleaned_every_s: float = 0.0
    growth_ms: float = 0.0
    status: Literal["true", "hit"] = "true"
    replays: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`version` and `route` (its path): what the body shows. `not_modified`: a 304, which shows its validator's."""

    took_ns: int
    cache: str
    calls: int
    version: int
    route: str
    failed: bool = False
    not_modified: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    until_ns: int
    version: int
    route: str
    calls: int
    failed: bool


@dataclass(slots=True)
class Load:
    since_ns: int
    done_ns: int
    entry: Entry


Place = tuple[int, str, int]


@dataclass
class Service:
    """`routes`: the paths of the read routes. `start`: the version of a key before its first write in the block."""

    behaviour: Behaviour
    routes: tuple[str, ...]
    rng: np.random.Generator
    start: Callable[[int], int] = lambda key: key
    entries: OrderedDict[Place, Entry] = field(default_factory=OrderedDict)
    outer: dict[tuple[str, int], tuple[int, Entry]] = field(default_factory=dict)
    loads: dict[Place, Load] = field(default_factory=dict)
    deleted: dict[Place, int] = field(default_factory=dict)
    commits: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    ever: set[Place] = field(default_factory=set)
    _later: list[tuple[int, int, Callable[[int], None]]] = field(default_factory=list)
    _busy: list[int] = field(default_factory=list)
    _number: count[int] = field(default_factory=count)
    _cleaned_ns: int = 0

    def read(self, now_ns: int, route: str, key: int, validator: tuple[int, int] | None = None) -> Answer:
        """`validator`: the version of an earlier answer, and when that was asked for."""
        self._advance(now_ns)
        knobs = self.behaviour
        if validator is not None and now_ns - validator[1] < knobs.validator_s * S:
            return self._answer(self._took(knobs.hit_ms), "hit", Entry(0, validator[0], route, 0, False), True)
        kept = self.outer.get((route, key))
        if kept is not None and now_ns - kept[0] < knobs.outer_s * S:
            return self._answer(self._took(knobs.hit_ms), "hit", kept[1])
        answer = self._behind(now_ns, route, key)
        if knobs.outer_s and not answer.failed:
            self.outer[route, key] = now_ns, Entry(0, answer.version, answer.route, answer.calls, False)
        return answer

    def _behind(self, now_ns: int, route: str, key: int) -> Answer:
        knobs = self.behaviour
        copy = int(self.rng.integers(knobs.copies)) if knobs.copies > 1 else 0
        place = (copy, "" if knobs.confuses else route, key)
        if knobs.unique and self.rng.random() < knobs.unique:
            return self._load(now_ns, None, route, key)
        entry = self.entries.get(place)
        if entry is not None and entry.until_ns > now_ns:
            self.entries.move_to_end(place)
            return self._answer(self._took(knobs.hit_ms), "hit", entry)
        load = self.loads.get(place)
        if load is not None and knobs.single_flight:
            waited = load.done_ns - now_ns + self._took(knobs.hit_ms)
            kept = load.entry
            return self._answer(waited, "miss", Entry(0, kept.version, kept.route, 0, kept.failed))
        return self._load(now_ns, place, route, key)

    def _load(self, now_ns: int, place: Place | None, route: str, key: int) -> Answer:
        knobs = self.behaviour
        while self._busy and self._busy[0] <= now_ns:
            heapq.heappop(self._busy)
        load_ms = knobs.load_ms * (1 + knobs.contention * len(self._busy)) + knobs.growth_ms * len(self.ever)
        took_ns = self._took(knobs.hit_ms + load_ms)
        heapq.heappush(self._busy, now_ns + took_ns)
        failed = bool(knobs.load_errors and self.rng.random() < knobs.load_errors)
        version = self.committed(key, now_ns - round(knobs.lag_ms * MS))
        lives_s = knobs.errors_live_s if failed else knobs.ttl_s
        entry = Entry(now_ns + took_ns + round(lives_s * S), version, route, knobs.calls, failed)
        if place is not None:
            load = Load(now_ns, now_ns + took_ns, entry)
            self.loads.setdefault(place, load)
            self._at(load.done_ns, lambda at_ns: self._store(place, load))
        return self._answer(took_ns, "miss", entry)

    def _store(self, place: Place, load: Load) -> None:
        if self.loads.get(place) is load:
            del self.loads[place]
        if load.entry.failed and not self.behaviour.errors_live_s:
            return
        if self.behaviour.guarded and self.deleted.get(place, -1) >= load.since_ns:
            return
        self.entries[place] = load.entry
        self.entries.move_to_end(place)
        self.ever.add(place)
        if self.behaviour.capacity and len(self.entries) > self.behaviour.capacity:
            self.entries.popitem(last=False)

    def write(self, now_ns: int, key: int, version: int) -> tuple[int, bool]:
        """(when it is answered, whether it was accepted)"""
        self._advance(now_ns)
        knobs = self.behaviour
        took_ns = self._took(knobs.write_ms)
        if knobs.write_errors and self.rng.random() < knobs.write_errors:
            return now_ns + took_ns, False
        commit_ns = now_ns + round(COMMIT * took_ns) + round(knobs.commit_ms * MS)
        delete_ns = now_ns + round(DELETE * took_ns) + round(knobs.commit_ms * MS)
        done_ns = now_ns + took_ns + round(knobs.commit_ms * MS)
        if knobs.invalidates == "before-commit":
            delete_ns = now_ns + round((1 - COMMIT) / 2 * took_ns)
        commit_ns += round(knobs.early_ms * MS)
        delete_ns += round(knobs.early_ms * MS)
        insort(self.commits.setdefault(key, []), (commit_ns, version))
        missed = (key * 2_654_435_761 % 2**32) / 2**32 < knobs.missed
        lost = bool(knobs.lost and self.rng.random() < knobs.lost)
        if knobs.invalidates != "never" and not missed and not lost:
            copy = int(self.rng.integers(knobs.copies)) if knobs.copies > 1 else 0
            self._at(delete_ns, lambda at_ns: self._delete(at_ns, copy, key))
        return done_ns, True

    def _delete(self, now_ns: int, copy: int, key: int) -> None:
        if self.behaviour.flushes:
            self.entries.clear()
        for route in ("", *self.routes):
            place = (copy, route, key)
            self.entries.pop(place, None)
            self.deleted[place] = now_ns
            if self.behaviour.guarded:
                self.loads.pop(place, None)

    def committed(self, key: int, at_ns: int) -> int:
        """The version that the database has."""
        history = self.commits.get(key, [])
        index = bisect_right(history, (at_ns, 2**62))
        return history[index - 1][1] if index else self.start(key)

    def _answer(self, took_ns: int, cache: str, entry: Entry, not_modified: bool = False) -> Answer:
        knobs = self.behaviour
        calls = entry.calls if cache == "miss" or knobs.replays else 0
        told = cache if knobs.status == "true" else "hit"
        return Answer(took_ns, told, calls, entry.version, entry.route, entry.failed, not_modified)

    def _took(self, usual_ms: float) -> int:
        return round(usual_ms * MS * float(np.exp(self.behaviour.sigma * self.rng.normal())))

    def _at(self, at_ns: int, do: Callable[[int], None]) -> None:
        heapq.heappush(self._later, (at_ns, next(self._number), do))

    def _advance(self, now_ns: int) -> None:
        every_ns = round(self.behaviour.cleaned_every_s * S)
        while self._later and self._later[0][0] <= now_ns:
            at_ns, _, do = heapq.heappop(self._later)
            do(at_ns)
        if every_ns and now_ns - self._cleaned_ns >= every_ns:
            self.entries.clear()
            self._cleaned_ns = now_ns - now_ns % every_ns
