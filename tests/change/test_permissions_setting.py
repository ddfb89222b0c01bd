"""What `luckyhit check` finds about a setting of the cache; it never sets one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from served import check_permissions

from luckyhit.caches.redis.rights.setting_values import expected_value, look_at_setting
from luckyhit.caches.redis.topology import Topology
from luckyhit.case.changes.cache_setting import SettingChange
from luckyhit.case.model import Case
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.records import Guard

CHANGE: dict[str, Any] = {"kind": "cache-setting", "what": "Evict by use.", "smallest": "One setting."}
# What a person may well write: numbers at the bounds, amounts of memory, switches, policies, slips.
VALUES = """
0 1 -1 -2 5 10 11 64 65 99 100 101 500 1000 1001 65536 1048575 1048576 2147483647 2147483648 -2147483648
9223372036854775807 9223372036854775808 1k 1kb 1KB 10mb 1gb 1tb 10% 101% -5mb 1.5 1.5gb 0x10 +5 yes no YES on off true
allkeys-lru volatile-lru ALLKEYS-LRU allkeys-lfu volatile-lfu allkeys-random volatile-random volatile-ttl allkeys-ttl
noeviction alkeys-lru abc
"""
NAMES = """
maxmemory maxmemory-policy maxmemory-samples maxmemory-eviction-tenacity maxmemory-clients active-expire-effort
lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del lazyfree-lazy-user-del
active-defrag-ignore-bytes active-defrag-threshold-lower active-defrag-threshold-upper active-defrag-cycle-min
active-defrag-cycle-max active-defrag-max-scan-fields lfu-log-factor lfu-decay-time tracking-table-max-keys
hash-max-listpack-entries hash-max-listpack-value list-max-listpack-size list-compress-depth set-max-intset-entries
set-max-listpack-entries set-max-listpack-value zset-max-listpack-entries zset-max-listpack-value stream-node-max-bytes
stream-node-max-entries client-query-buffer-limit timeout tcp-keepalive latency-monitor-threshold
slowlog-log-slower-than slowlog-max-len
"""


def look(client: redis.Redis, *, owned: bool = False, **change: Any) -> Guard:
    found = Findings("change")
    look_at_setting(Topology(client, None), SettingChange.model_validate(CHANGE | change), found, owned=owned)
    return found.guard()


@pytest.mark.parametrize("name", re.findall(r"\S+", NAMES))
def test_a_real_server_takes_just_what_is_said_to_be_taken(name: str, client: redis.Redis) -> None:
    was = client.config_get(name)[name]
    wrong = []
    for value in re.findall(r"\S+", VALUES):
        try:
            client.config_set(name, value)
            taken = True
        except redis.ResponseError:
            taken = False
        if taken != (expected_value(name, value) == ""):
            wrong.append((value, taken, expected_value(name, value)))
    client.config_set(name, was)
    assert wrong == []


def test_a_setting_as_it_should_be(client: redis.Redis) -> None:
    before = client.config_get("*")
    guard = look(client, name="maxmemory-samples", before="5", after="10")
    assert guard.ok and "maxmemory-samples is '5', as before the change." in guard.detail
    assert "can't be proven without setting it" in guard.detail
    assert look(client, name="maxmemory-samples", after="10").ok
    assert client.config_get("*") == before


def test_the_same_amount_in_other_words(client: redis.Redis) -> None:
    client.config_set("maxmemory", "100mb")
    try:
        assert look(client, name="maxmemory", before="100mb", after="50mb").ok
        assert "is in place" in look(client, name="maxmemory", before="50mb", after="102400kb").detail
    finally:
        client.config_set("maxmemory", 0)


@pytest.mark.parametrize(
    ("change", "said", "todo"),
    [
        ({"name": "maxmemory-samples", "before": "7", "after": "10"}, "is '5', and the case says '7'", "change.before"),
        (
            {"name": "maxmemory-samples", "before": "7", "after": "5"},
            "is '5' already: the change is in place",
            "CONFIG",
        ),
        ({"name": "maxmemory-policy", "after": "allkeys-lur"}, "no server takes 'allkeys-lur'", "allkeys-lru"),
        ({"name": "maxmemory", "after": "1,5gb"}, "no server takes '1,5gb'", "such as 100mb"),
        ({"name": "dynamic-hz", "after": "no"}, "the cache has no setting dynamic-hz", "CONFIG GET dyn*"),
    ],
)
def test_what_would_fail_in_the_run(change: Any, said: str, todo: str, client: redis.Redis) -> None:
    guard = look(client, **change)
    assert not guard.ok and said in guard.detail and todo in guard.remedy


def test_a_cache_of_the_runs_own_is_set_to_what_is_declared(client: redis.Redis) -> None:
    guard = look(client, owned=True, name="maxmemory-samples", before="7", after="10")
    assert guard.ok and "each arm's own cache is set to '7' before the change" in guard.detail


@pytest.mark.parametrize("may_ask", [True, False], ids=["by ACL DRYRUN", "by trying"])
def test_the_right_to_set_it(
    may_ask: bool, make_case: Callable[..., Case], cache: Any, client: Any, tmp_path: Any
) -> None:
    change = CHANGE | {"name": "maxmemory-samples", "after": "10"}
    keys = {"clear": ["product:{id}"], "url_env": "SHOP_CACHE"}
    case = make_case(change=change, cache=keys, design="crossover")
    before = client.config_get("*")
    rules = [
        "+@read",
        "+@write",
        "+@keyspace",
        "+dbsize",
        "+info",
        "+config|get",
        "+time",
        "~product:*",
        "+@transaction",
    ]
    rules += ["+acl|whoami", "+acl|dryrun"] if may_ask else []
    client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">pw", *rules)
    limited = type(cache)(cache.url.replace("redis://", "redis://shop:pw@"))
    try:
        guard = check_permissions(case, limited, [tmp_path])
        assert not guard.ok and guard.detail.startswith("the cache user lacks the right to CONFIG SET.")
        assert guard.remedy == "Grant it with: `ACL SETUSER shop +config|set`."
        client.execute_command(*guard.remedy.split("`")[1].split())
        assert check_permissions(case, limited, [tmp_path]).ok
        assert client.config_get("*") == before
    finally:
        client.execute_command("ACL", "DELUSER", "shop")
