"""A change of one setting of the cache server while it runs: the old value is journalled, and put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from luckyhit.caches import cache_at, cache_identity
from luckyhit.caches.base import AnyCache, SettingControl, UndoResult, same_value
from luckyhit.case.changes.cache_setting import SETTING, CacheSettingChange
from luckyhit.change.journal import Step
from luckyhit.change.kinds.kind import UNSET, ChangeKind, Fingerprint, Sides, UndoContext
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.waiting import expect, shown
from luckyhit.errors import GuardError
from luckyhit.records import Arm


class CacheSettingKind(ChangeKind[CacheSettingChange]):
    """One setting of the cache of one stack."""

    inverse_kind = SETTING

    def check(self, findings: Findings) -> None:
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
                f"the cache's {name} is {shown(now)} already: the change would have no effect",
                hint="Nothing was changed. Set the old value first, or name another in change.after.",
            )

    def inverse(self) -> dict[str, Any]:
        old = self._settings.read(self._change.name)
        setting = {"name": self._change.name, "value": old, "ours": [self._change.after]}
        if self._cache.owned:  # it ends with that server
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
    def revert(cls, step: Step, context: UndoContext) -> UndoResult:
        cache = context.stack.cache if context.stack is not None else None
        return put_back_setting(step, context, cache=cache)

    @classmethod
    def declared(
        cls, change: CacheSettingChange, before: Fingerprint, after: Fingerprint, revisions: Mapping[Arm, str]
    ) -> dict[str, Sides]:
        name = f"cache.config.{change.name}"
        first, second = before.get(name, UNSET), after.get(name, UNSET)
        old = first if change.before is None or same_value(first, change.before) else change.before
        return {name: (old, second if same_value(second, change.after) else change.after)}

    @classmethod
    def echoes(cls, change: CacheSettingChange, name: str, values: Sides) -> bool:
        """Never: the setting is the cache's, not the service's."""
        return False

    @property
    def _cache(self) -> AnyCache:
        if self._stack.cache is None:
            raise GuardError(
                "the cache whose setting changes is not known",
                hint="Name the variable that holds its URL in cache.url_env.",
            )
        return self._stack.cache

    @property
    def _settings(self) -> SettingControl:
        settings = self._cache.settings
        if settings is None:
            raise GuardError(
                f"a {self._cache.kind} cache has no settings that can be changed while it runs",
                hint="Start it with other arguments: a change of kind command, with its restart.",
            )
        return settings


def put_back_setting(step: Step, context: UndoContext, *, cache: AnyCache | None = None) -> UndoResult:
    """Put back the setting that a journalled step holds. Safe to repeat. `cache`: the one that was changed, where this
    process still has it.

    Raises GuardError where the variable with the cache's URL is not set, or names another cache; CacheUnreachable or
    TargetError where the cache refuses, with the command to give by hand.
    """
    changed = _cache_of(step, context.environ) if cache is None else cache
    name = step.inverse.get("name")
    if name is None and changed.events is not None:  # a journal that names only what the setting is for
        name = changed.events.setting
    if changed.settings is None or name is None:
        raise GuardError(f"the cache {changed.identity} has no settings that could be put back")
    ours = [*map(str, step.inverse.get("ours", ())), *([str(step.outcome["is"])] if "is" in step.outcome else [])]
    return changed.settings.put_back(str(name), str(step.inverse["value"]), ours, context.sleep)


def _cache_of(step: Step, environ: Mapping[str, str]) -> AnyCache:
    inverse = step.inverse
    known, url_env = str(inverse["cache"]), str(inverse.get("url_env"))
    url = environ.get(url_env)
    if not url or cache_identity(url) != known:
        by_hand = inverse.get("by_hand") or f"to {str(inverse['value'])!r}"
        raise GuardError(
            f"{url_env} {f'names {cache_identity(url)}' if url else 'is not set'}; "
            f"{inverse.get('name') or 'its setting for events'} was changed on {known}",
            hint=f"Export {url_env} for the cache {known}, or set it there by hand: {by_hand}",
        )
    return cache_at(url, url_env=url_env)
