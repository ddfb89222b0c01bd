"""Keyspace events by the key that was probed, and the stretches of time in which all of them were seen."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

DELETED = frozenset({"del", "rename_from", "move_from"})
LEFT = frozenset({"expired", "evicted"})
FLUSHED = "flushed"
"""All keys went at once (FLUSHDB, FLUSHALL): one row of the events, with no key, stands for each of them."""
SHARED = "*"
"""The key of a group's events: what several probed keys share, such as a hash with a field for each."""
GONE = DELETED | LEFT | {FLUSHED}
FOREVER = 1 << 62
_WATCHING, _BREAKS, _BLIND = "(watching)", frozenset({"(lost)", "(watched)"}), "(flushes not told)"
_NO_VALUE = GONE | {"expire", "persist", "keymiss"}
_EARLY_NS, _EARLY_SHARE = 50_000_000, 0.02
"""An entry that went sooner than that before its time to live was over did not expire."""
_AT_ONCE_NS = 20_000_000
"""A time to live that is set in this time after the value belongs to it."""
_ONE_LIFETIME = 0.1
"""Times to live of one kind of key that differ by less are one."""
Block = tuple[Hashable, Hashable]
Group = tuple[Hashable, Hashable, Hashable]


@dataclass(slots=True)
class KeyspaceLog:
    """The events of one probed key in one block, in their order."""

    at_ns: list[int] = field(default_factory=list)
    cache_key: list[str] = field(default_factory=list)
    event: list[str] = field(default_factory=list)
    ttl_ms: list[int | None] = field(default_factory=list)

    def between(self, from_ns: int, to_ns: int) -> range:
        return range(bisect_left(self.at_ns, from_ns), bisect_right(self.at_ns, to_ns))

    def sets(self, index: int) -> bool:
        return self.event[index] not in _NO_VALUE

    def lifetime_ms(self, index: int) -> int | None:
        """What the value of this event had to live, also where a command of its own set it."""
        ttl_ms = self.ttl_ms[index]
        if ttl_ms is not None and ttl_ms >= 0:
            return ttl_ms
        for later in range(index + 1, len(self.event)):
            if self.cache_key[later] == self.cache_key[index]:
                return self.ttl_ms[later] if self.event[later] == "expire" else ttl_ms
        return ttl_ms

    def ends_early(self, index: int, usual_ms: int | None) -> bool:
        """Whether what went at event `index` still had long to live. `usual_ms`: what such entries have."""
        key, setting = self.cache_key[index], None
        for earlier in range(index - 1, -1, -1):
            if self.cache_key[earlier] != key:
                continue
            if self.event[earlier] in GONE:
                return False
            if self.sets(earlier):
                setting = earlier
                break
        if setting is None:
            return False
        for later in range(setting + 1, index):
            renewed = self.cache_key[later] == key and self.event[later] in ("expire", "persist")
            if renewed and self.at_ns[later] > self.at_ns[setting] + _AT_ONCE_NS:
                return False  # to which time is not known
        lifetime_ms = self.lifetime_ms(setting)
        lifetime_ms = usual_ms if lifetime_ms is None else lifetime_ms
        if lifetime_ms is None:
            return False
        slack_ns = max(_EARLY_NS, int(_EARLY_SHARE * lifetime_ms * 1e6))
        return lifetime_ms < 0 or self.at_ns[index] < self.at_ns[setting] + lifetime_ms * 1_000_000 - slack_ns

    def flush(self, at_ns: int) -> None:
        """All went at this time, this key's entries too."""
        at = bisect_right(self.at_ns, at_ns)
        self.at_ns.insert(at, at_ns)
        self.cache_key.insert(at, self.cache_key[max(0, at - 1)])
        self.event.insert(at, FLUSHED)
        self.ttl_ms.insert(at, None)

    def entry(self, since_ns: int, before: int) -> int | None:
        """The event that set what is in the cache just before event `before`; None where nothing is known to be."""
        gone: set[str] = set()
        for index in range(before - 1, -1, -1):
            if self.at_ns[index] < since_ns:
                return None
            if self.event[index] == FLUSHED:
                return None
            if self.event[index] in GONE:
                gone.add(self.cache_key[index])
            elif self.sets(index) and self.cache_key[index] not in gone:
                return index
        return None


