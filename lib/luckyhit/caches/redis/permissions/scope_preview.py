"""A dry run of the scoped clear: the share of the cache that the declared keys are now, and which never expire.

Nothing is changed, but PTTL moves the cache's own hit counter.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import redis

from luckyhit.caches.base import CheckFindings
from luckyhit.caches.redis.redis_keys import scan
from luckyhit.caches.redis.topology import Topology
from luckyhit.caches.scope import Scope
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.values.units import format_share

SCAN_S = 2.0
"""A larger keyspace is judged by the part that is scanned in this time: the order of SCAN is arbitrary."""
_EXAMPLES = 5
_LONGEST_EXAMPLE = 60


class _Preview:
    """Counts of a scan of the keyspace."""

    def __init__(self, templates: int) -> None:
        self.scanned = self.total = self.immortal = 0
        self.by_template = [0] * templates
        self.examples: list[bytes] = []
        self.whole = True

    @property
    def matched(self) -> int:
        return sum(self.by_template)


def check_scope(
    topology: Topology,
    spec: CacheSpec,
    findings: CheckFindings,
    *,
    clock: Callable[[], float] = time.monotonic,
    seconds: float = SCAN_S,
) -> float:
    """Compare the keyspace with `spec`, as the clear will. Returns roughly the bytes of a backup of the keys in scope.
    Raises redis.RedisError."""
    preview = _Preview(len(spec.clear))
    scopes = [Scope([template]) for template in spec.clear]
    servers = topology.primaries()
    started, in_use = clock(), 0.0
    for number, server in enumerate(servers, 1):
        preview.total += int(server.client.dbsize())
        in_use += _bytes_in_use(server.client)
        until_s = seconds * number / len(servers)
        _scan_node(server.client, scopes, spec.rebuildable, preview, lambda: clock() - started, until_s)
    _report(preview, spec, findings)
    return in_use * preview.matched / preview.scanned if preview.scanned else 0.0


def _scan_node(
    node: redis.Redis,
    scopes: list[Scope],
    rebuildable: bool,
    preview: _Preview,
    elapsed_s: Callable[[], float],
    until_s: float,
) -> None:
    for keys in scan(node):
        preview.scanned += len(keys)
        inside = []
        for key in keys:
            index = next((index for index, scope in enumerate(scopes) if key in scope), None)
            if index is not None:
                preview.by_template[index] += 1
                inside.append(key)
        if inside and not rebuildable:
            pipeline = node.pipeline(transaction=False)
            for key in inside:
                pipeline.pttl(key)
            immortal = [key for key, ttl_ms in zip(inside, pipeline.execute(), strict=True) if ttl_ms == -1]
            preview.immortal += len(immortal)
            preview.examples = sorted({*preview.examples, *immortal})[:_EXAMPLES]
        if elapsed_s() > until_s:
            preview.whole = False
            return


def _report(preview: _Preview, spec: CacheSpec, findings: CheckFindings) -> None:
    if not preview.scanned:
        findings.note("The cache is empty now, so the templates can't be checked against it.")
        return
    scanned = f"{preview.scanned:,} keys"
    if not preview.whole and preview.scanned < preview.total:
        scanned = f"the first {preview.scanned:,} of {preview.total:,} keys (scanned for {SCAN_S:g} s)"
    proportion = preview.matched / preview.scanned
    shown = f"{format_share(round(proportion, 4 if proportion < 0.01 else 2))}"
    text = f"{preview.matched:,} of {scanned} are in scope now ({shown})"
    if proportion > spec.largest_share and not spec.dedicated:
        findings.problem(
            f"{text}; at most {format_share(spec.largest_share)} are allowed (cache.largest_share)",
            "Make cache.clear narrower; or, if the cache serves this service alone, declare `dedicated: true`.",
        )
    elif spec.dedicated:
        findings.note(f"{text}; the cache is dedicated, so any share is allowed.")
    else:
        findings.note(f"{text}; {format_share(spec.largest_share)} would be allowed.")
    idle = [template for template, count in zip(spec.clear, preview.by_template, strict=True) if not count]
    if idle:
        templates = ", ".join(map(repr, idle))
        findings.note(f"No key there fits {templates} now: is that template right?")
    if preview.immortal:
        _report_immortal(preview, findings)


def _report_immortal(preview: _Preview, findings: CheckFindings) -> None:
    """Keys without a time to live are cleared only if the case says that they can be rebuilt."""
    examples = ", ".join(repr(key[:_LONGEST_EXAMPLE])[1:] for key in preview.examples)
    more = f" and {preview.immortal - len(preview.examples):,} more" if preview.immortal > len(preview.examples) else ""
    without = f"{preview.immortal:,} of those in scope have no time to live: {examples}{more}"
    if preview.immortal == preview.matched:
        findings.problem(
            f"{without}. That is all of them, and they are left alone, since they may be the data itself: a clear "
            "would clear nothing",
            "If the service can rebuild them, declare `rebuildable: true` in cache. Else take them out of cache.clear.",
        )
        return
    findings.note(
        f"{without}. They are left alone, since they may be the data itself (unless the case says `rebuildable: true`)."
    )


def _bytes_in_use(node: redis.Redis) -> float:
    try:
        return float(node.info("memory").get("used_memory_dataset", 0))
    except redis.exceptions.ResponseError:
        return 0.0
