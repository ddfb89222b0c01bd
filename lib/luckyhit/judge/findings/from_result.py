"""Findings that restate what the result and the manifest hold already, and that a reader must not overlook."""

from __future__ import annotations

from luckyhit.judge.belief.lookups import lookups
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.judge.freshness.freshness_facts import added_by
from luckyhit.records import PREFLIGHT_MET_FAULT, CountOf, Metric, RunFinding, route_of_goal

MOST_EXAMPLES = 3
MOST_ADDED = 1.0
"""Probe requests per request of the workload: above it, most of what the service answers is the probe's, whether or not
the case declares that rate. Below it, the control blocks show whether the probe changes anything."""
LEAST_MOVE = 0.2
"""Of the before arm's median latency: the whole interval has to lie beyond it. Process starts move less."""


def preflight_met_fault(evidence: Evidence) -> RunFinding | None:
    """Answers that were not as the case expects, given before anything was measured: the fault itself."""
    preflight = evidence.preflight
    if not preflight.unexpected:
        return None
    counted = CountOf(count=len(preflight.unexpected), of=preflight.asked)
    examples = [answer.model_dump() for answer in preflight.unexpected[:MOST_EXAMPLES]]
    return run_finding(PREFLIGHT_MET_FAULT, {"before": counted}, examples=examples)


def probe_is_the_load(evidence: Evidence) -> RunFinding | None:
    """The freshness probe added so much to the load that what it found may be what it caused."""
    requests, share = added_by(entry.probe for entry in evidence.entries)
    if requests is None or share is None or share <= MOST_ADDED:
        return None
    facts: Facts = {
        "added_share": share,
        "probe_requests": requests,
        "workload_requests": round(requests / share),
        "probes": max((facts.probes for facts in evidence.facts.values()), default=0),
        "declared_rate_per_s": evidence.case.freshness.rate if evidence.case.freshness is not None else None,
    }
    return run_finding("probe-is-the-load", {}, facts)


def status_not_believable(evidence: Evidence) -> RunFinding | None:
    """An arm whose cache status can't be believed. Its counts are those of the weightiest doubt in each arm; `examples`
    has a row for each doubt; the facts have what the cache itself counted."""
    if not evidence.doubts:
        return None
    counters = lookups(evidence.counters, evidence.case)
    return run_finding(
        "status-not-believable",
        {arm: CountOf(count=doubts[0].count, of=doubts[0].of) for arm, doubts in evidence.doubts.items()},
        {
            "by_calls": bool(evidence.miss_calls),
            **{f"counters_hit_ratio_{arm}": counts.hit_ratio for arm, counts in counters.items()},
        },
        [
            {"arm": arm, "doubt": doubt.id, "count": doubt.count, "of": doubt.of, **doubt.facts}
            for arm, doubts in evidence.doubts.items()
            for doubt in doubts
        ],
    )


def replayed_counts(evidence: Evidence) -> RunFinding | None:
    """Hits that showed the database calls of the answer they were filled with: taken to have made none."""
    if not evidence.replayed:
        return None
    counts = {
        arm: CountOf(count=sum(one.count for one in routes.values()), of=sum(one.of for one in routes.values()))
        for arm, routes in evidence.replayed.items()
    }
    names = sorted({route for routes in evidence.replayed.values() for route in routes})
    return run_finding("replayed-counts", counts, {"routes": ", ".join(names)})


def untouched_route_moved(evidence: Evidence) -> RunFinding | None:
    """A route that no cache of the change seems to be in front of (writes, and answers that never show a cache status)
    became slower or faster: the change reaches further than its goals, or the arms differed by more than the change.

    Nobody declared these routes as controls (`controls` in the case does), and a change may well touch them: a write
    that now waits for its commit is slower for a good reason. So this decides nothing.
    """
    declared = {route_of_goal(name) for name in (*evidence.case.goals, *evidence.case.controls)}
    writes = {route.name for route in evidence.case.workload.routes if route.method not in ("GET", "HEAD")}
    uncached = {name for name, metrics in evidence.routes.items() if _silent(metrics.get("hit_ratio"))}
    if len(uncached) == len(evidence.routes):  # no route shows a status: that says nothing of a cache
        uncached = set()
    examples: list[Facts] = []
    for name, metrics in evidence.routes.items():
        metric = metrics.get("latency_p50_ms")
        if name in declared or name not in writes | uncached or metric is None or not _moved(metric):
            continue
        kind = "write" if name in writes else "uncached"
        examples.append(
            {
                "route": name, "kind": kind, "before_ms": metric.before, "after_ms": metric.after,
                "low_ms": metric.low, "high_ms": metric.high,
            }
        )  # fmt: skip
    return run_finding("untouched-route-moved", {}, {"routes": len(examples)}, examples) if examples else None


def _silent(hit_ratio: Metric | None) -> bool:
    return hit_ratio is None or (hit_ratio.before is None and hit_ratio.after is None)


def _moved(metric: Metric) -> bool:
    if metric.before is None:
        return False
    least = LEAST_MOVE * metric.before
    return (metric.low is not None and metric.low > least) or (metric.high is not None and metric.high < -least)
