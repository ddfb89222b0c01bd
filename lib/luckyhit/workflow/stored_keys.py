"""Compare what the service stores when its routes are read with `cache.clear`, before a run and after its baseline.

With templates that match nothing, each block would start from the cache of the one before. That is reported before
measuring, with the keys and what is wrong with the templates.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from luckyhit.caches import AnyCache, Capability
from luckyhit.case import Case
from luckyhit.change.clearing.coverage import (
    NewKeys,
    any_in_scope,
    coverage_guard,
    find_new_keys,
    hit_elsewhere_guard,
    list_keys,
    uncovered_keys,
)
from luckyhit.errors import LuckyHitError
from luckyhit.records import Guard
from luckyhit.system import Stack

SHARED = "This cache is shared, so some of the keys may be of other services. "


@dataclass(frozen=True)
class Stored:
    """The keys that appear in the cache of one stack. `earlier`: the keys that were there before; `clears`: whether a
    run may clear it."""

    case: Case
    cache: AnyCache
    earlier: frozenset[bytes]
    clears: bool

    @classmethod
    def looking(cls, case: Case, stack: Stack, *, clears: bool) -> Stored | None:
        """Before the first read. `clears`: whether a run may clear this cache. None if there are no templates, or the
        keys can't be listed (permissions are checked elsewhere)."""
        if stack.cache is None or not case.cache.clear or Capability.LIST_KEYS not in stack.cache.can:
            return None
        with suppress(LuckyHitError):
            names = list_keys(stack.cache)
            return cls(case, stack.cache, names, clears) if names is not None else None
        return None

    def names(self) -> frozenset[bytes]:
        """All keys; none where they are too many. Raises CacheUnreachable or TargetError."""
        return list_keys(self.cache) or frozenset()

    def found(self) -> NewKeys:
        """What is new since then. Raises CacheUnreachable or TargetError."""
        new = find_new_keys(self.cache, self.earlier, self.case.cache.clear)
        return new if new is not None else NewKeys()

    def after_reads(self, again: Callable[[], bool]) -> tuple[Guard | None, str]:
        """(the guard, or None if nothing was stored; a note). `again` reads all routes once more, and says whether a
        cache answered: some services store an answer only at the second request. A hit while the cache holds no key in
        scope comes from elsewhere."""
        new_keys, hit = self.found(), False
        if not new_keys.inside:
            hit = again()
            new_keys = self.found()
        if hit and not new_keys.inside and self._clears_nothing():
            shown = coverage_guard(new_keys, fails=True, written=False)
            return shown or hit_elsewhere_guard(self.case.cache.url_env), ""
        guard = coverage_guard(new_keys, fails=self.cache.owned, written=False)
        note = uncovered_keys(new_keys)
        return guard, note if self.cache.owned or not new_keys.outside else SHARED + note

    def after_reads_with_change(self, reads: Callable[[], None], before: NewKeys) -> tuple[Guard | None, str]:
        """The same of a service that was started with the change, in a cache of the run's own from which the declared
        keys were cleared. `before`: what it stored without the change. Where a template has lost its keys, and others
        that none matches appeared, the change names them anew, whatever else is in scope. What it stores beside them (a
        lock, a counter) is noted."""
        for _ in range(2):
            reads()
            new_keys = self.found()
            if new_keys.inside:
                break
        alike = {(key.why, key.template) for key in before.expiring}
        anew = [key for key in new_keys.expiring if (key.why, key.template) not in alike]
        if anew and new_keys.inside and not before.matching - new_keys.matching:
            return None, uncovered_keys(NewKeys(new_keys.inside, anew))
        judged = NewKeys(0, anew) if anew else new_keys
        guard = coverage_guard(judged, fails=True, written=False, id="cache-clear-names-what-the-change-stores")
        return guard, uncovered_keys(new_keys) if before.matching or new_keys.outside else ""

    def _clears_nothing(self) -> bool:
        """Whether the run would clear this cache alone, and it held no key in scope before."""
        declared = self.case.cache
        return self.clears and not declared.purge and not any_in_scope(self.earlier, declared.clear)

    def after_load(self) -> Guard | None:
        """The guard after the workload was sent, writes included; None if nothing was stored."""
        writes = self.case.freshness is not None or any(
            route.method not in ("GET", "HEAD") for route in self.case.workload.routes
        )
        return coverage_guard(self.found(), fails=self.cache.owned, written=writes)
