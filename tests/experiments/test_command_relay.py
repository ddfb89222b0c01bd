"""A relay before a real cache: commands are understood however they are cut, held, answered late, and cut off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.experiments.means.command_relay import CommandRelay, commands_in
from tier import examples
from waiting import eventually
from world.caches import CacheServer, cache

WORDS = st.lists(st.binary(max_size=40), min_size=1, max_size=5)


def packed(words: list[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


@settings(max_examples=examples(200), deadline=None)
@given(st.lists(WORDS, max_size=6), st.lists(st.integers(1, 60), max_size=30))
def test_commands_are_whole_however_they_arrive(commands: list[list[bytes]], cuts: list[int]) -> None:
    data, buffer, understood = b"".join(map(packed, commands)), b"", []
    while data:
        size = cuts.pop() if cuts else len(data)
        made, buffer = commands_in(buffer + data[:size])
        understood += made
        data = data[size:]
    assert understood == [[words[0].upper(), *words[1:]] for words in commands] and buffer == b""


@settings(max_examples=examples(200), deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_passed_over(data: bytes) -> None:
    _, rest = commands_in(data)
    assert len(rest) <= len(data)


@pytest.fixture
def server() -> Iterator[CacheServer]:
    with cache() as started:
        yield started


def test_a_store_is_held_until_it_is_released(server: CacheServer) -> None:
    with CommandRelay(server.url) as relay, redis.Redis.from_url(relay.url) as service, server.client() as direct:
        hold = relay.hold(lambda command: command[0] == b"SET")
        storing = threading.Thread(target=service.set, args=("k", "v"))
        storing.start()
        assert hold.reached.wait(20)
        assert direct.get("k") is None
        hold.release()
        storing.join()
        assert direct.get("k") == b"v" and relay.used


def test_a_held_reply_leaves_the_command_done(server: CacheServer) -> None:
    with CommandRelay(server.url) as relay, redis.Redis.from_url(relay.url) as service, server.client() as direct:
        direct.set("k", "v")
        hold = relay.hold(lambda command: command[0] == b"DEL", reply=True)
        deleting = threading.Thread(target=service.delete, args=("k",))
        deleting.start()
        assert hold.reached.wait(20)
        eventually(lambda: direct.get("k") is None)
        assert deleting.is_alive()
        hold.release()
        deleting.join()


def test_only_subscribed_connections_are_cut(server: CacheServer) -> None:
    with CommandRelay(server.url) as relay, redis.Redis.from_url(relay.url) as service:
        service.ping()
        messages = service.pubsub()
        messages.subscribe("news")
        eventually(lambda: server.client().pubsub_numsub("news") == [(b"news", 1)])
        assert relay.cut_subscribers() == 1
        eventually(lambda: server.client().pubsub_numsub("news") == [(b"news", 0)])
        assert service.ping()
        messages.close()


def test_only_clients_of_the_cache_count(server: CacheServer) -> None:
    with CommandRelay(server.url) as relay:
        port = int(relay.url.rsplit(":", 1)[1].split("/")[0])
        with (
            socket.create_connection(("127.0.0.1", port)) as silent,
            socket.create_connection(("127.0.0.1", port)) as lost,
        ):
            lost.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            list(iter(lambda: lost.recv(100), b""))  # the cache server ends it
            silent.shutdown(socket.SHUT_WR)
            silent.recv(1)
        assert not relay.used
        with redis.Redis.from_url(relay.url) as service:
            service.ping()
        assert relay.used


def test_an_outage_ends(server: CacheServer) -> None:
    with CommandRelay(server.url) as relay, redis.Redis.from_url(relay.url) as service:
        service.ping()
        relay.refuse(refusing=True)
        with pytest.raises(redis.ConnectionError):
            service.ping()
        relay.refuse(refusing=False)
        eventually(service.ping)
