"""Loads and updates that meet: what the cache keeps must be what was committed last."""

import asyncio

import pytest
from redis.asyncio import Redis

from luckyhit.demo.cache import LocalEntry, LocalPages, PageCache

KEY = "catalogue:v2:product:17"


class Loader:
    """A database that answers when it is told to."""

    def __init__(self) -> None:
        self.value = b"old"
        self.loads = 0
        self.read = asyncio.Event()
        self.may_answer = asyncio.Event()

    async def __call__(self) -> bytes:
        self.loads += 1
        value = self.value
        self.read.set()
        await self.may_answer.wait()
        return value


def run(redis_url, scenario, *, single_flight=True, **settings):
    async def main():
        async with Redis.from_url(redis_url) as redis:
            await scenario(PageCache(redis, ttl_s=60, single_flight=single_flight, **settings), Loader(), redis)

    asyncio.run(asyncio.wait_for(main(), 30))


@pytest.mark.parametrize("single_flight", [True, False])
def test_a_load_that_an_update_overtakes_is_not_stored(redis_url, single_flight):
    async def scenario(pages, loader, redis):
        early = asyncio.create_task(pages.fetch(KEY, loader))
        await loader.read.wait()
        loader.value = b"new"
        await pages.forget([KEY])

        late = asyncio.create_task(pages.fetch(KEY, loader))
        loader.may_answer.set()
        assert await early == b"old", "it asked before the update was confirmed"
        assert await late == b"new"
        assert loader.loads == 2
        assert await pages.fetch(KEY, loader) == b"new"

    run(redis_url, scenario, single_flight=single_flight)


def test_the_wrong_key_does_not_stop_it_either(redis_url):
    async def scenario(pages, loader, redis):
        early = asyncio.create_task(pages.fetch(KEY, loader))
        await loader.read.wait()
        loader.value = b"new"
        await pages.forget(["product:17"])
        loader.may_answer.set()
        assert await early == b"old"
        assert await pages.fetch(KEY, loader) == b"old"

    run(redis_url, scenario, single_flight=True)


def test_a_page_that_is_just_being_stored_is_deleted_after_it(redis_url):
    async def scenario(pages, loader, redis):
        loader.may_answer.set()
        await redis.client_pause(10_000, all=False)
        early = asyncio.create_task(pages.fetch(KEY, loader))
        await loader.read.wait()
        while (await redis.info("clients"))["blocked_clients"] < 1:
            await asyncio.sleep(0.001)
        forgetting = asyncio.create_task(pages.forget([KEY]))
        await asyncio.sleep(0)
        await redis.client_unpause()
        await asyncio.gather(early, forgetting)
        assert await redis.get(KEY) is None

    run(redis_url, scenario, single_flight=True)


def test_a_failed_load_fails_for_all_who_wait(redis_url):
    async def scenario(pages, loader, redis):
        async def failing():
            await loader()
            raise OSError("disk")

        waiting = [asyncio.create_task(pages.fetch(KEY, failing)) for _ in range(3)]
        await loader.read.wait()
        while (await redis.info("stats"))["keyspace_misses"] < 3:
            await asyncio.sleep(0.001)
        loader.may_answer.set()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [OSError] * 3
        assert await pages.fetch(KEY, loader) == b"old"

    run(redis_url, scenario, single_flight=True)


def test_who_hangs_up_does_not_take_the_page_from_the_others(redis_url):
    async def scenario(pages, loader, redis):
        first = asyncio.create_task(pages.fetch(KEY, loader))
        await loader.read.wait()
        second = asyncio.create_task(pages.fetch(KEY, loader))
        while (await redis.info("stats"))["keyspace_misses"] < 2:
            await asyncio.sleep(0.001)
        first.cancel()
        loader.may_answer.set()
        assert await second == b"old"
        assert loader.loads == 1

    run(redis_url, scenario, single_flight=True)


@pytest.mark.parametrize("single_flight", [True, False])
def test_without_the_guard_an_overtaken_load_stores_what_it_read(redis_url, single_flight):
    async def scenario(pages, loader, redis):
        early = asyncio.create_task(pages.fetch(KEY, loader))
        await loader.read.wait()
        loader.value = b"new"
        await pages.forget([KEY])
        loader.may_answer.set()
        assert await early == b"old"
        assert await pages.fetch(KEY, loader) == b"old"
        await pages.forget([KEY])
        assert await pages.fetch(KEY, loader) == b"new", "the next update empties it again"

    run(redis_url, scenario, single_flight=single_flight, store_guard=False)


