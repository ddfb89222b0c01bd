"""What one request does with keys, from the commands of the cache."""

from __future__ import annotations

import redis

from luckyhit.caches.base import KeyCommand
from luckyhit.caches.redis import REDIS
from luckyhit.caches.redis.command_trace import bytes_of, text_of
from luckyhit.experiments.means.traced import CacheView, touched_by
from luckyhit.system.embedded import start_embedded


def test_keys_are_told_apart_by_what_is_done() -> None:
    touched = touched_by([KeyCommand("read", ("a",), "get"), KeyCommand("stored", ("a",), "set")])
    assert (touched.read, touched.stored, touched.deleted) == (("a",), ("a",), ())
    assert touched.entries == touched.filled == ("a",)


def test_a_lock_is_no_entry() -> None:
    commands = [
        KeyCommand("stored", ("lock:a",), "set"),
        KeyCommand("read", ("a",), "get"),
        KeyCommand("stored", ("a",), "set"),
        KeyCommand("deleted", ("lock:a",), "del"),
    ]
    assert touched_by(commands).changed == ("a",)


def test_fields_of_a_hash_are_places_of_their_own() -> None:
    touched = touched_by(
        [
            KeyCommand("read", ("guide",), "hget"),
            KeyCommand("stored", ("guide",), "hset", ("u:1", "u:2")),
            KeyCommand("stored", ("seen",), "incr"),
        ]
    )
    assert touched.stored == ("guide", "seen") and touched.places == ("seen", "guide u:1", "guide u:2")


def test_a_flush_is_no_key() -> None:
    touched = touched_by([KeyCommand("deleted", ("*",), "flushdb")])
    assert touched.flushed and touched.deleted == ()


def test_a_key_without_text_is_spelt_both_ways() -> None:
    for key in (b"plain", "schlüssel".encode(), b"\x80\x04pickle"):
        assert bytes_of(text_of(key)) == key


def test_exactly_the_named_keys_are_deleted(tmp_path) -> None:
    own = start_embedded(tmp_path, {}, kind=REDIS, with_password=True)
    try:
        with redis.Redis.from_url(own.url) as client:
            client.mset({"item:1": "x", "item:2": "y"})
            client.expire("item:2", 100)
            view = CacheView(own)
            hashed = view.during(lambda: client.hset("guide", mapping={"u:1": "x", "u:2": "y"}))
            assert hashed.stored == ("guide",) and hashed.places == ("guide u:1", "guide u:2")
            client.delete("guide")
            assert view.delete(("item:1", "item:3")) == 1
            assert list(view.lifetimes_s(("item:1", "item:2"))) == ["item:2"]
            assert view.subscribers() == 0
            view.empty()
            assert client.dbsize() == 0
    finally:
        own.stop()
