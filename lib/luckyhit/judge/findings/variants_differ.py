"""One variant of an answer stays old where another one is fresh: what empties the cache knows one variant only."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.proportions import proportion_difference
from luckyhit.records import Arm, CountOf, RunFinding

ID = "variants-differ"
ERROR_RATE = 0.01
"""The chance that variants which are stale alike are named, over all pairs of variants and both arms together."""


def find(evidence: Evidence) -> RunFinding | None:
    """`before` and `after` count the variant that is staler; the facts have the fresher one's counts beside them."""
    pairs = [
        (arm, fresher, staler)
        for arm, facts in evidence.facts.items()
        for fresher in facts.by_variant
        for staler in facts.by_variant
        if fresher != staler
    ]
    worst: dict[tuple[str, str], dict[Arm, float]] = {}
    for arm, fresher, staler in pairs:
        by_variant = evidence.facts[arm].by_variant
        rate = ERROR_RATE / len(pairs)
        shift = proportion_difference(*by_variant[fresher], *by_variant[staler], FixedSample(), rate)
        if shift.low > 0:
            worst.setdefault((fresher, staler), {})[arm] = shift.effect
    if not worst:
        return None
    fresher, staler = max(worst, key=lambda pair: max(worst[pair].values()))
    facts: dict[str, float | int | str | bool | None] = {"variant": staler, "other": fresher}
    counted: dict[Arm, CountOf] = {}
    for arm, seen_by in evidence.facts.items():
        if staler in seen_by.by_variant and fresher in seen_by.by_variant:
            stale, reads = seen_by.by_variant[staler]
            counted[arm] = CountOf(count=stale, of=reads)
            facts[f"other_stale_{arm}"], facts[f"other_reads_{arm}"] = seen_by.by_variant[fresher]
    return RunFinding(id=ID, before=counted.get("before"), after=counted.get("after"), facts=facts)