@dataclass(frozen=True, slots=True)
class Watched:
    """What was seen of one block of one arm. `stretches`: when all events were; `flushes`: whether flushes are."""

    stretches: list[tuple[int, int]]
    flushes: bool = True

    def since(self, from_ns: int, to_ns: int) -> int | None:
        """The start of the stretch that holds this time; None where part of it was not seen."""
        return next((start for start, end in self.stretches if start <= from_ns and to_ns <= end), None)


def by_key(events: pd.DataFrame) -> tuple[dict[Group, KeyspaceLog], dict[Block, Watched]]:
    """The events of each probed key, and what was seen of each block of each arm. An entry that "expired" well before
    its time to live was over was deleted (Valkey 8.1 reports an EXPIRE to a past time so): it is a `del` here."""
    logs: dict[Group, KeyspaceLog] = defaultdict(KeyspaceLog)
    marks: dict[Block, list[tuple[int, str]]] = defaultdict(list)
    flushes: dict[Block, list[int]] = defaultdict(list)
    blind: set[Block] = set()
    with_events: set[Block] = set()
    names = ("arm", "block", "at_ns", "key", "cache_key", "event", "ttl_ms")
    # Stable: events of the same nanosecond stay in their order.
    rows = events.sort_values("at_ns", kind="stable") if len(events) else events
    for arm, block, at_ns, key, cache_key, event, ttl_ms in zip(*(plain(rows[name]) for name in names), strict=True):
        if event == _WATCHING or event in _BREAKS:
            marks[arm, block].append((at_ns, event))
            continue
        if event == _BLIND:
            blind.add((arm, block))
            continue
        with_events.add((arm, block))
        if event == FLUSHED:
            flushes[arm, block].append(at_ns)
            continue
        log = logs[arm, block, key]
        log.at_ns.append(at_ns)
        log.cache_key.append(cache_key)
        log.event.append(event)
        log.ttl_ms.append(ttl_ms)
    _name_early_ends(logs)
    for (arm, block, _), log in logs.items():
        for at_ns in flushes.get((arm, block), ()):
            log.flush(at_ns)
    watched: dict[Block, Watched] = {}
    for group in with_events | set(marks):
        stretches = _stretches(marks[group]) if group in marks else [(-FOREVER, FOREVER)]
        watched[group] = Watched(stretches, group not in blind)
    return logs, watched


def _name_early_ends(logs: dict[Group, KeyspaceLog]) -> None:
    """Times to live are asked now and then only: where one is not known, that of the other keys of its kind counts, if
    they have one and the same."""
    of_kind: dict[tuple[Hashable, Hashable, str], list[int]] = defaultdict(list)
    for (arm, block, key), log in logs.items():
        for index in range(len(log.event)):
            lifetime_ms = log.lifetime_ms(index) if log.sets(index) else None
            if lifetime_ms is not None:
                of_kind[arm, block, _kind(log.cache_key[index], key)].append(lifetime_ms)
    for (arm, block, key), log in logs.items():
        for index, event in enumerate(log.event):
            if event == "expired":
                known = of_kind.get((arm, block, _kind(log.cache_key[index], key)), [])
                same = known and max(known) - min(known) <= _ONE_LIFETIME * max(known)
                if log.ends_early(index, min(known) if same else None):
                    log.event[index] = "del"


def _kind(cache_key: str, key: Hashable) -> str:
    return cache_key.replace(str(key), "{key}")


def _stretches(marks: list[tuple[int, str]]) -> list[tuple[int, int]]:
    stretches, since = [], None
    for at_ns, mark in marks:
        if mark == _WATCHING:
            since = at_ns if since is None else since
        elif since is not None:
            stretches.append((since, at_ns))
            since = None
    return stretches  # without an end it is not known up to when all was seen


def plain(column: pd.Series) -> list[Any]:
    """Python's own values; None for what is missing."""
    values = column.astype(object)
    return values.where(values.notna(), None).tolist()
