"""A cache answered the first read of a key behind the clear: something outlived it, so the blocks did not start from
the declared state."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.records import Arm, CountOf, RunFinding

ID = "cache-outlives-clear"


def find(evidence: Evidence) -> RunFinding | None:
    """Counts are blocks. Only where something was cleared or purged before the block, and what told is the same key in
    both arms: the probe's own, which nobody else reads."""
    counts: dict[Arm, list[bool]] = {}
    for entry in evidence.entries:
        for arm in evidence.arms:
            emptied = entry.cleared(arm) or entry.purge.get(arm)
            if emptied and arm in entry.probe.outlived:
                counts.setdefault(arm, []).append(entry.probe.outlived[arm])
    if not any(any(blocks) for blocks in counts.values()):
        return None
    by_arm = {arm: CountOf(count=sum(blocks), of=len(blocks)) for arm, blocks in counts.items()}
    shares = {counted.count / counted.of for counted in by_arm.values()}
    facts: dict[str, float | int | str | bool | None] = {"arms_differ": len(shares) > 1}
    return RunFinding(id=ID, before=by_arm.get("before"), after=by_arm.get("after"), facts=facts)
