"""Requests as a service with a cache answers them, simulated from a seed: both arms get the same slots at the same time.

A route's `shows` says what its answers hold: `page` (the thing's version and a page of its own), `thing` (the version
alone, on every such route), `empty` (the same for all keys), `clock` (differs each time it is made).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import judged_evidence
import numpy as np
from declared import a_case
from xxhash import xxh3_64_intdigest

from luckyhit.case import Case
from luckyhit.case.workload import Route
from luckyhit.judge.evidence import Evidence

KEYS = {"first": 1, "last": 40}


@dataclass(frozen=True)
class Cached:
    """How one arm caches. `forgets_page`: all pages of a thing share one entry. `copies`: caches that know nothing of
    each other, one of which a write empties. `keeps_old`: writes empty nothing. `shows_status`: in a header.
    `lives`: slots that an entry lives."""

    forgets_page: bool = False
    copies: int = 1
    keeps_old: bool = False
    shows_status: bool = True
    lives: int = 300


@dataclass(frozen=True)
class Workload:
    """`pages`, `things`, `empties`, `clocks`: how many routes show that. `writes`: the share of requests that write."""

    pages: int = 2
    things: int = 0
    empties: int = 0
    clocks: int = 0
    writes: float = 0.05
    slots: int = 2000

    @property
    def shows(self) -> list[str]:
        counts = {"page": self.pages, "thing": self.things, "empty": self.empties, "clock": self.clocks}
        return [kind for kind, count in counts.items() for _ in range(count)]

    def case(self, design: str = "side-by-side") -> Case:
        routes = [
            {"name": f"{kind}-{number}", "path": f"/things/{{key}}?view={number}", "keys": KEYS}
            for number, kind in enumerate(self.shows)
        ]
        write = {"name": "write", "method": "PUT", "path": "/things/{key}", "keys": KEYS, "body": {"v": "{number}"}}
        case = a_case(design=design, freshness=False)
        workload = case.workload.model_copy(update={"routes": [Route.model_validate(row) for row in [*routes, write]]})
        return case.model_copy(update={"workload": workload})


@dataclass
class _Service:
    cached: Cached
    rng: np.random.Generator
    versions: dict[int, int] = field(default_factory=dict)
    entries: dict[tuple[Any, ...], tuple[int, str]] = field(default_factory=dict)

    def read(self, slot: int, route: int, shows: str, key: int) -> tuple[str, str]:
        """(cache status, body)"""
        copy = int(self.rng.integers(self.cached.copies))
        page = 0 if shows == "thing" or (shows == "page" and self.cached.forgets_page) else route
        place = (copy, shows, key, page)
        born, body = self.entries.get(place, (-self.cached.lives, ""))
        if slot - born < self.cached.lives:
            return "hit", body
        version = self.versions.get(key, 0)
        bodies = {
            "page": f"{key} {version} {route}",
            "thing": f"{key} {version}",
            "empty": "[]",
            "clock": f"{key} {version} {route} {slot} {self.rng.random()}",
        }
        self.entries[place] = slot, bodies[shows]
        return "miss", bodies[shows]

    def write(self, key: int) -> None:
        self.versions[key] = self.versions.get(key, 0) + 1
        if self.cached.keeps_old:
            return
        copy = int(self.rng.integers(self.cached.copies))
        for place in [place for place in self.entries if place[0] == copy and place[2] == key]:
            del self.entries[place]


def evidence(
    before: Cached, after: Cached, workload: Workload | None = None, *, seed: int = 1, design: str = "side-by-side"
) -> Evidence:
    """Of one block that was measured."""
    workload = workload or Workload()
    services = {"before": before, "after": after}
    rng, case = np.random.default_rng(seed), workload.case(design)
    key = (40 * rng.random(workload.slots) ** 2).astype(int) + 1
    route, write = rng.integers(0, len(workload.shows), workload.slots), rng.random(workload.slots) < workload.writes
    rows = []
    for number, (arm, cached) in enumerate(services.items()):
        service = _Service(cached, np.random.default_rng([seed, number]))
        for slot in range(workload.slots):
            row = {"arm": arm, "slot": slot, "key": str(key[slot]), "due_ns": slot * 10_000_000, "status": 200}
            if write[slot]:
                service.write(int(key[slot]))
                rows.append(row | {"route": "write", "cache": "unknown", "body_hash": None})
                continue
            kind = workload.shows[route[slot]]
            status, body = service.read(slot, int(route[slot]), kind, int(key[slot]))
            digest = xxh3_64_intdigest(body.encode()) >> 1
            shown = status if cached.shows_status else "unknown"
            rows.append(row | {"route": f"{kind}-{route[slot]}", "cache": shown, "body_hash": digest})
    return judged_evidence.evidence(rows, case=case)
