"""The metrics, a row each: what is read, how arms are compared, its name, where it is shown; and the names of goals.

A new metric is a name in `MetricName` and a row in `METRICS`. A new estimator also needs a row in
`luckyhit.judge.compare.effects.REQUEST_ESTIMATORS`; values that are not the numbers of a column, one in
`luckyhit.judge.table.request_values.VALUES`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from math import ceil
from typing import Annotated, Literal

from pydantic import AfterValidator, WithJsonSchema

from luckyhit.records.amounts import UNITS, MarginUnit, Unit

MetricName = Literal[
    "hit_ratio",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "latency_mean_ms",
    "error_rate",
    "wrong_answers",
    "db_calls",
    "bytes_per_request",
    "stale_reads",
    "stale_reads_plain",
    "stale_reads_conditional",
    "stale_reads_in_flight",
    "stale_reads_absent",
    "stale_reads_refused",
    "phantom_reads",
    "staleness_p99_ms",
]
Estimator = Literal["share", "count", "mean", "quantile", "stale-share", "probe-share", "window-quantile"]
"""How both arms are compared (see `judge.compare.effects`, `judge.stale.probe_pairs`).

share            share of requests: paired batches, exact counts near 0 and 1
count            mean of small counts: the same, without the ceiling at 1
mean             mean of amounts: paired batches
quantile         quantile of amounts: paired batches of ranks
stale-share      share of writes that are read too late: pairs of writes
probe-share      share of the probe's writes: pairs of writes
window-quantile  quantile of windows of staleness: order statistics
"""
ValueKind = Literal["hit", "failed", "wrong", "latency", "number"]
"""The value of one request: see `judge.request_values`. `number`: the number in its column."""
EventMetric = Literal["hit_ratio", "latency_ms", "error_rate"]
"""The series in which events inside an arm are detected; `latency_ms` is the geometric mean."""
ProbeReads = Literal["plain", "conditional", "in-flight", "absent", "refused", "shown"]
"""Which reads of the probe count: see `judge.stale.probe_pairs`."""


@dataclass(frozen=True, slots=True)
class Needed:
    """What a case has to declare for a kind of reads: a field of `freshness`, or an item in it."""

    field: str
    item: str = ""

    def __str__(self) -> str:
        return f"`{self.item}` in freshness.{self.field}" if self.item else f"freshness.{self.field}"


@dataclass(frozen=True, slots=True)
class MetricKind:
    """One metric.

    Comparison: `unit`; `estimator`; `quantile` (of estimators that take one); `column` of the requests, and `value`,
    what a request counts as by it; `reads`: of shares of the probe's reads. A metric with a column is one of requests,
    and can be told of one route; any other needs the freshness probe.
    Words: `words`: as in a sentence; `counts`: what it is, for the docs; `unseen`: what a request did not, where it
    tells nothing; `told`: what answers tell, where they may not; `told_by`: the case's field that makes it visible.
    Meaning: `higher_is_better`; `fault`: it is wrong at any level, and told where it moved though the case has no goal
    for it; `part_of`: the metric that it is a part of, and that says why neither is visible; `covered_by`: the metric
    whose goal says what of this fault is accepted; `event`: the series in which its movements inside an arm show;
    `of_reads`: routes that write don't tell it; `needs`: in the case; `relative`: a margin may be a share of before.
    Shown: `baseline`: its name in the table of the baseline, `trend`: a line in the index of runs."""

    unit: Unit
    words: str
    counts: str
    estimator: Estimator
    quantile: float | None = None
    column: str = ""
    value: ValueKind = "number"
    reads: ProbeReads | None = None
    unseen: str = ""
    told: str = ""
    told_by: str = ""
    higher_is_better: bool = False
    fault: bool = False
    part_of: MetricName | None = None
    covered_by: MetricName | None = None
    event: EventMetric | None = None
    of_reads: bool = False
    needs: Needed | None = None
    relative: bool = True
    by_read_route: bool = False
    baseline: str = ""
    trend: bool = False

    @property
    def probe(self) -> bool:
        """Whether it needs the freshness probe."""
        return not self.column

    @property
    def by_route(self) -> bool:
        """Whether it is available by route: every metric of requests, and those with `by_read_route`."""
        return bool(self.column) or self.by_read_route

    @property
    def units(self) -> tuple[MarginUnit, ...]:
        """Units of a margin: relative to before or in points, then the metric's own, which a limit has too."""
        own = UNITS[self.unit].amount
        return (own,) if own == "%" or not self.relative else ("%", own)


def _latency(words: str, counts: str, quantile: float | None, *, trend: bool = False) -> MetricKind:
    return MetricKind(
        "ms",
        words,
        counts,
        "mean" if quantile is None else "quantile",
        quantile=quantile,
        column="done_ns",
        value="latency",
        unseen="completed",
        event="latency_ms",
        baseline="" if quantile is None else words,
        trend=trend,
    )


def _stale(words: str, counts: str, reads: ProbeReads, needs: Needed | None = None) -> MetricKind:
    return MetricKind("share", words, counts, "probe-share", reads=reads, part_of="stale_reads", needs=needs)


_DUE = "from the *due* time of a request to its last byte, for responses as expected"

