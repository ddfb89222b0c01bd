"""Hits that told the database calls of the answer they were filled with: taken to have made none."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.records import Arm, CountOf, RunFinding

ID = "replayed-counts"


def find(evidence: Evidence) -> RunFinding | None:
    if not evidence.replayed:
        return None
    by_arm: dict[Arm, CountOf] = {
        arm: CountOf(count=sum(counts.count for counts in routes.values()), of=sum(c.of for c in routes.values()))
        for arm, routes in evidence.replayed.items()
    }
    names = sorted({route for routes in evidence.replayed.values() for route in routes})
    facts: dict[str, float | int | str | bool | None] = {"routes": ", ".join(names)}
    return RunFinding(id=ID, before=by_arm.get("before"), after=by_arm.get("after"), facts=facts)
