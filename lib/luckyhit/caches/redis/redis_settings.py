"""Settings of a Redis or Valkey server (CONFIG): read, set, and put back as they were unless somebody else changed
them since.

The server reads some of them back in its own words (`100mb` as 104857600), so that they are compared by what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import redis
from redis import exceptions as redis_errors

from luckyhit.caches.base import UndoResult
from luckyhit.caches.redis.refusals import explained
from luckyhit.caches.redis.topology import RedisEndpoint, fields_of, open_topology
from luckyhit.caches.same_setting import same_value
from luckyhit.errors import CacheUnreachable, GuardError, TargetError

OPTION = "notify-keyspace-events"
_EVERY_CLASS = frozenset("g$lshzxetd")
Same = Callable[[str, str], bool]
"""Whether two spellings of a setting mean the same to the server."""
_ATTEMPTS, _PAUSE_S = 3, 0.3
_Answer = TypeVar("_Answer")


def config_get(client: redis.Redis, name: str) -> str | None:
    """A setting in the server's words; None where it has none of that name. Raises redis.RedisError."""
    settings = fields_of(client.execute_command("CONFIG", "GET", name))
    value = settings.get(name.encode(), settings.get(name))
    return value.decode() if isinstance(value, bytes) else value


def read_setting(client: redis.Redis, name: str) -> str:
    """The same; raises TargetError where the server has no such setting."""
    value = config_get(client, name)
    if value is None:
        raise TargetError(f"the cache has no setting {name}", hint="Look at what this server version has: CONFIG GET *")
    return value


def put_back(client: redis.Redis, name: str, old: str, ours: Iterable[str], same: Same) -> UndoResult:
    """Put a setting back. `ours`: the settings that may be of this run's making; any other is left as it is.

    Raises TargetError where the server does not read `old` back.
    """
    now = read_setting(client, name)
    if same(now, old):
        return UndoResult("was-back", f"{name} was {shown(old)} again already")
    if not any(same(now, value) for value in ours):
        how = f"somebody changed {name} to {shown(now)} meanwhile; it was left so (before: {shown(old)})"
        return UndoResult("left-to-others", how)
    client.execute_command("CONFIG", "SET", name, old)
    again = read_setting(client, name)
    if not same(again, old):
        raise TargetError(f"{name} was put back to {shown(old)}, but the cache says {shown(again)}")
    return UndoResult("put-back", f"{name} put back to {shown(old)}")


def by_hand(name: str, old: str) -> str:
    """The command that puts a setting back."""
    return f"redis-cli CONFIG SET {name} '{old}'"


def with_retries(do: Callable[[], _Answer], name: str, old: str, sleep: Callable[[float], None]) -> _Answer:
    """Put it back by `do`, again where the cache does not answer. Raises CacheUnreachable or TargetError with what to
    do by hand."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with explained(f"putting its {name} back"):
                return do()
        except TargetError as error:
            if isinstance(error, CacheUnreachable) and attempt < _ATTEMPTS:
                sleep(_PAUSE_S * attempt)
                continue
            raise error.with_hint(f"{error.hint} By hand: {by_hand(name, old)}".strip()) from None
    raise AssertionError("unreachable")


def shown(value: str) -> str:
    return repr(value) if value else "empty"


def flags(value: str) -> frozenset[str]:
    """A setting of events as a set of letters, with `A` written out."""
    return frozenset(value) - {"A"} | (_EVERY_CLASS if "A" in value else frozenset())


def same_meaning(name: str) -> Same:
    """How the values of a setting are compared."""
    return (lambda one, other: flags(one) == flags(other)) if name == OPTION else same_value


class RedisSettings:
    """The settings of one cache, on the server that its URL names."""

    def __init__(self, cache: RedisEndpoint) -> None:
        self._cache = cache

    def refuse_several(self) -> None:
        with explained("looking at its servers"), open_topology(self._cache) as topology:
            if topology.cluster is not None:
                raise GuardError(
                    "the cache is a cluster: each server has settings of its own, and not all would change at once",
                    hint="Change the setting by a pair of commands that reach every server (change.kind: command).",
                )

    def read(self, name: str) -> str:
        with self._cache.client() as client, explained(f"looking at its {name}"):
            return read_setting(client, name)

    def set(self, name: str, value: str) -> str:
        with self._cache.client() as client, explained(f"setting its {name}"):
            return self._set(client, name, value)

    def same(self, name: str, one: str, other: str) -> bool:
        return same_meaning(name)(one, other)

    def by_hand(self, name: str, old: str) -> str:
        return by_hand(name, old)

    def put_back(self, name: str, old: str, ours: Sequence[str], sleep: Callable[[float], None]) -> UndoResult:
        def do() -> UndoResult:
            with self._cache.client() as client:
                return put_back(client, name, old, ours, same_meaning(name))

        return with_retries(do, name, old, sleep)

    def _set(self, client: redis.Redis, name: str, value: str) -> str:
        try:
            client.execute_command("CONFIG", "SET", name, value)
        except redis_errors.ResponseError as error:
            if isinstance(error, redis_errors.NoPermissionError):
                raise
            raise TargetError(
                f"the cache does not take {value!r} for {name}: {error}",
                hint="Look at what this server version accepts; nothing was changed.",
            ) from None
        now = read_setting(client, name)
        if not same_value(now, value):
            raise TargetError(
                f"the cache took {value!r} for {name}, and says {now!r}",
                hint="Write the value as the server reads it back.",
            )
        return now
