"""What a measured baseline adds to what a case alone tells: which answers tell, and how much one pair varies."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from luckyhit.case import Case
from luckyhit.judge.compare.effect import Effect, Levels
from luckyhit.judge.compare.measured import measured_requests
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.write_units import stale_units
from luckyhit.judge.stats.boundary import INF, FixedSample
from luckyhit.judge.table.request_values import level_of_values, values_of
from luckyhit.judge.table.samples import CACHE, Rows, halves
from luckyhit.records import GoalName, kind_of, route_of_goal

NOWHERE = -2
"""The code of a route that has no requests."""
LEAST_OWN = 0.1
"""Of the variance of a metric: what is taken for each arm's own at the least, however alike the arms are."""


@dataclass(frozen=True)
class BaselineMetric:
    """One metric in the baseline. `told`: the share of requests that tell it; `level`: its value; `variance`: of the
    difference of one pair in which nothing changed, in the metric's unit squared (None: the baseline is too short)."""

    told: float
    level: float | None = None
    variance: float | None = None


@dataclass(frozen=True)
class MeasuredBaseline:
    """What the baseline showed. `probe_told`: the share of the probe's reads past the bound that could be told."""

    metrics: dict[GoalName, BaselineMetric] = field(default_factory=dict)
    probe_told: float = 1.0


def baseline_of(rows: Rows, probed: Probed, case: Case) -> MeasuredBaseline:
    """`rows`: the measured ones of the baseline; `probed`: what its probe found.

    The variance of a pair is that of an A/A comparison of the baseline's halves, as far as it is each arm's own: side
    by side both arms get the same requests, so what the route and the cache status explain is common to them.
    """
    effects = measured_requests(halves(rows), case, FixedSample(), Levels.of(case))
    metrics = {}
    for name, effect in effects.items():
        values = values_of(name, rows)
        visible = np.isfinite(values)
        if route := route_of_goal(name):
            visible &= rows.route == (rows.routes.index(route) if route in rows.routes else NOWHERE)
        count = int(np.count_nonzero(visible))
        level = level_of_values(name, values[visible]) if count else None
        own = _own(name, values, visible, rows, level) if level is not None else 1.0
        metrics[name] = BaselineMetric(count / len(rows) if len(rows) else 0.0, level, _variance(effect, count, own))
    probe_told = 1.0
    if case.freshness is not None and len(probed.reads):
        share = stale_units(probed, case.freshness.within)
        late = share.reads + share.unknown
        probe_told = share.reads / late if late else 1.0
    return MeasuredBaseline(metrics, probe_told)


def _own(name: GoalName, values: np.ndarray, visible: np.ndarray, rows: Rows, level: float) -> float:
    """The share of the variance (of a quantile: of lying above it) inside groups of one route and cache status."""
    value = values[visible] if kind_of(name).quantile is None else (values > level).astype(float)[visible]
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
    return effect.error**2 * count / 2 * own if 0 <= effect.error < INF and count else None


__all__ = ["BaselineMetric", "MeasuredBaseline", "baseline_of"]
