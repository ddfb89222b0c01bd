"""What one request counts as for a metric: a number, NaN where it is not visible. `records.METRICS` names one for
each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from luckyhit.judge.table.rows import Column, RequestTable
from luckyhit.records import GoalName, ValueKind, kind_of

Visible = tuple[np.ndarray, np.ndarray]
"""Of some rows, whether each shows the metric, and what it counts as (0, or False, where it does not)."""


def _latencies(rows: RequestTable) -> Visible:
    latency = rows.latency_ms
    known = np.isfinite(latency)
    return known, np.where(known, latency, 0.0)


VISIBLE: dict[ValueKind, Callable[[RequestTable, str], Visible]] = {
    "hit": lambda rows, _: rows.hits,
    "failed": lambda rows, _: rows.failures,
    "wrong": lambda rows, _: rows.wrongs,
    "latency": lambda rows, _: _latencies(rows),
    "number": lambda rows, column: rows.numbers(column),
}
"""Of rows and the metric's column; of events, whether they took place."""
VALUES: dict[ValueKind, Callable[[RequestTable, str], np.ndarray]] = {
    "hit": lambda rows, _: rows.hit,
    "failed": lambda rows, _: rows.failed,
    "wrong": lambda rows, _: rows.wrong,
    "latency": lambda rows, _: rows.latency_ms,
    "number": lambda rows, column: rows.number(column),
}
"""Of rows and the metric's column, a float for each row."""


def values_of(name: GoalName, rows: RequestTable) -> np.ndarray:
    """By a metric of requests, what each row counts as, in the metric's unit; NaN where it is not visible."""
    kind = kind_of(name)
    return np.asarray(VALUES[kind.value](rows, kind.column), dtype=float)


def visible_of(name: GoalName, rows: RequestTable) -> Visible:
    """By a metric of requests, which rows show it, and what each counts as in the metric's unit."""
    kind = kind_of(name)
    return VISIBLE[kind.value](rows, kind.column)


def sortable_values_of(name: GoalName, rows: RequestTable) -> Column:
    """The same in the form that is sorted fastest: latencies as whole nanoseconds, where they are kept so."""
    return rows.latency if kind_of(name).value == "latency" else values_of(name, rows)


def level_of_values(name: GoalName, values: np.ndarray) -> float:
    """The metric of some visible values: their mean, or the quantile that it is (the least value that this proportion
    lies at or below)."""
    quantile = kind_of(name).quantile
    return float(values.mean() if quantile is None else np.quantile(values, quantile, method="inverted_cdf"))
