"""The freshness probe added so much to the load that what it found may be what it caused."""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.freshness.freshness_facts import added_by
from luckyhit.records import RunFinding

ID = "probe-is-the-load"
MOST_SHARE = 1.0
"""Of the workload's requests: above it, most of what the service answers is the probe's. A rate that the case declares
is named, and excuses nothing. Below it, the control blocks tell whether the probe changes anything."""


def find(evidence: Evidence) -> RunFinding | None:
    requests, share = added_by(entry.probe for entry in evidence.entries)
    if requests is None or share is None or share <= MOST_SHARE:
        return None
    declared = evidence.case.freshness.rate if evidence.case.freshness is not None else None
    return RunFinding(
        id=ID,
        facts={
            "added_share": share,
            "probe_requests": requests,
            "workload_requests": round(requests / share),
            "probes": max((facts.probes for facts in evidence.facts.values()), default=0),
            "declared_rate_per_s": declared,
        },
    )
