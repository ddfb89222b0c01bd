"""What a run shows beside its metrics: each kind of finding is one file here (on old data: in `old_data`),
and one row in FINDERS.
"""

from __future__ import annotations

from collections.abc import Callable

from luckyhit.errors import RunUnreadable
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings import (
    arms_differ,
    latency_grows,
    layers,
    preflight_met_fault,
    probe_changes_the_picture,
    probe_is_the_load,
    replayed_counts,
    same_bytes_other_url,
    status_not_believable,
    unexpected_answers,
    untouched_route_moved,
    variants_differ,
)
from luckyhit.judge.findings.old_data import (
    cache_outlives_clear,
    changed_without_write,
    deleted_after_acknowledgement,
    deleted_before_acknowledgement,
    outlives_ttl,
    phantom_reads,
    stale_by_status,
    stale_without_cache,
    stale_workload_reads,
    write_flushes,
)
from luckyhit.records import RunFinding

FINDERS: dict[str, Callable[[Evidence], RunFinding | None]] = {
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
    "untouched-route-moved": untouched_route_moved.find,
    "latency-grows": latency_grows.find,
    "replayed-counts": replayed_counts.find,
    "layers": layers.find,
}
"""By id, the weightiest first. None: there is nothing to tell."""


SAID_BY = {"arms-differ": frozenset({"same-bytes-other-url", "unexpected-answers"})}
"""What is not told once more, where one of these tells it better."""
NOT_LOOKED_FOR = "not-looked-for"
"""The finding that says that another one could not be looked for; `facts` name it, and the error."""


def findings(evidence: Evidence) -> list[RunFinding]:
    """All that is to be told of a run, the weightiest first. Records that one kind can't be told from cost that kind
    alone, and it is said."""
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
    return [finding for finding in made if not SAID_BY.get(finding.id, frozenset()) & ids]


__all__ = ["FINDERS", "NOT_LOOKED_FOR", "findings"]
