"""Facts and counters of a Redis or Valkey server, by INFO, CONFIG GET and DBSIZE, which do not move its hit
counters."""

from __future__ import annotations

import re
from collections.abc import Iterable

import redis

from luckyhit.caches.base import ServerFacts

COUNTED = (
    "keyspace_hits",
    "keyspace_misses",
    "expired_keys",
    "evicted_keys",
    "used_memory",
    "instantaneous_ops_per_sec",
    "connected_clients",
)
"""Sampled fields of INFO, by the server's own names; `used_memory` is in bytes. `dbsize` (the keys of the URL's
database) is added."""
_RENAMED = {
    "slowlog-log-slower-than": "commandlog-execution-slower-than",
    "slowlog-max-len": "commandlog-slow-execution-max-len",
    "lua-time-limit": "busy-reply-threshold",
}
# What differs between any two servers: addresses, files, names. And secrets.
_OWN = re.compile(r"^(port|bind|dir|.*file.*|.*dir|unixsocket.*|.*pass.*|.*auth.*|.*announce.*|tls-.*|proc-.*)$")


def server_facts(client: redis.Redis, changing: str | None) -> ServerFacts:
    """Facts of one server. A setting with several names is listed once: `changing` under that name."""
    entries: dict[str, str] = {}
    run = ""
    try:
        server, replication = client.info("server"), client.info("replication")
    except redis.exceptions.ResponseError:
        entries["cache.version"] = "not visible: INFO is not allowed"
    else:
        kind = "valkey" if "valkey_version" in server else "redis"
        entries["cache.version"] = f"{kind} {server.get(f'{kind}_version')}"
        entries["cache.mode"] = str(server.get(f"{'server' if kind == 'valkey' else 'redis'}_mode", "unknown"))
        entries["cache.role"] = str(replication.get("role", "unknown"))
        entries["cache.replicas"] = str(replication.get("connected_slaves", "unknown"))
        run = str(server.get("run_id", ""))[:12]
    try:
        config = {_text(name): _text(value) for name, value in client.config_get("*").items()}
    except redis.exceptions.ResponseError:
        return ServerFacts(
            {**entries, "cache.config": "not visible: CONFIG GET is not allowed", **_of_memory(client)}, run
        )
    hidden = {twin for name in config for twin in _older_names(name) if twin in config}
    if changing is not None:
        hidden = (hidden | _older_names(changing)) - {changing}
        hidden |= {name for name in config if changing in _older_names(name)}
    shown = {name: value for name, value in config.items() if name not in hidden and not _OWN.match(name)}
    return ServerFacts({**entries, **{f"cache.config.{name}": value for name, value in shown.items()}}, run)


def server_version(client: redis.Redis) -> dict[str, str]:
    """Name and version."""
    info = client.info("server")
    kind = "valkey" if "valkey_version" in info else "redis"
    return {kind: str(info.get(f"{kind}_version"))}


def counters_of(servers: Iterable[redis.Redis]) -> dict[str, float]:
    """The sums of the counters over all servers of one cache, without those that they do not report."""
    total: dict[str, float] = {}
    for client in servers:
        for name, value in _counters(client).items():
            total[name] = total.get(name, 0.0) + value
    return total


def _counters(client: redis.Redis) -> dict[str, float]:
    with client.pipeline(transaction=False) as both:
        both.info()
        both.dbsize()
        info, keys = both.execute()
    entries = {name: float(info[name]) for name in COUNTED if name in info}
    return {**entries, "dbsize": float(keys)}


def _of_memory(client: redis.Redis) -> dict[str, str]:
    """What decides about eviction, where the settings are not visible."""
    try:
        memory = client.info("memory")
    except redis.exceptions.ResponseError:
        return {}
    return {f"cache.{name}": str(memory[name]) for name in ("maxmemory", "maxmemory_policy") if name in memory}


def _older_names(name: str) -> set[str]:
    """Older names of the same setting: the server lists it under each of them."""
    older = {name.replace("listpack", "ziplist"), name.replace("replica", "slave"), name.replace("primary", "master")}
    older |= {name.replace("-cpulist", "_cpulist")} | {old for old, new in _RENAMED.items() if new == name}
    return older - {name}


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
