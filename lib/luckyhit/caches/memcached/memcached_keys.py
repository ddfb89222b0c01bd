"""The keys of a memcached: those that the case names one by one, since a server does not list its keys.

By its meta commands, which show flags, CAS numbers and times to live, and delete a value only in the state in which it
was seen. Source: doc/protocol.txt of memcached 1.6.18, tried with that version.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from luckyhit.caches.backup import BackedUpRemoval, BackupEntry, BackupWriter
from luckyhit.caches.scope import ClearPace, Listing, Progress, Scope
from luckyhit.errors import ScopeRefused

_FLAGS = struct.Struct(">I")
_BATCH, _ATTEMPTS = 100, 14
_LONGEST_RELATIVE_S = 30 * 24 * 3600
"""Memcached reads a longer time to live as seconds since 1970."""

_LONGEST_KEY = 250


@dataclass(frozen=True, slots=True)
class Reply:
    """`code`: HD, VA, EN, NF, NS, EX, ME ...; `flags` by letter; `value` only with VA."""

    code: str
    flags: dict[str, str]
    value: bytes = b""


class MetaClient:
    """One connection. Raises OSError where it breaks or an answer takes longer than `timeout_s`."""

    def __init__(self, address: tuple[str, int], timeout_s: float) -> None:
        self._socket = socket.create_connection(address, timeout=timeout_s)
        self._file = self._socket.makefile("rb")

    def ask(self, commands: Sequence[bytes]) -> list[Reply]:
        self._socket.sendall(b"".join(commands))
        return [self._reply() for _ in commands]

    def stats(self, section: str = "") -> dict[str, str]:
        self._socket.sendall(f"stats {section}".strip().encode() + b"\r\n")
        statistics: dict[str, str] = {}
        while (line := self._line()) != "END":
            _, name, value = line.split(" ", 2)
            statistics[name] = value
        return statistics

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _reply(self) -> Reply:
        code, *words = self._line().split(" ")
        if code in ("ERROR", "CLIENT_ERROR", "SERVER_ERROR"):
            raise ConnectionError(f"memcached refused a command: {' '.join([code, *words])}")
        value = b""
        if code == "VA":
            size = int(words.pop(0))
            value = self._file.read(size + 2)[:-2]
        if code == "ME":
            return Reply(code, dict(word.split("=", 1) for word in words[1:]))
        return Reply(code, {word[0]: word[1:] for word in words if word}, value)

    def _line(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("memcached closed the connection")
        return line[:-2].decode("utf-8", "backslashreplace")


def valid_key(key: bytes) -> bool:
    return 0 < len(key) <= _LONGEST_KEY and not any(byte <= 32 or byte == 127 for byte in key)


class MemcachedKeys:
    """The keys while `client` is connected."""

    servers = 1

    def __init__(self, client: MetaClient) -> None:
        self.client = client

    def batches(self) -> Iterator[list[bytes]]:
        raise ScopeRefused("memcached does not list its keys", hint="Name the keys in cache.clear or cache.keys.")

    def listing(self, scope: Scope, *, every: bool = False) -> Listing:
        """By `me`, which does not count as a hit. `total` is the server's number."""
        if scope.unlisted_templates:
            raise ScopeRefused(
                f"memcached does not list its keys, so {scope.unlisted_templates[0]!r} in cache.clear names none",
                hint="List the keys in cache.clear, or give the numbers that the braces stand for in cache.keys.",
            )
        keys = [key for key in scope.listed_keys if valid_key(key)]
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
        return _clock_ms(self.client)

    def put_back(self, entries: list[BackupEntry]) -> int:
        now_ms = self.clock_ms()
        replies = self.client.ask([_add(entry, now_ms) for entry in entries])
        return sum(reply.code == "NS" for reply in replies)

    def remover(
        self, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool
    ) -> MemcachedRemover:
        return MemcachedRemover(self.client, scope, pace, writer=writer, rebuildable=rebuildable)


class MemcachedRemover(BackedUpRemoval):
    """Reads each key with its CAS number, backs it up, and deletes it if that number is still the same."""

    def __init__(
        self, client: MetaClient, scope: Scope, pace: ClearPace, *, writer: BackupWriter | None, rebuildable: bool
    ) -> None:
        super().__init__(scope, pace, writer=writer, rebuildable=rebuildable)
        self._client = client

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
        self._written.clear()
        for _ in range(_ATTEMPTS):
            keys = self._read_and_delete(keys)
            if not keys:
                return
        self.done.contended += len(keys)
        self.cancel(keys)

    def _read_and_delete(self, keys: list[bytes]) -> list[bytes]:
        """Returns those that somebody wrote in between."""
        now_ms = _clock_ms(self._client)
        numbers: list[bytes] = []
        entries: list[BackupEntry] = []
        for key, reply in zip(keys, self._client.ask([b"mg %b t f v c\r\n" % key for key in keys]), strict=True):
            gone = reply.code == "EN"
            payload = None if gone else _FLAGS.pack(int(reply.flags["f"])) + reply.value
            entry = self.entry(key, payload, -2 if gone else _lifetime_ms(reply), now_ms)
            if entry is not None:
                entries.append(entry)
                numbers.append(reply.flags["c"].encode())
        self.back_up(entries)
        if not entries:
            return []
        removed_any, self.done.removed_any = self.done.removed_any, True
        names = self.checked([entry.key for entry in entries])
        replies = self._client.ask([b"md %b C%b\r\n" % (key, cas) for key, cas in zip(names, numbers, strict=True)])
        codes = [reply.code for reply in replies]
        self.done.cleared += codes.count("HD")
        self.done.removed_any = removed_any or "HD" in codes
        gone_keys = [key for key, code in zip(names, codes, strict=True) if code == "NF"]
        self.done.gone += len(gone_keys)
        self.cancel(gone_keys)
        return [key for key, code in zip(names, codes, strict=True) if code == "EX"]


def _clock_ms(client: MetaClient) -> int:
    return int(client.stats()["time"]) * 1000


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
