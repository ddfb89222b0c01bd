"""Loads and updates that meet: what the cache keeps must be what was committed last."""

import asyncio

import pytest
from redis.asyncio import Redis

from luckyhit.demo.cache import PageCache

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


def run(redis_url, scenario, *, single_flight):
    async def main():
        async with Redis.from_url(redis_url) as redis:
            await scenario(PageCache(redis, ttl_s=60, single_flight=single_flight), Loader(), redis)

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


def test_a_load_that_fails_fails_for_all_who_wait_and_for_nobody_after(redis_url):
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
