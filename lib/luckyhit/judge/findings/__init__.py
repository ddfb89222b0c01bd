"""What a run shows beside its metrics: each kind of finding is one file here, and one row in FINDERS."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import (
    arms_differ,
    cache_outlives_clear,
    changed_without_write,
    deleted_after_acknowledgement,
    deleted_before_acknowledgement,
    latency_grows,
    layers,
    outlives_ttl,
    phantom_reads,
    preflight_met_fault,
    probe_changes_the_picture,
    probe_is_the_load,
    replayed_counts,
    same_bytes_other_url,
    stale_by_status,
    stale_without_cache,
    stale_workload_reads,
    status_not_believable,
    unexpected_answers,
    variants_differ,
    write_flushes,
)
from luckyhit.records import Finding

FINDERS: dict[str, Callable[[Evidence], Finding | None]] = {
    "status-not-believable": status_not_believable.find,
    "probe-changes-the-picture": probe_changes_the_picture.find,
    "probe-is-the-load": probe_is_the_load.find,
    "same-bytes-other-url": same_bytes_other_url.find,
    "unexpected-answers": unexpected_answers.find,
    "phantom-reads": phantom_reads.find,
    "stale-without-cache": stale_without_cache.find,
    "deleted-after-acknowledgement": deleted_after_acknowledgement.find,
    "deleted-before-acknowledgement-and-set-again": deleted_before_acknowledgement.find,
    "outlives-ttl": outlives_ttl.find,
    "stale-workload-reads": stale_workload_reads.find,
    "stale-by-status": stale_by_status.find,
    "changed-without-write": changed_without_write.find,
    "arms-differ": arms_differ.find,
    "preflight-met-fault": preflight_met_fault.find,
    "variants-differ": variants_differ.find,
    "cache-outlives-clear": cache_outlives_clear.find,
    "write-flushes": write_flushes.find,
    "latency-grows": latency_grows.find,
    "replayed-counts": replayed_counts.find,
    "layers": layers.find,
}
"""By id, the weightiest first. None: there is nothing to tell."""


def findings(evidence: Evidence) -> list[Finding]:
    """All that is to be told of a run, the weightiest first."""
    return [finding for find in FINDERS.values() if (finding := find(evidence)) is not None]


__all__ = ["FINDERS", "findings"]
