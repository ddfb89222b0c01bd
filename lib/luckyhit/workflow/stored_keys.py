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
from luckyhit.change.clearing.coverage import NewKeys, coverage_guard, find_new_keys, list_keys, uncovered_keys
from luckyhit.errors import LuckyHitError
from luckyhit.records import Guard
from luckyhit.system import Stack

SHARED = "This cache is shared, so some of the keys may be of other services. "


@dataclass(frozen=True)
class Stored:
    """The keys that appear in the cache of one stack. `earlier`: the keys that were there before."""

    case: Case
    cache: AnyCache
    earlier: frozenset[bytes]

    @classmethod
    def looking(cls, case: Case, stack: Stack) -> Stored | None:
        """Before the first read; None if there are no templates, or the keys can't be listed (permissions are checked
        elsewhere)."""
        if stack.cache is None or not case.cache.clear or Capability.LIST_KEYS not in stack.cache.can:
            return None
        with suppress(LuckyHitError):
            names = list_keys(stack.cache)
            return cls(case, stack.cache, names) if names is not None else None
        return None

    def found(self) -> NewKeys:
        """What is new since then. Raises CacheUnreachable or TargetError."""
        new = find_new_keys(self.cache, self.earlier, self.case.cache.clear)
        return new if new is not None else NewKeys()

    def after_reads(self, again: Callable[[], object]) -> tuple[Guard | None, str]:
        """(the guard, or None if nothing was stored; a note). `again` reads all routes once more: some services store
        an answer only at the second request."""
        new_keys = self.found()
        if not new_keys.inside:
            again()
            new_keys = self.found()
        guard = coverage_guard(new_keys, fails=self.cache.owned, written=False)
        note = uncovered_keys(new_keys)
        return guard, note if self.cache.owned or not new_keys.outside else SHARED + note

    def after_load(self) -> Guard | None:
        """The guard after the workload was sent, writes included; None if nothing was stored."""
        writes = self.case.freshness is not None or any(
            route.method not in ("GET", "HEAD") for route in self.case.workload.routes
        )
        return coverage_guard(self.found(), fails=self.cache.owned, written=writes)
