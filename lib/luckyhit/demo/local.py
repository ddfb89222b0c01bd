"""Pages in the process's own memory, in front of Redis."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A page as it is sent, and when it was stored (Unix seconds); no page: there is none under this key."""

    stored_at: float
    page: bytes | None


class LocalPages:
    """Entries by key, for `ttl_s` seconds each (0: none are kept), the latest `most` of them.

    Other processes have their own, and nothing tells them of an update in this one: they go on with what they
    have until it expires.
    """

    def __init__(self, ttl_s: float, *, most: int = 10_000) -> None:
        self._ttl_s = ttl_s
        self._most = most
        # In the order in which they were kept, so the first one expires first.
        self._entries: dict[str, tuple[float, LocalEntry]] = {}
        self.updates = 0
        """How often `forget` was called. Who got an entry from elsewhere must not keep it if this moved meanwhile."""

    def get(self, key: str) -> LocalEntry | None:
        until, entry = self._entries.get(key, (0.0, None))
        if entry is not None and time.monotonic() >= until:
            del self._entries[key]
            return None
        return entry

    def keep(self, key: str, entry: LocalEntry) -> None:
        if self._ttl_s <= 0:
            return
        self._entries.pop(key, None)
        if len(self._entries) >= self._most:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = (time.monotonic() + self._ttl_s, entry)

    def forget(self, keys: Iterable[str]) -> None:
        self.updates += 1
        for key in keys:
            self._entries.pop(key, None)
