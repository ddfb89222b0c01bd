"""What an update does to the cache: which entries it deletes, and when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from luckyhit.demo.cache import PageCache
from luckyhit.demo.catalogue import Catalogue, list_page_of


def product_key(product_id: int) -> str:
    return f"catalogue:v2:product:{product_id}"


def list_key(page: int) -> str:
    return f"catalogue:v2:list:{page}"


class Invalidation:
    """Goes round each update: `async with invalidation.of_prices([17]): ...commit...`. Where the update fails, what
    would have come behind it is left out."""

    def __init__(self, cache: PageCache, catalogue: Catalogue, *, mode: str, commit_pause_s: float) -> None:
        self._cache = cache
        self._catalogue = catalogue
        self.mode = mode
        self._commit_pause_s = commit_pause_s

    @asynccontextmanager
    async def of_prices(self, product_ids: Iterable[int], *, bulk: bool = False) -> AsyncIterator[None]:
        """New prices: the pages of the products, and the list pages that show them."""
        ids = list(product_ids)

        async def keys() -> list[str]:
            if bulk and self.mode == "single-only":
                return []  # the bulk route came later, and was written from another template
            return self._keys(ids, sorted({list_page_of(product_id) for product_id in ids}))

        async with self._around(keys):
            yield

    @asynccontextmanager
    async def of_creation(self, product_id: int) -> AsyncIterator[None]:
        """A new product: all list pages, since they show how many products there are."""

        async def keys() -> list[str]:
            return self._keys([], await self._list_pages(product_id))

        async with self._around(keys):
            yield
        # It had no page, so there is none to delete; but a load that found nothing may be under way.
        self._cache.overtake([product_key(product_id)])

    @asynccontextmanager
    async def of_removal(self, product_id: int) -> AsyncIterator[None]:
        """A product that goes: its page, those that recommend it, and all list pages."""
        ids = [product_id, *await self._catalogue.recommending(product_id)]

        async def keys() -> list[str]:
            return self._keys(ids, await self._list_pages(product_id))

        async with self._around(keys):
            yield

    @asynccontextmanager
    async def _around(self, keys: Callable[[], Awaitable[list[str]]]) -> AsyncIterator[None]:
        early = self.mode == "before-commit"
        if early:
            # Until the commit, whoever misses reads the old row, and stores it again.
            await self._cache.forget(await keys())
        if self._commit_pause_s:
            await asyncio.sleep(self._commit_pause_s)
        yield
        if not early:
            await self._cache.forget(await keys())

    def _keys(self, product_ids: list[int], list_pages: Iterable[int]) -> list[str]:
        if self.mode == "none":
            return []
        if self.mode == "writer-key":
            # The names from before the pages got their new layout. The readers moved on to catalogue:v2 and this
            # line did not: DEL answers 0, nobody looks at the answer, and the old price stays until it expires.
            return [f"product:{product_id}" for product_id in product_ids]
        return [product_key(product_id) for product_id in product_ids] + [list_key(page) for page in list_pages]

    async def _list_pages(self, product_id: int) -> range:
        """Every page of the list, that of a product included which was its last."""
        last = await self._catalogue.last_list_page()
        return range(1, max(last, list_page_of(product_id)) + 1)
