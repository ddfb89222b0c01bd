"""What one request does in the cache: the keys that it reads, stores and deletes, seen while it runs alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from luckyhit.caches.base import AnyCache, KeyCommand

AFTERWARDS_S = 0.15
"""So long after its answer a request may still touch the cache: a delete behind the acknowledgement."""


@dataclass(frozen=True)
class TouchedKeys:
    """Keys by what was done with them, in order, each once. `flushed`: all keys were deleted at once.
    `fields`: (key, field) of the hashes among those that were stored."""

    read: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    flushed: bool = False
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def entries(self) -> tuple[str, ...]:
        """Keys that were looked up, or filled: what an answer is made of."""
        return tuple(dict.fromkeys((*self.read, *self.stored)))

    @property
    def filled(self) -> tuple[str, ...]:
        """The keys of a load's entry: looked up and then stored; else all that were stored."""
        return tuple(key for key in self.stored if key in self.read) or self.stored

    @property
    def places(self) -> tuple[str, ...]:
        """What was stored: keys, and of hashes each field, since fields may be entries of their own."""
        hashes = {key for key, _ in self.fields}
        return (*(key for key in self.stored if key not in hashes), *(f"{key} {field}" for key, field in self.fields))

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.stored, *self.deleted)))


def touched_by(commands: list[KeyCommand]) -> TouchedKeys:
    """A key that one request both stores without having read it, and deletes, is a lock that it held."""
    flushed = any(command.keys == ("*",) for command in commands)
    read, stored, deleted = (
        list(dict.fromkeys(key for command in commands if command.verb == verb for key in command.keys if key != "*"))
        for verb in ("read", "stored", "deleted")
    )
    order = {key: command.verb for command in reversed(commands) for key in command.keys}
    last = {key: command.verb for command in commands for key in command.keys}
    locks = {key for key in stored if order[key] == "stored" and last[key] == "deleted"}
    return TouchedKeys(
        tuple(key for key in read if key not in locks),
        tuple(key for key in stored if key not in locks),
        tuple(key for key in deleted if key not in locks),
        flushed,
        tuple(dict.fromkeys((key, field) for one in commands for key in one.keys for field in one.fields)),
    )


class CacheView:
    """A cache of the run's own, as experiments look at it and empty it."""

    def __init__(self, cache: AnyCache) -> None:
        if cache.commands is None:
            raise ValueError("a cache whose commands can't be seen")
        self.cache, self._commands = cache, cache.commands

    def empty(self) -> None:
        self._commands.empty()

    def delete(self, keys: tuple[str, ...]) -> int:
        return self._commands.delete(keys)

    def subscribers(self) -> int:
        return self._commands.subscribers()

    def during(self, do: Callable[[], object], *, afterwards_s: float = 0.0) -> TouchedKeys:
        """What `do` did, and what came within `afterwards_s` of its end."""
        with self._commands.window() as window:
            do()
            if afterwards_s:
                time.sleep(afterwards_s)
            return touched_by(window.close())

    def is_empty(self) -> bool:
        with self.cache.keys() as space:
            return not any(space.batches())

    def lifetimes_s(self, keys: tuple[str, ...]) -> dict[str, float | None]:
        """Time to live of each key that is there: None without an end."""
        with self.cache.keys() as space:
            left = space.lifetimes_ms([key.encode("utf-8", "surrogateescape") for key in keys])
        return {key: None if ms == -1 else ms / 1000 for key, ms in zip(keys, left, strict=True) if ms != -2}

    def evicted(self) -> float:
        with self.cache.sampler() as take:
            return take().get("evicted_keys", 0.0)
