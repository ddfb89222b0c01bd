"""A change of one setting of the cache server by CONFIG SET: what it was is kept, and put back.

The server reads some values back in its own words (`100mb` as 104857600): values are compared by what they mean.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import redis
from redis import exceptions as redis_errors

from luckyhit.case.changes import SettingChange
from luckyhit.change import config
from luckyhit.change.config import by_hand, made_by, put_back, read_setting, surely
from luckyhit.change.identity import cache_identity
from luckyhit.change.refusals import explained
from luckyhit.change.ways.way import Again, Sleep, expect, shown
from luckyhit.errors import GuardError, TargetError
from luckyhit.target import Cache
from luckyhit.target.topology import open_topology

if TYPE_CHECKING:
    from luckyhit.change.journal import Step
    from luckyhit.target import Stack

SETTING = "setting"
_SIZE = re.compile(r"(\d+)\s*(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_BYTES = {"": 1, "b": 1, "k": 10**3, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}


def same_value(one: str, other: str) -> bool:
    """Whether two spellings mean the same to the server."""
    first, second = one.strip().lower(), other.strip().lower()
    if first == second:
        return True
    sizes = [_SIZE.fullmatch(text) for text in (first, second)]
    numbers = [int(size[1]) * _BYTES[(size[2] or "").lower()] for size in sizes if size is not None]
    return len(numbers) == 2 and numbers[0] == numbers[1]


class Setting:
    """One setting of the cache of one stack."""

    restarts = False

    def __init__(self, stack: Stack, change: SettingChange, sleep: Sleep) -> None:
        if stack.cache is None:
            raise GuardError(
                "the cache whose setting is to be changed is not known",
                hint="Name the variable that holds its URL: cache.url_env.",
            )
        self._cache: Cache = stack.cache
        self._change, self._sleep = change, sleep
        self._url_env = stack.case.cache.url_env

    def prepare(self) -> None:
        declared = self._change.before
        with explained("looking at its servers"), open_topology(self._cache) as topology:
            if topology.cluster is not None:
                raise GuardError(
                    "the cache is a cluster: each server has settings of its own, and not all would change at once",
                    hint="Change the setting by a pair of commands that reach every server (change.kind: command).",
                )
        with self._client() as client, explained(f"looking at its {self._change.name}"):
            now = read_setting(client, self._change.name)
            if declared is not None and not same_value(now, declared):
                if not self._cache.owned:
                    expect(now, declared, f"CONFIG GET {self._change.name}")
                self._set(client, declared)
            elif declared is None and same_value(now, self._change.after):
                raise GuardError(
                    f"the cache's {self._change.name} is {shown(now)} already: the change would change nothing",
                    hint="Is the change in place already? Nothing was changed.",
                )

    def inverse(self) -> dict[str, Any]:
        with self._client() as client, explained(f"reading its {self._change.name}"):
            old = read_setting(client, self._change.name)
        if self._cache.owned:  # nothing is left of it once that server is stopped
            return {"kind": "end-processes", "name": self._change.name, "value": old}
        return {
            "kind": SETTING,
            "name": self._change.name,
            "value": old,
            "ours": [self._change.after],
            "cache": cache_identity(self._cache.url),
            "url_env": self._url_env,
            "by_hand": by_hand(self._change.name, old),
        }

    def apply(self) -> dict[str, Any]:
        with self._client() as client, explained(f"setting its {self._change.name}"):
            return {"is": self._set(client, self._change.after)}

    def revert(self, step: Step) -> str:
        name, old = self._change.name, str(step.inverse["value"])
        ours = [self._change.after, *made_by(step)]

        def do() -> str:
            with self._client() as client:
                return put_back(client, name, old, ours, same_value).how

        return surely(do, name, old, self._sleep)

    def state(self) -> None:
        return None

    def _client(self) -> redis.Redis:
        return self._cache.client()

    def _set(self, client: redis.Redis, value: str) -> str:
        name = self._change.name
        try:
            client.execute_command("CONFIG", "SET", name, value)
        except redis_errors.ResponseError as error:
            if isinstance(error, redis_errors.NoPermissionError):
                raise
            raise TargetError(
                f"the cache does not take {shown(value)} for {name}: {error}",
                hint="Look at what this server version accepts; nothing was changed.",
            ) from None
        now = read_setting(client, name)
        if not same_value(now, value):
            raise TargetError(
                f"the cache took {shown(value)} for {name}, and says {shown(now)}",
                hint="Write the value as the server reads it back.",
            )
        return now


def undo(step: Step, again: Again) -> str:
    """Put back what a step's journal holds; says what was done. Raises as `luckyhit.change.config.undo`."""
    return config.undo(step, str(step.inverse["name"]), same_value, again.environ, again.sleep).how
