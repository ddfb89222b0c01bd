"""A second variable that changes beside the declared one, in the disguises that it comes in: each is caught, and named.

(More of them, found in one fingerprint against another, are in test_fingerprint.py.) The services are real processes
with a repository, packages, a cache and a configuration of their own.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from luckyhit.case.model import Case
from luckyhit.change import Journal, Looks, apply, look_at, roll_back, settings_of, start_stacks
from luckyhit.records import Arm, Guard
from luckyhit.run import Run
from luckyhit.target import Stack

SERVICE = """
import http.server, json, os, pathlib, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"ttl": os.environ.get("SHOP_TTL"), "flags": json.loads(pathlib.Path(sys.argv[2]).read_text())})
        self.send_response(200)
        self.send_header("X-App-Version", pathlib.Path(sys.argv[3]).read_text())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def git(where: Path, *words: str) -> None:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(where), *options, *words], check=True, capture_output=True)


class World:
    """One service with a change of SHOP_TTL, and all that could change beside it."""

    def __init__(self, stack: Stack, journal: Journal, shop: Path, beside: Path) -> None:
        self.stack, self.journal, self.shop, self.beside = stack, journal, shop, beside
        self.looks = Looks(stack.case)

    def look(self, arm: Arm, when: str) -> None:
        self.looks.note(arm, look_at({arm: self.stack}, self.stack.case)[arm], when)

    def both_arms(self, disguise: Callable[[World], Any]) -> Guard:
        """Look at the service without the change, and with it and what `disguise` does."""
        self.look("before", "before the change")
        apply(self.stack, self.journal)
        disguise(self)
        self.look("after", "after the change")
        return self.looks.guard()

    def config(self, name: str, value: str) -> None:
        assert self.stack.cache is not None
        with self.stack.cache.client() as client:
            client.config_set(name, value)

    def restart(self, **env: str) -> None:
        start = self.stack.case.target.start
        assert start is not None
        changed = start.model_copy(update={"env": {**start.env, **env}})
        self.stack._service._start = changed  # type: ignore[union-attr]
        self.stack.restart(settings_of(self.stack, "after"))


@pytest.fixture
def world(run: Run, make_case: Callable[..., Case], tmp_path: Path) -> Iterator[World]:
    shop, beside = tmp_path / "shop", tmp_path / "beside"
    (beside / "pricing-1.4.dist-info").mkdir(parents=True)
    (beside / "pricing-1.4.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pricing\nVersion: 1.4\n")
    (beside / "flags.json").write_text('{"new_keys": false}')
    (beside / "release.txt").write_text("2025.11")
    (beside / "migrations.txt").write_text("0001_initial\n0002_price\n")
    shop.mkdir()
    (shop / "service.py").write_text(SERVICE)
    (shop / ".gitignore").write_text(".env\n*.sqlite\n")
    (shop / ".env").write_text("SHOP_STOCK=on\n")
    git(tmp_path, "init", "-q", str(shop))
    git(shop, "add", "-A")
    git(shop, "commit", "-qm", "shop")
    start = {
        "command": ["{python}", "service.py", "{port}", str(beside / "flags.json"), str(beside / "release.txt")],
        "cwd": "shop",
        "ready": "/",
        "env": {"PYTHONPATH": str(beside), "CACHE": "{cache_url}"},
    }
    facts = {"migrations": ["cat", str(beside / "migrations.txt")]}
    case = make_case(target={"start": start, "config": "/", "facts": facts})
    journal = Journal(run.path / "journal.jsonl")
    stack = Stack(case, "before", run.path / "work" / "before", project=tmp_path)
    stack.settings = settings_of(stack, "before")
    with ExitStack() as running:
        running.callback(stack.stop)
        start_stacks([stack], journal)
        yield World(stack, journal, shop, beside)


def _package(world: World) -> None:
    described = world.beside / "pricing-1.4.dist-info"
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pricing\nVersion: 1.5\n")
    described.rename(world.beside / "pricing-1.5.dist-info")


