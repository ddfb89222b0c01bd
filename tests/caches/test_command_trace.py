"""Which keys a server's clients touch, by its own trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.caches import AnyCache, cache_at
from luckyhit.caches.base import KeyCommand
from luckyhit.caches.redis.command_trace import words_of
from luckyhit.errors import GuardError
from luckyhit.system.embedded import start_embedded


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyCache]:
    cache = start_embedded(Path(tmp_path_factory.mktemp("cache")))
    yield cache
    cache.stop()


def touched(cache: AnyCache, use: Callable[[redis.Redis], Any]) -> list[tuple[str, tuple[str, ...]]]:
    assert cache.commands is not None
    with redis.Redis.from_url(cache.url) as client:
        client.ping()
        with cache.commands.window() as window:
            use(client)
            commands = window.close()
    assert all(isinstance(command, KeyCommand) for command in commands)
    return [(command.verb, command.keys) for command in commands]


def pipelined(client: redis.Redis) -> None:
    with client.pipeline() as pipe:
        pipe.set("a", 1, ex=5)
        pipe.get("b")
        pipe.execute()


SCRIPT = "redis.call('GET', KEYS[1]); return redis.call('DEL', KEYS[2])"


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda c: c.get("a"), [("read", ("a",))]),
        (lambda c: c.mget("a", "b"), [("read", ("a", "b"))]),
        (lambda c: c.execute_command("SETEX", "a", 5, "x"), [("stored", ("a",))]),
        (lambda c: c.mset({"a": 1, "b": 2}), [("stored", ("a", "b"))]),
        (lambda c: c.unlink("a", "b"), [("deleted", ("a", "b"))]),
        (lambda c: c.expire("a", 0), [("deleted", ("a",))]),
        (lambda c: c.expire("a", 60), []),
        (lambda c: c.hset("h", "field", "x"), [("stored", ("h",))]),
        (lambda c: c.hget("h", "field"), [("read", ("h",))]),
        (lambda c: c.hdel("h", "field"), [("deleted", ("h",))]),
        (lambda c: c.sadd("tag:7", "a"), [("stored", ("tag:7",))]),
        (lambda c: c.smembers("tag:7"), [("read", ("tag:7",))]),
        (lambda c: c.flushdb(), [("deleted", ("*",))]),
        (lambda c: c.eval(SCRIPT, 2, "a", "b"), [("read", ("a",)), ("deleted", ("b",))]),
        (lambda c: c.getex("a", ex=5), [("read", ("a",))]),
        (pipelined, [("stored", ("a",)), ("read", ("b",))]),
        (lambda c: c.get('a "quoted"\nkey\\'), [("read", ('a "quoted"\nkey\\',))]),
        (lambda c: c.ping(), []),
    ],
)
def test_each_command_has_its_verb_and_keys(own: AnyCache, use: Callable[[redis.Redis], Any], expected: Any) -> None:
    assert touched(own, use) == expected


def test_emptied_cache_has_no_keys(own: AnyCache) -> None:
    with redis.Redis.from_url(own.url) as client:
        client.set("a", 1)
        assert own.commands is not None
        own.commands.empty()
        assert client.dbsize() == 0


def test_a_cache_of_others_is_not_watched(own: AnyCache) -> None:
    other = cache_at(own.url)
    assert other.commands is not None
    with pytest.raises(GuardError), other.commands.window():
        pass
    with pytest.raises(GuardError):
        other.commands.empty()


@given(st.binary(max_size=200))
def test_any_line_is_read_without_an_error(line: bytes) -> None:
    words_of(line)


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=4))
def test_words_come_back_as_they_were(words: list[bytes]) -> None:
    quoted = b" ".join(b'"' + b"".join(b"\\x%02x" % byte for byte in word) + b'"' for word in words)
    assert words_of(b"1339518083.107412 [0 127.0.0.1:60866] " + quoted) == words
