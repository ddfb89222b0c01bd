"""The cache's own events of the probed keys, listened to."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import redis

from luckyhit.caches.keyspace import cache_keys, watched_keys
from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.listener import why_not_watchable
from luckyhit.caches.watch_events import FLUSHED, FLUSHES_NOT_TOLD, LOST, WATCHED, WATCHING, EventWatch
from luckyhit.case.model import Case
from luckyhit.judge.cache_events.keyspace_log import by_key
from luckyhit.judge.cache_events.write_events import events_around_writes
from luckyhit.records import EVENTS, READS, WRITES
from luckyhit.system import Stack
from luckyhit.system.embedded import start_embedded
from luckyhit.system.ports import free_port
from luckyhit.system.process import SupervisedProcess
from waiting import eventually

KEYS = {"product:7": "7", "product:8": "8"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisCache]:
    cache = start_embedded(tmp_path_factory.mktemp("cache"), with_password=False)
    yield cache
    cache.stop()


@pytest.fixture
def cache(server: RedisCache) -> RedisCache:
    with server.client() as client:
        client.flushall()
        client.config_set("notify-keyspace-events", "KA")
    return server


@pytest.fixture
def client(cache: RedisCache) -> Iterator[redis.Redis]:
    with cache.client() as client:
        yield client


def watch(cache: RedisCache, keys: Mapping[str, str] = KEYS, **options: Any) -> EventWatch:
    return EventWatch({"before": cache}, {"before": keys}, block=3, origin_ns=0, **options)


def told(watch: EventWatch) -> list[tuple[str, str]]:
    """(cache's key, event) of each row, without the watch's own."""
    rows = watch.table().to_pylist()
    return [(row["cache_key"], row["event"]) for row in rows if row["key"]]


def marks(watch: EventWatch) -> list[str]:
    return [row["event"] for row in watch.table().to_pylist() if not row["key"]]


def test_events_come_in_the_order_in_which_they_happened_and_only_those_of_probed_keys(
    cache: RedisCache, client: redis.Redis
) -> None:
    with watch(cache) as events:
        client.set("product:7", "old", ex=300)
        client.set("product:9", "nobody asked")
        client.delete("product:8", "product:7")
        client.unlink("product:7")  # there is nothing to remove: the server tells nothing
        client.set("product:7", "new", px=1)
        eventually(lambda: client.get("product:7") is None)
    assert told(events) == [
        *[("product:7", event) for event in ("set", "expire", "del", "set", "expire", "expired")],
    ]
    assert events.problems == [] and marks(events) == [WATCHING, WATCHED]
    table = events.table()
    assert table.schema == EVENTS
    rows = table.to_pylist()
    # The end's own mark has the time up to which all was seen: an event that was still on its way then is stamped later.
    at_ns = [row["at_ns"] for row in rows if row["event"] != WATCHED]
    assert at_ns == sorted(at_ns)
    assert {(row["arm"], row["block"]) for row in rows} == {("before", 3)}
    assert {row["key"] for row in rows} == {"", "7"}


def test_all_that_happened_before_the_stop_is_there_however_much_it_was(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events, client.pipeline(transaction=False) as many:
        for number in range(5000):
            many.set("product:7", number)
        many.execute()
    assert told(events) == [("product:7", "set")] * 5000 and events.problems == []


def test_thousands_of_keys_are_watched_each_by_its_own_channel(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache, {f"product:{key}": str(key) for key in range(5000)}) as events:
        assert client.execute_command("PUBSUB", "NUMPAT") == 0
        eventually(lambda: len(client.execute_command("PUBSUB", "CHANNELS", "__keyspace*")) == 5000)
        client.set("product:4999", "x")
    assert told(events) == [("product:4999", "set")]


def test_a_new_value_comes_with_what_it_has_to_live(cache: RedisCache, client: redis.Redis) -> None:
    began_s = time.monotonic()
    with watch(cache) as events:
        client.set("product:7", "x", ex=300)
        eventually(lambda: any(row["ttl_ms"] for row in events.table().to_pylist()))
        for _ in range(100):
            client.set("product:8", "y")
    of = {(row["cache_key"], row["event"]): row["ttl_ms"] for row in reversed(events.table().to_pylist())}
    assert 290_000 < of["product:7", "set"] <= 300_000
    # Each counts as a hit in the server's own counters: four a second, however many values are set.
    assert events.asked <= 1 + 4 * (time.monotonic() - began_s)


def test_a_deleted_entry_and_one_without_an_end_are_told_apart(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events:
        client.set("product:7", "for ever")
        eventually(lambda: any(row["ttl_ms"] is not None for row in events.table().to_pylist()))
        client.delete("product:7")
    rows = [row for row in events.table().to_pylist() if row["key"]]
    assert [(row["event"], row["ttl_ms"]) for row in rows] == [("set", -1), ("del", None)]


def test_keys_that_are_no_utf8(cache: RedisCache, client: redis.Redis) -> None:
    key = b"product:\xff\xfe:7"
    with watch(cache, {key.decode(errors="surrogateescape"): "7"}) as events:
        client.set(key, "x")
    assert told(events) == [("product:\\xff\\xfe:7", "set")]


def test_the_events_of_another_database_are_others(cache: RedisCache, client: redis.Redis) -> None:
    second = RedisCache(cache.url.replace("/0", "/2"))
    with watch(second) as events, second.client() as other:
        client.set("product:7", "x")
        other.delete("product:7")
        other.set("product:7", "y")
    assert told(events) == [("product:7", "set")]


def test_a_broken_connection_is_said_and_what_comes_later_is_seen_again(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events:
        client.set("product:7", "x")
        eventually(lambda: told(events))
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: marks(events) == [WATCHING, LOST, WATCHING])
        client.delete("product:7")
    assert told(events) == [("product:7", "set"), ("product:7", "del")]
    assert marks(events) == [WATCHING, LOST, WATCHING, WATCHED]
    assert events.problems == ["the cache's events of before were lost for a while: the connection broke "
                               "(ConnectionError)"]  # fmt: skip


def test_a_server_started_anew_tells_nothing_and_that_is_no_silence(tmp_path: Path) -> None:
    cache = start_embedded(tmp_path, with_password=False)
    again = None
    try:
        with cache.client() as client:
            client.config_set("notify-keyspace-events", "KA")
        with watch(cache) as events:
            command = cache._server.process.command
            cache.stop()
            again = SupervisedProcess(command, cwd=tmp_path, env={}, log=tmp_path / "again.log", grace_s=1.0)
            eventually(lambda: len(events.problems) == 2)
        assert events.problems[1].endswith("the server was started anew meanwhile, and tells no events since")
        assert marks(events) == [WATCHING, LOST]
    finally:
        cache.stop()
        if again is not None:
            again.stop()


def test_a_cache_that_is_away_neither_fails_nor_hangs(tmp_path: Path) -> None:
    with watch(RedisCache("redis://127.0.0.1:1/0")) as events:
        pass
    assert len(events.problems) == 1 and "the connection broke" in events.problems[0]
    assert marks(events) == []


def test_a_url_that_is_no_cache_is_not_visible() -> None:
    with watch(RedisCache("rubbish")) as events:
        pass
    assert len(events.problems) == 1 and "are not visible" in events.problems[0]


def test_clusters_and_sentinels_are_not_watched() -> None:
    assert "only on the node" in why_not_watchable("cluster") and "name the primary" in why_not_watchable("sentinel")
    assert why_not_watchable("standalone") == ""


@pytest.mark.parametrize("rules", ["+@all -subscribe ~* &*", "+@all ~* resetchannels"], ids=["command", "channels"])
def test_a_user_without_the_right_to_listen(rules: str, cache: RedisCache, client: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "deaf", "reset", "on", ">pw", *rules.split())
    with watch(RedisCache(cache.url.replace("//", "//deaf:pw@"))) as events:
        client.set("product:7", "x")
    client.execute_command("ACL", "DELUSER", "deaf")
    assert events.table().num_rows == 0
    assert len(events.problems) == 1
    assert "not visible: the cache refuses SUBSCRIBE" in events.problems[0] and "pw" not in events.problems[0]


def test_a_user_without_pttl_sees_the_events_all_the_same(cache: RedisCache, client: redis.Redis) -> None:
    client.execute_command("ACL", "SETUSER", "shy", "reset", "on", ">pw", "+@all", "-pttl", "~*", "&*")
    with watch(RedisCache(cache.url.replace("//", "//shy:pw@"))) as events:
        client.set("product:7", "x", ex=9)
        eventually(lambda: events.problems)
    client.execute_command("ACL", "DELUSER", "shy")
    assert told(events) == [("product:7", "set"), ("product:7", "expire")]
    assert events.problems == ["the cache's events of before come without times to live: NoPermissionError"]


def test_more_events_than_there_is_room_for_are_said_and_end_the_watch(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache, most_rows=10) as events:
        for number in range(50):
            client.set("product:7", number)
    assert events.table(without=["before"]).num_rows == 0
    assert len(told(events)) == 9 and marks(events) == [WATCHING, LOST]
    assert events.problems == ["the cache's events of before: more than 10 came; the later ones are not kept"]


@pytest.mark.parametrize("command", ["FLUSHDB", "FLUSHALL", "FLUSHALL ASYNC"])
def test_a_flush_is_one_event_of_all_keys(command: str, cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events:
        client.set("product:7", "x")
        client.set("product:9", "nobody asked")
        client.execute_command(*command.split())
        client.set("product:7", "y")
    assert told(events) == [("product:7", "set")] * 2
    assert marks(events) == [WATCHING, FLUSHED, WATCHED]
    at_ns = {(row["event"], row["key"]): row["at_ns"] for row in events.table().to_pylist()}
    assert at_ns[FLUSHED, ""] <= at_ns["set", "7"]


def test_the_flush_of_another_database_is_none(cache: RedisCache, client: redis.Redis) -> None:
    client.execute_command("SELECT", 1)
    client.set("elsewhere", "x")
    with cache.client() as ours:
        ours.mset({f"product:{key}": "x" for key in range(20)})
        with watch(cache) as events:
            client.execute_command("FLUSHDB")
        assert ours.dbsize() == 20
    assert marks(events) == [WATCHING, WATCHED] and events.problems == []


def test_without_the_right_to_see_flushes_that_is_noted(cache: RedisCache, client: redis.Redis) -> None:
    client.execute_command(*["ACL", "SETUSER", "eva", "on", "nopass", "~*", "&*", "+@all", "-client|tracking"])
    with watch(RedisCache(cache.url.replace("//", "//eva:x@"))) as events:
        client.set("product:7", "x")
    assert told(events) == [("product:7", "set")]
    assert marks(events) == [WATCHING, FLUSHES_NOT_TOLD, WATCHED] and len(events.problems) == 1


@pytest.mark.parametrize("server_name", ["valkey", "redis"])
def test_an_entry_that_is_set_to_expire_at_once_was_deleted(
    server_name: str, tmp_path: Path, cache: RedisCache
) -> None:
    """Valkey 8.1 says `expired`, Redis 7 says `del`: each is a deletion."""
    with debian_redis(tmp_path) if server_name == "redis" else nullcontext(cache) as used:
        with used.client() as client, watch(used) as events:
            client.config_set("notify-keyspace-events", "KA")
            client.set("product:7", "x", ex=300)
            eventually(lambda: any(row["ttl_ms"] for row in events.table().to_pylist()))
            client.expire("product:7", 0)
        (log,) = by_key(events.table().to_pandas())[0].values()
    assert [event for event in log.event if event != "expire"] == ["set", "del"]


@contextmanager
def debian_redis(folder: Path) -> Iterator[RedisCache]:
    """Redis as Debian has it; skipped where it is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Debian's redis-server is not installed here")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = SupervisedProcess(command, cwd=folder, env={"PATH": "/usr/bin:/bin"}, log=folder / "redis.log")
    try:
        cache = RedisCache(f"redis://127.0.0.1:{port}/0")
        eventually(lambda: answers(cache))
        yield cache
    finally:
        server.stop()


def answers(cache: RedisCache) -> bool:
    try:
        with cache.client() as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_its_threads_end_with_it(cache: RedisCache) -> None:
    events = watch(cache)
    with events:
        assert any(thread.name == "events-before" for thread in threading.enumerate())
    events.stop()
    assert not any(thread.name == "events-before" for thread in threading.enumerate())


def test_nothing_to_watch() -> None:
    with EventWatch({}, {}, block=1, origin_ns=0) as events:
        pass
    assert events.table().schema == EVENTS and events.table().num_rows == 0 and events.problems == []


PROBE: dict[str, Any] = {
    "write": {"path": "/products/{key}", "body": {"price": "{version}"}},
    "reads": [{"path": "/products/{key}", "version": "$.price"}],
    "keys": {"first": 101, "last": 103},
    "within": "5ms",
}


@pytest.fixture
def case(make_stack: Callable[..., Stack]) -> Callable[..., Case]:
    def make(clear: list[str], **probe: Any) -> Case:
        return make_stack(cache={"clear": clear}, freshness={**PROBE, **probe}).case

    return make


def test_the_keys_of_the_cache_follow_from_what_may_be_cleared(case: Callable[..., Case]) -> None:
    found = case(["product:{id}:v1", "list:{page}:{size}", "front", "braces{{x}}:{id}"])
    assert cache_keys(found) == ["product:{key}:v1", "braces{{x}}:{key}"]
    keys, why_not = watched_keys(found)
    assert why_not == "" and len(keys) == 6
    assert keys["product:101:v1"] == "101" and keys["braces{x}:103"] == "103"


def test_what_the_case_says_comes_first(case: Callable[..., Case]) -> None:
    found = case(["product:{id}"], cache_keys=["p:{key}", "p:{key}:{key}"])
    assert cache_keys(found) == ["p:{key}", "p:{key}:{key}"]
    assert watched_keys(found)[0]["p:102:102"] == "102"


def test_keys_that_are_not_known_or_too_many_are_not_watched_in_part(case: Callable[..., Case]) -> None:
    assert "say them in freshness.cache_keys" in watched_keys(case(["list:{page}:{size}"]))[1]
    keys, why_not = watched_keys(case(["product:{id}"], keys={"first": 1000, "last": 900_000}))
    assert keys == {} and "at most 20000 are watched" in why_not


def test_a_stale_set_race_is_told_from_what_the_server_said(cache: RedisCache, client: redis.Redis) -> None:
    """The events as they come from a real server, joined to writes and reads whose times are those of the same clock."""
    now = time.monotonic_ns

    def row(schema: pa.Schema, **values: Any) -> pd.DataFrame:
        usual = {"arm": "before", "block": 3, "key": "7", "probe": 2, "mode": "once", "prestate": "in-flight"}
        usual |= {"route": "read", "delay_ns": 0, "conditional": False, "absent": False, "fresh_connection": False}
        whole = {**usual, "cache": "unknown", **values}
        return pa.Table.from_pylist([{name: whole.get(name) for name in schema.names}], schema=schema).to_pandas()

    def write(version: int) -> pd.DataFrame:
        sent_ns = now()
        client.delete("product:7")
        return row(WRITES, version=version, sent_ns=sent_ns, acked_ns=now())

    with watch(cache) as events:
        client.set("product:7", "version 0", ex=300)
        first = write(1)
        eventually(lambda: ("product:7", "del") in told(events))
        second = write(2)  # there is nothing to delete: the racing read has not set its old value yet
        client.set("product:7", "version 1", ex=300)
        eventually(lambda: told(events).count(("product:7", "set")) == 2)
        sent_ns = now()
        stale = row(READS, seen_version=1, sent_ns=sent_ns, done_ns=now())
    (entry,) = events_around_writes(pd.concat([first, second]), stale, events.table().to_pandas()).to_dict("records")
    assert entry["fate"] == "set-old"
    assert (entry["version"], entry["deleted_key"], entry["set_old"]) == (2, "product:7", True)
