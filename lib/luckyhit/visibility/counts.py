"""What one request asked of caches and of the database, and the functions that count it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

Lookups = Sequence[tuple[object, bool]]
"""(key, whether something was found)"""
Command = tuple[Sequence[Any], Lookups]
"""A command of a cache's server: its words, and its lookups."""

OWN = "_memver"
"""Ends the keys under which Flask-Caching keeps the versions of its functions."""


class Counts:
    """What one request did: lookups that found something and that didn't, and calls of the database."""

    __slots__ = ("by_hand", "db_calls", "hits", "misses", "prefixes")
    keeps_commands = False
    """Whether commands of the cache's server are of use that a cache library made."""

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self.hits = self.misses = self.db_calls = 0
        self.prefixes = prefixes
        self.by_hand = False

    def lookup(self, key: object, hit: bool) -> None:
        """Count one lookup, unless its key is none of those that are watched, or is the library's own."""
        text = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
        if text.endswith(OWN) or (self.prefixes and not text.startswith(self.prefixes)):
            return
        if hit:
            self.hits += 1
        else:
            self.misses += 1

    def operation(self, lookups: Lookups, beneath: Sequence[Command]) -> None:
        """Count one call of a cache library. `beneath`: the commands of the cache's server that it came down to."""
        for key, hit in lookups:
            self.lookup(key, hit)

    def command(self, words: Sequence[Any], lookups: Lookups) -> None:
        """Count one command of the cache's server that no cache library made."""
        for key, hit in lookups:
            self.lookup(key, hit)

    def statement(self, text: object) -> None:
        """Count a call of the database."""
        self.db_calls += 1

    @property
    def status(self) -> str | None:
        """HIT where every lookup found something, MISS where one didn't, None where no cache was asked."""
        if self.misses:
            return "MISS"
        return "HIT" if self.hits else None


current: ContextVar[Counts | None] = ContextVar("cache_visibility_counts", default=None)
elsewhere: list[Counts | None] = [None]
"""What counts outside of requests: nobody."""
# Set while a library that is watched works: what it asks of another one that is watched, too, was counted already. The
# commands of a cache's server are kept meanwhile.
inside_cache: ContextVar[list[Command] | None] = ContextVar("cache_visibility_inside_cache", default=None)
inside_database: ContextVar[bool] = ContextVar("cache_visibility_inside_database", default=False)


def cache_lookup(found: bool, key: object = "") -> None:
    """Count a lookup in a cache that is not watched: a dictionary in the process, a client of your own."""
    if (counts := current.get(elsewhere[0])) is not None:
        counts.lookup(key, found)


def database_call(number: int = 1) -> None:
    """Count calls of a database that is not watched. Who does so is taken to count all of them."""
    if (counts := current.get(elsewhere[0])) is not None:
        counts.db_calls += number
        counts.by_hand = True


def count_statement(text: object = "") -> None:
    """Count a call of a database that is watched."""
    if (counts := current.get(elsewhere[0])) is not None:
        counts.statement(text)


def begun() -> Counts | None:
    """The counts of the request that calls a library, unless another library that is watched made the call."""
    return None if inside_cache.get() is not None else current.get(elsewhere[0])


def count_lookup(kind: type, name: str, default_at: int | None = 0) -> None:
    """Count calls of `kind.name(key, default, ...)`: found is what is neither None nor the default."""

    def count(
        counts: Counts, args: tuple[Any, ...], more: Mapping[str, Any], value: object, beneath: list[Command]
    ) -> None:
        key = args[0] if args else more.get("key", "")
        default = more.get("default")
        if default_at is not None and len(args) > default_at + 1:
            default = args[default_at + 1]
        counts.operation(((key, value is not None and value is not default),), beneath)

    wrap(kind, name, count)


def count_lookups(kind: type, name: str, keys_of: Callable[[tuple[Any, ...]], Sequence[Any]]) -> None:
    """Count calls that give several values: a mapping of what was found, or a sequence in the order of the keys."""

    def count(
        counts: Counts, args: tuple[Any, ...], more: Mapping[str, Any], values: Any, beneath: list[Command]
    ) -> None:
        keys = list(keys_of(args or tuple(more.values())))
        found = values if hasattr(values, "keys") else dict(zip(keys, values or ()))  # noqa: B905 - of Python 3.10
        counts.operation([(key, found.get(key) is not None) for key in keys], beneath)

    wrap(kind, name, count)


def wrap(
    kind: type,
    name: str,
    count: Callable[[Counts, tuple[Any, ...], Mapping[str, Any], Any, list[Command]], None],
) -> None:
    """Give what a method of a cache library was asked, and its answer, to `count`, once it is over."""
    original = kind.__dict__[name]

    if is_async(original):

        @functools.wraps(original)
        async def method(self: Any, *args: Any, **more: Any) -> Any:
            if (counts := begun()) is None:
                return await original(self, *args, **more)
            beneath: list[Command] = []
            token = inside_cache.set(beneath)
            try:
                value = await original(self, *args, **more)
            finally:
                inside_cache.reset(token)
            count(counts, args, more, value, beneath)
            return value

    else:

        @functools.wraps(original)
        def method(self: Any, *args: Any, **more: Any) -> Any:
            if (counts := begun()) is None:
                return original(self, *args, **more)
            beneath: list[Command] = []
            token = inside_cache.set(beneath)
            try:
                value = original(self, *args, **more)
            finally:
                inside_cache.reset(token)
            count(counts, args, more, value, beneath)
            return value

    setattr(kind, name, method)


def is_async(function: object) -> bool:
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & 0x80)
