"""The freshness probe added so much to the load that what it found may be what it caused."""

from __future__ import annotations

from collections.abc import Mapping

from luckyhit.judge.evidence import Evidence
from luckyhit.records import Finding

ID = "probe-is-the-load"
MOST_SHARE = 0.2
"""Of the workload's requests. Ten times what a probe without a declared rate may add: above it, each sixth request that
the service answers, or more, is the probe's. A rate that the case declares is named, and excuses nothing."""


def find(evidence: Evidence) -> Finding | None:
    probes = [entry["probe"] for entry in evidence.entries if isinstance(entry.get("probe"), Mapping)]
    probes = [probe for probe in probes if probe.get("share")]
    added = sum(probe["requests"] for probe in probes)
    load = sum(probe["requests"] / probe["share"] for probe in probes)
    if not load or added / load <= MOST_SHARE:
        return None
    declared = evidence.case.freshness.rate if evidence.case.freshness is not None else None
    return Finding(
        id=ID,
        facts={
            "added_share": added / load,
            "probe_requests": round(added),
            "workload_requests": round(load),
            "probes": sum(probe["probes"] for probe in probes),
            "declared_rate_per_s": declared,
        },
    )
