"""What a run shows beside its metrics: each kind of finding is one file here, and one row in FINDERS."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import (
    latency_grows,
    phantom_reads,
    replayed_counts,
    stale_workload_reads,
    status_not_believable,
)
from luckyhit.records import Finding

FINDERS: dict[str, Callable[[Evidence], Finding | None]] = {
    "status-not-believable": status_not_believable.find,
    "phantom-reads": phantom_reads.find,
    "stale-workload-reads": stale_workload_reads.find,
    "latency-grows": latency_grows.find,
    "replayed-counts": replayed_counts.find,
}
"""By id, the weightiest first. None: there is nothing to tell."""


def findings(evidence: Evidence) -> list[Finding]:
    """All that is to be told of a run, the weightiest first."""
    return [finding for find in FINDERS.values() if (finding := find(evidence)) is not None]


__all__ = ["FINDERS", "findings"]