DISGUISES: dict[str, tuple[Callable[[World], Any], str]] = {
    "an extra variable": (lambda world: world.restart(SHOP_POOL="9"), "env.SHOP_POOL (not set -> 9)"),
    "another package version": (_package, "package.pricing (1.4 -> 1.5)"),
    "an edited module": (lambda world: (world.shop / "service.py").write_text(SERVICE + "#"), "git.changes (none"),
    "a new module": (lambda world: (world.shop / "sitecustomize.py").write_text("x = 1"), "git.untracked (none"),
    "a variable in an ignored .env": (
        lambda world: (world.shop / ".env").write_text("SHOP_STOCK=off\n"), "file..env (1 files"),
    "another commit": (
        lambda world: git(world.shop, "commit", "-q", "--allow-empty", "-m", "more"), "git.revision ("),
    "a migration": (
        lambda world: (world.beside / "migrations.txt").write_text("0001_initial\n0002_price\n0003_index\n"),
        "fact.migrations (",
    ),
    "a flag": (
        lambda world: (world.beside / "flags.json").write_text('{"new_keys": true}'),
        "config.flags.new_keys (false -> true)",
    ),
    "a release": (
        lambda world: (world.beside / "release.txt").write_text("2025.12"), "header.x-app-version (2025.11 -> 2025.12)"),
    "the cache's eviction": (
        lambda world: world.config("maxmemory-policy", "allkeys-lru"), "cache.config.maxmemory-policy (noeviction ->"),
    "the cache's memory": (lambda world: world.config("maxmemory", "100mb"), "cache.config.maxmemory (0 -> 104857600)"),
    "a setting of the cache that nobody thinks of": (
        lambda world: world.config("hash-max-listpack-entries", "3"), "cache.config.other ("),
}  # fmt: skip


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_second_variable_is_caught_and_named(world: World, disguise: str) -> None:
    act, named = DISGUISES[disguise]
    guard = world.both_arms(act)
    assert not guard.ok and guard.detail.startswith("More than the declared change differs"), guard.detail
    assert named in guard.detail and "env.SHOP_TTL" not in guard.detail


@pytest.mark.parametrize("disguise", ["a flag", "a release", "the cache's eviction", "another commit"])
def test_what_changes_in_the_middle_is_caught_though_it_is_put_back(world: World, disguise: str) -> None:
    act, named = DISGUISES[disguise]
    assert world.both_arms(lambda _: None).ok
    act(world)
    world.look("after", "at the end of block 3")
    guard = world.looks.guard()
    assert not guard.ok and named in guard.detail and "at the end of block 3 (arm after)" in guard.detail
    # It is as before again; but what was measured in between was something else.
    (world.beside / "flags.json").write_text('{"new_keys": false}')
    (world.beside / "release.txt").write_text("2025.11")
    world.config("maxmemory-policy", "noeviction")
    world.look("after", "at the start of block 4")
    assert not world.looks.guard().ok


def test_a_change_in_no_arm_or_in_both_did_not_take(world: World) -> None:
    world.look("before", "before the change")
    world.look("after", "after the change")
    assert "The change did not take" in world.looks.guard().detail
    both = World(world.stack, world.journal, world.shop, world.beside)
    apply(world.stack, world.journal)
    both.look("before", "before the change")
    both.look("after", "after the change")
    guard = both.looks.guard()
    assert not guard.ok and "The change did not take" in guard.detail


def test_what_the_service_writes_beside_its_code_is_no_change(world: World) -> None:
    guard = world.both_arms(lambda world: [
        (world.shop / "shop.sqlite").write_bytes(b"x" * 9000), (world.shop / "upload.png").write_bytes(b"png"),
        (world.shop / "shop.log").write_text("served\n")])  # fmt: skip
    assert guard.ok, guard.detail


@pytest.mark.parametrize("times", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_the_declared_change_alone_never_trips_it(world: World, times: int) -> None:
    """Each time the service is restarted with the change, and without it."""
    world.look("before", "before the change")
    for number in range(times):
        apply(world.stack, world.journal)
        world.look("after", f"with the change, {number}")
        assert world.looks.guard().ok, world.looks.guard().detail
        assert roll_back(world.stack, world.journal).confirmed
        world.look("before", f"without the change, {number}")
    guard = world.looks.guard()
    assert guard.ok and f"all {2 * times + 1} looks" in guard.detail
