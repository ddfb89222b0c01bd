"""Answers that were not as the case expects, given before anything was measured: the fault itself, met beforehand."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.records import PREFLIGHT_MET_FAULT, CountOf, RunFinding

ID = PREFLIGHT_MET_FAULT
_MOST_EXAMPLES = 3


def find(evidence: Evidence) -> RunFinding | None:
    preflight = evidence.preflight
    if not preflight.unexpected:
        return None
    counted = CountOf(count=len(preflight.unexpected), of=preflight.asked)
    examples = [answer.model_dump() for answer in preflight.unexpected[:_MOST_EXAMPLES]]
    return RunFinding(id=ID, before=counted, examples=examples)
