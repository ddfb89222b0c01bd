"""Caches as one would write them down on a page: slow, and without any of the library's code."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Entry:
    stored: int
    version: int
    uses: int = 1
    used_at: int = 0


@dataclass
class Counts:
    reads: int = 0
    hits: int = 0
    stale: int = 0
    loads: int = 0
    outcomes: list[str] = field(default_factory=list)


class PlainCache:
    """One cache. `expired`: whether expired entries keep their room (`kept`) or give it up at once (`swept`)."""

    def __init__(self, policy: str, size: int, ttl_ns: int, weights, loads, *, expired: str = "kept") -> None:
        self.policy, self.size, self.ttl_ns, self.expired = policy, size, ttl_ns, expired
        self.weights, self.loads = weights, loads
        self.entries: OrderedDict[int, Entry] = OrderedDict()  # the next to go comes first
        self.versions: dict[int, int] = {}

    def is_over(self, key: int, now: int) -> bool:
        return now >= self.entries[key].stored + self.loads[key] + self.ttl_ns

    def read(self, key: int, now: int, row: int) -> str:
        if self.expired == "swept":
            for other in [other for other in self.entries if self.is_over(other, now)]:
                del self.entries[other]
        if key in self.entries and not self.is_over(key, now):
            entry = self.entries[key]
            entry.uses, entry.used_at = entry.uses + 1, row
            if self.policy == "lru":
                self.entries.move_to_end(key)
            if now < entry.stored + self.loads[key]:
                return "joined"
            return "stale" if entry.version < self.versions.get(key, 0) else "hit"
        self.entries.pop(key, None)
        while self.entries and self.held() + self.weights[key] > self.size:
            del self.entries[self.next_to_go()]
        self.entries[key] = Entry(now, self.versions.get(key, 0), used_at=row)
        return "miss"

    def held(self) -> int:
        return sum(self.weights[key] for key in self.entries)

    def next_to_go(self) -> int:
        if self.policy == "lfu":
            return min(self.entries, key=lambda key: (self.entries[key].uses, self.entries[key].used_at))
        return next(iter(self.entries))

    def write(self, key: int) -> None:
        self.versions[key] = self.versions.get(key, 0) + 1

    def delete(self, key: int) -> None:
        self.entries.pop(key, None)


def plain_counts(segments, rule, policy, size, ttl_ns, weights, loads, *, expired="kept") -> Counts:
    """Replay (at, entry, kind, block) rows with the rule's deletions, counting the reads of a block."""
    counts = Counts()
    for segment in segments:
        cache = PlainCache(policy, size, ttl_ns, weights, loads, expired=expired)
        due: list[tuple[int, int]] = []
        rows = zip(segment.at_ns, segment.entry, segment.kind, segment.block, strict=True)
        for row, (at, key, kind, block) in enumerate(rows):
            while due and due[0][0] <= at:
                cache.delete(due.pop(0)[1])
            if kind:
                cache.write(key)
                if rule.deletes and rule.delay_ns == 0:
                    cache.delete(key)
                elif rule.deletes:
                    due.append((at + rule.delay_ns, key))
                continue
            outcome = cache.read(int(key), int(at), row)
            if block >= 0:
                counts.reads += 1
                counts.hits += outcome in ("hit", "stale")
                counts.stale += outcome == "stale"
                counts.loads += outcome == "miss"
    return counts


def one_trace(seed: int, *, bytes_: bool):
    """A random trace with writes, uncounted reads, loads that take time, and two segments."""
    from luckyhit.whatif.counting.cache_trace import CacheTrace, Segment

    rng = np.random.default_rng(seed)
    entries = int(rng.integers(2, 25))
    segments = []
    for _ in range(int(rng.integers(1, 3))):
        rows = int(rng.integers(1, 250))
        entry = np.minimum(rng.geometric(rng.uniform(0.05, 0.6), rows) - 1, entries - 1).astype(np.int32)
        kind = (rng.random(rows) < rng.choice([0, 0.1, 0.4])).astype(np.uint8)
        block = np.where(kind == 1, -1, rng.integers(-1, 3, rows)).astype(np.int16)
        segments.append(Segment.by_time(rng.integers(0, 1000, rows), entry, kind, block))
    weight = rng.integers(1, 9, entries) if bytes_ else np.ones(entries, np.int64)
    classes = rng.integers(0, 2, entries).astype(np.int16)
    return CacheTrace(
        tuple(segments), [str(number) for number in range(entries)], classes, weight.astype(np.int64), ("a", "b"), 3,
        by_bytes=bytes_,
    )  # fmt: skip
