"""A second variable that changes beside the declared one, in the disguises that it comes in: each is caught, and named.

The service is a real process with a repository, a virtual environment, a cache and a configuration of its own. (More
disguises, of parts that this service does not have, are in test_fingerprint*.py.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from shop_world import SERVICE, World, change_of, git, shop_world

from luckyhit.change import Looks


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict[str, str]]]:
    """A shop with its change in place, and what was seen of it before."""
    with shop_world(tmp_path_factory.mktemp("world"), change_of("env")) as world:
        world.look("before", "before the change")
        world.on()
        yield world, world.looks.first["before"]


class Disguise(NamedTuple):
    do: Callable[[World], Any]
    named: str
    undo: Callable[[World], Any]


def written(path: str, text: str, named: str) -> Disguise:
    """Another text in a file (None: the file is new)."""
    kept: dict[Path, str | None] = {}

    def at(world: World) -> Path:
        return world.beside.parent / path

    def do(world: World) -> None:
        kept[at(world)] = at(world).read_text() if at(world).exists() else None
        at(world).parent.mkdir(parents=True, exist_ok=True)
        at(world).write_text(text)

    def undo(world: World) -> None:
        old = kept[at(world)]
        if old is None:
            at(world).unlink()
        else:
            at(world).write_text(old)

    return Disguise(do, named, undo)


def started(named: str, **env: str) -> Disguise:
    return Disguise(lambda world: world.restart(**env), named, lambda world: world.restart())


def setting(name: str, value: str, old: str, named: str) -> Disguise:
    return Disguise(lambda world: world.config(name, value), named, lambda world: world.config(name, old))


def told(*words: str, named: str, undo: tuple[str, ...]) -> Disguise:
    return Disguise(lambda world: world.tell(*words), named, lambda world: world.tell(*undo))


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
        "beside/pricing-1.3.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: pricing\nVersion: 1.3\n",
        "package.pricing (1.4 -> 1.3)",
    ),
    "an edited module": written("repo/shop/service.py", SERVICE + "#", "git.changes (none -> shop/service.py "),
    "an edited module next door": written("repo/common/money.py", "ROUND = 0\n", "git.changes (none -> common/money.py "),
    "a new module": written("repo/shop/sitecustomize.py", "x = 1", "git.untracked (none -> sitecustomize.py "),
    "a module that Git ignores": written(
        "repo/shop/local_settings.py", "A = 2\n", "git.ignored (local_settings.py "
    ),
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
    "the cache's eviction": setting(
        "maxmemory-policy", "allkeys-lru", "noeviction", "cache.config.maxmemory-policy (noeviction -> allkeys-lru)"
    ),
    "the cache's memory": setting("maxmemory", "100mb", "0", "cache.config.maxmemory (0 -> 104857600)"),
    "a setting of the cache that nobody thinks of": setting(
        "hash-max-listpack-entries", "3", "512", "cache.config.hash-max-listpack-entries (512 -> 3)"
    ),
    "a cache that is a replica now": told(
        "REPLICAOF", "127.0.0.1", "1", named="cache.role (master -> slave)", undo=("REPLICAOF", "NO", "ONE")
    ),
}  # fmt: skip


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_second_variable_is_caught_and_named(changed: tuple[World, dict[str, str]], disguise: str) -> None:
    world, before = changed
    do, named, undo = DISGUISES[disguise]
    do(world)
    try:
        guard = world.seen_after(before)
    finally:
        undo(world)
    assert not guard.ok and guard.detail.startswith("More than the declared change differs"), guard.detail
    assert named in guard.detail and "env.SHOP_TTL" not in guard.detail, guard.detail
    # And without it nothing but the declared change is seen.
    guard = world.seen_after(before)
    assert guard.ok and "env.SHOP_TTL (30 -> 60)" in guard.detail, guard.detail


@pytest.mark.parametrize("disguise", ["a flag", "a release", "the cache's eviction", "another commit"])
def test_what_changes_in_the_middle_is_caught_though_it_is_put_back(
    changed: tuple[World, dict[str, str]], disguise: str
) -> None:
    world, before = changed
    do, named, undo = DISGUISES[disguise]
    assert world.seen_after(before).ok
    do(world)
    strays = world.look("after", "at the end of block 3")
    undo(world)
    # It is as before again; but what was measured in between was something else.
    assert strays and world.look("after", "at the start of block 4") == {}
    guard = world.looks.guard()
    assert not guard.ok and named in guard.detail and "at the end of block 3 (arm after)" in guard.detail


def test_what_is_otherwise_at_several_looks_is_named_whenever_it_was(changed: tuple[World, dict[str, str]]) -> None:
    world, before = changed
    assert world.seen_after(before).ok
    for block, disguise in ((2, "a flag"), (3, "the cache's memory")):
        DISGUISES[disguise].do(world)
        world.look("after", f"at the end of block {block}")
        DISGUISES[disguise].undo(world)
    detail = world.looks.guard().detail
    assert "config.flags.new_keys" in detail and "at the end of block 2" in detail and "maxmemory" in detail


def test_a_change_in_no_arm_or_in_both_did_not_take(changed: tuple[World, dict[str, str]]) -> None:
    world, before = changed
    neither, both = Looks(world.stack.case), Looks(world.stack.case)
    world.look("after", "after the change")
    after = world.looks.first["after"]
    for looks, seen in ((neither, before), (both, after)):
        looks.note("before", seen, "before the change")
        looks.note("after", seen, "after the change")
        guard = looks.guard()
        assert not guard.ok and "The change did not take" in guard.detail and "env.SHOP_TTL" in guard.detail


def test_what_the_service_writes_beside_its_code_is_no_change(changed: tuple[World, dict[str, str]]) -> None:
    world, before = changed
    for name in ("shop.sqlite", "upload.png", "shop.log", "__pycache__/service.cpython-311.pyc"):
        (world.shop / name).parent.mkdir(exist_ok=True)
        (world.shop / name).write_bytes(b"x" * 9000)
    assert world.seen_after(before).ok


@pytest.mark.parametrize(
    ("kind", "times"),
    [("env", 3), ("argument", 3), ("cache-setting", 3), pytest.param("env", 200, marks=pytest.mark.slow)],
)
def test_the_declared_change_alone_never_trips_it(tmp_path: Path, kind: str, times: int) -> None:
    """Each time the service is started with the change, and without it."""
    with shop_world(tmp_path, change_of(kind)) as world:
        world.look("before", "before the change")
        for number in range(times):
            world.on()
            world.look("after", f"with the change, {number}")
            assert world.looks.guard().ok, world.looks.guard().detail
            world.off()
            world.look("before", f"without the change, {number}")
        guard = world.looks.guard()
        assert guard.ok and f"all {2 * times + 1} looks" in guard.detail, guard.detail
