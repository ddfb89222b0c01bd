"""What a run shows beside its metrics: each kind of finding is one file here, and one row in FINDERS."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import layers, phantom_reads, stale_workload_reads
from luckyhit.records import Finding

FINDERS: dict[str, Callable[[Evidence], Finding | None]] = {
    "phantom-reads": phantom_reads.find,
    "stale-workload-reads": stale_workload_reads.find,
    "layers": layers.find,
}
"""By id, the weightiest first. None: there is nothing to tell."""


def findings(evidence: Evidence) -> list[Finding]:
    """All that is to be told of a run, the weightiest first."""
    return [finding for find in FINDERS.values() if (finding := find(evidence)) is not None]


__all__ = ["FINDERS", "findings"]
