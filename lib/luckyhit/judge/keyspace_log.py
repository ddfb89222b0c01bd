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
FOREVER = 1 << 62
_WATCHING, _BREAKS = "(watching)", frozenset({"(lost)", "(watched)"})
_NO_VALUE = DELETED | LEFT | {"expire", "persist", "keymiss"}
Block = tuple[Hashable, Hashable]
Group = tuple[Hashable, Hashable, Hashable]


@dataclass(slots=True)
class Log:
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
        """What the value of this event had to live, also where that was said by a command of its own."""
        found = self.ttl_ms[index]
        if found is not None and found >= 0:
            return found
        for later in range(index + 1, len(self.event)):
            if self.cache_key[later] == self.cache_key[index]:
                return self.ttl_ms[later] if self.event[later] == "expire" else found
        return found

    def entry(self, since_ns: int, before: int) -> int | None:
        """The event that set what is in the cache just before event `before`; None where nothing is known to be."""
        gone: set[str] = set()
        for index in range(before - 1, -1, -1):
            if self.at_ns[index] < since_ns:
                return None
            if self.event[index] in DELETED | LEFT:
                gone.add(self.cache_key[index])
            elif self.sets(index) and self.cache_key[index] not in gone:
                return index
        return None


def by_key(
    events: pd.DataFrame,
) -> tuple[dict[Group, Log], dict[Block, list[tuple[int, int]]]]:
    """The events of each probed key, and the stretches of each block of each arm in which all were seen."""
    logs: dict[Group, Log] = defaultdict(Log)
    marks: dict[Block, list[tuple[int, str]]] = defaultdict(list)
    told: set[Block] = set()
    names = ("arm", "block", "at_ns", "key", "cache_key", "event", "ttl_ms")
    # Stable: events of the same nanosecond stay in their order.
    rows = events.sort_values("at_ns", kind="stable") if len(events) else events
    for arm, block, at_ns, key, cache_key, event, ttl_ms in zip(*(plain(rows[name]) for name in names), strict=True):
        if event == _WATCHING or event in _BREAKS:
            marks[arm, block].append((at_ns, event))
            continue
        told.add((arm, block))
        log = logs[arm, block, key]
        log.at_ns.append(at_ns)
        log.cache_key.append(cache_key)
        log.event.append(event)
        log.ttl_ms.append(ttl_ms)
    watched: dict[Block, list[tuple[int, int]]] = {}
    for group in told | set(marks):
        watched[group] = _stretches(marks[group]) if group in marks else [(-FOREVER, FOREVER)]
    return logs, watched


def _stretches(marks: list[tuple[int, str]]) -> list[tuple[int, int]]:
    found, since = [], None
    for at_ns, mark in marks:
        if mark == _WATCHING:
            since = at_ns if since is None else since
        elif since is not None:
            found.append((since, at_ns))
            since = None
    return found  # without an end nobody knows up to when all was seen


def plain(column: pd.Series) -> list[Any]:
    """Python's own values; None for what is missing."""
    values = column.astype(object)
    return values.where(values.notna(), None).tolist()
