"""The cache's own events of the probed keys."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import redis

from luckyhit.caches.redis import RedisCache
from luckyhit.caches.redis.listener import why_not_watchable
from luckyhit.caches.watch_events import FLUSHED, FLUSHES_NOT_TOLD, LOST, WATCHED, WATCHING, EventWatch
from luckyhit.judge.cache_events.keyspace_log import by_key
from luckyhit.judge.cache_events.write_events import events_around_writes
from luckyhit.records import EVENTS, READS, WRITES
from luckyhit.system.embedded import start_embedded
from luckyhit.system.process import SupervisedProcess
from waiting import eventually

KEYS = {"product:7": "7", "product:8": "8"}


def watch(cache: RedisCache, keys: Mapping[str, str] = KEYS, **options: Any) -> EventWatch:
    return EventWatch({"before": cache}, {"before": keys}, block=3, origin_ns=0, **options)


def seen_events(watch: EventWatch) -> list[tuple[str, str]]:
    """(cache's key, event) of each row, without the watch's own."""
    rows = watch.table().to_pylist()
    return [(row["cache_key"], row["event"]) for row in rows if row["key"]]


def marks(watch: EventWatch) -> list[str]:
    return [row["event"] for row in watch.table().to_pylist() if not row["key"]]


def test_events_of_probed_keys_come_in_order(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events:
        client.set("product:7", "old", ex=300)
        client.set("product:9", "nobody asked")
        client.delete("product:8", "product:7")
        client.unlink("product:7")  # there is nothing to remove: the server tells nothing
        client.set("product:7", "new", px=1)
        eventually(lambda: client.get("product:7") is None)
    assert seen_events(events) == [
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


def test_all_events_from_before_the_stop_are_kept(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events, client.pipeline(transaction=False) as many:
        for number in range(5000):
            many.set("product:7", number)
        many.execute()
    assert seen_events(events) == [("product:7", "set")] * 5000 and events.problems == []


def test_thousands_of_keys_have_a_channel_each(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache, {f"product:{key}": str(key) for key in range(5000)}) as events:
        assert client.execute_command("PUBSUB", "NUMPAT") == 0
        eventually(lambda: len(client.execute_command("PUBSUB", "CHANNELS", "__keyspace*")) == 5000)
        client.set("product:4999", "x")
    assert seen_events(events) == [("product:4999", "set")]


def test_a_new_value_comes_with_its_time_to_live(cache: RedisCache, client: redis.Redis) -> None:
    began_s = time.monotonic()
    with watch(cache) as events:
        client.set("product:7", "x", ex=300)
        eventually(lambda: any(row["ttl_ms"] for row in events.table().to_pylist()))
        for _ in range(100):
            client.set("product:8", "y")
    ttl_ms = {(row["cache_key"], row["event"]): row["ttl_ms"] for row in reversed(events.table().to_pylist())}
    assert 290_000 < ttl_ms["product:7", "set"] <= 300_000
    # Each counts as a hit in the server's own counters: four a second, however many values are set.
    assert events.asked <= 1 + 4 * (time.monotonic() - began_s)


def test_deleted_and_unending_keys_differ_in_ttl(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events:
        client.set("product:7", "for ever")
        eventually(lambda: any(row["ttl_ms"] is not None for row in events.table().to_pylist()))
        client.delete("product:7")
    rows = [row for row in events.table().to_pylist() if row["key"]]
    assert [(row["event"], row["ttl_ms"]) for row in rows] == [("set", -1), ("del", None)]


def test_keys_may_be_invalid_utf8(cache: RedisCache, client: redis.Redis) -> None:
    key = b"product:\xff\xfe:7"
    with watch(cache, {key.decode(errors="surrogateescape"): "7"}) as events:
        client.set(key, "x")
    assert seen_events(events) == [("product:\\xff\\xfe:7", "set")]


def test_events_of_another_database_are_not_seen(cache: RedisCache, client: redis.Redis) -> None:
    second = RedisCache(cache.url.replace("/0", "/2"))
    with watch(second) as events, second.client() as other:
        client.set("product:7", "x")
        other.delete("product:7")
        other.set("product:7", "y")
    assert seen_events(events) == [("product:7", "set")]


def test_a_broken_connection_is_marked_and_repaired(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events:
        client.set("product:7", "x")
        eventually(lambda: seen_events(events))
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        eventually(lambda: marks(events) == [WATCHING, LOST, WATCHING])
        client.delete("product:7")
    assert seen_events(events) == [("product:7", "set"), ("product:7", "del")]
    assert marks(events) == [WATCHING, LOST, WATCHING, WATCHED]
    assert len(events.problems) == 1 and "ConnectionError" in events.problems[0]


def test_a_restarted_server_is_no_longer_visible(tmp_path: Path) -> None:
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
        assert marks(events) == [WATCHING, LOST]
    finally:
        cache.stop()
        if again is not None:
            again.stop()


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "rubbish"])
def test_an_unreachable_cache_is_a_problem_and_no_error(url: str) -> None:
    with watch(RedisCache(url)) as events:
        pass
    assert len(events.problems) == 1 and marks(events) == []


def test_only_single_servers_can_be_watched() -> None:
    assert [bool(why_not_watchable(mode)) for mode in ("standalone", "cluster", "sentinel")] == [False, True, True]


@pytest.mark.parametrize(
    ("rules", "events_seen", "own"),
    [
        ("-subscribe ~* &*", [], []),
        ("~* resetchannels", [], []),
        ("-pttl ~* &*", ["set", "expire"], [WATCHING, WATCHED]),
        ("-client|tracking ~* &*", ["set", "expire"], [WATCHING, FLUSHES_NOT_TOLD, WATCHED]),
    ],
    ids=["subscribe", "channels", "pttl", "tracking"],
)
def test_a_missing_right_is_one_problem(
    rules: str, events_seen: list[str], own: list[str], cache: RedisCache, client: redis.Redis
) -> None:
    client.execute_command("ACL", "SETUSER", "eva", "reset", "on", ">pw", "+@all", *rules.split())
    with watch(RedisCache(cache.url.replace("//", "//eva:pw@"))) as events:
        client.set("product:7", "x", ex=9)
        eventually(lambda: events.problems)
    assert [event for _, event in seen_events(events)] == events_seen and marks(events) == own
    assert len(events.problems) == 1 and "pw" not in events.problems[0]


def test_more_events_than_kept_end_the_watch(cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache, most_rows=10) as events:
        for number in range(50):
            client.set("product:7", number)
    assert events.table(without=["before"]).num_rows == 0
    assert len(seen_events(events)) == 9 and marks(events) == [WATCHING, LOST]
    assert len(events.problems) == 1


@pytest.mark.parametrize("command", ["FLUSHDB", "FLUSHALL", "FLUSHALL ASYNC"])
def test_a_flush_is_one_event_without_a_key(command: str, cache: RedisCache, client: redis.Redis) -> None:
    with watch(cache) as events:
        client.set("product:7", "x")
        client.set("product:9", "nobody asked")
        client.execute_command(*command.split())
        client.set("product:7", "y")
    assert seen_events(events) == [("product:7", "set")] * 2
    assert marks(events) == [WATCHING, FLUSHED, WATCHED]
    at_ns = {(row["event"], row["key"]): row["at_ns"] for row in events.table().to_pylist()}
    assert at_ns[FLUSHED, ""] <= at_ns["set", "7"]


def test_the_flush_of_another_database_is_ignored(cache: RedisCache, client: redis.Redis) -> None:
    client.execute_command("SELECT", 1)
    client.set("elsewhere", "x")
    with cache.client() as ours:
        ours.mset({f"product:{key}": "x" for key in range(20)})
        with watch(cache) as events:
            client.execute_command("FLUSHDB")
        assert ours.dbsize() == 20
    assert marks(events) == [WATCHING, WATCHED] and events.problems == []


@pytest.mark.parametrize("program", [None, "redis-server"], ids=["valkey", "redis"])
def test_a_lifetime_in_the_past_is_a_deletion(program: str | None, tmp_path: Path, cache: RedisCache) -> None:
    """Valkey 8.1 reports `expired`, Redis 7 reports `del`."""
    with nullcontext(cache) if program is None else other_server(program, tmp_path) as used:
        with used.client() as client, watch(used) as events:
            client.config_set("notify-keyspace-events", "KA")
            client.set("product:7", "x", ex=300)
            eventually(lambda: any(row["ttl_ms"] for row in events.table().to_pylist()))
            client.expire("product:7", 0)
        (log,) = by_key(events.table().to_pandas())[0].values()
    assert [event for event in log.event if event != "expire"] == ["set", "del"]


@contextmanager
def other_server(program: str, folder: Path) -> Iterator[RedisCache]:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} is installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("luckyhit.caches.redis.redis_cache.find_server", lambda environ: path)
        cache = start_embedded(folder)
    yield cache
    cache.stop()


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


def test_server_events_show_the_stale_set_race(cache: RedisCache, client: redis.Redis) -> None:
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
        eventually(lambda: ("product:7", "del") in seen_events(events))
        second = write(2)  # there is nothing to delete: the racing read has not set its old value yet
        client.set("product:7", "version 1", ex=300)
        eventually(lambda: seen_events(events).count(("product:7", "set")) == 2)
        sent_ns = now()
        stale = row(READS, seen_version=1, sent_ns=sent_ns, done_ns=now())
    (entry,) = events_around_writes(pd.concat([first, second]), stale, events.table().to_pandas()).to_dict("records")
    assert entry["fate"] == "set-old"
    assert (entry["version"], entry["deleted_key"], entry["set_old"]) == (2, "product:7", True)
