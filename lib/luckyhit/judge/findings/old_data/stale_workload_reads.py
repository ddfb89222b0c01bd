"""Stale reads among the workload's own, at no extra request: those that were older than the case declares acceptable,
and beside them those that were not."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.by_arm import Facts, finding
from luckyhit.judge.stale.background import bound_s
from luckyhit.records import CountOf, RunFinding

ID = "stale-workload-reads"


def find(evidence: Evidence) -> RunFinding | None:
    by_arm = {
        arm: CountOf(count=facts.background_stale or 0, of=facts.background_reads)
        for arm, facts in evidence.facts.items()
        if facts.background_reads
    }
    if not any(counted.count for counted in by_arm.values()):
        return None
    agreed: Facts = {f"{arm}_agreed": facts.background_agreed for arm, facts in evidence.facts.items()}
    return finding(ID, by_arm, agreed | {"within_ms": 1e3 * bound_s(evidence.case)})
