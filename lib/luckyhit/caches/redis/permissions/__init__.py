"""Checks of what a run needs of a Redis or Valkey cache, before anything is touched."""

from __future__ import annotations

from luckyhit.caches.base import CheckFindings
from luckyhit.caches.redis.permissions.grants import check_events, check_permissions
from luckyhit.caches.redis.permissions.scope_preview import check_scope
from luckyhit.caches.redis.permissions.setting_values import check_setting
from luckyhit.caches.redis.refusals import explained
from luckyhit.caches.redis.topology import RedisEndpoint, open_topology
from luckyhit.case import Case
from luckyhit.case.cache_spec import Cache as CacheSpec
from luckyhit.case.changes import CacheSettingChange


class RedisChecks:
    """The checks of one cache."""

    def __init__(self, cache: RedisEndpoint) -> None:
        self._cache = cache

    def permissions(self, case: Case, findings: CheckFindings, *, changeable: bool) -> None:
        with explained("looking at its permissions"), open_topology(self._cache) as topology:
            check_permissions(topology, case, findings, owned=self._cache.owned, changeable=changeable)
            if changeable and not self._cache.owned:
                check_events(topology, case, findings)

    def scope(self, spec: CacheSpec, findings: CheckFindings) -> float:
        with explained("listing its keys"), open_topology(self._cache) as topology:
            return check_scope(topology, spec, findings)

    def setting(self, change: CacheSettingChange, findings: CheckFindings) -> None:
        with explained(f"looking at its {change.name}"), open_topology(self._cache) as topology:
            check_setting(topology, change, findings, owned=self._cache.owned)
