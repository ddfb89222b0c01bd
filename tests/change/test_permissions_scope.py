"""The dry run of the clear: how much of the cache is in scope, and which keys never expire."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from served import ServedCache, permission_guard
from valkey_servers import Cluster

from luckyhit.caches.redis.permissions import scope_preview
from luckyhit.caches.redis.topology import open_topology
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.model import Case
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.records import Guard


def check(cache: ServedCache, *templates: str, **spec: Any) -> Guard:
    findings = Findings("scope-of-the-clear")
    cache.checks.scope(CacheSpec.model_validate({"clear": list(templates), "url_env": "SHOP_CACHE", **spec}), findings)
    return findings.guard()


def fill(client: Any, template: str, count: int, **options: Any) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(count):
        pipeline.set(template.format(number), "x", **options)
    pipeline.execute()


@pytest.mark.parametrize(
    ("expiring", "lasting", "others", "spec", "ok", "named"),
    [
        (25, 0, 75, {}, True, ("25 of 100 keys", "(25 %)", "50 %")),
        (60, 0, 40, {}, False, ("60 of 100 keys", "(60 %)", "`dedicated: true`")),
        (60, 0, 40, {"dedicated": True}, True, ("60 of 100 keys",)),
        (60, 0, 40, {"largest_share": "70 %"}, True, ("60 of 100 keys", "70 %")),
        (20, 7, 73, {}, True, ("'product:p0', 'product:p1'", "and 2 more", "`rebuildable: true`")),
        (0, 3, 9, {}, False, ("'product:p0'", "`rebuildable: true`")),  # a clear would clear nothing
        (0, 3, 9, {"rebuildable": True}, True, ("3 of 12 keys",)),
        (0, 0, 9, {}, True, ("'product:{id}'",)),  # is that template right?
        (0, 0, 0, {}, True, ("empty",)),
    ],
)
def test_scope_is_counted_and_left_alone(
    expiring: int, lasting: int, others: int, spec: Any, ok: bool, named: Any, cache: ServedCache, client: redis.Redis
) -> None:
    fill(client, "product:{}", expiring, ex=60)
    fill(client, "product:p{}", lasting)
    fill(client, "session:{}", others)
    before = {key: client.pttl(key) == -1 for key in client.scan_iter()}
    guard = check(cache, "product:{id}", **spec)
    assert guard.ok is ok and bool(guard.remedy) is not ok
    text = f"{guard.detail} {guard.remedy}"
    assert all(part in text for part in named) and "session" not in text
    assert ("'product:p0'" in text) is (lasting > 0 and "rebuildable" not in spec)
    assert {key: client.pttl(key) == -1 for key in client.scan_iter()} == before


def test_only_a_part_of_a_large_keyspace_is_read(cache: ServedCache, client: redis.Redis) -> None:
    fill(client, "product:{}", 2_000, ex=60)
    fill(client, "session:{}", 18_000)
    ticks = itertools.count(0.0, 0.5)
    findings = Findings("scope-of-the-clear")
    spec = CacheSpec.model_validate({"clear": ["product:{id}"], "url_env": "SHOP_CACHE"})
    with open_topology(cache) as topology:
        scope_preview.check_scope(topology, spec, findings, clock=lambda: next(ticks))
    detail = findings.guard().detail
    assert "of 20,000 keys" in detail
    share = int(detail.partition("are in scope now (")[2].partition(" %")[0])
    assert 6 <= share <= 14


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), replicas=0)
    yield cluster
    cluster.stop()


def test_every_primary_of_a_cluster_is_checked(cluster: Cluster, make_case: Callable[..., Case]) -> None:
    spec = {"clear": ["product:{id}"], "url_env": "SHOP_CACHE", "dedicated": True}
    case, cache = make_case(cache=spec, design="crossover"), ServedCache(cluster.url)
    with cluster.client() as client:
        for number in range(30):
            for name in ("product", "session", "basket"):
                client.set(f"{name}:{number}", "x", ex=60)
    assert "30 of 90 keys" in check(cache, "product:{id}").detail
    assert permission_guard(case, cache).ok
    strict = cluster.nodes[1]
    strict.run("ACL", "SETUSER", "default", "-unlink")
    guard = permission_guard(case, cache)
    strict.run("ACL", "SETUSER", "default", "+@all")
    assert not guard.ok and guard.detail.count("UNLINK") == 1 and f":{strict.port}" in guard.detail
    assert "`ACL SETUSER default +unlink ~product:?*`" in guard.remedy and f":{strict.port}" in guard.remedy
