"""The read-through cache in front of the database.

An entry is the page as it is sent, behind the time it was stored: `<unix seconds>\\n<page>`. Without a page it says
that there is none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from luckyhit.demo.telemetry import facts


@dataclass(frozen=True, slots=True)
class LocalEntry:
    """A page as it is sent, and when it was stored (Unix seconds); None: a cached absence."""

    stored_at: float
    page: bytes | None


class LocalPages:
    """Pages in the process's own memory, for `ttl_s` seconds each (0: none), at most the latest `most`.

    Other processes have their own, and don't learn of an update in this one: they serve their entries until these
    expire.
    """

    def __init__(self, ttl_s: float, *, most: int = 10_000) -> None:
        self._ttl_s = ttl_s
        self._most = most
        # In insertion order, so the first one expires first.
        self._entries: dict[str, tuple[float, LocalEntry]] = {}
        self.updates = 0
        """Number of calls of `forget`. An entry loaded while this changed must not be kept."""

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


Load = Callable[[], Awaitable[bytes | None]]


def _pack(entry: LocalEntry) -> bytes:
    return b"%.3f\n%b" % (entry.stored_at, entry.page or b"")


def _unpack(packed: object) -> LocalEntry | None:
    """None for no entry, and for an entry of another format."""
    if not isinstance(packed, bytes):
        return None
    stored_at, newline, page = packed.partition(b"\n")
    try:
        return LocalEntry(float(stored_at), page or None) if newline else None
    except ValueError:
        return None


@dataclass(eq=False, slots=True)
class _Loading:
    """A load of a page from the database that is in progress."""

    page: asyncio.Task[bytes | None] | None = None
    storing: asyncio.Task[object] | None = None
    outdated: bool = False


class PageCache:
    """Pages by key. If Redis fails, pages come from the database, and the log line says so."""

    def __init__(
        self,
        redis: Redis,
        *,
        ttl_s: float,
        single_flight: bool,
        local_ttl_s: float = 0.0,
        cache_missing: bool = False,
        store_guard: bool = True,
        load_pause_s: float = 0.0,
    ) -> None:
        self._redis = redis
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._single_flight = single_flight
        self._local = LocalPages(local_ttl_s)
        self._cache_missing = cache_missing
        self._store_guard = store_guard
        self._load_pause_s = load_pause_s
        self._loading: dict[str, set[_Loading]] = {}

    async def fetch(self, key: str, load: Load) -> bytes | None:
        """The page of `key`, from the cache or loaded and stored; None if there is none."""
        this = facts()
        this.key = key
        updates = self._local.updates
        if (entry := self._local.get(key)) is not None:
            return _served(entry, "hit; detail=local")
        try:
            packed = await self._redis.get(key)
        except RedisError as error:
            this.cache = "fwd=miss; detail=cache-failed"
            this.problem = f"cache: {type(error).__name__}"
            return await load()
        entry = _unpack(packed)
        if entry is not None and (entry.page is not None or self._cache_missing):
            if self._local.updates == updates:  # else it may be what that update has just deleted
                self._local.keep(key, entry)
            return _served(entry, "hit")
        if self._single_flight:
            for other in self._loading.get(key, ()):
                # Someone is at it already. A load that an update has overtaken is left alone, though: who
                # asks now must not get the page from before that update.
                if other.page is not None and not other.outdated:
                    this.cache = "fwd=miss; collapsed"
                    return await asyncio.shield(other.page)
        this.cache = "fwd=miss"
        loading = _Loading()
        self._loading.setdefault(key, set()).add(loading)
        loading.page = asyncio.create_task(self._load_and_store(key, load, loading))
        # Shielded: if this client hangs up, those who wait for the same page still get it.
        return await asyncio.shield(loading.page)

    async def _load_and_store(self, key: str, load: Load, loading: _Loading) -> bytes | None:
        this = facts()
        try:
            page = await load()
            if self._load_pause_s:
                await asyncio.sleep(self._load_pause_s)
            if (page is None and not self._cache_missing) or loading.outdated:
                return page
            entry = LocalEntry(time.time(), page)
            loading.storing = asyncio.ensure_future(self._redis.set(key, _pack(entry), px=self._ttl_ms))
            try:
                await loading.storing
                this.cache = "fwd=miss; stored"
                if not loading.outdated:
                    self._local.keep(key, entry)
            except RedisError as error:
                this.problem = f"cache: {type(error).__name__}"
            return page
        finally:
            loads = self._loading[key]
            loads.discard(loading)
            if not loads:
                del self._loading[key]

    def overtake(self, keys: Iterable[str]) -> list[asyncio.Task[object]]:
        """Tell loads that are under way that what they have read may be from before an update: they won't store it,
        and nobody joins them. Those that are just storing it are returned.

        This holds within one process. Between workers it would need a lease in Redis.
        """
        if not self._store_guard:
            return []
        storing = []
        for key in keys:
            for loading in self._loading.get(key, ()):
                loading.outdated = True
                if loading.storing is not None:
                    storing.append(loading.storing)
        return storing

    async def forget(self, keys: list[str]) -> None:
        """Delete entries, after the commit that outdates them. Loads under way are overtaken; those that are just
        storing are waited for, so that their entry is there to be deleted."""
        if not keys:
            return
        if storing := self.overtake(keys):
            await asyncio.wait(storing)
        try:
            await self._redis.delete(*keys)
        except RedisError as error:
            # The price is committed: failing the update now would be a lie of another kind.
            facts().problem = f"not invalidated: {type(error).__name__}"
        self._local.forget(keys)


def _served(entry: LocalEntry, cache: str) -> bytes | None:
    this = facts()
    this.cache = cache
    this.age_s = max(0, int(time.time() - entry.stored_at))
    return entry.page
