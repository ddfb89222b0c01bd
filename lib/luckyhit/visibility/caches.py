"""Caches that are watched: redis-py and valkey-py, and the libraries over them and beside them."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from luckyhit.visibility.counts import (
    Lookups,
    count_lookup,
    count_lookups,
    current,
    elsewhere,
    inside_cache,
    is_async,
)

_LOOKUPS = {"GET", "GETEX", "GETDEL", "HGET", "HGETALL", "JSON.GET"}
_SEVERAL = {"MGET": 1, "HMGET": 2}
"""Redis commands that give a list, and where their keys or fields begin."""


def watch_redis(package: str) -> None:
    for module, kinds in (
        ("client", ("Redis", "Valkey")),
        ("asyncio.client", ("Redis", "Valkey")),
        ("cluster", ("RedisCluster", "ValkeyCluster")),
        ("asyncio.cluster", ("RedisCluster", "ValkeyCluster")),
    ):
        try:
            inside = importlib.import_module(f"{package}.{module}")
        except ImportError:  # an old version, or one without cluster
            continue
        for name in kinds:
            if (kind := inside.__dict__.get(name)) is not None:
                _count_commands(kind)
        if (pipeline := inside.__dict__.get("Pipeline")) is not None and "cluster" not in module:
            _count_pipeline(pipeline)


def _count_commands(kind: type) -> None:
    original = kind.__dict__["execute_command"]
    if is_async(original):

        @functools.wraps(original)
        async def execute_command(self: Any, *args: Any, **options: Any) -> Any:
            value = await original(self, *args, **options)
            _count_command(args, value)
            return value

    else:

        @functools.wraps(original)
        def execute_command(self: Any, *args: Any, **options: Any) -> Any:
            value = original(self, *args, **options)
            _count_command(args, value)
            return value

    kind.execute_command = execute_command  # type: ignore[attr-defined]


def _count_pipeline(kind: type) -> None:
    original = kind.__dict__["execute"]

    def count(stack: Sequence[Any], values: Any) -> None:
        for command, value in zip(stack, values or ()):  # noqa: B905 - of Python 3.10
            if not isinstance(value, BaseException):
                _count_command(command[0], value)

    if is_async(original):

        @functools.wraps(original)
        async def execute(self: Any, *args: Any, **more: Any) -> Any:
            stack = list(self.command_stack)
            values = await original(self, *args, **more)
            count(stack, values)
            return values

    else:

        @functools.wraps(original)
        def execute(self: Any, *args: Any, **more: Any) -> Any:
            stack = list(self.command_stack)
            values = original(self, *args, **more)
            count(stack, values)
            return values

    kind.execute = execute  # type: ignore[attr-defined]


def _count_command(args: Sequence[Any], value: Any) -> None:
    if (counts := current.get(elsewhere[0])) is None or not args:
        return
    if (beneath := inside_cache.get()) is None:
        counts.command(args, lookups_of(args, value))
    elif counts.keeps_commands:
        beneath.append((args, lookups_of(args, value)))


def lookups_of(words: Sequence[Any], value: Any) -> Lookups:
    """The lookups of one command, which was answered with `value`."""
    command = str(words[0]).upper()
    if command in _LOOKUPS:
        return ((words[1], value is not None and value != {}),)
    if command in _SEVERAL and value is not None:
        first = _SEVERAL[command]
        return [(words[first + at] if first == 1 else words[1], one is not None) for at, one in enumerate(value)]
    return ()


def watch_django_caches() -> None:
    """All backends, its own or of another package: most are imported where a cache is asked for the first time."""
    base = importlib.import_module("django.core.cache.backends.base").__dict__["BaseCache"]

    def count(kind: type) -> None:
        if "get" in kind.__dict__:
            count_lookup(kind, "get")
        if "get_many" in kind.__dict__:
            count_lookups(kind, "get_many", lambda args: args[0])

    for_each_below(base, count)


def watch_cachelib() -> None:
    base = sys.modules["cachelib.base"].__dict__["BaseCache"]

    def count(kind: type) -> None:
        if "get" in kind.__dict__:
            count_lookup(kind, "get", default_at=None)
        if "get_many" in kind.__dict__ and kind is not base:  # the base class asks `get` for each
            count_lookups(kind, "get_many", lambda args: args)

    count(base)
    for_each_below(base, count)


def watch_aiocache() -> None:
    kind: type = sys.modules["aiocache.base"].__dict__["BaseCache"]
    count_lookup(kind, "get")
    count_lookups(kind, "multi_get", lambda args: args[0])


def watch_cashews() -> None:
    kind = importlib.import_module("cashews.wrapper.commands").__dict__["CommandWrapper"]
    count_lookup(kind, "get")
    count_lookups(kind, "get_many", lambda args: args)


def for_each_below(base: Any, do: Callable[[type], None]) -> None:
    """Do something with each class that derives from `base`: those that are imported by now, and those to come."""
    inherited = base.__dict__.get("__init_subclass__")

    def subclassed(kind: type, **more: Any) -> None:
        if inherited is not None:
            inherited.__func__(kind, **more)
        else:
            super(base, kind).__init_subclass__(**more)
        do(kind)

    base.__init_subclass__ = classmethod(subclassed)
    kinds: list[type] = type.__subclasses__(base)
    while kinds:
        kind = kinds.pop()
        do(kind)
        kinds += type.__subclasses__(kind)
