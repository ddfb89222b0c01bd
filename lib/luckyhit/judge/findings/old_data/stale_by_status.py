"""Stale reads that were told as a miss: the nearer cache asked anew, and the old body came from behind it.

CountOf: the probe's `once` reads of the headline, and the workload's own reads. A service without a cache (`unknown`,
`bypass`) says nothing here.
"""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.evidence import Evidence
from luckyhit.records import CACHE_STATUSES, CountOf, FreshnessFacts, RunFinding

ID = "stale-by-status"
FEWEST = 10
_SOURCES: dict[str, Callable[[FreshnessFacts], dict[str, tuple[int, int]]]] = {
    "probe": lambda facts: facts.by_cache,
    "workload": lambda facts: facts.background_by_cache,
}


def find(evidence: Evidence) -> RunFinding | None:
    missed: dict[str, CountOf] = {}
    numbers: dict[str, float | int | str | bool | None] = {}
    for arm, facts in evidence.facts.items():
        stale = dict.fromkeys(CACHE_STATUSES, 0)
        for source, split in _SOURCES.items():
            for cache in CACHE_STATUSES:
                count, reads = split(facts).get(cache, (0, 0))
                stale[cache] += count
                if reads:
                    numbers |= {f"{arm}_{source}_{cache}_stale": count, f"{arm}_{source}_{cache}_reads": reads}
        missed[arm] = CountOf(count=stale["miss"], of=sum(stale.values()))
    if not any(counted.count >= FEWEST and counted.count * 2 > counted.of for counted in missed.values()):
        return None
    return RunFinding(id=ID, before=missed.get("before"), after=missed.get("after"), facts=numbers)


__all__ = ["FEWEST", "ID", "find"]
