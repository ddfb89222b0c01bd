"""Which keys of the cache belong to a probed key: what a read of it alone touches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.caches.keyspace import watched_shapes
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.key_learning import learn
from luckyhit.caches.shapes import SHARED, Shape, learned_shapes, shapes_of
from luckyhit.caches.watch_events import EventWatch
from luckyhit.case.model import Case
from luckyhit.records.manifest import LearnedKeys
from luckyhit.system import Stack
from luckyhit.system.embedded import start_embedded
from tier import examples

KEYS = [str(key) for key in range(10_001, 10_007)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCache]:
    cache = start_embedded(tmp_path_factory.mktemp("cache"))
    with cache.client() as client:
        client.config_set("notify-keyspace-events", "KA")
    yield cache
    cache.stop()


@pytest.fixture
def client(server: RedisCache) -> Iterator[redis.Redis]:
    with server.client() as client:
        client.flushall()
        yield client


def md5(key: str) -> str:
    return hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()


STORES: dict[str, tuple[Callable[[redis.Redis, str], Any], list[str], list[Shape]]] = {
    "a key of its own": (lambda c, k: c.set(f"order:{k}", 1), ["order:{id}"], [Shape("order:")]),
    "a version in front": (lambda c, k: c.set(f":1:o_{k}", 1), [":1:o_{id}"], [Shape(":1:o_")]),
    "undeclared": (lambda c, k: c.set(f"order:{k}:body", 1), [], [Shape("order:", ":body")]),
    "two names": (lambda c, k: c.set(f"issues:{k}:17", 1), ["issues:{id}:{modified}"], [Shape("issues:", ":*")]),
    "a stamp, undeclared": (lambda c, k: c.set(f"issues:{k}:17", 1), [], [Shape("issues:", ":*")]),
    "a hash behind": (lambda c, k: c.set(f"page:{k}:{md5(k)}", 1), ["page:{id}:{x}"], [Shape("page:", ":*")]),
    "a field": (
        lambda c, k: c.hset(f"links:{int(k) % 4}", k, 1),
        ["links:{repository}"],
        [Shape("links:*", group=True)],
    ),
    "a field, undeclared": (lambda c, k: c.hset(f"links:{int(k) % 4}", k, 1), [], [Shape("links:*", group=True)]),
    "one page for all": (lambda c, k: c.set("list:front", k), [], [Shape("list:front", group=True)]),
    "a hash alone": (lambda c, k: c.set(f"view.{md5(k)}", 1), [], []),
    "nothing": (lambda c, k: c.get(f"order:{k}"), ["order:{id}"], []),
}


@pytest.mark.parametrize("store", STORES.values(), ids=STORES)
def test_what_reads_store_tells_the_shape_of_the_keys(store: Any, server: RedisCache, client: redis.Redis) -> None:
    read, templates, shapes = store
    client.set("another", 1)  # before the reads: none of theirs
    found = learn(server, KEYS, lambda key: read(client, key), templates)
    assert found.shapes == shapes and found.reads == len(KEYS)
    assert shapes_of(LearnedKeys.model_validate(found.as_facts())) == shapes
    assert all(any(character.isalnum() for character in name) for name in found.unknown)


def test_a_key_that_only_one_read_touched_is_not_the_probes() -> None:
    found = learned_shapes({key: {"front:page": "set"} if key == KEYS[0] else {} for key in KEYS})
    assert found.shapes == [] and found.unknown == {"front:page": "not-of-the-key"}


def test_a_pattern_that_would_watch_everything_is_not_used() -> None:
    found = learned_shapes({key: {f"{md5(key)}:{key}": "set"} for key in KEYS})
    assert found.shapes == [] and set(found.unknown.values()) == {"too-broad"}


@settings(max_examples=examples(60), deadline=None)
@given(st.text("abc:_.*?[]\\{}", min_size=3, max_size=8), st.text("abc:_.?[]\\{}", max_size=8), st.integers(0, 10**9))
def test_a_shape_finds_its_own_keys_again(before: str, after: str, key: int) -> None:
    shape = Shape(before, after)
    assert shape.key_of(f"{before.replace('*', 'x')}{key}{after}") in (str(key), None)
    assert Shape(before.replace("*", ""), after).key_of(f"{before.replace('*', '')}{key}{after}") == str(key)


def test_keys_of_a_pattern_are_watched_and_nothing_else(server: RedisCache, client: redis.Redis) -> None:
    shapes = [Shape("issues:", ":*"), Shape("links:*", group=True)]
    watch = EventWatch(
        {"before": server},
        {"before": {"issues:7:same": "7"}},
        patterns={"before": shapes},
        reserved=lambda key: key == "7",
        block=1,
        origin_ns=0,
    )
    with watch as events:
        client.set("issues:7:same", 1)  # by its own channel and by a pattern: one event
        client.set("issues:7:later", 1)
        client.set("issues:8:later", 1)
        client.hset("links:3", "7", 1)
        client.set("other", 1)
    rows = [(row["key"], row["cache_key"]) for row in events.table().to_pylist() if row["key"]]
    assert rows == [("7", "issues:7:same"), ("7", "issues:7:later"), (SHARED, "links:3")]


@pytest.fixture
def case(make_stack: Callable[..., Stack]) -> Callable[..., Case]:
    def make(clear: list[str], **probe: Any) -> Case:
        freshness = {
            "write": {"path": "/products/{key}", "body": {"price": "{version}"}},
            "reads": [{"path": "/products/{key}", "version": "$.price"}],
            "keys": {"first": 101, "last": 103},
            "within": "5ms",
        }
        return make_stack(cache={"clear": clear}, freshness={**freshness, **probe}).case

    return make


def test_what_was_learned_comes_before_the_templates(case: Callable[..., Case]) -> None:
    keys, patterns, why = watched_shapes(case(["links:{repository}"]), [Shape("links:*", group=True)])
    assert (keys, patterns, why) == ({}, [Shape("links:*", group=True)], "")
    keys, patterns, _ = watched_shapes(case(["p:{id}", "q:{id}"]), [Shape("p:")])
    assert patterns == [] and keys["p:101"] == keys["q:101"] == "101" and len(keys) == 6
    keys, patterns, _ = watched_shapes(case(["p:{id}"], cache_keys=["mine:{key}"]), [Shape("p:")])
    assert set(keys) == {"mine:101", "mine:102", "mine:103"} and patterns == []


def test_it_listens_to_nothing_that_came_before(server: RedisCache, client: redis.Redis) -> None:
    found = learn(server, KEYS[:1], lambda key: client.set(f"order:{key}", 1))
    assert found.shapes == [] and list(found.unknown) == [f"order:{KEYS[0]}"]  # one read proves nothing
