"""Putting back what was cleared, from backups: what is absent now, with the time to live that would be left by now."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from luckyhit.caches.backup import BackupEntry, read_backup
from luckyhit.caches.base import AnyCache

_MOST_KEYS, _MOST_BYTES = 200, 1 << 20


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the keys of a backup: `restored`, `present` (there again, left as they are), `expired`
    (their time would be over by now), `superseded` (an older backup of the same run had the key already)."""

    restored: int
    present: int
    expired: int
    superseded: int = 0


def restore(cache: AnyCache, path: Path) -> Restored:
    """Put back what is absent now, with the time to live that would be left by now. Never overwrites a key:
    what is there again was written by the service since. Safe to repeat.

    Raises CacheUnreachable or TargetError from the cache, RunUnreadable for a damaged file.
    """
    return restore_run(cache, [path])


def restore_run(cache: AnyCache, paths: Sequence[Path]) -> Restored:
    """Put back what a run cleared, from all its backups, oldest first: of each key the oldest value, which was there
    before the run filled the cache itself. A key whose oldest value would have expired by now stays absent. Otherwise
    as `restore`.
    """
    restored = present = expired = superseded = 0
    restored_keys: set[bytes] = set()
    with cache.explained("restoring cleared keys"), cache.keys() as keys:
        for path in paths:
            for batch in _batches(read_backup(path)):
                oldest = [entry for entry in batch if _name(entry.key) not in restored_keys]
                restored_keys.update(_name(entry.key) for entry in oldest if len(paths) > 1)
                now_ms = keys.clock_ms()
                alive = [entry for entry in oldest if entry.expires_at_ms == 0 or entry.expires_at_ms > now_ms]
                present_now = keys.put_back(alive)
                restored, present = restored + len(alive) - present_now, present + present_now
                expired, superseded = expired + len(oldest) - len(alive), superseded + len(batch) - len(oldest)
    return Restored(restored, present, expired, superseded)


def _name(key: bytes) -> bytes:
    """Of a long key its hash, so that many of them fit into memory."""
    return key if len(key) < 64 else hashlib.sha256(key).digest() * 2


def _batches(entries: Iterator[BackupEntry]) -> Iterator[list[BackupEntry]]:
    batch: list[BackupEntry] = []
    size = 0
    for entry in entries:
        batch.append(entry)
        size += len(entry.key) + len(entry.payload)
        if len(batch) == _MOST_KEYS or size > _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
