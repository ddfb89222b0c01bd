"""The cache's counters, sampled without moving them."""

from __future__ import annotations

import itertools
from pathlib import Path

from luckyhit.caches.counters import CounterSampler, sample
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.server_facts import COUNTED
from luckyhit.records import COUNTERS
from luckyhit.system.embedded import start_embedded
from waiting import eventually


def test_samples_do_not_move_the_counters(cache: RedisCache) -> None:
    with cache.client() as client:
        client.mset({"product:1": 1, "product:2": 2})
        for key in ("product:1", "product:2", "product:1", "product:9"):
            client.get(key)
    samples = [sample(cache) for _ in range(3)]
    for counters in samples:
        assert (counters["keyspace_hits"], counters["keyspace_misses"], counters["dbsize"]) == (3, 1, 2)
        assert counters["used_memory"] > 100_000 and counters["connected_clients"] >= 1
        assert counters["expired_keys"] == counters["evicted_keys"] == 0
        assert set(counters) == {*COUNTED, "dbsize"}


def test_the_sampler_covers_start_to_stop(cache: RedisCache) -> None:
    ticks = itertools.count(1_000_000, 10)
    with CounterSampler({"before": cache}, origin_ns=1_000_000, interval_s=0.01, clock=lambda: next(ticks)) as sampler:
        eventually(lambda: sampler.table().num_rows > 3 * 8)
        with cache.client() as client:
            client.get("product:9")
    table = sampler.table()
    assert table.schema == COUNTERS
    rows = table.to_pandas()
    misses = rows[rows.name == "keyspace_misses"].sort_values("at_ns")
    assert misses.value.iloc[0] == 0 and misses.value.iloc[-1] == 1
    assert rows.at_ns.min() == 0 and rows.at_ns.is_monotonic_increasing and set(rows.arm) == {"before"}
    assert sampler.problems == []
    sampler.stop()
    assert sampler.table().num_rows == table.num_rows


def test_without_samples_the_table_is_empty_and_typed() -> None:
    assert CounterSampler({}, origin_ns=0).table().schema == COUNTERS


def test_a_cache_that_goes_away_is_one_problem(tmp_path: Path) -> None:
    cache = start_embedded(tmp_path)
    sampler = CounterSampler({"after": cache}, origin_ns=0, interval_s=0.01)
    with sampler:
        cache.stop()
        eventually(lambda: sampler.problems)
        rows = sampler.table().num_rows
    assert sampler.table().num_rows == rows
    assert len(sampler.problems) == 1 and "ConnectionError" in sampler.problems[0]
