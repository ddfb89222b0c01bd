"""What a goal is about: a metric, or a metric of one route."""

from __future__ import annotations

import difflib
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from luckyhit.records.metrics import METRICS, MetricKind, MetricName

_BY_ROUTE = [name for name, kind in METRICS.items() if kind.by_route]
_NAME_SCHEMA = {
    "type": "string",
    "anyOf": [{"enum": [*METRICS]}, {"pattern": rf"^[a-z0-9][a-z0-9-]*\.({'|'.join(_BY_ROUTE)})$"}],
}


def _known(name: str) -> str:
    route, dot, metric = name.rpartition(".")
    names = [known for known, kind in METRICS.items() if kind.by_route or not dot]
    if metric in names and bool(route) == bool(dot):
        return name
    near = difflib.get_close_matches(metric[:100], names, n=1, cutoff=0.6)
    expected = f"{'a route and a metric of one route' if dot else 'a metric'}, one of {', '.join(names)}"
    raise ValueError(f"`{near[0]}`? It is {expected}" if near else expected)


GoalName = Annotated[str, AfterValidator(_known), WithJsonSchema(_NAME_SCHEMA)]
"""What a goal is about: a metric, or `route.metric` (a metric of one route: `stores.hit_ratio`)."""


def metric_of_goal(name: GoalName) -> MetricName:
    """`hit_ratio` of `stores.hit_ratio` and of `hit_ratio`. Raises KeyError where it ends in no metric."""
    metric = name.rpartition(".")[2]
    if metric not in METRICS:
        raise KeyError(name)
    return metric


def route_of_goal(name: GoalName) -> str:
    """`stores` of `stores.hit_ratio`; empty of a metric of all requests."""
    return name.rpartition(".")[0]


def kind_of(name: GoalName) -> MetricKind:
    """The row of a goal's metric."""
    return METRICS[metric_of_goal(name)]


__all__ = ["GoalName", "kind_of", "metric_of_goal", "route_of_goal"]
