"""Reads of the probe that showed a value which no accepted write wrote: that of a refused write, or of a rolled back
one."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.records import CountOf, RunFinding

ID = "phantom-reads"


def find(evidence: Evidence) -> RunFinding | None:
    by_arm = {arm: CountOf(count=facts.never_committed, of=facts.reads) for arm, facts in evidence.facts.items()}
    if not any(counted.count for counted in by_arm.values()):
        return None
    return RunFinding(id=ID, before=by_arm.get("before"), after=by_arm.get("after"))
