"""Whether a setting of the cache can be changed as the case says: it is read and compared, never set."""

from __future__ import annotations

import redis

from luckyhit.caches.base import BYTES, CheckFindings, same_value
from luckyhit.caches.redis.redis_settings import read_setting
from luckyhit.caches.redis.topology import Topology
from luckyhit.case.changes.cache_setting import CacheSettingChange
from luckyhit.errors import TargetError

_INT, _LONG = 2**31 - 1, 2**63 - 1
_POLICIES = (
    "noeviction",
    *(f"{keys}-{order}" for keys in ("allkeys", "volatile") for order in ("lru", "lfu", "lrm", "random")),
    "volatile-ttl",
)
_SWITCHES = (
    "activedefrag",
    "dynamic-hz",
    *(f"lazyfree-lazy-{when}" for when in ("eviction", "expire", "server-del", "user-del")),
)
_RANGES = {
    "maxmemory-samples": (1, 64),
    "maxmemory-eviction-tenacity": (0, 100),
    "active-expire-effort": (1, 10),
    "hz": (1, 500),
    "active-defrag-threshold-lower": (0, 1000),
    "active-defrag-threshold-upper": (0, 1000),
    "active-defrag-cycle-min": (1, 99),
    "active-defrag-cycle-max": (1, 99),
    "active-defrag-max-scan-fields": (1, _LONG),
    "lfu-log-factor": (0, _INT),
    "lfu-decay-time": (0, _INT),
    "list-max-listpack-size": (-_INT - 1, _INT),
    "list-max-ziplist-size": (-_INT - 1, _INT),
    "list-compress-depth": (0, _INT),
    "timeout": (0, _INT),
    "tcp-keepalive": (0, _INT),
    "slowlog-log-slower-than": (-1, _LONG),
}
"""Whole numbers, with the bounds that servers have. Beyond those of hz a server accepts values and reads back
others."""
_SIZES = {
    "maxmemory": 0,
    "maxmemory-clients": 0,
    "active-defrag-ignore-bytes": 1,
    "client-query-buffer-limit": 2**20,
    "hash-max-listpack-value": 0,
    "hash-max-ziplist-value": 0,
    "zset-max-listpack-value": 0,
    "zset-max-ziplist-value": 0,
    "stream-node-max-bytes": 0,
}
"""Amounts of memory, and the least that a server accepts."""


def check_setting(topology: Topology, change: CacheSettingChange, findings: CheckFindings, *, owned: bool) -> None:
    """Compare `change` with the server. Raises redis.RedisError."""
    for field, value in (("before", change.before), ("after", change.after)):
        if value is not None and (expected := expected_value(change.name, value)):
            findings.problem(f"invalid value {value!r} for {change.name} (change.{field})", f"Expected {expected}.")
    for server in topology.primaries():
        where = f" on {server.name}" if server.name else ""
        try:
            now = read_setting(server.client, change.name)
        except TargetError:
            findings.problem(
                f"the cache has no setting {change.name}{where}",
                f"`CONFIG GET {change.name[:3]}*` lists similar ones.",
            )
            continue
        except redis.exceptions.NoPermissionError:
            continue  # reported among the missing permissions
        _compare(change, now, where, findings, owned=owned)
    if findings.ok:
        findings.note(
            f"Whether this server accepts {change.after!r} can't be proven without setting it; its form is valid."
        )


def _compare(change: CacheSettingChange, now: str, where: str, findings: CheckFindings, *, owned: bool) -> None:
    if owned and change.before is not None:
        findings.note(f"{change.name} is {now!r}; each arm's own cache is set to {change.before!r} before the change.")
    elif same_value(now, change.after):
        findings.problem(
            f"{change.name}{where} is {now!r} already: the change is in place",
            f"Put it back first{'' if change.before is None else f' (`CONFIG SET {change.name} {change.before}`)'}, or "
            "correct change.after.",
        )
    elif change.before is not None and not same_value(now, change.before):
        findings.problem(
            f"{change.name}{where} is {now!r}, and the case says {change.before!r} (change.before)",
            "Correct change.before, or leave it out: then it is whatever the cache has.",
        )
    else:
        findings.note(f"{change.name}{where} is {now!r}, as before the change.")


def expected_value(name: str, value: str) -> str:
    """What a server expects for the setting `name`; empty where `value` is valid, as far as is known."""
    text = value.strip().lower()
    if name == "maxmemory-policy":
        return "" if text in _POLICIES else f"one of {', '.join(_POLICIES)}"
    if name in _SWITCHES:
        return "" if text in ("yes", "no") else "yes or no"
    if name in _SIZES:
        return _expected_size(name, text)
    low, high = _RANGES.get(name, (0, _LONG))
    try:
        number = int(text) if text.lstrip("-").isascii() and text.removeprefix("-").isdigit() else None
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        return f"a whole number from {low:,} to {high:,}" if high < _INT else f"a whole number, {low:,} or more"
    return ""


def _expected_size(name: str, text: str) -> str:
    digits = text.rstrip("bkmg")
    unit, least = text[len(digits) :], _SIZES[name]
    most = 2 * _LONG + 1 if name == "maxmemory" else _LONG
    if name == "maxmemory-clients" and text.endswith("%") and text[:-1].isdigit() and int(text[:-1]) <= 100:
        return ""
    if digits.isascii() and digits.isdigit() and unit in BYTES and least <= int(digits) * BYTES[unit] <= most:
        return ""
    return f"an amount of memory such as {'4mb' if least > 1 else '100mb'}" + (
        f", {least:,} bytes or more" if least > 1 else ""
    )