METRICS: dict[MetricName, MetricKind] = {
    "hit_ratio": MetricKind(
        "share",
        "hit ratio",
        "hits among the responses with a cache status; stale responses are not hits",
        "share",
        column="cache",
        value="hit",
        unseen="told its cache status",
        told="the cache status",
        told_by="target.cache_header",
        higher_is_better=True,
        event="hit_ratio",
        of_reads=True,
        baseline="hit ratio of the baseline",
        trend=True,
    ),
    "latency_p50_ms": _latency("median latency", f"the median, {_DUE}", 0.5, trend=True),
    "latency_p95_ms": _latency("p95 latency", "the same, 95th percentile", 0.95, trend=True),
    "latency_p99_ms": _latency("p99 latency", "the same, 99th percentile", 0.99),
    "latency_mean_ms": _latency(
        "mean latency", "the same, mean: it moves where a quantile jumps from hits to misses", None
    ),
    "error_rate": MetricKind(
        "share",
        "error rate",
        "failed, timed out or unexpected, among the requests sent",
        "share",
        column="error",
        value="failed",
        unseen="was sent",
        fault=True,
        event="error_rate",
        baseline="error rate",
        trend=True,
    ),
    "wrong_answers": MetricKind(
        "share",
        "wrong answers",
        "2xx and 3xx responses with wrong content, among all responses",
        "share",
        column="error",
        value="wrong",
        unseen="was answered",
        fault=True,
        part_of="error_rate",
        covered_by="error_rate",
        event="error_rate",
    ),
    "db_calls": MetricKind(
        "calls/request",
        "database calls per request",
        "database calls per response",
        "count",
        column="db_calls",
        unseen="told its database calls",
        told="the number of database calls",
        told_by="target.db_header",
        of_reads=True,
        baseline="database calls per request",
    ),
    "bytes_per_request": MetricKind(
        "bytes/request",
        "bytes per request",
        "bytes of the response body as sent (compressed or not), per response",
        "mean",
        column="bytes",
        unseen="showed the size of its answer",
        baseline="bytes per request",
    ),
    "stale_reads": MetricKind(
        "share",
        "stale reads",
        "writes whose first read later than the declared bound returned an older version: one read for each write",
        "stale-share",
        by_read_route=True,
        fault=True,
        baseline="stale reads",
        trend=True,
    ),
    "stale_reads_plain": _stale("stale plain reads", "the same, only the probe's reads without a validator", "plain"),
    "stale_reads_conditional": _stale(
        "stale conditional reads", "the same, only its reads with a validator (`If-None-Match`)", "conditional"
    ),
    "stale_reads_in_flight": _stale(
        "stale reads of keys in flight",
        "after a write during a read",
        "in-flight",
        Needed("prestates", "in-flight"),
    ),
    "stale_reads_absent": _stale(
        "stale reads of new keys",
        "after the write that created the key",
        "absent",
        Needed("absent"),
    ),
    "stale_reads_refused": _stale(
        "reads of refused values", "reads that returned the value of a refused write", "refused", Needed("refused")
    ),
    "phantom_reads": MetricKind(
        "share",
        "phantom reads",
        "probes with a read of a version that no accepted write wrote, among those with a version",
        "probe-share",
        reads="shown",
        fault=True,
        part_of="stale_reads",
    ),
    "staleness_p99_ms": MetricKind(
        "ms",
        "p99 staleness",
        "how long readers have to expect old data after a write",
        "window-quantile",
        quantile=0.99,
        relative=False,
    ),
}
"""All metrics, in the order of tables."""

OF_REQUESTS: tuple[MetricName, ...] = tuple(name for name, kind in METRICS.items() if kind.column)
LATENCIES: tuple[MetricName, ...] = tuple(name for name, kind in METRICS.items() if kind.value == "latency")
OF_FRESHNESS: tuple[MetricName, ...] = tuple(
    name for name, kind in METRICS.items() if kind.probe and kind.part_of is None
)
"""Metrics of old data; a goal on one of them declares what is acceptable."""
STALE_READS: MetricName = "stale_reads"
"""The metric of old data that tables, figures and guards of freshness use."""
FAULTS: tuple[MetricName, ...] = tuple(name for name, kind in METRICS.items() if kind.fault)
"""Metrics that are wrong at any level: reported if they moved, with or without a goal."""
NUMBER_COLUMNS: tuple[str, ...] = tuple(
    dict.fromkeys(kind.column for kind in METRICS.values() if kind.column and kind.value == "number")
)
"""The columns of the requests whose numbers are metrics themselves."""


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
    expected = f"{'ROUTE.METRIC with a metric' if dot else 'a metric'}: one of {', '.join(names)}"
    raise ValueError(f"{expected} (did you mean '{near[0]}'?)" if near else expected)


GoalName = Annotated[str, AfterValidator(_known), WithJsonSchema(_NAME_SCHEMA)]
"""What a goal is about: a metric, or `route.metric` (a metric of one route: `stores.hit_ratio`)."""


def metric_of_goal(name: GoalName) -> MetricName:
    """`hit_ratio` for `stores.hit_ratio` and for `hit_ratio`. Raises KeyError if it doesn't end in a metric."""
    metric = name.rpartition(".")[2]
    if metric not in METRICS:
        raise KeyError(name)
    return metric


def route_of_goal(name: GoalName) -> str:
    """`stores` for `stores.hit_ratio`; empty for a metric of all requests."""
    return name.rpartition(".")[0]


def kind_of(name: GoalName) -> MetricKind:
    """The row of a goal's metric."""
    return METRICS[metric_of_goal(name)]


def nearest_rank(quantile: float, count: int) -> int:
    """The index of a quantile among `count` sorted values: the least with at least that proportion at or below it."""
    # Less a hair: 0.07 * 100 is 7.000000000000001, and means the seventh value.
    return min(max(ceil(quantile * count - 1e-9), 1), count) - 1


__all__ = [
    "FAULTS", "LATENCIES", "METRICS", "NUMBER_COLUMNS", "OF_FRESHNESS", "OF_REQUESTS", "STALE_READS", "Estimator",
    "EventMetric", "MetricKind", "MetricName", "Needed", "ProbeReads", "ValueKind", "nearest_rank",
]  # fmt: skip
