"""The keys of a memcached: those that the case names one by one, since a server does not list its keys."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence

from luckyhit.caches.backup import BackupEntry, BackupWriter
from luckyhit.caches.clear_pace import ClearPace
from luckyhit.caches.memcached.meta_client import MetaClient, Reply, possible
from luckyhit.caches.scope import Listing, Progress, RemovalCounts, Scope
from luckyhit.errors import ScopeRefused

_FLAGS = struct.Struct(">I")
_BATCH, _ATTEMPTS = 100, 14
_LONGEST_RELATIVE_S = 30 * 24 * 3600
"""A longer time to live is read as seconds since 1970."""


class MemcachedKeys:
    """The keys while `client` is connected."""

    servers = 1

    def __init__(self, client: MetaClient) -> None:
        self.client = client

    def batches(self) -> Iterator[list[bytes]]:
        raise ScopeRefused("a memcached does not list its keys", hint="Name the keys in cache.clear or cache.keys.")

    def listing(self, scope: Scope, *, every: bool = False) -> Listing:
        """By `me`, which counts as no hit. `total` is what the server says."""
        if scope.unlisted_templates:
            raise ScopeRefused(
                f"a memcached does not list its keys, so {scope.unlisted_templates[0]!r} in cache.clear names none",
                hint="Write the keys out in cache.clear; or name the numbers that stand for its braces: cache.keys.",
            )
        keys = [key for key in scope.listed_keys if possible(key)]
        inside: list[bytes] = []
        for start in range(0, len(keys), _BATCH):
            batch = keys[start : start + _BATCH]
            replies = self.client.ask([b"me %b\r\n" % key for key in batch])
            inside += [key for key, reply in zip(batch, replies, strict=True) if reply.code == "ME"]
        return Listing(inside, max(int(self.client.stats()["curr_items"]), len(inside)))

    def dropped(self) -> int:
        stats = self.client.stats()
        return int(stats["evictions"]) + int(stats["reclaimed"])

    def lifetimes_ms(self, keys: Sequence[bytes]) -> list[int]:
        """By `mg`, which counts as a hit; whole seconds."""
        replies = self.client.ask([b"mg %b t\r\n" % key for key in keys])
        return [-2 if reply.code == "EN" else _lifetime_ms(reply) for reply in replies]

    def clock_ms(self) -> int:
        return int(self.client.stats()["time"]) * 1000

    def put_back(self, entries: list[BackupEntry]) -> int:
        now_ms = self.clock_ms()
        replies = self.client.ask([_add(entry, now_ms) for entry in entries])
        return sum(reply.code == "NS" for reply in replies)

    def remover(
        self, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool
    ) -> MemcachedRemover:
        return MemcachedRemover(self, scope, pace, writer, rebuildable)


class MemcachedRemover:
    """Looks at each key with its CAS number, backs it up, and deletes it where that number is still the same."""

    def __init__(
        self, keys: MemcachedKeys, scope: Scope, pace: ClearPace, writer: BackupWriter | None, rebuildable: bool
    ) -> None:
        self.done = RemovalCounts()
        self._keys, self._scope, self._pace = keys, scope, pace
        self._writer, self._rebuildable = writer, rebuildable

    def run(self, keys: list[bytes], on_progress: Progress | None) -> None:
        start = 0
        while start < len(keys):
            batch = keys[start : start + self._pace.size]
            started_s = time.monotonic()
            self._remove(batch)
            self._pace.took(len(batch), time.monotonic() - started_s)
            start += len(batch)
            if on_progress is not None:
                on_progress(start, len(keys))

    def _remove(self, keys: list[bytes]) -> None:
        written: dict[bytes, bytes] = {}
        for _ in range(_ATTEMPTS):
            keys = self._look_and_delete(keys, written)
            if not keys:
                return
        self.done.contended += len(keys)
        self._take_back(keys, written)

    def _look_and_delete(self, keys: list[bytes], written: dict[bytes, bytes]) -> list[bytes]:
        """Returns those that somebody wrote between the look and the removal."""
        now_ms = self._keys.clock_ms()
        entries: list[tuple[BackupEntry, str]] = []
        for key, reply in zip(keys, self._keys.client.ask([b"mg %b t f v c\r\n" % key for key in keys]), strict=True):
            if reply.code == "EN":
                self.done.gone += 1
                self._take_back([key], written)
            elif _lifetime_ms(reply) == -1 and not self._rebuildable:
                self.done.kept.add(key)
                self._take_back([key], written)
            else:
                lives_ms = _lifetime_ms(reply)
                payload = _FLAGS.pack(int(reply.flags["f"])) + reply.value
                entries.append((BackupEntry(key, payload, 0 if lives_ms < 0 else now_ms + lives_ms), reply.flags["c"]))
        self._back_up([entry for entry, _ in entries], written)
        if not entries:
            return []
        removed_any, self.done.removed_any = self.done.removed_any, True
        replies = self._keys.client.ask([self._delete(entry.key, cas) for entry, cas in entries])
        codes = [reply.code for reply in replies]
        self.done.cleared += codes.count("HD")
        self.done.removed_any = removed_any or "HD" in codes
        gone = [entry.key for (entry, _), code in zip(entries, codes, strict=True) if code == "NF"]
        self.done.gone += len(gone)
        self._take_back(gone, written)
        return [entry.key for (entry, _), code in zip(entries, codes, strict=True) if code == "EX"]

    def _delete(self, key: bytes, cas: str) -> bytes:
        """The one command that removes anything, and the last look at what it names."""
        if key not in self._scope:
            raise ScopeRefused(
                "a key outside the scope was about to be cleared", hint="Please report this: it is a bug."
            )
        self.done.named += 1
        return b"md %b C%b\r\n" % (key, cas.encode())

    def _back_up(self, entries: list[BackupEntry], written: dict[bytes, bytes]) -> None:
        again = [entry for entry in entries if entry.key in written]
        self.done.rewritten += sum(entry.payload != written[entry.key] for entry in again)
        written.update((entry.key, entry.payload) for entry in entries)
        if self._writer is not None and entries:
            names = {entry.key for entry in again}
            self._writer.add(entry for entry in entries if entry.key not in names)
            self._writer.replace(again)
            self._writer.sync()

    def _take_back(self, keys: Sequence[bytes], written: dict[bytes, bytes]) -> None:
        """What the backup has of these keys is not to be put back: it was not we who removed them."""
        known = [key for key in keys if written.pop(key, None) is not None]
        if self._writer is not None and known:
            self._writer.replace(BackupEntry(key, b"", 0) for key in known)


def _lifetime_ms(reply: Reply) -> int:
    seconds = int(reply.flags["t"])
    return -1 if seconds < 0 else 1000 * seconds


def _add(entry: BackupEntry, now_ms: int) -> bytes:
    """A store that never overwrites."""
    flags, value = _FLAGS.unpack_from(entry.payload)[0], entry.payload[_FLAGS.size :]
    lives_s = max(1, -(-(entry.expires_at_ms - now_ms) // 1000)) if entry.expires_at_ms else 0
    if lives_s > _LONGEST_RELATIVE_S:
        lives_s = entry.expires_at_ms // 1000
    return b"ms %b %d F%d T%d ME\r\n%b\r\n" % (entry.key, len(value), flags, lives_s, value)
