"""A change of one setting of the cache server while it runs: what it was is kept, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luckyhit.caches.base import AnyCache, SettingControl
from luckyhit.caches.same_setting import same_value
from luckyhit.case.changes.cache_setting import SETTING, SettingChange
from luckyhit.change import config
from luckyhit.change.journal import Step
from luckyhit.change.kinds.kind import UNSET, ChangeKind, Fingerprint, Sides, UndoContext
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.waiting import expect, shown
from luckyhit.errors import GuardError
from luckyhit.records import Arm


class CacheSettingKind(ChangeKind[SettingChange]):
    """One setting of the cache of one stack."""

    inverse_kind = SETTING

    def look(self, findings: Findings) -> None:
        self._cache.checks.setting(self._change, findings)

    def prepare(self) -> None:
        name, declared = self._change.name, self._change.before
        self._settings.refuse_several()
        now = self._settings.read(name)
        if declared is not None and not self._settings.same(name, now, declared):
            if not self._cache.owned:
                expect(now, declared, f"CONFIG GET {name}")
            self._settings.set(name, declared)
        elif declared is None and self._settings.same(name, now, self._change.after):
            raise GuardError(
                f"the cache's {name} is {shown(now)} already: the change would change nothing",
                hint="Is the change in place already? Nothing was changed.",
            )

    def inverse(self) -> dict[str, Any]:
        old = self._settings.read(self._change.name)
        setting = {"name": self._change.name, "value": old, "ours": [self._change.after]}
        if self._cache.owned:  # nothing is left of it once that server is stopped
            return {"kind": "end-processes", **setting}
        return {
            "kind": SETTING,
            **setting,
            "cache": self._cache.identity,
            "url_env": self._stack.case.cache.url_env,
            "by_hand": self._settings.by_hand(self._change.name, old),
        }

    def apply(self) -> dict[str, Any]:
        return {"is": self._settings.set(self._change.name, self._change.after)}

    @classmethod
    def revert(cls, step: Step, context: UndoContext) -> str:
        cache = context.stack.cache if context.stack is not None else None
        return config.undo(step, context.environ, context.sleep, cache=cache).how

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
    def _cache(self) -> AnyCache:
        if self._stack.cache is None:
            raise GuardError(
                "the cache whose setting is to be changed is not known",
                hint="Name the variable that holds its URL: cache.url_env.",
            )
        return self._stack.cache

    @property
    def _settings(self) -> SettingControl:
        settings = self._cache.settings
        if settings is None:
            raise GuardError(
                f"a cache of the kind {self._cache.kind} has no settings that can be changed while it runs",
                hint="Start it with other arguments: a change of kind command, with its restart.",
            )
        return settings
