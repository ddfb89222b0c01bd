from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from served import ReachedBy, check_permissions

from luckyhit.caches.restore import restore
from luckyhit.case.model import Case
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.errors import CacheUnreachable

NEEDED = "+scan +dbsize +info +config|get +time +unlink +pttl +dump +restore +ping +watch +unwatch +multi +exec"


@pytest.fixture
def case(make_case: Callable[..., Case]) -> Case:
    cache = {"clear": ["product:{id}:v1", "list*:{page}"], "url_env": "SHOP_CACHE", "dedicated": True}
    return make_case(cache=cache, design="crossover")


@pytest.fixture
def user(cache: Any, client: redis.Redis, server: Any) -> Iterator[Callable[[str], Any]]:
    """`user(rules)`: the cache as a user with just those rights sees it."""

    def make(rules: str) -> Any:
        client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">pw", *rules.split())
        return type(cache)(f"redis://shop:pw@127.0.0.1:{server.port}/0")

    yield make
    client.execute_command("ACL", "DELUSER", "shop")


def test_all_rights(case: Case, cache: Any, client: redis.Redis, tmp_path: Path) -> None:
    client.set("product:1:v1", "x")
    guard = check_permissions(case, cache, [tmp_path, tmp_path / "not" / "yet"])
    assert guard.ok and guard.id == "permissions-checked"
    assert "what listing, clearing, backing up and restoring the declared keys takes" in guard.detail
    assert client.dbsize() == 1 and list(tmp_path.iterdir()) == []


def test_no_cache_to_look_at(case: Case, tmp_path: Path) -> None:
    assert check_permissions(case, None, [tmp_path]).ok


@pytest.mark.parametrize("may_ask", [True, False], ids=["by ACL DRYRUN", "by trying"])
@pytest.mark.parametrize(
    ("without", "named"),
    [("+unlink", "UNLINK"), ("+dump", "DUMP"), ("+config|get", "CONFIG GET"), ("+restore", "RESTORE")],
)
def test_a_missing_right_is_named_with_the_command_that_grants_it(
    may_ask: bool, without: str, named: str, case: Case, user: Any, client: redis.Redis, tmp_path: Path
) -> None:
    asking = " +acl|whoami +acl|dryrun" if may_ask else ""
    limited = user(NEEDED.replace(without, "") + asking + " ~product:* ~list*")
    guard = check_permissions(case, limited, [tmp_path])
    assert not guard.ok and guard.detail.startswith(f"the cache user lacks the right to {named}. ")
    assert f"`ACL SETUSER shop {without}" in guard.remedy
    assert ("~product:?*:v1" in guard.remedy) == (named != "CONFIG GET")  # no more than what is missing
    assert client.dbsize() == 0


def test_the_named_command_grants_enough_for_the_whole_job(
    case: Case, user: Any, client: redis.Redis, tmp_path: Path
) -> None:
    limited = user("+ping +acl|whoami +acl|dryrun")
    guard = check_permissions(case, limited, [tmp_path])
    assert not guard.ok
    command = guard.remedy.split("`")[1].split()
    client.execute_command(*command)
    assert check_permissions(case, limited, [tmp_path]).ok
    client.set("product:1:v1", "x", ex=100)
    client.set("list*:1", "x", ex=100)
    report = clear(limited, case.cache, Journal(tmp_path / "journal.jsonl"))
    assert report.cleared == 2
    with limited.client() as as_user:
        restored = restore(ReachedBy(as_user), tmp_path / str(report.backup))
    assert restored.restored == 2 and client.get("list*:1") == b"x"


def test_an_own_cache_needs_no_backup_rights(case: Case, user: Any, tmp_path: Path) -> None:
    limited = user(NEEDED.replace("+dump", "").replace("+restore", "") + " ~*")
    limited.owned = True
    assert check_permissions(case, limited, [tmp_path]).ok


@pytest.mark.parametrize("may_ask", [True, False], ids=["by ACL DRYRUN", "by trying"])
def test_a_clear_without_watching_is_possible_and_said(may_ask: bool, case: Case, user: Any, tmp_path: Path) -> None:
    rules = NEEDED + (" +acl|whoami +acl|dryrun" if may_ask else "") + " ~product:* ~list*"
    guard = check_permissions(case, user(rules.replace("+watch +unwatch +multi +exec", "")), [tmp_path])
    assert guard.ok and "Without the right to WATCH, what somebody writes in the instant of the clear" in guard.detail
    assert "`ACL SETUSER shop +watch +unwatch +multi +exec ~product:?*:v1 ~list\\*:?*`" in guard.detail
    guard = check_permissions(case, user(rules.replace("+exec", "")), [tmp_path])  # it would fail half-way
    assert not guard.ok and "may WATCH, but not EXEC" in guard.detail and "`ACL SETUSER shop +exec`" in guard.remedy
    assert "WATCH" not in check_permissions(case, user(rules), [tmp_path]).detail


def test_keys_outside_what_the_user_may_touch(case: Case, user: Any, tmp_path: Path) -> None:
    guard = check_permissions(case, user(NEEDED + " ~product:*"), [tmp_path])
    assert not guard.ok and "UNLINK, PTTL, DUMP, RESTORE" in guard.detail and "~list\\*:?*" in guard.remedy


def test_a_read_only_replica(case: Case, cache: Any, client: redis.Redis, tmp_path: Path) -> None:
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    guard = check_permissions(case, cache, [tmp_path])
    assert not guard.ok and "read-only replica (of 127.0.0.1:1)" in guard.detail


