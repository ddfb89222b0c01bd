"""The read-through cache in front of the database, and what an update does to it.

An entry is the page as it is sent, behind the time it was stored: `<unix seconds>\\n<page>`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from luckyhit.demo.catalogue import list_page_of
from luckyhit.demo.telemetry import facts

Load = Callable[[], Awaitable[bytes | None]]


def product_key(product_id: int) -> str:
    return f"catalogue:v2:product:{product_id}"


def list_key(page: int) -> str:
    return f"catalogue:v2:list:{page}"


def keys_after_price_update(invalidation: str, product_ids: Iterable[int]) -> list[str]:
    """The keys to delete once new prices are committed."""
    ids = list(product_ids)
    if invalidation == "reader-key":
        pages = sorted({list_page_of(product_id) for product_id in ids})
        return [product_key(product_id) for product_id in ids] + [list_key(page) for page in pages]
    if invalidation == "writer-key":
        # The names from before the pages got their new layout. The readers moved on to catalogue:v2 and this
        # line did not: DEL answers 0, nobody looks at the answer, and the old price stays until it expires.
        return [f"product:{product_id}" for product_id in ids]
    return []


def _pack(stored_at: float, page: bytes) -> bytes:
    return b"%.3f\n%b" % (stored_at, page)


def _unpack(entry: object) -> tuple[float, bytes] | None:
    """(stored at, page); None for no entry, and for one that isn't ours, which counts as none."""
    if not isinstance(entry, bytes):
        return None
    stored_at, newline, page = entry.partition(b"\n")
    try:
        return (float(stored_at), page) if newline else None
    except ValueError:
        return None


@dataclass(eq=False, slots=True)
class _Loading:
    """One load of a page from the database that hasn't ended yet."""

    page: asyncio.Task[bytes | None] | None = None
    storing: asyncio.Task[object] | None = None
    outdated: bool = False


class PageCache:
    """Pages by key. Where Redis fails, pages come from the database and the log line says so."""

    def __init__(self, redis: Redis, *, ttl_s: float, single_flight: bool) -> None:
        self._redis = redis
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._single_flight = single_flight
        self._loading: dict[str, set[_Loading]] = {}

    async def fetch(self, key: str, load: Load) -> bytes | None:
        """The page under `key`, from the cache or else loaded and stored; None if there is none."""
        this = facts()
        this.key = key
        try:
            entry = await self._redis.get(key)
        except RedisError as error:
            this.cache = "fwd=miss; detail=cache-failed"
            this.problem = f"cache: {type(error).__name__}"
            return await load()
        if (stored := _unpack(entry)) is not None:
            stored_at, page = stored
            this.cache = "hit"
            this.age_s = max(0, int(time.time() - stored_at))
            return page
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
            if page is None or loading.outdated:
                return page
            loading.storing = asyncio.ensure_future(self._redis.set(key, _pack(time.time(), page), px=self._ttl_ms))
            try:
                await loading.storing
                this.cache = "fwd=miss; stored"
            except RedisError as error:
                this.problem = f"cache: {type(error).__name__}"
            return page
        finally:
            loads = self._loading[key]
            loads.discard(loading)
            if not loads:
                del self._loading[key]

    async def forget(self, keys: list[str]) -> None:
        """Delete entries, after the commit that outdates them.

        Loads that are under way may have read from before the commit. They are told not to store what they
        have; those that are just storing it are waited for, so that their entry is there to be deleted. (This
        holds within one process. A second worker would need a lease in Redis.)
        """
        if not keys:
            return
        storing = []
        for key in keys:
            for loading in self._loading.get(key, ()):
                loading.outdated = True
                if loading.storing is not None:
                    storing.append(loading.storing)
        if storing:
            await asyncio.wait(storing)
        try:
            await self._redis.delete(*keys)
        except RedisError as error:
            # The price is committed: failing the update now would be a lie of another kind.
            facts().problem = f"not invalidated: {type(error).__name__}"
