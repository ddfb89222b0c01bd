"""What a run shows beside its metrics: each kind of finding is one file here, and one row in FINDERS."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import (
    deleted_after_acknowledgement,
    deleted_before_acknowledgement,
    outlives_ttl,
    phantom_reads,
    stale_without_cache,
    stale_workload_reads,
    write_flushes,
)
from luckyhit.records import Finding

FINDERS: dict[str, Callable[[Evidence], Finding | None]] = {
    "phantom-reads": phantom_reads.find,
    "deleted-after-acknowledgement": deleted_after_acknowledgement.find,
    "stale-without-cache": stale_without_cache.find,
    "deleted-before-acknowledgement-and-set-again": deleted_before_acknowledgement.find,
    "outlives-ttl": outlives_ttl.find,
    "stale-workload-reads": stale_workload_reads.find,
    "write-flushes": write_flushes.find,
}
"""By id, the weightiest first. None: there is nothing to tell."""


def findings(evidence: Evidence) -> list[Finding]:
    """All that is to be told of a run, the weightiest first."""
    return [finding for find in FINDERS.values() if (finding := find(evidence)) is not None]


__all__ = ["FINDERS", "findings"]
