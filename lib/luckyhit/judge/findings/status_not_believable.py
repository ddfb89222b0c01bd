"""An arm whose cache status can't be believed, with what shows it, and what the cache itself counted."""

from __future__ import annotations

from luckyhit.judge.belief.lookups import lookups
from luckyhit.judge.evidence import Evidence
from luckyhit.records import Arm, CountOf, RunFinding

ID = "status-not-believable"


def find(evidence: Evidence) -> RunFinding | None:
    """Its counts are those of the weightiest sign in each arm; `examples` has a row for each sign."""
    if not evidence.doubts:
        return None
    first = {arm: doubts[0] for arm, doubts in evidence.doubts.items()}
    by_arm: dict[Arm, CountOf] = {arm: CountOf(count=doubt.count, of=doubt.of) for arm, doubt in first.items()}
    own = lookups(evidence.counters, evidence.case)
    return RunFinding(
        id=ID,
        before=by_arm.get("before"),
        after=by_arm.get("after"),
        facts={
            "by_calls": bool(evidence.miss_calls),
            **{f"counters_hit_ratio_{arm}": counts.share for arm, counts in own.items()},
        },
        examples=[
            {"arm": arm, "doubt": doubt.id, "count": doubt.count, "of": doubt.of, **doubt.facts}
            for arm, doubts in evidence.doubts.items()
            for doubt in doubts
        ],
    )