@pytest.mark.parametrize(("store_guard", "status"), [(True, b"new"), (False, b"old")])
def test_the_race_is_as_wide_as_the_load_pauses(redis_url, store_guard, status):
    async def scenario(pages, loader, redis):
        loader.may_answer.set()
        early = asyncio.create_task(pages.fetch(KEY, loader))
        await loader.read.wait()
        loader.value = b"new"
        await pages.forget([KEY])
        assert not early.done(), "it pauses between reading and storing"
        assert await early == b"old"
        assert await pages.fetch(KEY, loader) == status

    run(redis_url, scenario, store_guard=store_guard, load_pause_s=0.2)


def test_a_page_in_memory_outlives_updates_of_others(redis_url):
    async def scenario(ours, loader, redis):
        loader.may_answer.set()
        theirs = PageCache(redis, ttl_s=60, single_flight=True, local_ttl_s=60)
        assert [await pages.fetch(KEY, loader) for pages in (ours, theirs)] == [b"old", b"old"]
        assert loader.loads == 1, "the second one found it in Redis"
        await redis.delete(KEY)
        assert await theirs.fetch(KEY, loader) == b"old", "and kept it"

        loader.value = b"new"
        await ours.forget([KEY])
        assert [await pages.fetch(KEY, loader) for pages in (ours, theirs)] == [b"new", b"old"]

    run(redis_url, scenario, local_ttl_s=60)


def test_a_page_in_memory_expires(redis_url):
    async def scenario(pages, loader, redis):
        loader.may_answer.set()
        assert await pages.fetch(KEY, loader) == b"old"
        await redis.delete(KEY)
        while await pages.fetch(KEY, loader) == b"old":
            loader.value = b"new"
            await asyncio.sleep(0.005)
        assert loader.loads == 2

    run(redis_url, scenario, local_ttl_s=0.05)


def test_a_page_deleted_while_loading_is_not_kept(redis_url):
    class HeldUp:
        """Redis, whose answers to GET wait on their way back."""

        def __init__(self, redis):
            self.redis, self.read, self.may_answer = redis, asyncio.Event(), asyncio.Event()

        async def get(self, key):
            stored = await self.redis.get(key)
            self.read.set()
            await self.may_answer.wait()
            return stored

        def __getattr__(self, name):
            return getattr(self.redis, name)

    async def scenario(other, loader, redis):
        loader.may_answer.set()
        assert await other.fetch(KEY, loader) == b"old"
        held = HeldUp(redis)
        pages = PageCache(held, ttl_s=60, single_flight=True, local_ttl_s=60)
        early = asyncio.create_task(pages.fetch(KEY, loader))
        await held.read.wait()
        loader.value = b"new"
        await pages.forget([KEY])
        held.may_answer.set()
        assert await early == b"old", "it asked before the update was confirmed"
        assert await pages.fetch(KEY, loader) == b"new"

    run(redis_url, scenario)


def test_memory_holds_so_many_pages_and_no_more():
    pages = LocalPages(60, most=2)
    for key in ("a", "b", "a", "c"):
        pages.keep(key, LocalEntry(0.0, key.encode()))
    assert [pages.get(key) is not None for key in "abc"] == [True, False, True]


@pytest.mark.parametrize(("cache_missing", "status", "loads"), [(True, None, 1), (False, b"new", 3)])
def test_absence_is_cached_where_the_setting_says_so(redis_url, cache_missing, status, loads):
    async def scenario(pages, loader, redis):
        loader.may_answer.set()
        loader.value = None
        assert [await pages.fetch(KEY, loader) for _ in range(2)] == [None, None]
        assert await redis.exists(KEY) == cache_missing
        loader.value = b"new"
        assert pages.overtake([KEY]) == [], "nothing is under way"
        assert await pages.fetch(KEY, loader) == status
        assert loader.loads == loads
        await pages.forget([KEY])
        assert await pages.fetch(KEY, loader) == b"new"

    run(redis_url, scenario, cache_missing=cache_missing)


def test_an_absence_that_another_version_cached_is_no_answer(redis_url):
    async def scenario(pages, loader, redis):
        loader.may_answer.set()
        await redis.set(KEY, b"1700000000.000\n")
        assert await pages.fetch(KEY, loader) == b"old"

    run(redis_url, scenario)


def test_a_read_after_the_creation_joins_no_older_load(redis_url):
    async def scenario(pages, loader, redis):
        loader.value = None
        early = asyncio.create_task(pages.fetch(KEY, loader))
        await loader.read.wait()
        loader.value = b"new"
        pages.overtake([KEY])
        late = asyncio.create_task(pages.fetch(KEY, loader))
        loader.may_answer.set()
        assert [await early, await late] == [None, b"new"]

    run(redis_url, scenario)