def test_a_directory_that_cannot_be_written_to(case: Case, tmp_path: Path) -> None:
    guard = check_permissions(case, None, [Path("/proc/nowhere")])
    assert not guard.ok and "/proc/nowhere can't be written to" in guard.detail and guard.remedy


def test_little_room_is_said_with_how_much_there_is(case: Case, tmp_path: Path) -> None:
    with_room = check_permissions(case, None, [tmp_path])
    assert with_room.ok and "MB" not in with_room.detail
    endless = case.model_copy(update={"plan": case.plan.model_copy(update={"block": 1e15})})
    guard = check_permissions(endless, None, [tmp_path])
    assert guard.ok and re.search(r"Only [\d,]+ MB are free in .*, and the run may write about [\d,]+ MB", guard.detail)


def test_observing_takes_no_right_to_clear(make_case: Callable[..., Case], user: Any, tmp_path: Path) -> None:
    cache = {"clear": ["product:{id}:v1"], "url_env": "SHOP_CACHE"}
    url = {"url": "http://127.0.0.1:9"}
    observed = make_case(cache=cache, design="crossover", target=url, change={"kind": "none", "what": "Nothing."})
    limited = user("+scan +dbsize +info +config|get +ping")
    assert check_permissions(observed, limited, [tmp_path]).ok
    changed = observed.model_copy(
        update={"target": observed.target.model_copy(update={"allow_change": True, "environment": "staging"})}
    )
    guard = check_permissions(changed, limited, [tmp_path])
    assert not guard.ok and "UNLINK" in guard.detail
    assert check_permissions(changed, limited, [tmp_path], changeable=False).ok


def test_a_key_with_a_space_is_quoted_as_redis_cli_reads_it(
    make_case: Callable[..., Case], user: Any, tmp_path: Path
) -> None:
    cache = {"clear": ['my "key" {id}'], "url_env": "SHOP_CACHE"}
    guard = check_permissions(make_case(cache=cache, design="crossover"), user("+ping"), [tmp_path])
    assert guard.remedy.endswith('"~my \\"key\\" ?*"`.')


def test_a_cache_that_is_away(case: Case, cache: Any, tmp_path: Path) -> None:
    cache.url = "redis://127.0.0.1:1/0"
    with pytest.raises(CacheUnreachable, match="looking at its permissions"):
        check_permissions(case, cache, [tmp_path])


PROBE: dict[str, Any] = {
    "write": {"path": "/products/{key}", "body": {"price": "{version}"}},
    "reads": [{"path": "/products/{key}", "version": "$.price"}],
    "keys": {"first": 101, "last": 103},
    "within": "5ms",
}
CLEARING = f"{NEEDED} ~product:*"


@pytest.fixture
def probed(make_case: Callable[..., Case]) -> Callable[..., Case]:
    def make(**probe: Any) -> Case:
        cache = {"clear": ["product:{id}:v1"], "url_env": "SHOP_CACHE", "dedicated": True}
        return make_case(cache=cache, design="crossover", freshness={**PROBE, **probe})

    return make


def test_whether_the_caches_events_can_be_seen_is_said(probed: Any, cache: Any, tmp_path: Path) -> None:
    guard = check_permissions(probed(), cache, [tmp_path])
    assert guard.ok and guard.detail.endswith(" The cache's events around probed writes can be seen.")
    assert "events" not in check_permissions(probed(watch_cache=False), cache, [tmp_path]).detail
    cache.owned = True
    assert "events" not in check_permissions(probed(), cache, [tmp_path]).detail


@pytest.mark.parametrize("may_ask", [True, False], ids=["by ACL DRYRUN", "by trying"])
def test_events_that_cannot_be_seen_are_no_failure_and_the_named_command_grants_them(
    may_ask: bool, probed: Any, user: Any, client: redis.Redis, tmp_path: Path
) -> None:
    limited = user(CLEARING + (" +acl|whoami +acl|dryrun" if may_ask else "") + " resetchannels")
    before = client.config_get("notify-keyspace-events")
    guard = check_permissions(probed(), limited, [tmp_path])
    assert guard.ok and guard.remedy == ""
    assert "can't be seen: the cache user lacks the right to SUBSCRIBE, CONFIG SET" in guard.detail
    assert "+subscribe +config|set &__keyspace@0__:*" in guard.detail
    assert client.config_get("notify-keyspace-events") == before
    client.execute_command(*guard.detail.split("`")[1].split())
    assert check_permissions(probed(), limited, [tmp_path]).detail.endswith(" can be seen.")


def test_a_server_that_tells_already_needs_no_right_to_set_it(
    probed: Any, user: Any, client: redis.Redis, tmp_path: Path
) -> None:
    client.config_set("notify-keyspace-events", "KA")
    guard = check_permissions(probed(), user(CLEARING + " +subscribe allchannels"), [tmp_path])
    client.config_set("notify-keyspace-events", "")
    assert guard.detail.endswith(" can be seen.")


def test_times_to_live_need_their_keys(probed: Any, user: Any, tmp_path: Path) -> None:
    limited = user(CLEARING + " +subscribe +config|set allchannels")
    guard = check_permissions(probed(cache_keys=["other:{key}"]), limited, [tmp_path])
    assert guard.ok and "can be seen, but no times to live" in guard.detail and "+pttl ~other:?*" in guard.detail


def test_cache_keys_that_are_not_known(make_case: Callable[..., Case], cache: Any, tmp_path: Path) -> None:
    spec = {"clear": ["list:{page}:{size}"], "url_env": "SHOP_CACHE", "dedicated": True}
    guard = check_permissions(make_case(cache=spec, design="crossover", freshness=PROBE), cache, [tmp_path])
    assert guard.ok and "say them in freshness.cache_keys" in guard.detail
