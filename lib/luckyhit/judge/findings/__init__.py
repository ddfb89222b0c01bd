"""What a run shows beside its metrics: each finding is one function here, and one row in FINDERS."""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.errors import RunUnreadable
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.answer_bodies import arms_differ, changed_without_write
from luckyhit.judge.findings.cache_entries import (
    cache_outlives_clear,
    deleted_after_acknowledgement,
    deleted_before_acknowledgement,
    outlives_ttl,
    write_flushes,
)
from luckyhit.judge.findings.from_result import (
    preflight_met_fault,
    probe_is_the_load,
    replayed_counts,
    status_not_believable,
    untouched_route_moved,
)
from luckyhit.judge.findings.latency_grows import latency_grows
from luckyhit.judge.findings.layers import layers
from luckyhit.judge.findings.prediction import prediction
from luckyhit.judge.findings.probe_influence import probe_changes_the_picture
from luckyhit.judge.findings.same_bytes_other_url import same_bytes_other_url
from luckyhit.judge.findings.stale_reads import (
    phantom_reads,
    stale_by_status,
    stale_without_cache,
    stale_workload_reads,
    variants_differ,
)
from luckyhit.judge.findings.unexpected_answers import unexpected_answers
from luckyhit.records import RunFinding

FINDERS: dict[str, Callable[[Evidence], RunFinding | None]] = {
    "status-not-believable": status_not_believable,
    "probe-changes-the-picture": probe_changes_the_picture,
    "probe-is-the-load": probe_is_the_load,
    "same-bytes-other-url": same_bytes_other_url,
    "unexpected-answers": unexpected_answers,
    "phantom-reads": phantom_reads,
    "stale-without-cache": stale_without_cache,
    "deleted-after-acknowledgement": deleted_after_acknowledgement,
    "deleted-before-acknowledgement-and-set-again": deleted_before_acknowledgement,
    "outlives-ttl": outlives_ttl,
    "stale-workload-reads": stale_workload_reads,
    "stale-by-status": stale_by_status,
    "changed-without-write": changed_without_write,
    "arms-differ": arms_differ,
    "preflight-met-fault": preflight_met_fault,
    "variants-differ": variants_differ,
    "cache-outlives-clear": cache_outlives_clear,
    "write-flushes": write_flushes,
    "untouched-route-moved": untouched_route_moved,
    "latency-grows": latency_grows,
    "prediction": prediction,
    "replayed-counts": replayed_counts,
    "layers": layers,
}
"""By id, the weightiest first. None: nothing was found."""
COVERED_BY = {"arms-differ": frozenset({"same-bytes-other-url", "unexpected-answers"})}
"""Findings that are left out where one of these is there, which says the same better."""
NOT_LOOKED_FOR = "not-looked-for"
"""The finding that another one could not be looked for; `facts` name it, and the error."""


def findings(evidence: Evidence) -> list[RunFinding]:
    """All findings of a run, the weightiest first. Where a finder fails on odd records, NOT_LOOKED_FOR names it, and
    the others are made all the same."""
    made: list[RunFinding] = []
    for name, find in FINDERS.items():
        try:
            finding = find(evidence)
        except RunUnreadable:
            raise  # the judge names the damaged file
        except Exception as error:
            finding = RunFinding(id=NOT_LOOKED_FOR, facts={"finding": name, "error": type(error).__name__})
        if finding is not None:
            made.append(finding)
    ids = {finding.id for finding in made}
    return [finding for finding in made if not COVERED_BY.get(finding.id, frozenset()) & ids]


__all__ = ["FINDERS", "NOT_LOOKED_FOR", "findings"]
