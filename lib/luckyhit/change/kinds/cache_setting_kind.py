"""A change of one setting of the cache server by CONFIG SET: what it was is kept, and put back.

The server reads some values back in its own words (`100mb` as 104857600): values are compared by what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import redis
from redis import exceptions as redis_errors

from luckyhit.case.changes.cache_setting import SETTING, SettingChange
from luckyhit.change import config
from luckyhit.change.config import by_hand, read_setting, same_value
from luckyhit.change.identity import cache_identity
from luckyhit.change.journal import Step
from luckyhit.change.kinds.kind import UNSET, ChangeKind, Fingerprint, Sides, UndoContext
from luckyhit.change.refusals import explained
from luckyhit.change.rights.findings import Findings
from luckyhit.change.rights.setting import look_at_setting
from luckyhit.change.waiting import expect, shown
from luckyhit.errors import GuardError, TargetError
from luckyhit.records import Arm
from luckyhit.target import Cache
from luckyhit.target.topology import open_topology


class CacheSettingKind(ChangeKind[SettingChange]):
    """One setting of the cache of one stack."""

    inverse_kind = SETTING

    def look(self, findings: Findings) -> None:
        with explained(f"looking at its {self._change.name}"), open_topology(self._cache) as topology:
            look_at_setting(topology, self._change, findings, owned=self._cache.owned)

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
        setting = {"name": self._change.name, "value": old, "ours": [self._change.after]}
        if self._cache.owned:  # nothing is left of it once that server is stopped
            return {"kind": "end-processes", **setting}
        return {
            "kind": SETTING,
            **setting,
            "cache": cache_identity(self._cache.url),
            "url_env": self._stack.case.cache.url_env,
            "by_hand": by_hand(self._change.name, old),
        }

    def apply(self) -> dict[str, Any]:
        with self._client() as client, explained(f"setting its {self._change.name}"):
            return {"is": self._set(client, self._change.after)}

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str:
        cache = context.stack.cache if context.stack is not None else None
        return config.undo(step, str(step.inverse["name"]), same_value, context.environ, context.sleep, cache=cache).how

    @classmethod
    def declared(
        cls, change: SettingChange, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        name = f"cache.config.{change.name}"
        first, second = before.get(name, UNSET), after.get(name, UNSET)
        old = first if change.before is None or same_value(first, change.before) else change.before
        return {name: (old, second if same_value(second, change.after) else change.after)}

    @classmethod
    def echoes(cls, change: SettingChange, name: str, values: Sides) -> bool:
        """It is the cache's, not the service's."""
        return False

    @property
    def _cache(self) -> Cache:
        if self._stack.cache is None:
            raise GuardError(
                "the cache whose setting is to be changed is not known",
                hint="Name the variable that holds its URL: cache.url_env.",
            )
        return self._stack.cache

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
