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
    Appeared,
    Missed,
    appeared,
    coverage_guard,
    fitting,
    left_alone,
    names_of,
    nearest,
)
from luckyhit.change.journal import Journal


@pytest.mark.parametrize(
    ("key", "templates", "why", "nearest_one"),
    [
        (b"conj:a:id=1", ["conj:{x}"], "fewer-colons", "conj:{x}"),
        (b"conj:a:b:id=1", ["other:{x}", "conj:{x}"], "fewer-colons", "conj:{x}"),
        (b"product:7", ["product:{id}:v1"], "more-colons", "product:{id}:v1"),
        (b":1:organizer_7", ["organizer_{id}"], "text-before", "organizer_{id}"),
        (b"organizer_7.gz", ["organizer_{id}.br", "organizer_{id}.g"], "text-behind", "organizer_{id}.g"),
        (b"products:7", ["product:{id}", "p{id}"], "other-text", "product:{id}"),
        (b"session:ab", ["product:{id}"], "no-template-near", ""),
        (b"session:ab", [], "no-template-near", ""),
        (b"\xff\x00", ["product:{id}"], "no-template-near", ""),
    ],
)
def test_the_nearest_template_and_why_it_does_not_fit(
    key: bytes, templates: list[str], why: str, nearest_one: str
) -> None:
    missed = nearest(key, templates)
    assert (missed.why, missed.template) == (why, nearest_one)
    assert missed.near == bool(nearest_one) and (missed.colons or not why.endswith("colons"))
    assert missed.sentence()


NAMES = st.text(st.sampled_from("ab:17=._-{}é"), min_size=1, max_size=20)


@given(NAMES, st.lists(NAMES.map(escape) | st.sampled_from(["a:{x}", "ab:{x}:{y}", "{x}b", "b{x}:1"]), max_size=4))
def test_the_template_that_is_offered_fits(name: str, templates: list[str]) -> None:
    key = name.encode()
    missed = nearest(key, [template for template in templates if key not in Scope([template])])
    assert missed.key == key and key in Scope([fitting(missed)])


def missed(*keys: bytes) -> list[Missed]:
    return [nearest(key, ["conj:{x}"]) for key in keys]


NEAR, FAR = b"conj:a:id=1", b"session:ab"


@pytest.mark.parametrize(
    ("found", "fails", "written", "ok"),
    [
        (Appeared(), True, False, None),
        (Appeared(2), True, False, True),
        (Appeared(2, missed(FAR)), True, False, True),
        (Appeared(0, missed(NEAR)), True, False, False),
        (Appeared(0, missed(FAR)), True, False, False),
        (Appeared(0, missed(FAR)), False, False, None),  # a cache that others use: it may be theirs
        (Appeared(0, [], missed(FAR)), True, False, None),  # never expires, and is like no template: data
        (Appeared(0, [], missed(NEAR)), True, False, False),
        (Appeared(0, [], missed(NEAR)), True, True, None),  # perhaps a write's
    ],
)
def test_when_a_template_that_fits_nothing_is_a_fault(
    found: Appeared, fails: bool, written: bool, ok: bool | None
) -> None:
    guard = coverage_guard(found, fails=fails, written=written)
    assert (None if guard is None else guard.ok) is ok
    assert guard is None or (bool(guard.remedy) is not guard.ok and guard.detail)
    assert bool(left_alone(found)) == (found.outside > 0 or not found.inside)


def test_what_never_expires_is_not_offered_to_be_cleared() -> None:
    mixed = coverage_guard(Appeared(0, missed(b"conj:a:id=1"), missed(b"conj:data:7:8")), fails=True, written=False)
    assert mixed is not None and "`conj:{a}:{b}`" in mixed.remedy and "{c}" not in mixed.remedy
    data = coverage_guard(Appeared(0, [], missed(NEAR)), fails=True, written=False)
    assert data is not None and "`conj" not in data.remedy and "rebuildable" in data.remedy


def test_keys_that_appear_are_told_apart(cache: ServedCache, client: redis.Redis) -> None:
    client.set("startup", "x")
    earlier = names_of(cache)  # type: ignore[arg-type]
    assert earlier == {b"startup"}
    client.set("conj:7", "x", ex=60)
    client.set("conj:a:id=1", "x", ex=60)
    client.set("users", "x")
    found = appeared(cache, earlier, ["conj:{x}"])  # type: ignore[arg-type]
    assert found is not None and found.inside == 1
    assert [each.key for each in found.expiring] == [NEAR] and [each.key for each in found.lasting] == [b"users"]


def test_too_many_keys_are_not_listed(cache: ServedCache, client: redis.Redis, monkeypatch: Any) -> None:
    monkeypatch.setattr("luckyhit.change.clearing.coverage.MOST_KEYS", 5)
    client.mset({f"k{number}": "x" for number in range(9)})
    assert names_of(cache) is None and appeared(cache, frozenset(), ["a"]) is None  # type: ignore[arg-type]


def test_expired_keys_that_are_still_counted_are_no_left_over(tmp_path: Path) -> None:
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
