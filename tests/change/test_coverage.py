"""What a service stores, held against cache.clear: which keys no template fits, and what is wrong with the nearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from served import ServedCache
from valkey_servers import Server, until

from luckyhit.caches.scope import Scope
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.values.placeholders import escape
from luckyhit.change.clearing.clear import clear
from luckyhit.change.clearing.coverage import (
    NewKeys,
    UnmatchedKey,
    coverage_guard,
    find_new_keys,
    list_keys,
    nearest,
    suggest_template,
    uncovered_keys,
)
from luckyhit.change.journal import Journal


@pytest.mark.parametrize(
    ("key", "templates", "why", "nearest_one"),
    [
        (b"conj:a:id=1", ["conj:{x}"], "fewer-colons", "conj:{x}"),
        (b"conj:a:b:id=1", ["other:{x}", "conj:{x}"], "fewer-colons", "conj:{x}"),
        (b"product:7", ["product:{id}:v1"], "more-colons", "product:{id}:v1"),
        (b":1:organizer_7", ["organizer_{id}"], "text-before", "organizer_{id}"),
        (b"organizer_7.gz", ["organizer_{id}.br", "organizer_{id}.g"], "text-after", "organizer_{id}.g"),
        (b"products:7", ["product:{id}", "p{id}"], "other-text", "product:{id}"),
        (b"session:ab", ["product:{id}"], "no-template-near", ""),
        (b"session:ab", [], "no-template-near", ""),
        (b"\xff\x00", ["product:{id}"], "no-template-near", ""),
    ],
)
def test_nearest_template_and_why_it_does_not_match(
    key: bytes, templates: list[str], why: str, nearest_one: str
) -> None:
    unmatched = nearest(key, templates)
    assert (unmatched.why, unmatched.template) == (why, nearest_one)
    assert unmatched.near == bool(nearest_one) and (unmatched.colons or not why.endswith("colons"))
    assert unmatched.sentence()


NAMES = st.text(st.sampled_from("ab:17=._-{}é"), min_size=1, max_size=20)


@given(NAMES, st.lists(NAMES.map(escape) | st.sampled_from(["a:{x}", "ab:{x}:{y}", "{x}b", "b{x}:1"]), max_size=4))
def test_suggested_template_matches(name: str, templates: list[str]) -> None:
    key = name.encode()
    unmatched = nearest(key, [template for template in templates if key not in Scope([template])])
    assert unmatched.key == key and key in Scope([suggest_template(unmatched)])


def unmatched(*keys: bytes) -> list[UnmatchedKey]:
    return [nearest(key, ["conj:{x}"]) for key in keys]


NEAR, FAR = b"conj:a:id=1", b"session:ab"


@pytest.mark.parametrize(
    ("new_keys", "fails", "written", "ok"),
    [
        (NewKeys(), True, False, None),
        (NewKeys(2), True, False, True),
        (NewKeys(2, unmatched(FAR)), True, False, True),
        (NewKeys(0, unmatched(NEAR)), True, False, False),
        (NewKeys(0, unmatched(FAR)), True, False, False),
        (NewKeys(0, unmatched(FAR)), False, False, None),  # a cache that others use: it may be theirs
        (NewKeys(0, [], unmatched(FAR)), True, False, None),  # never expires, and is like no template: data
        (NewKeys(0, [], unmatched(NEAR)), True, False, False),
        (NewKeys(0, [], unmatched(NEAR)), True, True, None),  # perhaps a write's
    ],
)
def test_when_templates_that_match_nothing_are_a_fault(
    new_keys: NewKeys, fails: bool, written: bool, ok: bool | None
) -> None:
    guard = coverage_guard(new_keys, fails=fails, written=written)
    assert (None if guard is None else guard.ok) is ok
    assert guard is None or (bool(guard.remedy) is not guard.ok and guard.detail)
    assert bool(uncovered_keys(new_keys)) == (new_keys.outside > 0 or not new_keys.inside)


def test_no_template_is_suggested_for_lasting_keys() -> None:
    mixed = coverage_guard(
        NewKeys(0, unmatched(b"conj:a:id=1"), unmatched(b"conj:data:7:8")), fails=True, written=False
    )
    assert mixed is not None and "`conj:{a}:{b}`" in mixed.remedy and "{c}" not in mixed.remedy
    data = coverage_guard(NewKeys(0, [], unmatched(NEAR)), fails=True, written=False)
    assert data is not None and "`conj" not in data.remedy and "rebuildable" in data.remedy


def test_new_keys_are_sorted_by_scope_and_lifetime(cache: ServedCache, client: redis.Redis) -> None:
    client.set("startup", "x")
    earlier = list_keys(cache)  # type: ignore[arg-type]
    assert earlier == {b"startup"}
    client.set("conj:7", "x", ex=60)
    client.set("conj:a:id=1", "x", ex=60)
    client.set("users", "x")
    new_keys = find_new_keys(cache, earlier, ["conj:{x}"])  # type: ignore[arg-type]
    assert new_keys is not None and new_keys.inside == 1
    assert [key.key for key in new_keys.expiring] == [NEAR] and [key.key for key in new_keys.lasting] == [b"users"]


def test_too_many_keys_are_not_listed(cache: ServedCache, client: redis.Redis, monkeypatch: Any) -> None:
    monkeypatch.setattr("luckyhit.change.clearing.coverage.MOST_KEYS", 5)
    client.mset({f"k{number}": "x" for number in range(9)})
    assert list_keys(cache) is None and find_new_keys(cache, frozenset(), ["a"]) is None  # type: ignore[arg-type]


def test_expired_keys_are_not_counted_as_left(tmp_path: Path) -> None:
    """The server keeps what expired until it comes by: DBSIZE has it, and nobody can read it."""
    server = Server(tmp_path / "server", "--enable-debug-command", "local")
    try:
        server.run("DEBUG", "SET-ACTIVE-EXPIRE", "0")
        for number in range(50):
            server.client.set(f"other:{number}", "x", px=1)
            server.client.set(f"page:{number}", "x", px=1)
        server.client.set("lock", "x")
        until(lambda: server.client.exists("other:49", "page:49") == 0, "they expire")
        spec = CacheSpec.model_validate({"clear": ["page:{id}"]})
        url = f"redis://127.0.0.1:{server.port}/0"
        own = clear(ServedCache(url, owned=True), spec, Journal(tmp_path / "own.jsonl"))  # type: ignore[arg-type]
        assert (own.scanned, own.outside, own.outside_left, own.outside_keys) == (1, 1, 1, ("lock",))
        others = clear(ServedCache(url), spec, Journal(tmp_path / "others.jsonl"))  # type: ignore[arg-type]
        assert others.outside_left is None and others.outside_keys == ()
    finally:
        server.stop()
