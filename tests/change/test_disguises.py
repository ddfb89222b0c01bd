"""A second variable that changes beside the declared one, in many disguises: each is caught, and named.

The service is a real process with a repository, a virtual environment, a cache and a configuration of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from kind_worlds import git
from shop_world import SERVICE, World, change_of, shop_world

from luckyhit.change import FingerprintHistory

Changed = tuple[World, dict[str, str]]


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changed]:
    """A shop with its change in place, and its fingerprint before it."""
    with shop_world(tmp_path_factory.mktemp("world"), change_of("env")) as world:
        world.look("before", "before the change")
        world.on()
        yield world, world.history.first["before"]


class Disguise(NamedTuple):
    do: Callable[[World], Any]
    named: str
    undo: Callable[[World], Any]


def written(path: str, text: str, named: str) -> Disguise:
    """Another text in a file, or a new file."""
    kept: list[str | None] = []

    def do(world: World) -> None:
        file = world.beside.parent / path
        kept.append(file.read_text() if file.exists() else None)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def undo(world: World) -> None:
        file, old = world.beside.parent / path, kept.pop()
        if old is None:
            file.unlink()
        else:
            file.write_text(old)

    return Disguise(do, named, undo)


def started(named: str, **env: str) -> Disguise:
    return Disguise(lambda world: world.restart(**env), named, lambda world: world.restart())


def sent(do: str, undo: str, named: str) -> Disguise:
    """A command to the cache."""
    return Disguise(lambda world: world.tell(*do.split()), named, lambda world: world.tell(*undo.split()))


def _renamed(old: str, new: str) -> Callable[[World], None]:
    def do(world: World) -> None:
        described = world.packages / f"pricing-{old}.dist-info"
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pricing\nVersion: {new}\n")
        described.rename(world.packages / f"pricing-{new}.dist-info")

    return do


DISGUISES = {
    "an extra variable": started("env.SHOP_DEBUG (not set -> 1)", SHOP_DEBUG="1"),
    "another value of a variable": started("env.SHOP_POOL (4 -> 9)", SHOP_POOL="9"),
    "another date in a variable": started(
        "env.SHOP_SINCE (2025-01-01T00:00:00Z -> 2026-01-01T00:00:00Z)", SHOP_SINCE="2026-01-01T00:00:00Z"
    ),
    "another package version": Disguise(_renamed("1.4", "1.5"), "package.pricing (1.4 -> 1.5)", _renamed("1.5", "1.4")),
    "another package version found first": written(
        "beside/pricing-1.3.dist-info/METADATA", "Metadata-Version: 2.1\nName: pricing\nVersion: 1.3\n",
        "package.pricing (1.4 -> 1.3)",
    ),
    "an edited module": written("repo/shop/service.py", SERVICE + "#", "git.changes (none -> shop/service.py "),
    "an edited module next door": written("repo/common/money.py", "ROUND = 0\n", "git.changes (none -> common/money.py "),
    "a new module": written("repo/shop/sitecustomize.py", "x = 1", "git.untracked (none -> sitecustomize.py "),
    "a module that Git ignores": written("repo/shop/local_settings.py", "A = 2\n", "git.ignored (local_settings.py "),
    "a module from elsewhere": written("beside/rates.py", "VAT = 7\n", "beside (1 modules, "),
    "a variable in an ignored .env": written("repo/.env", "SHOP_STOCK=off\n", "file.../.env (sha256:"),
    "another commit": Disguise(
        lambda world: git(world.repo, "commit", "-q", "--allow-empty", "-m", "more"),
        "git.revision (",
        lambda world: git(world.repo, "reset", "-q", "--soft", "HEAD~1"),
    ),
    "a migration": written("beside/migrations.txt", "0001_initial\n0003_index\n", "fact.migrations ("),
    "a flag": written("beside/flags.json", '{"new_keys": true}', "config.flags.new_keys (false -> true)"),
    "a release": written("beside/release.txt", "2025.12", "header.x-app-version (2025.11 -> 2025.12)"),
    "the cache's eviction": sent(
        "CONFIG SET maxmemory-policy allkeys-lru", "CONFIG SET maxmemory-policy noeviction",
        "cache.config.maxmemory-policy (noeviction -> allkeys-lru)",
    ),
    "the cache's memory": sent(
        "CONFIG SET maxmemory 100mb", "CONFIG SET maxmemory 0", "cache.config.maxmemory (0 -> 104857600)"
    ),
    "a setting of the cache that nobody thinks of": sent(
        "CONFIG SET hash-max-listpack-entries 3", "CONFIG SET hash-max-listpack-entries 512",
        "cache.config.hash-max-listpack-entries (512 -> 3)",
    ),
    "a cache that is a replica now": sent("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "cache.role (master -> slave)"),
}  # fmt: skip


@pytest.mark.parametrize("disguise", DISGUISES)
def test_second_variable_is_caught_and_named(changed: Changed, disguise: str) -> None:
    world, before = changed
    do, named, undo = DISGUISES[disguise]
    do(world)
    try:
        guard = world.guard_after(before)
    finally:
        undo(world)
    assert not guard.ok and named in guard.detail and "env.SHOP_TTL" not in guard.detail, guard.detail
    # And without it nothing but the declared change differs.
    guard = world.guard_after(before)
    assert guard.ok and "env.SHOP_TTL (30 -> 60)" in guard.detail, guard.detail


def test_second_variable_that_is_put_back_is_caught(changed: Changed) -> None:
    """What was measured in between was something else."""
    world, before = changed
    assert world.guard_after(before).ok
    for block, disguise in ((2, "a flag"), (3, "the cache's memory")):
        DISGUISES[disguise].do(world)
        assert world.look("after", f"in block {block}")
        DISGUISES[disguise].undo(world)
    assert world.look("after", "in block 4") == {}
    guard = world.history.guard()
    assert not guard.ok and "in block 2 (arm after)" in guard.detail
    assert all(DISGUISES[disguise].named in guard.detail for disguise in ("a flag", "the cache's memory"))


@pytest.mark.parametrize("arm", ["neither", "both"])
def test_change_in_no_arm_or_in_both_fails(changed: Changed, arm: str) -> None:
    world, before = changed
    assert world.guard_after(before).ok
    same = before if arm == "neither" else world.history.first["after"]
    history = FingerprintHistory(world.stack.case)
    history.record("before", same, "before the change")
    history.record("after", same, "after the change")
    assert not history.guard().ok and "env.SHOP_TTL" in history.guard().detail


def test_files_that_the_service_writes_are_no_change(changed: Changed) -> None:
    world, before = changed
    for name in ("shop.sqlite", "upload.png", "shop.log", "__pycache__/service.cpython-311.pyc"):
        (world.shop / name).parent.mkdir(exist_ok=True)
        (world.shop / name).write_bytes(b"x" * 9000)
    assert world.guard_after(before).ok


@pytest.mark.parametrize("kind", ["env", "argument", pytest.param("cache-setting", marks=pytest.mark.slow)])
def test_declared_change_alone_never_fails(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    """Each time the service is started with the change, and without it."""
    with shop_world(tmp_path_factory.mktemp("world"), change_of(kind)) as world:
        world.look("before", "before the change")
        for number in range(2):
            world.on()
            world.look("after", f"with the change, {number}")
            assert world.history.guard().ok, world.history.guard().detail
            world.off()
            world.look("before", f"without the change, {number}")
        guard = world.history.guard()
        assert guard.ok and "in all 5 looks" in guard.detail, guard.detail
