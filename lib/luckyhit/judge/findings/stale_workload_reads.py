"""Stale reads among the workload's own, at no extra request."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.records import Counted, Finding

ID = "stale-workload-reads"


def find(evidence: Evidence) -> Finding | None:
    by_arm = {
        arm: Counted(count=facts.background_stale or 0, of=facts.background_reads)
        for arm, facts in evidence.facts.items()
        if facts.background_reads
    }
    if not any(counted.count for counted in by_arm.values()):
        return None
    return Finding(id=ID, before=by_arm.get("before"), after=by_arm.get("after"))
