"""A route that no cache of the change seems to be in front of, writes or answers that never tell a cache status, became
slower or faster: the change reaches further than its goals, or the arms differed by more than the change.

Nobody declared these routes as controls (`controls` in the case does), and a change may well touch them: a write that
now waits for its commit is slower for a good reason. So this is told, and decides nothing.
"""

from __future__ import annotations

from luckyhit.judge.evidence import Evidence
from luckyhit.records import Metric, RunFinding, route_of_goal

ID = "untouched-route-moved"
METRIC = "latency_p50_ms"
LEAST = 0.2
"""Of the before arm's value: the whole interval has to lie beyond it. What process starts move is less."""


def find(evidence: Evidence) -> RunFinding | None:
    declared = {route_of_goal(name) for name in (*evidence.case.goals, *evidence.case.controls)}
    writes = {route.name for route in evidence.case.workload.routes if route.method not in ("GET", "HEAD")}
    uncached = {name for name, metrics in evidence.routes.items() if _silent(metrics.get("hit_ratio"))}
    if len(uncached) == len(evidence.routes):  # nobody tells a status: that says nothing of a cache
        uncached = set()
    examples: list[dict[str, float | int | str | bool | None]] = []
    for name, metrics in evidence.routes.items():
        metric = metrics.get(METRIC)
        if name in declared or name not in writes | uncached or metric is None or not _moved(metric):
            continue
        kind = "write" if name in writes else "uncached"
        examples.append(
            {
                "route": name, "kind": kind, "before_ms": metric.before, "after_ms": metric.after,
                "low_ms": metric.low, "high_ms": metric.high,
            }
        )  # fmt: skip
    if not examples:
        return None
    return RunFinding(id=ID, facts={"routes": len(examples)}, examples=examples)


def _silent(hit_ratio: Metric | None) -> bool:
    return hit_ratio is None or (hit_ratio.before is None and hit_ratio.after is None)


def _moved(metric: Metric) -> bool:
    if metric.before is None:
        return False
    least = LEAST * metric.before
    return (metric.low is not None and metric.low > least) or (metric.high is not None and metric.high < -least)
