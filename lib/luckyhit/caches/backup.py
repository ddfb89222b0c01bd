"""Backups of what was cleared.

A backup file is one JSON line (its format and version), then records:

    key length (u32) · payload length (u32) · expires at (i64, ms since 1970 on the cache's clock, 0: never)
    · key · payload as the kind of cache packs it (of Redis: as DUMP gave it) · CRC-32 of all of that (u32)

The highest bit of the key's length marks a record that replaces an earlier one of the same key: somebody rewrote the
key before it was removed. Without a payload it cancels the earlier one: the key was not removed by us after all.

Only its owner may read it, since it holds what the cache held; it is deleted once it is no longer needed.

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

from luckyhit.caches.scope import ClearPace, RemovalCounts, Scope
from luckyhit.errors import GuardError, RunUnreadable, ScopeRefused
from luckyhit.text.json_values import as_object

_FORMAT, _VERSION = "luckyhit-backup", 2
_HEAD = struct.Struct(">IIq")
_CRC = struct.Struct(">I")
_REPLACES = 1 << 31


@dataclass(frozen=True, slots=True)
class BackupEntry:
    """One key: its payload as its kind of cache packs it, and when it expires (0: never)."""

    key: bytes
    payload: bytes
    expires_at_ms: int


class BackupWriter:
    """Writes a backup file; `sync` puts the entries so far on the disk. Raises GuardError where it can't be written."""

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
        """Replace earlier entries of the same keys; without a payload, cancel them."""
        self._write(entries, _REPLACES)

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
        """Close and delete the file: nothing was cleared."""
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, entries: Iterable[BackupEntry], replaces: int) -> None:
        try:
            for entry in entries:
                head = _HEAD.pack(len(entry.key) | replaces, len(entry.payload), entry.expires_at_ms)
                record = head + entry.key + entry.payload
                self._file.write(record + _CRC.pack(zlib.crc32(record)))
                self.count += 0 if replaces else 1
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> GuardError:
        return GuardError(
            f"the backup {self.path} can't be written: {error}",
            hint="No key is cleared before it is in the backup. Make room on the disk, or the directory writable.",
        )


class BackedUpRemoval:
    """The bookkeeping of one clear, whatever the kind of cache: what is backed up, counted, and may be removed at all.
    `writer`: its backup, if any. `rebuildable`: keys without a time to live are removed too."""

    def __init__(self, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool) -> None:
        self.done = RemovalCounts()
        self._scope, self._pace, self._writer, self._rebuildable = scope, pace, writer, rebuildable
        self._written: dict[bytes, bytes] = {}  # payloads in the backup, of this batch

    def entry(self, key: bytes, payload: bytes | None, lives_ms: int, now_ms: int) -> BackupEntry | None:
        """What is to be removed of a key; None, counted, where it is gone (`lives_ms` is -2) or never expires (-1)."""
        if lives_ms == -2 or payload is None:
            self.done.gone += 1
        elif lives_ms == -1 and not self._rebuildable:
            self.done.kept.add(key)
        else:
            return BackupEntry(key, payload, 0 if lives_ms < 0 else now_ms + lives_ms)
        self.cancel([key])
        return None

    def back_up(self, entries: list[BackupEntry]) -> None:
        """Put entries on the disk; those of keys that somebody rewrote replace the earlier ones."""
        again = [entry for entry in entries if entry.key in self._written]
        self.done.rewritten += sum(entry.payload != self._written[entry.key] for entry in again)
        if self._writer is not None and entries:
            self._writer.add(entry for entry in entries if entry.key not in self._written)
            self._writer.replace(again)
            self._writer.sync()
        self._written.update((entry.key, entry.payload) for entry in entries)

    def cancel(self, keys: Iterable[bytes]) -> None:
        """Cancel the backup of these keys: it was not this run that removed them."""
        known = [key for key in keys if self._written.pop(key, None) is not None]
        if self._writer is not None and known:
            self._writer.replace(BackupEntry(key, b"", 0) for key in known)

    def checked(self, keys: list[bytes]) -> list[bytes]:
        """The last check of the keys that a removing command names. Raises ScopeRefused."""
        if len(self._scope.within(keys)) != len(keys):
            raise ScopeRefused(
                "a key outside the scope was about to be cleared", hint="Please report this: it is a bug."
            )
        self.done.named += len(keys)
        return keys


def read_backup(path: Path) -> Iterator[BackupEntry]:
    """The entries of a backup, each key once; a torn record at the end is skipped. Raises RunUnreadable."""
    try:
        with path.open("rb") as file:
            last = {}
            with contextlib.suppress(RunUnreadable):  # raised below, after what can be read
                last = {entry.key: number for number, (entry, replaces) in enumerate(_records(file, path)) if replaces}
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
        replaces, key_size = bool(key_size & _REPLACES), key_size & ~_REPLACES
        rest = file.read(key_size + payload_size + _CRC.size)
        if len(rest) < key_size + payload_size + _CRC.size:
            return
        record = start + rest[: -_CRC.size]
        if zlib.crc32(record) != _CRC.unpack(rest[-_CRC.size :])[0]:
            raise RunUnreadable(
                f"the backup {path} is damaged after {file.tell() - len(rest)} bytes",
                hint="The keys before that place were restored; the service has to load the others again.",
            )
        yield BackupEntry(rest[:key_size], rest[key_size : key_size + payload_size], expires_at_ms), replaces


def _header(line: bytes, path: Path) -> Mapping[str, Any]:
    try:
        head = as_object(json.loads(line))
    except ValueError:
        head = {}
    if not head:
        raise RunUnreadable(f"{path} is not a backup file")
    return head
