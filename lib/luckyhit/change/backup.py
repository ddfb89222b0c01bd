"""What was cleared, kept so that the clear itself can be undone.

A backup file is one JSON line (what it is), then records, each whole or not there:

    key length (u32) · payload length (u32) · expires at (i64, ms since 1970 on the cache's clock, 0: never)
    · key · payload as DUMP gave it · CRC-32 of all of that (u32)

It holds what the cache held, so only its owner may read it, and it is deleted once it is no longer needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis import exceptions as redis_errors

from luckyhit.change.refusals import explained
from luckyhit.errors import GuardError, RunUnreadable

_FORMAT = "luckyhit-backup"
_HEAD = struct.Struct(">IIq")
_CRC = struct.Struct(">I")
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as it was: its payload by DUMP, and when it expires (0: never)."""

    key: bytes
    payload: bytes
    expires_at_ms: int


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the keys of a backup: `restored`, `present` (there again, left as they are), `expired`
    (their time would be over by now)."""

    restored: int
    present: int
    expired: int


class BackupWriter:
    """Writes a backup file; `close` puts it on the disk. Raises GuardError where it can't be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb")
            self._file.write(json.dumps({"format": _FORMAT, "version": 1}).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from None

    def add(self, entries: Iterable[Entry]) -> None:
        try:
            for entry in entries:
                record = _HEAD.pack(len(entry.key), len(entry.payload), entry.expires_at_ms) + entry.key + entry.payload
                self._file.write(record + _CRC.pack(zlib.crc32(record)))
                self.count += 1
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        try:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None

    def discard(self) -> None:
        """Close and delete it: nothing was cleared."""
        with contextlib.suppress(OSError):  # what could not be flushed is not wanted any more
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> GuardError:
        return GuardError(
            f"the backup {self.path} can't be written: {error}",
            hint="Nothing is cleared without its backup. Make room on the disk, or the directory writable.",
        )


def read_backup(path: Path) -> Iterator[Entry]:
    """The whole records of a backup; a torn one at the end is passed over. Raises RunUnreadable."""
    try:
        with path.open("rb") as file:
            head = _header(file.readline(), path)
            if head.get("format") != _FORMAT or head.get("version") != 1:
                raise RunUnreadable(f"{path} is not a backup that this version can read")
            while True:
                start = file.read(_HEAD.size)
                if len(start) < _HEAD.size:
                    return
                key_size, payload_size, expires_at_ms = _HEAD.unpack(start)
                rest = file.read(key_size + payload_size + _CRC.size)
                if len(rest) < key_size + payload_size + _CRC.size:
                    return
                record = start + rest[: -_CRC.size]
                if zlib.crc32(record) != _CRC.unpack(rest[-_CRC.size :])[0]:
                    raise RunUnreadable(
                        f"the backup {path} is damaged behind {file.tell() - len(rest)} bytes",
                        hint="What stands before was restored; the rest has to be rebuilt by the service.",
                    )
                yield Entry(rest[:key_size], rest[key_size : key_size + payload_size], expires_at_ms)
    except OSError as error:
        raise RunUnreadable(f"the backup {path} can't be read: {error}") from None


def _header(line: bytes, path: Path) -> dict[str, Any]:
    try:
        head = json.loads(line)
    except ValueError:
        head = None
    if not isinstance(head, dict):
        raise RunUnreadable(f"{path} is not a backup file")
    return head


def dump(client: redis.Redis, keys: list[bytes], ttls_ms: list[int], now_ms: int) -> list[Entry]:
    """DUMP of `keys` (those still there), with `ttls_ms` as PTTL told them at `now_ms` on the cache's clock."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.dump(key)
    return [
        Entry(key, payload, 0 if ttl_ms < 0 else now_ms + ttl_ms)
        for key, ttl_ms, payload in zip(keys, ttls_ms, pipeline.execute(), strict=True)
        if payload is not None
    ]


def server_time_ms(client: redis.Redis) -> int:
    """The cache's clock, in ms since 1970."""
    seconds, microseconds = client.time()
    return int(seconds) * 1000 + int(microseconds) // 1000


def restore(client: redis.Redis, path: Path) -> Restored:
    """Put back what is absent now, with the time to live that would be left by now. Never overwrites a key:
    what is there again was written by the service since. Safe to repeat.

    Raises CacheUnreachable or TargetError from the cache, RunUnreadable for a damaged file.
    """
    restored = present = expired = 0
    with explained("restoring cleared keys"):
        for batch in _batches(read_backup(path)):
            now_ms = server_time_ms(client)
            alive = [entry for entry in batch if entry.expires_at_ms == 0 or entry.expires_at_ms > now_ms]
            expired += len(batch) - len(alive)
            pipeline = client.pipeline(transaction=False)
            for entry in alive:
                pipeline.restore(entry.key, entry.expires_at_ms, entry.payload, absttl=entry.expires_at_ms > 0)
            for answer in pipeline.execute(raise_on_error=False):
                if not isinstance(answer, Exception):
                    restored += 1
                elif isinstance(answer, redis_errors.ResponseError) and "BUSYKEY" in str(answer):
                    present += 1
                else:
                    raise answer
    return Restored(restored, present, expired)


def _batches(entries: Iterator[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    for entry in entries:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
