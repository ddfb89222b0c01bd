"""What was cleared, kept so that the clear itself can be undone.

A backup file is one JSON line (what it is), then records, each whole or not there:

    key length (u32) · payload length (u32) · expires at (i64, ms since 1970 on the cache's clock, 0: never)
    · key · payload as the kind of cache packs it (of Redis: as DUMP gave it) · CRC-32 of all of that (u32)

The highest bit of the key's length says that the record replaces an earlier one of the same key: somebody rewrote the
key before it was removed. Without a payload, it takes the earlier one back: the key was not removed by us after all.

It holds what the cache held, so only its owner may read it, and it is deleted once it is no longer needed.

File format history:
    1  first version
    2  records that replace earlier ones
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from luckyhit.errors import GuardError, RunUnreadable
from luckyhit.text.json_values import as_object

_FORMAT, _VERSION = "luckyhit-backup", 2
_HEAD = struct.Struct(">IIq")
_CRC = struct.Struct(">I")
_AGAIN = 1 << 31


@dataclass(frozen=True, slots=True)
class BackupEntry:
    """One key as it was: its payload as its kind of cache packs it, and when it expires (0: never)."""

    key: bytes
    payload: bytes
    expires_at_ms: int


class BackupWriter:
    """Writes a backup file; `sync` puts what was added on the disk. Raises GuardError where it can't be written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self._file = os.fdopen(descriptor, "wb")
            self._file.write(json.dumps({"format": _FORMAT, "version": _VERSION}).encode() + b"\n")
        except OSError as error:
            raise self._unwritable(error) from None

    def add(self, entries: Iterable[BackupEntry]) -> None:
        self._write(entries, 0)

    def replace(self, entries: Iterable[BackupEntry]) -> None:
        """Add what takes the place of an earlier entry of the same key; without a payload, the key has none at all."""
        self._write(entries, _AGAIN)

    def sync(self) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from None

    def close(self) -> None:
        try:
            with self._file:
                self.sync()
        except OSError as error:
            raise self._unwritable(error) from None

    def discard(self) -> None:
        """Close and delete it: nothing was cleared."""
        with contextlib.suppress(OSError):  # what could not be flushed is not wanted any more
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, entries: Iterable[BackupEntry], again: int) -> None:
        try:
            for entry in entries:
                head = _HEAD.pack(len(entry.key) | again, len(entry.payload), entry.expires_at_ms)
                record = head + entry.key + entry.payload
                self._file.write(record + _CRC.pack(zlib.crc32(record)))
                self.count += 0 if again else 1
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> GuardError:
        return GuardError(
            f"the backup {self.path} can't be written: {error}",
            hint="No key is cleared before it stands in the backup. Make room on the disk, or the directory writable.",
        )


def read_backup(path: Path) -> Iterator[BackupEntry]:
    """The entries of a backup, each key once; a torn record at the end is passed over. Raises RunUnreadable."""
    try:
        with path.open("rb") as file:
            last = {}
            with contextlib.suppress(RunUnreadable):  # it is raised below, behind what can be read
                last = {entry.key: number for number, (entry, again) in enumerate(_records(file, path)) if again}
            for number, (entry, _) in enumerate(_records(file, path)):
                if entry.payload and last.get(entry.key, number) == number:
                    yield entry
    except OSError as error:
        raise RunUnreadable(f"the backup {path} can't be read: {error}") from None


def _records(file: IO[bytes], path: Path) -> Iterator[tuple[BackupEntry, bool]]:
    """(entry, whether it replaces an earlier one), from the start of the file on."""
    file.seek(0)
    head = _header(file.readline(), path)
    if head.get("format") != _FORMAT or head.get("version") not in (1, _VERSION):
        raise RunUnreadable(f"{path} is not a backup that this version can read")
    while True:
        start = file.read(_HEAD.size)
        if len(start) < _HEAD.size:
            return
        key_size, payload_size, expires_at_ms = _HEAD.unpack(start)
        again, key_size = bool(key_size & _AGAIN), key_size & ~_AGAIN
        rest = file.read(key_size + payload_size + _CRC.size)
        if len(rest) < key_size + payload_size + _CRC.size:
            return
        record = start + rest[: -_CRC.size]
        if zlib.crc32(record) != _CRC.unpack(rest[-_CRC.size :])[0]:
            raise RunUnreadable(
                f"the backup {path} is damaged behind {file.tell() - len(rest)} bytes",
                hint="What stands before was restored; the rest has to be rebuilt by the service.",
            )
        yield BackupEntry(rest[:key_size], rest[key_size : key_size + payload_size], expires_at_ms), again


def _header(line: bytes, path: Path) -> Mapping[str, Any]:
    try:
        head = as_object(json.loads(line))
    except ValueError:
        head = {}
    if not head:
        raise RunUnreadable(f"{path} is not a backup file")
    return head
