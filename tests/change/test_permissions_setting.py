"""What `luckyhit check` finds about a setting of the cache; it never sets one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from served import ServedCache, permission_guard

from luckyhit.caches.redis.permissions.setting_values import expected_value
from luckyhit.case.changes.cache_setting import CacheSettingChange
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


def check(cache: ServedCache, **change: Any) -> Guard:
    findings = Findings("change")
    cache.checks.setting(CacheSettingChange.model_validate(CHANGE | change), findings)
    return findings.guard()


@pytest.mark.parametrize("name", re.findall(r"\S+", NAMES))
def test_server_takes_just_the_expected_values(name: str, client: redis.Redis) -> None:
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


@pytest.mark.parametrize(
    ("change", "owned", "ok", "named"),
    [
        ({"name": "maxmemory-samples", "before": "5", "after": "10"}, False, True, ("'5'",)),
        ({"name": "maxmemory-samples", "after": "10"}, False, True, ("maxmemory-samples",)),
        ({"name": "maxmemory-samples", "before": "7", "after": "10"}, True, True, ("'7'",)),  # it is set to that
        ({"name": "maxmemory", "before": "100mb", "after": "50mb"}, False, True, ("maxmemory",)),
        ({"name": "maxmemory", "before": "50mb", "after": "102400kb"}, False, False, ("in place",)),
        ({"name": "maxmemory-samples", "before": "7", "after": "10"}, False, False, ("'5'", "'7'", "change.before")),
        ({"name": "maxmemory-samples", "before": "7", "after": "5"}, False, False, ("in place", "CONFIG")),
        ({"name": "maxmemory-policy", "after": "allkeys-lur"}, False, False, ("'allkeys-lur'", "allkeys-lru")),
        ({"name": "maxmemory", "after": "1,5gb"}, False, False, ("'1,5gb'", "100mb")),
        ({"name": "dynamic-hz", "after": "no"}, False, False, ("dynamic-hz", "CONFIG GET dyn*")),
    ],
)
def test_setting_is_checked_and_left_alone(
    change: Any, owned: bool, ok: bool, named: tuple[str, ...], cache: ServedCache, client: redis.Redis
) -> None:
    client.config_set("maxmemory", "100mb")
    before, cache.owned = client.config_get("*"), owned
    guard = check(cache, **change)
    text, after = f"{guard.detail} {guard.remedy}", client.config_get("*")
    client.config_set("maxmemory", 0)
    assert guard.ok is ok and all(part in text for part in named) and after == before


@pytest.mark.parametrize("asking", ["+acl|whoami +acl|dryrun", ""], ids=["by ACL DRYRUN", "by trying"])
def test_permission_to_set_is_named_with_its_grant(
    asking: str, make_case: Callable[..., Case], cache: ServedCache, client: Any
) -> None:
    change = CHANGE | {"name": "maxmemory-samples", "after": "10"}
    keys = {"clear": ["product:{id}"], "url_env": "SHOP_CACHE"}
    case = make_case(change=change, cache=keys, design="crossover")
    before = client.config_get("*")
    rules = "+@read +@write +@keyspace +@transaction +dbsize +info +config|get +time ~product:* " + asking
    client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">pw", *rules.split())
    limited = ServedCache(cache.url.replace("redis://", "redis://shop:pw@"))
    try:
        guard = permission_guard(case, limited)
        assert not guard.ok and "CONFIG SET" in guard.detail
        assert "`ACL SETUSER shop +config|set`" in guard.remedy
        client.execute_command("ACL", "SETUSER", "shop", "+config|set")
        assert permission_guard(case, limited).ok and client.config_get("*") == before
    finally:
        client.execute_command("ACL", "DELUSER", "shop")
