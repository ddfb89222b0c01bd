"""What one request asked of caches and of the database, and the functions that count it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_OWN = "_memver"
"""Ends the keys under which Flask-Caching keeps the versions of its functions."""


class Counts:
    """What one request did: lookups that found something and that didn't, and calls of the database."""

    __slots__ = ("by_hand", "db_calls", "hits", "misses", "prefixes")

    def __init__(self, prefixes: tuple[str, ...]) -> None:
        self.hits = self.misses = self.db_calls = 0
        self.prefixes = prefixes
        self.by_hand = False

    def lookup(self, key: object, found: bool) -> None:
        """Count one lookup, unless its key is none of those that are watched, or is the library's own."""
        text = key.decode(errors="replace") if isinstance(key, bytes) else str(key)
        if text.endswith(_OWN) or (self.prefixes and not text.startswith(self.prefixes)):
            return
        if found:
            self.hits += 1
        else:
            self.misses += 1

    @property
    def status(self) -> str | None:
        """HIT where every lookup found something, MISS where one didn't, None where no cache was asked."""
        if self.misses:
            return "MISS"
        return "HIT" if self.hits else None


current: ContextVar[Counts | None] = ContextVar("cache_visibility_counts", default=None)
# Set while a library that is watched works: what it asks of another one that is watched, too, was counted already.
inside_cache: ContextVar[bool] = ContextVar("cache_visibility_inside_cache", default=False)
inside_database: ContextVar[bool] = ContextVar("cache_visibility_inside_database", default=False)


def cache_lookup(found: bool, key: object = "") -> None:
    """Count a lookup in a cache that is not watched: a dictionary in the process, a client of your own."""
    if (counts := current.get()) is not None:
        counts.lookup(key, found)


def database_call(number: int = 1) -> None:
    """Count calls of a database that is not watched. Who does so is taken to count all of them."""
    if (counts := current.get()) is not None:
        counts.db_calls += number
        counts.by_hand = True


def count_statement() -> None:
    """Count a call of a database that is watched."""
    if (counts := current.get()) is not None:
        counts.db_calls += 1


def count_lookup(kind: type, name: str, default_at: int | None = 0) -> None:
    """Count calls of `kind.name(key, default, ...)`: found is what is neither None nor the default."""
    original = kind.__dict__[name]

    def begins() -> Counts | None:
        return None if inside_cache.get() else current.get()

    def found(value: object, args: Sequence[Any], more: Mapping[str, Any]) -> bool:
        default = more.get("default")
        if default_at is not None and len(args) > default_at:
            default = args[default_at]
        return value is not None and value is not default

    if is_async(original):

        @functools.wraps(original)
        async def get(self: Any, key: Any, *args: Any, **more: Any) -> Any:
            if (counts := begins()) is None:
                return await original(self, key, *args, **more)
            with flagged(inside_cache):
                value = await original(self, key, *args, **more)
            counts.lookup(key, found(value, args, more))
            return value

    else:

        @functools.wraps(original)
        def get(self: Any, key: Any, *args: Any, **more: Any) -> Any:
            if (counts := begins()) is None:
                return original(self, key, *args, **more)
            with flagged(inside_cache):
                value = original(self, key, *args, **more)
            counts.lookup(key, found(value, args, more))
            return value

    setattr(kind, name, get)


def count_lookups(kind: type, name: str, keys_of: Callable[[tuple[Any, ...]], Sequence[Any]]) -> None:
    """Count calls that give several values: a mapping of what was found, or a sequence in the order of the keys."""
    original = kind.__dict__[name]

    def count(counts: Counts, keys: Sequence[Any], values: Any) -> None:
        found = values if hasattr(values, "keys") else dict(zip(keys, values or (), strict=False))
        for key in keys:
            counts.lookup(key, found.get(key) is not None)

    if is_async(original):

        @functools.wraps(original)
        async def get(self: Any, *args: Any, **more: Any) -> Any:
            counts = None if inside_cache.get() else current.get()
            if counts is None:
                return await original(self, *args, **more)
            with flagged(inside_cache):
                values = await original(self, *args, **more)
            count(counts, list(keys_of(args)), values)
            return values

    else:

        @functools.wraps(original)
        def get(self: Any, *args: Any, **more: Any) -> Any:
            counts = None if inside_cache.get() else current.get()
            if counts is None:
                return original(self, *args, **more)
            with flagged(inside_cache):
                values = original(self, *args, **more)
            count(counts, list(keys_of(args)), values)
            return values

    setattr(kind, name, get)


def is_async(function: object) -> bool:
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & 0x80)


@contextmanager
def flagged(flag: ContextVar[bool]) -> Iterator[None]:
    token = flag.set(True)
    try:
        yield
    finally:
        flag.reset(token)
