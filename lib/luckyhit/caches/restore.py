"""Putting back what was cleared, from backups."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from luckyhit.caches.backup import BackupEntry, read_backup
from luckyhit.caches.base import AnyCache

_MOST_KEYS, _MOST_BYTES = 200, 1 << 20


@dataclass(frozen=True, slots=True)
class Restored:
    """Numbers of keys: `restored`, `present` (there again, left alone), `expired` (they would have expired by now),
    `superseded` (an older backup of the same run had the key already)."""

    restored: int
    present: int
    expired: int
    superseded: int = 0


def restore(cache: AnyCache, *paths: Path) -> Restored:
    """Put back what is absent now, with the time to live that would be left by now. `paths`: backups of one run, oldest
    first; of each key the oldest value comes back, which was there before the run filled the cache itself.

    Never overwrites a key: what is there again was written by the service since. May be repeated. Raises
    CacheUnreachable or TargetError from the cache, RunUnreadable for a damaged file.
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
    """A long key's hash, so that many keys fit into memory."""
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
