from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from luckyhit.case.model import Case
from luckyhit.change.backup import restore
from luckyhit.change.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.change.permissions import check_permissions
from luckyhit.errors import CacheUnreachable

NEEDED = "+scan +dbsize +info +config|get +time +unlink +pttl +dump +restore +ping"


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
    assert guard.ok and guard.name == "permissions checked" and "backing up" in guard.detail
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
    assert not guard.ok and guard.detail == f"the cache user lacks the right to {named}."
    assert "ACL SETUSER" in guard.remedy and without in guard.remedy and "~product:?*:v1" in guard.remedy
    assert client.dbsize() == 0


def test_the_named_command_grants_enough_for_the_whole_job(
    case: Case, user: Any, client: redis.Redis, tmp_path: Path
) -> None:
    limited = user("+ping +acl|whoami +acl|dryrun")
    guard = check_permissions(case, limited, [tmp_path])
    assert not guard.ok
    command = guard.remedy.partition("Grant it with: ")[2].split()
    client.execute_command(*command)
    assert check_permissions(case, limited, [tmp_path]).ok
    client.set("product:1:v1", "x", ex=100)
    client.set("list*:1", "x", ex=100)
    report = clear(limited, case.cache, Journal(tmp_path / "journal.jsonl"))
    assert report.cleared == 2
    with limited.client() as as_user:
        restored = restore(as_user, tmp_path / str(report.backup))
    assert restored.restored == 2 and client.get("list*:1") == b"x"


def test_an_own_cache_needs_no_backup_rights(case: Case, user: Any, tmp_path: Path) -> None:
    limited = user(NEEDED.replace("+dump", "").replace("+restore", "") + " ~*")
    limited.owned = True
    assert check_permissions(case, limited, [tmp_path]).ok


def test_keys_outside_what_the_user_may_touch(case: Case, user: Any, tmp_path: Path) -> None:
    guard = check_permissions(case, user(NEEDED + " ~product:*"), [tmp_path])
    assert not guard.ok and "UNLINK, PTTL, DUMP, RESTORE" in guard.detail and "~list\\*:?*" in guard.remedy


def test_a_read_only_replica(case: Case, cache: Any, client: redis.Redis, tmp_path: Path) -> None:
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    guard = check_permissions(case, cache, [tmp_path])
    assert not guard.ok and "read-only replica" in guard.detail


def test_a_directory_that_cannot_be_written_to(case: Case, tmp_path: Path) -> None:
    guard = check_permissions(case, None, [Path("/proc/nowhere")])
    assert not guard.ok and "/proc/nowhere can't be written to" in guard.detail and guard.remedy


def test_a_cache_that_is_away(case: Case, cache: Any, tmp_path: Path) -> None:
    cache.url = "redis://127.0.0.1:1/0"
    with pytest.raises(CacheUnreachable, match="looking at its permissions"):
        check_permissions(case, cache, [tmp_path])
