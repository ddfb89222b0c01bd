"""The metrics: one row each. What is measured in which unit, which way is better, and what it is called.

A metric to come is a name in `MetricName`, a row in `METRICS`, and an estimator in `luckyhit.judge`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

MetricName = Literal[
    "hit_ratio",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "latency_mean_ms",
    "error_rate",
    "wrong_answers",
    "db_calls",
    "stale_reads",
    "stale_reads_plain",
    "stale_reads_conditional",
    "stale_reads_in_flight",
    "stale_reads_absent",
    "stale_reads_refused",
    "phantom_reads",
    "staleness_p99_ms",
]
Unit = Literal["share", "ms", "calls/request"]
MarginUnit = Literal["%", "ms", "calls"]


@dataclass(frozen=True, slots=True)
class MetricKind:
    """One metric. `words`: as in a sentence; `counts`: what it is, for the docs; `units`: those of a margin, the first
    that is not relative is a limit's; `probe`: it needs the freshness probe; `by_route`: it can be told of one route;
    `fault`: what is wrong at any level, and told where it moved though the case has no goal for it; `part_of`: the
    metric that it is a part of, and that says why neither is visible."""

    unit: Unit
    words: str
    counts: str
    units: tuple[MarginUnit, ...]
    higher_is_better: bool = False
    probe: bool = False
    by_route: bool = False
    fault: bool = False
    part_of: MetricName | None = None


def _latency(words: str, counts: str) -> MetricKind:
    return MetricKind("ms", words, counts, ("%", "ms"), by_route=True)


def _stale(words: str, counts: str) -> MetricKind:
    return MetricKind("share", words, counts, ("%",), probe=True, part_of="stale_reads")


_DUE = "from the moment a request was *due* to its last byte, of answers as expected"

METRICS: dict[MetricName, MetricKind] = {
    "hit_ratio": MetricKind(
        "share",
        "hit ratio",
        "hits among the answers that told their cache status; stale answers count as no hit",
        ("%",),
        higher_is_better=True,
        by_route=True,
    ),
    "latency_p50_ms": _latency("median latency", f"the median, {_DUE}"),
    "latency_p95_ms": _latency("p95 latency", "the same, 95th percentile"),
    "latency_p99_ms": _latency("p99 latency", "the same, 99th percentile"),
    "latency_mean_ms": _latency("mean latency", "the same, mean: it moves where a quantile jumps from hits to misses"),
    "error_rate": MetricKind(
        "share",
        "error rate",
        "failed, timed out or unexpected, among the requests that were sent",
        ("%",),
        by_route=True,
        fault=True,
    ),
    "wrong_answers": MetricKind(
        "share",
        "wrong answers",
        "answers with a status of 2xx or 3xx that are not what the route owes, among all answers",
        ("%",),
        by_route=True,
        fault=True,
        part_of="error_rate",
    ),
    "db_calls": MetricKind(
        "calls/request", "database calls per request", "database calls per answer", ("%", "calls"), by_route=True
    ),
    "stale_reads": MetricKind(
        "share",
        "stale reads",
        "reads that showed an older version, later than the declared bound",
        ("%",),
        probe=True,
        by_route=True,
        fault=True,
    ),
    "stale_reads_plain": _stale("stale plain reads", "the same of the probe's reads without a validator alone"),
    "stale_reads_conditional": _stale("stale conditional reads", "of its reads with a validator (`If-None-Match`)"),
    "stale_reads_in_flight": _stale("stale reads of keys in flight", "behind a write that met a read under way"),
    "stale_reads_absent": _stale("stale reads of new keys", "behind the write that created what was not there before"),
    "stale_reads_refused": _stale("reads of refused values", "behind a refused write: reads that showed its value"),
    "phantom_reads": MetricKind(
        "share",
        "phantom reads",
        "probes behind which a read showed a version that no accepted write wrote, among those that showed one",
        ("%",),
        probe=True,
        fault=True,
        part_of="stale_reads",
    ),
    "staleness_p99_ms": MetricKind(
        "ms", "p99 staleness", "for how long readers have to expect old data after a write", ("ms",), probe=True
    ),
}
"""Every metric, in the order of tables."""

_BY_ROUTE = [name for name, kind in METRICS.items() if kind.by_route]
_NAME_SCHEMA = {
    "type": "string",
    "anyOf": [{"enum": [*METRICS]}, {"pattern": rf"^[a-z0-9][a-z0-9-]*\.({'|'.join(_BY_ROUTE)})$"}],
}

FAULTS: tuple[MetricName, ...] = tuple(name for name, kind in METRICS.items() if kind.fault)
"""What is wrong at any level: told where it moved, declared or not."""


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


__all__ = [
    "FAULTS", "METRICS", "GoalName", "MarginUnit", "MetricKind", "MetricName", "Unit", "kind_of", "metric_of_goal",
    "route_of_goal",
]  # fmt: skip
