"""Settings of a Redis or Valkey server (CONFIG): read, set, and put back unless somebody else changed them since.

The server reads some of them back differently (`100mb` as 104857600), so they are compared by their meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import redis
from redis import exceptions as redis_errors

from luckyhit.caches.base import UndoResult, same_value
from luckyhit.caches.redis.refusals import explained
from luckyhit.caches.redis.topology import RedisEndpoint, fields_of, open_topology
from luckyhit.errors import CacheUnreachable, GuardError, TargetError

OPTION = "notify-keyspace-events"
_EVERY_CLASS = frozenset("g$lshzxetd")
_ATTEMPTS, _PAUSE_S = 3, 0.3


def config_get(client: redis.Redis, name: str) -> str | None:
    """A setting as the server reads it back; None where it has none of that name. Raises redis.RedisError."""
    settings = fields_of(client.execute_command("CONFIG", "GET", name))
    value = settings.get(name.encode(), settings.get(name))
    return value.decode() if isinstance(value, bytes) else value


def read_setting(client: redis.Redis, name: str) -> str:
    """The same, but raises TargetError where the server has no such setting."""
    value = config_get(client, name)
    if value is None:
        raise TargetError(f"the cache has no setting {name}", hint="CONFIG GET * lists the settings of this server.")
    return value


def shown(value: str) -> str:
    return repr(value) if value else "empty"


def flags(value: str) -> frozenset[str]:
    """An event setting as a set of letters, with `A` expanded."""
    return frozenset(value) - {"A"} | (_EVERY_CLASS if "A" in value else frozenset())


class RedisSettings:
    """The settings of one cache, on the server that its URL names."""

    def __init__(self, cache: RedisEndpoint) -> None:
        self._cache = cache

    def refuse_several(self) -> None:
        with explained("looking at its servers"), open_topology(self._cache) as topology:
            if topology.cluster is not None:
                raise GuardError(
                    "the cache is a cluster: each server has its own settings, which would not change at once",
                    hint="Change the setting by a pair of commands that reach every server (change.kind: command).",
                )

    def read(self, name: str) -> str:
        with self._cache.client() as client, explained(f"looking at its {name}"):
            return read_setting(client, name)

    def set(self, name: str, value: str) -> str:
        with self._cache.client() as client, explained(f"setting its {name}"):
            return self._set(client, name, value)

    def same(self, name: str, one: str, other: str) -> bool:
        return flags(one) == flags(other) if name == OPTION else same_value(one, other)

    def by_hand(self, name: str, old: str) -> str:
        return f"redis-cli CONFIG SET {name} '{old}'"

    def put_back(self, name: str, old: str, ours: Sequence[str], sleep: Callable[[float], None]) -> UndoResult:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with explained(f"putting its {name} back"), self._cache.client() as client:
                    return self._put_back(client, name, old, ours)
            except TargetError as error:
                if isinstance(error, CacheUnreachable) and attempt < _ATTEMPTS:
                    sleep(_PAUSE_S * attempt)
                    continue
                raise error.with_hint(f"{error.hint} By hand: {self.by_hand(name, old)}".strip()) from None
        raise AssertionError("unreachable")

    def _put_back(self, client: redis.Redis, name: str, old: str, ours: Sequence[str]) -> UndoResult:
        now = read_setting(client, name)
        if self.same(name, now, old):
            return UndoResult("was-back", f"{name} was {shown(old)} again already")
        if not any(self.same(name, now, value) for value in ours):
            how = f"somebody changed {name} to {shown(now)} meanwhile, so it was left alone (before: {shown(old)})"
            return UndoResult("left-to-others", how)
        client.execute_command("CONFIG", "SET", name, old)
        again = read_setting(client, name)
        if not self.same(name, again, old):
            raise TargetError(f"{name} was put back to {shown(old)}, but the cache reads back {shown(again)}")
        return UndoResult("put-back", f"{name} put back to {shown(old)}")

    def _set(self, client: redis.Redis, name: str, value: str) -> str:
        try:
            client.execute_command("CONFIG", "SET", name, value)
        except redis_errors.ResponseError as error:
            if isinstance(error, redis_errors.NoPermissionError):
                raise
            raise TargetError(
                f"the cache does not accept {value!r} for {name}: {error}",
                hint="Check what this server version accepts. Nothing was changed.",
            ) from None
        now = read_setting(client, name)
        if not same_value(now, value):
            raise TargetError(
                f"the cache accepted {value!r} for {name} and reads back {now!r}",
                hint="Write the value as the server reads it back.",
            )
        return now
