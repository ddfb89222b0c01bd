"""What a measured baseline adds to a case: which responses show a metric, and how much one pair varies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.judge.compare.effect import Effect, ErrorRates
from luckyhit.judge.compare.measured import measured_requests
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.write_units import stale_units
from luckyhit.judge.stats.boundary import INF, FixedSample
from luckyhit.judge.table.record import BEFORE, read
from luckyhit.judge.table.request_values import level_of_values, values_of
from luckyhit.judge.table.samples import CACHE, JUDGED, RequestTable, halves, rows_of_parts
from luckyhit.records import GoalName, kind_of, route_of_goal

NOWHERE = -2
"""The code of a route that has no requests."""
LEAST_OWN = 0.1
"""Of the variance of a metric: the least taken for one arm's own, however alike the arms are."""


@dataclass(frozen=True)
class BaselineMetric:
    """One metric in the baseline. `visible`: the proportion of requests that show it; `variance`: of the difference of
    one pair in which nothing changed, in the metric's unit squared (None: the baseline is too short)."""

    visible: float
    value: float | None = None
    variance: float | None = None


@dataclass(frozen=True)
class MeasuredBaseline:
    """`probe_decided`: the proportion of the probe's reads past the bound that were fresh or stale, not unknown."""

    metrics: dict[GoalName, BaselineMetric] = field(default_factory=dict)
    probe_decided: float = 1.0


def baseline_of(rows: RequestTable, probed: Probed, case: Case) -> MeasuredBaseline:
    """`rows`: the measured rows of the baseline; `probed`: its probe.

    The variance of a pair is that of an A/A comparison of the baseline's halves, less what both arms share: side by
    side they get the same requests, so what the route and the cache status explain is common to them.
    """
    effects = measured_requests(halves(rows), case, FixedSample(), ErrorRates.of(case))
    metrics = {}
    for name, effect in effects.items():
        values = values_of(name, rows)
        visible = np.isfinite(values)
        if route := route_of_goal(name):
            visible &= rows.route == (rows.routes.index(route) if route in rows.routes else NOWHERE)
        count = int(np.count_nonzero(visible))
        value = level_of_values(name, values[visible]) if count else None
        own = _own_part(name, values, visible, rows, value) if value is not None else 1.0
        metrics[name] = BaselineMetric(count / len(rows) if len(rows) else 0.0, value, _variance(effect, count, own))
    probe_decided = 1.0
    if case.freshness is not None and len(probed.reads):
        counts = stale_units(probed, case.freshness.within)
        late = counts.reads + counts.unknown
        probe_decided = counts.reads / late if late else 1.0
    return MeasuredBaseline(metrics, probe_decided)


def recorded_baseline(run: CaseRun) -> MeasuredBaseline:
    """The baseline that a run recorded. Raises RunUnreadable where a file of it is damaged."""
    rows = rows_of_parts(run.parts("requests", JUDGED))
    record = read(rows, None, run.table("reads"), run.table("writes"), run.manifest.blocks)
    return baseline_of(record.measured("baseline", BEFORE), record.probed("baseline", "before"), run.case)


def _own_part(name: GoalName, values: np.ndarray, visible: np.ndarray, rows: RequestTable, metric: float) -> float:
    """The part of the variance (of a quantile: of lying above it) inside groups of one route and cache status."""
    value = values[visible] if kind_of(name).quantile is None else (values > metric).astype(float)[visible]
    total = float(np.var(value))
    if total <= 0:
        return 1.0
    group = (rows.route.astype(np.int64) * (len(CACHE) + 1) + rows.cache + 1)[visible]
    _, index = np.unique(group, return_inverse=True)
    count = np.bincount(index)
    inside = value - (np.bincount(index, weights=value) / count)[index]
    return max(float(np.mean(inside**2)) / total, LEAST_OWN)


def _variance(effect: Effect, count: int, own: float) -> float | None:
    """From the standard error of the difference of two halves, of `count` / 2 values each."""
    return effect.standard_error**2 * count / 2 * own if 0 <= effect.standard_error < INF and count else None
