"""What is found about a cache user's permissions: what is missing, and the command that grants it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from served import ReachedBy, permission_guard

from luckyhit.caches.restore import restore
from luckyhit.case.model import Case
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.errors import CacheUnreachable

NEEDED = "+scan +dbsize +info +config|get +time +unlink +pttl +dump +restore +ping +watch +unwatch +multi +exec"
KEYS = " ~product:* ~list*"
MAY_ASK = " +acl|whoami +acl|dryrun"
by_asking_and_by_trying = pytest.mark.parametrize("asking", [MAY_ASK, ""], ids=["by ACL DRYRUN", "by trying"])
PROBE: dict[str, Any] = {
    "write": {"path": "/products/{key}", "body": {"price": "{version}"}},
    "reads": [{"path": "/products/{key}", "version": "$.price"}],
    "keys": {"first": 101, "last": 103},
    "within": "5ms",
}
SPEC = {"clear": ["product:{id}:v1", "list*:{page}"], "url_env": "SHOP_CACHE", "dedicated": True}


@pytest.fixture
def case(make_case: Callable[..., Case]) -> Case:
    return make_case(cache=SPEC, design="crossover")


@pytest.fixture
def probed(make_case: Callable[..., Case]) -> Callable[..., Case]:
    return lambda **probe: make_case(cache=SPEC, design="crossover", freshness={**PROBE, **probe})


@pytest.fixture
def user(cache: Any, client: redis.Redis, server: Any) -> Iterator[Callable[[str], Any]]:
    """`user(rules)`: the cache as a user with just those permissions sees it."""

    def make(rules: str) -> Any:
        client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">pw", *rules.split())
        return type(cache)(f"redis://shop:pw@127.0.0.1:{server.port}/0")

    yield make
    client.execute_command("ACL", "DELUSER", "shop")


def granted(text: str) -> set[str]:
    """The rules of the command that a message offers to copy."""
    command = re.search(r"`ACL SETUSER shop ([^`]+)`", text)
    return set(command[1].split()) if command else set()


def test_all_permissions_without_a_trace(case: Case, cache: Any, client: redis.Redis, tmp_path: Path) -> None:
    client.set("product:1:v1", "x")
    guard = permission_guard(case, cache, [tmp_path, tmp_path / "not" / "yet"])
    assert guard.ok and guard.id == "permissions-checked" and not guard.remedy
    assert client.dbsize() == 1 and list(tmp_path.iterdir()) == []
    assert permission_guard(case, None, [tmp_path]).ok


@by_asking_and_by_trying
@pytest.mark.parametrize("missing", ["+unlink", "+dump", "+config|get", "+restore", "+exec"])
def test_missing_permission_is_named_with_its_grant(
    asking: str, missing: str, case: Case, user: Any, client: redis.Redis
) -> None:
    guard = permission_guard(case, user(NEEDED.replace(missing, "") + asking + KEYS))
    assert not guard.ok and missing.strip("+").replace("|", " ").upper() in guard.detail
    # No more than what is missing.
    keys = {"~product:?*:v1", "~list\\*:?*"} if missing not in ("+config|get", "+exec") else set()
    assert {missing, *keys} == {rule.replace("\\\\", "\\") for rule in granted(guard.remedy)}
    assert client.dbsize() == 0


def test_named_grant_is_enough_for_the_whole_job(case: Case, user: Any, client: redis.Redis, journal: Journal) -> None:
    limited = user("+ping +acl|whoami +acl|dryrun")
    guard = permission_guard(case, limited)
    assert not guard.ok
    client.execute_command(*guard.remedy.split("`")[1].split())
    assert permission_guard(case, limited).ok
    client.set("product:1:v1", "x", ex=100)
    client.set("list*:1", "x", ex=100)
    report = clear(limited, case.cache, journal)
    assert report.cleared == 2
    with limited.client() as as_user:
        restored = restore(ReachedBy(as_user), journal.path.parent / str(report.backup))
    assert restored.restored == 2 and client.get("list*:1") == b"x"


@by_asking_and_by_trying
def test_clear_without_watch_is_possible_and_noted(asking: str, case: Case, user: Any) -> None:
    guard = permission_guard(case, user(NEEDED.replace("+watch +unwatch +multi +exec", "") + asking + KEYS))
    assert guard.ok and {"+watch", "+unwatch", "+multi", "+exec"} <= granted(guard.detail)
    assert "WATCH" not in permission_guard(case, user(NEEDED + asking + KEYS)).detail


def test_an_own_cache_needs_no_backup_permissions(case: Case, user: Any) -> None:
    limited = user(NEEDED.replace("+dump", "").replace("+restore", "") + " ~*")
    limited.owned = True
    assert permission_guard(case, limited).ok


def test_keys_that_the_user_may_not_touch_are_named(case: Case, user: Any) -> None:
    guard = permission_guard(case, user(NEEDED + " ~product:*"))
    assert not guard.ok and "~list\\*:?*" in granted(guard.remedy)
    assert all(name in guard.detail for name in ("UNLINK", "PTTL", "DUMP", "RESTORE"))


def test_read_only_replica_fails(case: Case, cache: Any, client: redis.Redis) -> None:
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    guard = permission_guard(case, cache)
    assert not guard.ok and "127.0.0.1:1" in guard.detail and "cache.url_env" in guard.remedy


def test_directories_are_checked(case: Case, tmp_path: Path) -> None:
    guard = permission_guard(case, None, [Path("/proc/nowhere")])
    assert not guard.ok and "/proc/nowhere" in guard.detail and guard.remedy
    assert "MB" not in permission_guard(case, None, [tmp_path]).detail
    endless = case.model_copy(update={"plan": case.plan.model_copy(update={"block": 1e15})})
    guard = permission_guard(endless, None, [tmp_path])
    assert guard.ok and len(re.findall(r"[\d,]+ MB", guard.detail)) == 2  # what is free, and what is needed


def test_observing_needs_no_permission_to_clear(make_case: Callable[..., Case], user: Any) -> None:
    url = {"url": "http://127.0.0.1:9"}
    observed = make_case(cache=SPEC, design="crossover", target=url, change={"kind": "none", "what": "Nothing."})
    limited = user("+scan +dbsize +info +config|get +ping")
    assert permission_guard(observed, limited).ok
    changed = observed.model_copy(
        update={"target": observed.target.model_copy(update={"allow_change": True, "environment": "staging"})}
    )
    guard = permission_guard(changed, limited)
    assert not guard.ok and "UNLINK" in guard.detail
    assert permission_guard(changed, limited, changeable=False).ok


def test_key_with_a_space_is_quoted_for_redis_cli(make_case: Callable[..., Case], user: Any) -> None:
    cache = {"clear": ['my "key" {id}'], "url_env": "SHOP_CACHE"}
    guard = permission_guard(make_case(cache=cache, design="crossover"), user("+ping"))
    assert '"~my \\"key\\" ?*"`' in guard.remedy


def test_unreachable_cache_is_an_error(case: Case, cache: Any) -> None:
    cache.url = "redis://127.0.0.1:1/0"
    with pytest.raises(CacheUnreachable):
        permission_guard(case, cache)


# The cache's events around the probe's writes. That they can't be seen is no failure.


def visible(detail: str) -> bool:
    return detail.rstrip().endswith("can be seen.")


def test_events_are_mentioned_only_where_they_matter(probed: Any, cache: Any) -> None:
    guard = permission_guard(probed(cache_keys=["product:{key}:v1"]), cache)
    assert guard.ok and visible(guard.detail)
    assert "events" not in permission_guard(probed(watch_cache=False), cache).detail
    cache.owned = True
    assert "events" not in permission_guard(probed(), cache).detail


@by_asking_and_by_trying
def test_invisible_events_are_noted_with_their_grant(asking: str, probed: Any, user: Any, client: redis.Redis) -> None:
    case = probed(cache_keys=["product:{key}:v1"])
    limited = user(NEEDED + asking + KEYS + " resetchannels")
    before = client.config_get("notify-keyspace-events")
    guard = permission_guard(case, limited)
    assert guard.ok and guard.remedy == ""
    assert granted(guard.detail) == {"+subscribe", "+config|set", "&__keyspace@0__:*"}
    assert client.config_get("notify-keyspace-events") == before
    client.execute_command("ACL", "SETUSER", "shop", *granted(guard.detail))
    assert visible(permission_guard(case, limited).detail)


def test_events_that_are_on_already_need_no_config_set(probed: Any, user: Any, client: redis.Redis) -> None:
    client.config_set("notify-keyspace-events", "KA")
    case = probed(cache_keys=["product:{key}:v1"])
    guard = permission_guard(case, user(NEEDED + KEYS + " +subscribe allchannels"))
    client.config_set("notify-keyspace-events", "")
    assert visible(guard.detail)


def test_times_to_live_need_their_keys(probed: Any, user: Any) -> None:
    limited = user(NEEDED + KEYS + " +subscribe +config|set allchannels")
    guard = permission_guard(probed(cache_keys=["other:{key}"]), limited)
    assert guard.ok and granted(guard.detail) == {"+pttl", "~other:?*"}


def test_unknown_cache_keys_are_noted(make_case: Callable[..., Case], cache: Any) -> None:
    spec = {"clear": ["list:{page}:{size}"], "url_env": "SHOP_CACHE", "dedicated": True}
    guard = permission_guard(make_case(cache=spec, design="crossover", freshness=PROBE), cache)
    assert guard.ok and "freshness.cache_keys" in guard.detail
