"""Which keys of the cache belong to a probed key: what a read of it alone touches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.caches.key_shapes import (
    SHARED,
    Shape,
    cache_keys,
    learned_shapes,
    shapes_of,
    watched_keys,
    watched_shapes,
)
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.keyspace_events import learn
from luckyhit.caches.watch_events import EventWatch
from luckyhit.records.manifest import LearnedKeys
from tier import examples

MakeCase = Callable[..., Any]
KEYS = [str(key) for key in range(10_001, 10_007)]


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
def test_the_shape_of_keys_is_learned_from_reads(store: Any, cache: RedisCache, client: redis.Redis) -> None:
    read, templates, shapes = store
    client.set("another", 1)  # before the reads: none of theirs
    learned = learn(cache, KEYS, lambda key: read(client, key), templates)
    assert learned.shapes == shapes and learned.reads == len(KEYS)
    assert shapes_of(LearnedKeys.model_validate(learned.as_facts())) == shapes
    assert all(any(character.isalnum() for character in name) for name in learned.unknown)


def test_a_key_that_one_read_touched_has_no_shape() -> None:
    learned = learned_shapes({key: {"front:page": "set"} if key == KEYS[0] else {} for key in KEYS})
    assert learned.shapes == [] and list(learned.unknown) == ["front:page"]


def test_a_pattern_that_fits_everything_is_not_used() -> None:
    learned = learned_shapes({key: {f"{md5(key)}:{key}": "set"} for key in KEYS})
    assert learned.shapes == [] and set(learned.unknown.values()) == {"too-broad"}


@settings(max_examples=examples(60), deadline=None)
@given(st.text("abc:_.*?[]\\{}", min_size=3, max_size=8), st.text("abc:_.?[]\\{}", max_size=8), st.integers(0, 10**9))
def test_a_shape_finds_its_own_keys_again(before: str, after: str, key: int) -> None:
    shape = Shape(before, after)
    assert shape.key_of(f"{before.replace('*', 'x')}{key}{after}") in (str(key), None)
    assert Shape(before.replace("*", ""), after).key_of(f"{before.replace('*', '')}{key}{after}") == str(key)


def test_only_keys_of_a_pattern_are_watched(cache: RedisCache, client: redis.Redis) -> None:
    shapes = [Shape("issues:", ":*"), Shape("links:*", group=True)]
    watch = EventWatch(
        {"before": cache},
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


def test_cache_keys_follow_from_the_clear(case: MakeCase) -> None:
    declared = case(["product:{id}:v1", "list:{page}:{size}", "front", "braces{{x}}:{id}"])
    assert cache_keys(declared) == ["product:{key}:v1", "braces{{x}}:{key}"]
    keys, why_not = watched_keys(declared)
    assert why_not == "" and len(keys) == 6
    assert keys["product:101:v1"] == "101" and keys["braces{x}:103"] == "103"


def test_declared_cache_keys_take_precedence(case: MakeCase) -> None:
    declared = case(["product:{id}"], cache_keys=["p:{key}", "p:{key}:{key}"])
    assert cache_keys(declared) == ["p:{key}", "p:{key}:{key}"]
    assert watched_keys(declared)[0]["p:102:102"] == "102"


@pytest.mark.parametrize(
    ("clear", "probe", "field"),
    [
        (["list:{page}:{size}"], {}, "freshness.cache_keys"),
        (["product:{id}"], {"keys": {"first": 1000, "last": 900_000}}, "freshness.keys"),
    ],
    ids=["unknown", "too many"],
)
def test_keys_are_never_watched_in_part(clear: list[str], probe: Any, field: str, case: MakeCase) -> None:
    keys, why_not = watched_keys(case(clear, **probe))
    assert keys == {} and field in why_not


def test_learned_shapes_take_precedence_over_templates(case: MakeCase) -> None:
    keys, patterns, why = watched_shapes(case(["links:{repository}"]), [Shape("links:*", group=True)])
    assert (keys, patterns, why) == ({}, [Shape("links:*", group=True)], "")
    keys, patterns, _ = watched_shapes(case(["p:{id}", "q:{id}"]), [Shape("p:")])
    assert patterns == [] and keys["p:101"] == keys["q:101"] == "101" and len(keys) == 6
    keys, patterns, _ = watched_shapes(case(["p:{id}"], cache_keys=["own:{key}"]), [Shape("p:")])
    assert set(keys) == {"own:101", "own:102", "own:103"} and patterns == []


def test_events_from_before_a_read_are_ignored(cache: RedisCache, client: redis.Redis) -> None:
    learned = learn(cache, KEYS[:1], lambda key: client.set(f"order:{key}", 1))
    assert learned.shapes == [] and list(learned.unknown) == [f"order:{KEYS[0]}"]  # one read proves nothing
