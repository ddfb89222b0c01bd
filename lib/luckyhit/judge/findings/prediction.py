"""Whether what the case predicts for the after arm (`predicted`) is what was measured there.

The measured interval is that of a bootstrap over stretches of time, a few in each block: requests near each other are
alike. A prediction came true where both intervals meet.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.records import METRICS, CountOf, GoalName, RunFinding, kind_of, route_of_goal

STRETCHES_IN_BLOCK, ROUNDS = 6, 400
FEWEST_REQUESTS = 20
_COLUMNS = ("route", "due_ns", "done_ns", "error", "cache", "db_calls")


def prediction(evidence: Evidence) -> RunFinding | None:
    """A row for each predicted metric of requests that the after arm shows; none without a prediction."""
    if not evidence.case.predicted or "after" not in evidence.arms:
        return None
    rows: list[Facts] = []
    table = evidence.requests(*_COLUMNS)
    for name, forecast in evidence.case.predicted.items():
        measured = _measured(table, name)
        if measured is None:
            continue
        low, value, high = measured
        rows.append(
            {
                "metric": str(name),
                "predicted": forecast.value,
                "predicted_low": forecast.low,
                "predicted_high": forecast.high,
                "measured": value,
                "measured_low": low,
                "measured_high": high,
                "came_true": low <= forecast.high and forecast.low <= high,
            }
        )
    if not rows:
        return None
    true = sum(bool(row["came_true"]) for row in rows)
    return run_finding("prediction", {"after": CountOf(count=true, of=len(rows))}, examples=rows)


def _measured(table: pa.Table, name: GoalName) -> tuple[float, float, float] | None:
    """(low, value, high) of a metric in the after arm; None where it is not one of requests, or too few show it."""
    kind, route = kind_of(name), route_of_goal(name)
    if kind not in METRICS.values() or kind.probe:
        return None
    frame = table.to_pandas()
    frame = frame[(frame["arm"] == "after") & (frame["phase"] == "measure") & frame["error"].isna()]
    if route:
        frame = frame[frame["route"] == route]
    if kind.value == "hit":
        frame = frame[frame["cache"].isin(["hit", "miss", "stale"])]
        values = (frame["cache"] == "hit").to_numpy(float)
    elif kind.value == "latency":
        values = ((frame["done_ns"] - frame["due_ns"]) / 1e6).to_numpy(float)
    elif kind.column in frame.columns:
        frame = frame[frame[kind.column].notna()]
        values = frame[kind.column].to_numpy(float)
    else:
        return None
    if len(values) < FEWEST_REQUESTS:
        return None
    stretch = _stretches(frame["block"].to_numpy(), frame["due_ns"].to_numpy())
    if kind.quantile is not None:
        return _quantile(values, stretch, kind.quantile)
    count = np.bincount(stretch)
    total = np.bincount(stretch, weights=values)
    drawn = _drawn(len(count))
    return _interval((drawn @ total) / np.maximum(drawn @ count, 1), float(values.mean()))


def _stretches(block: np.ndarray, due_ns: np.ndarray) -> np.ndarray:
    """The number of the stretch of each request."""
    number = np.zeros(len(block), np.int64)
    for one in np.unique(block):
        inside = block == one
        since = due_ns[inside] - due_ns[inside].min()
        number[inside] = one * STRETCHES_IN_BLOCK + since * STRETCHES_IN_BLOCK // (int(since.max()) + 1)
    _, place = np.unique(number, return_inverse=True)
    return place.astype(np.int64)


def _drawn(stretches: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.multinomial(stretches, np.full(stretches, 1 / stretches), size=ROUNDS).astype(float)


def _quantile(values: np.ndarray, stretch: np.ndarray, quantile: float) -> tuple[float, float, float]:
    order = np.argsort(values, kind="stable")
    ordered, place = values[order], stretch[order]
    rounds = []
    for weights in _drawn(int(stretch.max()) + 1):
        share = np.cumsum(weights[place])
        rounds.append(ordered[int(np.searchsorted(share, quantile * share[-1]))])
    value = ordered[max(int(np.ceil(quantile * len(ordered))) - 1, 0)]
    return _interval(np.array(rounds), float(value))


def _interval(rounds: np.ndarray, value: float) -> tuple[float, float, float]:
    low, high = np.quantile(rounds, [0.025, 0.975])
    return min(float(low), value), value, max(float(high), value)
