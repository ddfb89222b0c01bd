"""Where an overall effect comes from: the same metrics for each route on its own, in both arms.

They have no verdict (a goal of one route has: `stores.hit_ratio`, see `measured`). An overall gain may hide a route
that lost, and the other way round. Both arms get the same number of requests to each route, so this is not Simpson's
paradox (1951, Journal of the Royal Statistical Society B 13: 238): where a route goes against the whole, the change did
that.

Units and boundary are those of the overall metrics. The error rate of a single overall interval is split evenly over
the routes (Bonferroni), so that the intervals of one metric hold for all routes together as surely as the overall one.
"""

from __future__ import annotations

from collections.abc import Mapping

from luckyhit.case import Case
from luckyhit.judge.compare.effects import request_effects
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.one_route import asked_routes, only_route
from luckyhit.judge.table.samples import Comparison
from luckyhit.judge.verdict import metric_of
from luckyhit.records import GoalName, Metric, Note
from luckyhit.text.quantities import interval_text, name_of, signed_difference
from luckyhit.text.wording import note

RouteMetrics = dict[str, dict[GoalName, Metric]]
MOST_NOTES = 6


def route_metrics(comparison: Comparison, case: Case, boundary: Boundary, error_rate: float) -> RouteMetrics:
    """The metrics that requests show, for each route of the case that was asked; empty where it is one at most.

    `error_rate`: of a single overall interval; each interval here gets an equal
    share of it, so that those of one metric hold together for all routes.
    """
    declared = [route.name for route in case.workload.routes]
    sent = asked_routes(comparison)
    asked = [name for name in declared if name in sent]
    if len(asked) < 2:
        return {}
    metrics: RouteMetrics = {}
    for name in asked:
        effects = request_effects(only_route(comparison, name), boundary, error_rate / len(asked))
        metrics[name] = {metric: metric_of(metric, effect) for metric, effect in effects.items()}
    return metrics


def route_notes(routes: Mapping[str, Mapping[GoalName, Metric]], overall: Mapping[GoalName, Metric]) -> list[Note]:
    """On routes that surely go against the whole, and on routes that surely part where the whole shows nothing."""
    notes = []
    for route, metrics in routes.items():
        against = [
            f"{name_of(name)} {_text(name, metric)}, overall {signed_difference(name, overall[name].effect or 0.0)}"
            for name, metric in metrics.items()
            if name in overall and direction(metric) * direction(overall[name]) < 0
        ]
        if against:
            notes.append(note("route-against-the-whole", route=route, against="; ".join(against)))
    for name in overall:
        if direction(overall[name]):
            continue
        sure = {route: metrics[name] for route, metrics in routes.items() if name in metrics}
        ways = {direction(metric) for metric in sure.values()}
        if {1, -1} <= ways:
            parts = [f"{_text(name, metric)} in {route}" for route, metric in sure.items() if direction(metric)]
            notes.append(note("routes-part", what=name_of(name), parts=parts))
    more = note("routes-more", count=len(notes) - MOST_NOTES)
    return notes if len(notes) <= MOST_NOTES else [*notes[:MOST_NOTES], more]


def direction(metric: Metric) -> int:
    """1 or -1 where the metric surely rose or fell (its interval excludes 0), else 0."""
    if metric.low is not None and metric.low > 0:
        return 1
    return -1 if metric.high is not None and metric.high < 0 else 0


def _text(name: GoalName, metric: Metric) -> str:
    return f"{signed_difference(name, metric.effect or 0.0)} (interval {interval_text(name, metric.low, metric.high)})"
