"""The caches that the contract is held against: by name, how one is started and how its keys are set and read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from luckyhit.caches.base import AnyCache, CacheKind
from luckyhit.caches.memcached import MEMCACHED, MemcachedCache, address
from luckyhit.caches.memcached.memcached_keys import MetaClient
from luckyhit.caches.redis import REDIS, RedisCache
from luckyhit.system.embedded import start_embedded


@dataclass
class Filled:
    """A cache and another way to its keys. `set` takes a key, a value, and the seconds it lives (0: for ever)."""

    cache: Any
    set: Callable[[bytes, bytes, int], object]
    get: Callable[[bytes], bytes | None]
    empty: Callable[[], object]


def _by_redis(url: str) -> Filled:
    client, cache = redis.Redis.from_url(url), RedisCache(url, url_env="SHOP_CACHE")
    return Filled(
        cache, lambda key, value, lives_s: client.set(key, value, ex=lives_s or None), client.get, client.flushall
    )


@contextmanager
def _started(folder: Path, kind: CacheKind, *, program: str | None = None) -> Iterator[AnyCache]:
    with pytest.MonkeyPatch.context() as patch:
        if program is not None:
            patch.setattr("luckyhit.caches.redis.redis_cache.find_server", lambda environ: program)
        own = start_embedded(folder, kind=kind, with_password=False)
    yield own
    own.stop()


@contextmanager
def _valkey(folder: Path) -> Iterator[Filled]:
    with _started(folder, REDIS) as own:
        yield _by_redis(own.url)


@contextmanager
def _redis(folder: Path) -> Iterator[Filled]:
    with _started(folder, REDIS, program=_installed("redis-server")) as own:
        yield _by_redis(own.url)


@contextmanager
def _memcached(folder: Path) -> Iterator[Filled]:
    _installed("memcached")
    with _started(folder, MEMCACHED) as own:
        yield _by_memcached(own.url)


def _installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} is installed (Debian: apt-get install {program})")
    return path


def _by_memcached(url: str) -> Filled:
    cache = MemcachedCache(url, url_env="SHOP_CACHE")

    def ask(command: bytes) -> Any:
        client = MetaClient(address(url) or ("", 0), 5.0)
        try:
            return client.ask([command])[0]
        finally:
            client.close()

    def get(key: bytes) -> bytes | None:
        reply = ask(b"mg %b v\r\n" % key)
        return reply.value if reply.code == "VA" else None

    def put(key: bytes, value: bytes, lives_s: int) -> None:
        ask(b"ms %b %d F7 T%d\r\n%b\r\n" % (key, len(value), lives_s, value))

    def empty() -> None:
        for key in [*(f"a:{number}" for number in range(40)), "a:x", "b:1", "a:40:z", "other"]:
            ask(b"md %b\r\n" % key.encode())

    return Filled(cache, put, get, empty)


KINDS = {"memcached": _memcached, "valkey": _valkey, "redis": _redis}
