"""What is stored and deleted, of the libraries whose lookups are watched."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from luckyhit.visibility.caches import for_each_below
from luckyhit.visibility.counts import Command, Counts, wrap

ALL = "*"
"""In place of a key: all of them."""
STORED, DELETED = "stored", "deleted"
_ONE = (
    "SET SETEX PSETEX SETNX GETSET APPEND SETRANGE INCR INCRBY INCRBYFLOAT DECR DECRBY HSET HMSET HSETNX HINCRBY "
    "HINCRBYFLOAT HDEL SADD SREM ZADD ZREM ZINCRBY LPUSH RPUSH LPOP RPOP LTRIM LREM LSET PFADD XADD JSON.SET RESTORE"
)
_REDIS: dict[str, tuple[str, int, int]] = {
    **dict.fromkeys(_ONE.split(), (STORED, 1, 2)),
    "MSET": (STORED, 1, 0), "MSETNX": (STORED, 1, 0), "RENAME": (STORED, 2, 3), "COPY": (STORED, 2, 3),
    "DEL": (DELETED, 1, 0), "UNLINK": (DELETED, 1, 0), "GETDEL": (DELETED, 1, 2), "JSON.DEL": (DELETED, 1, 2),
}  # fmt: skip
"""By command: what it does, and from which word to which (0: the last) its keys are."""
_EMPTYING = ("FLUSHDB", "FLUSHALL")
SCRIPTS = ("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO")
_METHODS: dict[str, tuple[str, str]] = {
    "set": (STORED, "one"), "set_raw": (STORED, "one"), "add": (STORED, "one"), "incr": (STORED, "one"),
    "inc": (STORED, "one"), "dec": (STORED, "one"), "increment": (STORED, "one"), "set_many": (STORED, "several"),
    "multi_set": (STORED, "several"), "delete": (DELETED, "one"), "delete_many": (DELETED, "several"),
    "delete_match": (DELETED, "one"), "clear": (DELETED, "all"),
}  # fmt: skip
"""Methods of cache libraries: what they do, and with what."""


def written_by(words: Sequence[Any]) -> list[tuple[str, object]]:
    """(what a command of a Redis server does, the key) for each key that it writes."""
    command = str(words[0]).upper()
    if command in _EMPTYING:
        return [(DELETED, ALL)]
    if command not in _REDIS:
        return []
    verb, first, end = _REDIS[command]
    keys = list(words[first : end or None])
    return [(verb, key) for key in (keys[::2] if command.startswith("MSET") else keys)]


def watch_writes(library: str, write: Callable[[str, Sequence[object], Sequence[Command]], None]) -> None:
    """Have `write(what, keys, server commands beneath)` called for each write through a cache library."""

    def count(kind: type) -> None:
        for name, (verb, which) in _METHODS.items():
            if name in kind.__dict__:
                _count(kind, name, verb, which, write)

    if library == "django.core.cache":
        base = importlib.import_module("django.core.cache.backends.base").__dict__["BaseCache"]
        for name in ("set_many", "delete_many", "incr"):
            _count(base, name, *_METHODS[name], write)
        for_each_below(base, count)
    elif library == "cachelib":
        base = sys.modules["cachelib.base"].__dict__["BaseCache"]
        count(base)
        for_each_below(base, count)
    elif library == "aiocache":
        count(sys.modules["aiocache.base"].__dict__["BaseCache"])
    elif library == "cashews":
        count(importlib.import_module("cashews.wrapper.commands").__dict__["CommandWrapper"])


def _count(
    kind: type, name: str, verb: str, which: str, write: Callable[[str, Sequence[object], Sequence[Command]], None]
) -> None:
    def count(
        counts: Counts, args: tuple[Any, ...], more: Mapping[str, Any], value: object, beneath: list[Command]
    ) -> None:
        given = args or tuple(more.values())
        if which == "all":
            write(verb, [ALL], beneath)
        elif which == "one" or not given:
            write(verb, list(given[:1]), beneath)
        elif isinstance(given[0], (str, bytes)):  # each key is an argument of its own
            write(verb, list(given), beneath)
        else:  # a mapping, a list of keys, or of pairs
            write(verb, [one[0] if isinstance(one, tuple) else one for one in given[0]], beneath)

    wrap(kind, name, count)
