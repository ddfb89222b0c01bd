"""The cache's entries of the fingerprint: what its servers tell of themselves, and how much is outside the scope."""

from __future__ import annotations

from luckyhit.caches.base import AnyCache, Capability
from luckyhit.caches.scope import Scope
from luckyhit.case import Case
from luckyhit.change.fingerprints.normalize import shown_env

RUNS = "observed.cache_runs"
"""Name of the stack, and which server processes answered there: another one has lost what it held."""
OUTSIDE = "observed.keys_outside_scope"
_SETTING = "cache.config."


def cache_facts(cache: AnyCache, case: Case, *, stack: str, keyspace: bool) -> dict[str, str]:
    """Version, mode, role, replicas and settings of each server that holds keys (`cache.1.*`: of the second one), which
    process that is, and with `keyspace` how many keys are outside the declared scope, where it lists its keys.

    Raises CacheUnreachable where it does not answer.
    """
    facts: dict[str, str] = {}
    servers = cache.facts(case.change.cache_setting)
    for number, server in enumerate(servers):
        for name, value in server.entries.items():
            shown = shown_env(name.removeprefix(_SETTING), value) if name.startswith(_SETTING) else value
            facts[name.replace("cache.", f"cache.{number}.", 1) if number else name] = shown
    if all(server.run_id for server in servers):
        facts[RUNS] = f"{stack}: {' '.join(server.run_id for server in servers)}"
    if keyspace and Capability.LIST_KEYS in cache.can:
        scope = Scope.of(case.cache)
        with cache.explained("taking its fingerprint"), cache.keys() as keys:
            outside = {hash(key) for batch in keys.batches() for key in batch if key not in scope}
        facts[OUTSIDE] = str(len(outside))
    return facts
