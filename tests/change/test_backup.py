"""Backups of cleared keys: what a file gives back, and what a run with several clears gives back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import ReachedBy

from luckyhit.caches.backup import BackupEntry, BackupWriter, read_backup
from luckyhit.caches.restore import Restored, restore
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.change.clearing.clear import clear
from luckyhit.change.journal import Journal
from luckyhit.errors import RunUnreadable
from tier import examples

SPEC = CacheSpec.model_validate({"clear": ["a:{id}"], "url_env": "SHOP_CACHE", "dedicated": True, "rebuildable": True})
backup_entries = st.builds(
    BackupEntry,
    key=st.sampled_from([b"", b"a", b"b", b"\n\0\xff"]) | st.binary(max_size=100),
    payload=st.binary(min_size=1, max_size=40),
    expires_at_ms=st.integers(0, 2**62),
)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    added=st.lists(backup_entries, max_size=12, unique_by=lambda entry: entry.key),
    changes=st.lists(st.tuples(st.integers(0, 11), backup_entries | st.none()), max_size=8),
    cut=st.integers(0, 30),
)
def test_each_key_comes_back_as_it_was_last(
    added: list[BackupEntry], changes: list[tuple[int, BackupEntry | None]], cut: int, tmp_path: Path
) -> None:
    path = tmp_path / "one.backup"
    path.unlink(missing_ok=True)
    writer = BackupWriter(path)
    writer.add(added)
    expected = {entry.key: entry for entry in added}
    for number, change in changes:
        if number >= len(added):
            continue
        key = added[number].key
        if change is None:
            writer.replace([BackupEntry(key, b"", 0)])
            expected.pop(key, None)
        else:
            expected[key] = BackupEntry(key, change.payload, change.expires_at_ms)
            writer.replace([expected[key]])
    writer.close()
    assert writer.count == len(added)
    entries = list(read_backup(path))
    assert {entry.key: entry for entry in entries} == expected and len(entries) == len(expected)
    path.write_bytes(path.read_bytes()[: -cut or None])  # a crash while the last record was written
    if path.read_bytes().startswith(b'{"format": "luckyhit-backup", "version": 2}\n'):
        torn = list(read_backup(path))
        assert len({entry.key for entry in torn}) == len(torn)


def test_records_before_a_damaged_one_are_read(tmp_path: Path) -> None:
    path = tmp_path / "one.backup"
    writer = BackupWriter(path)
    writer.add([BackupEntry(b"a:%d" % number, b"payload", 0) for number in range(3)])
    writer.close()
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    entries = read_backup(path)
    assert [next(entries).key, next(entries).key] == [b"a:0", b"a:1"]
    with pytest.raises(RunUnreadable, match="damaged"):
        next(entries)


@pytest.mark.parametrize(
    "head", [b"", b"[]\n", b'{"format": "other"}\n', b'{"format": "luckyhit-backup", "version": 9}\n']
)
def test_what_is_no_backup(head: bytes, tmp_path: Path) -> None:
    path = tmp_path / "one.backup"
    path.write_bytes(head)
    with pytest.raises(RunUnreadable):
        list(read_backup(path))
    with pytest.raises(RunUnreadable):
        list(read_backup(tmp_path / "absent.backup"))


def test_a_run_gives_back_what_was_there_before_it(cache: Any, client: redis.Redis, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    paths = []
    for block in ("before the run", "first block", "second block"):
        client.set("a:1", block, ex=1000)
        client.set("a:2", block)
        if block != "before the run":
            client.set("a:filled", block, ex=500)
        paths.append(tmp_path / str(clear(cache, SPEC, journal).backup))
    client.set("a:2", "by the service, since")
    assert restore(ReachedBy(client), *paths) == Restored(restored=2, present=1, expired=0, superseded=5)
    assert (client.get("a:1"), client.get("a:2")) == (b"before the run", b"by the service, since")
    assert client.get("a:filled") == b"first block"
    assert abs(client.pttl("a:1") - 1_000_000) < 30_000
    # Again, after a crash in the middle of the first time, say: nothing is overwritten, nothing is counted twice.
    assert restore(ReachedBy(client), *paths) == Restored(restored=0, present=3, expired=0, superseded=5)


def test_expired_value_is_not_replaced_by_a_later_one(
    cache: Any, client: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    client.set("a:1", "before the run", ex=50)
    client.set("a:" + "k" * 100_000, "before the run", ex=5000)
    first = clear(cache, SPEC, journal).backup
    client.set("a:1", "filled by the run", ex=5000)
    client.set("a:" + "k" * 100_000, "filled by the run", ex=5000)
    second = clear(cache, SPEC, journal).backup
    now_ms = client.time()[0] * 1000
    monkeypatch.setattr("luckyhit.caches.redis.redis_keys.server_time_ms", lambda client: now_ms + 100_000)
    done = restore(cache, tmp_path / str(first), tmp_path / str(second))
    assert done == Restored(restored=1, present=0, expired=1, superseded=2)
    assert [client.get(key) for key in client.scan_iter()] == [b"before the run"]


def test_a_backup_of_the_first_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "one.backup"
    writer = BackupWriter(path)
    writer.add([BackupEntry(b"a:1", b"payload", 7)])
    writer.close()
    path.write_bytes(path.read_bytes().replace(b'"version": 2', b'"version": 1'))
    assert list(read_backup(path)) == [BackupEntry(b"a:1", b"payload", 7)]


def test_large_values_go_back_a_few_at_a_time(cache: Any, client: redis.Redis, tmp_path: Path) -> None:
    client.mset({f"a:{number}": bytes([number]) * 700_000 for number in range(6)})
    report = clear(cache, SPEC, Journal(tmp_path / "journal.jsonl"))
    assert restore(ReachedBy(client), tmp_path / str(report.backup)).restored == 6
    assert client.strlen("a:5") == 700_000
