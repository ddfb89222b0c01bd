"""What is watched for events inside an arm: one row for each series."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from luckyhit.judge.table.rows import Rows
from luckyhit.records import METRICS, EventMetric, MetricName


@dataclass(frozen=True, slots=True)
class EventSeries:
    """`words`: what it is called. `like`: the metric whose units fit. `values`: what one request counts as, NaN where
    it tells nothing. `least`: smaller movements are not worth a reader's time (of logarithms: about the relative
    change), unless a quarter of a goal's margin is less. `logarithmic`: values are logarithms."""

    words: str
    like: MetricName
    values: Callable[[Rows], np.ndarray]
    least: float
    logarithmic: bool = False


def _log_latency(rows: Rows) -> np.ndarray:
    latency = rows.latency_ms
    with np.errstate(invalid="ignore"):
        latency[~(latency > 0)] = np.nan
    return np.asarray(np.log(latency, out=latency))


SERIES: dict[EventMetric, EventSeries] = {
    "hit_ratio": EventSeries("hit ratio", "hit_ratio", lambda rows: rows.hit, 0.0125),
    "latency_ms": EventSeries(
        "typical latency (geometric mean)", "latency_p50_ms", _log_latency, 0.05, logarithmic=True
    ),
    "error_rate": EventSeries("error rate", "error_rate", lambda rows: rows.failed, 0.005),
}


def metrics_of_series(name: EventMetric) -> list[MetricName]:
    """The metrics whose movements inside an arm show in this series."""
    return [metric for metric, kind in METRICS.items() if kind.event == name]


__all__ = ["SERIES", "EventSeries", "metrics_of_series"]
