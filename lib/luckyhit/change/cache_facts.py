"""What can be seen of a cache's servers without disturbing them: INFO, CONFIG GET, and SCAN move no counter of hits."""

from __future__ import annotations

import re

import redis

from luckyhit.case import Case
from luckyhit.change.neutral import shown_env
from luckyhit.change.refusals import explained
from luckyhit.change.scope import Scope, scan
from luckyhit.target import Cache
from luckyhit.target.topology import open_topology

RUNS = "observed.cache_runs"
"""Name of the stack, and which server processes answered there: another one has lost what it held."""
OUTSIDE = "observed.keys_outside_scope"
_RENAMED = {
    "slowlog-log-slower-than": "commandlog-execution-slower-than",
    "slowlog-max-len": "commandlog-slow-execution-max-len",
    "lua-time-limit": "busy-reply-threshold",
}
# What two servers differ in because they are two: addresses, files, names. And secrets.
_OWN = re.compile(r"^(port|bind|dir|.*file.*|.*dir|unixsocket.*|.*pass.*|.*auth.*|.*announce.*|tls-.*|proc-.*)$")


def cache_facts(cache: Cache, case: Case, *, stack: str, keyspace: bool) -> dict[str, str]:
    """Version, mode, role, replicas and settings of each server that holds keys (`cache.1.*`: of the second one), which
    process that is, and with `keyspace` how many keys are outside the declared scope.

    Raises CacheUnreachable where it does not answer.
    """
    seen: dict[str, str] = {}
    with explained("taking its fingerprint"), open_topology(cache) as topology:
        servers = [primary.client for primary in topology.primaries()]
        runs = []
        for number, client in enumerate(servers):
            found, run = _server(client, case)
            runs.append(run)
            seen |= {name.replace("cache.", f"cache.{number}.", 1) if number else name: value
                     for name, value in found.items()}  # fmt: skip
        if all(runs):
            seen[RUNS] = f"{stack}: {' '.join(runs)}"
        if keyspace:
            seen[OUTSIDE] = str(sum(_outside(client, Scope(case.cache.clear)) for client in servers))
    return seen


def _server(client: redis.Redis, case: Case) -> tuple[dict[str, str], str]:
    """What one server tells of itself, and its process's id ("" where it does not tell)."""
    found: dict[str, str] = {}
    run = ""
    try:
        server, replication = client.info("server"), client.info("replication")
    except redis.exceptions.ResponseError:
        found["cache.version"] = "not visible: INFO is not allowed"
    else:
        kind = "valkey" if "valkey_version" in server else "redis"
        found["cache.version"] = f"{kind} {server.get(f'{kind}_version')}"
        found["cache.mode"] = str(server.get(f"{'server' if kind == 'valkey' else 'redis'}_mode", "unknown"))
        found["cache.role"] = str(replication.get("role", "unknown"))
        found["cache.replicas"] = str(replication.get("connected_slaves", "unknown"))
        run = str(server.get("run_id", ""))[:12]
    try:
        config = {_text(name): _text(value) for name, value in client.config_get("*").items()}
    except redis.exceptions.ResponseError:
        return {**found, "cache.config": "not visible: CONFIG GET is not allowed", **_of_memory(client)}, run
    hidden = {twin for name in config for twin in _twins(name) if twin in config}
    changed = case.change.cache_setting
    if changed is not None:
        hidden = (hidden | _twins(changed)) - {changed}
        hidden |= {name for name in config if changed in _twins(name)}
    shown = {name: value for name, value in config.items() if name not in hidden and not _OWN.match(name)}
    return {**found, **{f"cache.config.{name}": shown_env(name, value) for name, value in shown.items()}}, run


def _of_memory(client: redis.Redis) -> dict[str, str]:
    """What decides about eviction, where the settings are not shown."""
    try:
        memory = client.info("memory")
    except redis.exceptions.ResponseError:
        return {}
    return {f"cache.{name}": str(memory[name]) for name in ("maxmemory", "maxmemory_policy") if name in memory}


def _twins(name: str) -> set[str]:
    """Older names of the same setting: the server shows every change under each of them."""
    older = {name.replace("listpack", "ziplist"), name.replace("replica", "slave"), name.replace("primary", "master")}
    older |= {name.replace("-cpulist", "_cpulist")} | {old for old, new in _RENAMED.items() if new == name}
    return older - {name}


def _outside(client: redis.Redis, scope: Scope) -> int:
    return len({hash(key) for keys in scan(client) for key in keys if key not in scope})


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
