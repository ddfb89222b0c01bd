from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from luckyhit.caches.redis import RedisCache
from luckyhit.case.freshness import Freshness
from luckyhit.system.embedded import start_embedded


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCache]:
    cache = start_embedded(tmp_path_factory.mktemp("cache"), with_password=False)
    yield cache  # type: ignore[misc]
    cache.stop()


@pytest.fixture
def cache(server: RedisCache) -> RedisCache:
    """A server that all tests share, without keys and users of others."""
    with server.client(decode_responses=True) as client:
        client.flushall()
        client.config_resetstat()
        client.config_set("notify-keyspace-events", "KA")
        for user in client.acl_users():
            if user != "default":
                client.acl_deluser(user)
    return server


@pytest.fixture
def client(cache: RedisCache) -> Iterator[redis.Redis]:
    with cache.client() as client:
        yield client


class _Case:
    """What the keys of the cache are found by: a case's scope and its probe."""

    def __init__(self, clear: list[str], probe: dict[str, Any]) -> None:
        self.cache = type("Cache", (), {"clear": clear})
        self.freshness = Freshness.model_validate(
            {
                "write": {"path": "/products/{key}", "body": {"price": "{version}"}},
                "reads": [{"path": "/products/{key}", "version": "$.price"}],
                "keys": {"first": 101, "last": 103},
                "within": "5ms",
                **probe,
            }
        )


@pytest.fixture(scope="session")
def case() -> Callable[..., Any]:
    return lambda clear, **probe: _Case(clear, probe)
