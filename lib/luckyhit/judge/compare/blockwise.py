"""Each metric in each block: whole blocks as the units, for arms that took turns on one service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.freshness.classify import late_reads
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.probe_pairs import units_of
from luckyhit.judge.stats.boundary import INF, Boundary
from luckyhit.judge.table.request_values import values_of
from luckyhit.judge.table.rows import RequestTable
from luckyhit.records import METRICS, OF_REQUESTS, STALE_READS, GoalName, kind_of, metric_of_goal, route_of_goal

BlockValues = Mapping[GoalName, Mapping[int, float]]


def block_values(
    rows: RequestTable, probed: Sequence[Probed], within_s: float | None
) -> dict[GoalName, dict[int, float]]:
    """By metric, its value in each block that shows one. `rows`: measured ones; `probed`: the probe in the same blocks,
    by arm; `within_s`: the declared bound, None without a probe. A block has too few windows of staleness.
    """
    by_metric: dict[GoalName, dict[int, float]] = {name: {} for name in METRICS}
    runs = rows.runs()
    for block in np.unique(runs.block).tolist():
        in_block = rows.of_runs(runs, runs.block == block)
        visible: dict[tuple[str, str], np.ndarray] = {}
        for name in OF_REQUESTS:
            kind = METRICS[name]
            if (kind.value, kind.column) not in visible:
                values = values_of(name, in_block)
                visible[kind.value, kind.column] = values[np.isfinite(values)]
            values, quantile = visible[kind.value, kind.column], kind.quantile
            if len(values):
                by_metric[name][block] = float(np.mean(values) if quantile is None else np.quantile(values, quantile))
    if within_s is not None and any(len(arm.reads) for arm in probed):
        late = pd.concat([late_reads(arm.classified, within_s) for arm in probed])
        decided = late[late["outcome"].isin(["fresh", "stale"])]
        stale = (decided["outcome"] == "stale").groupby(decided["block"]).mean()
        by_metric[STALE_READS] = {int(block): float(proportion) for block, proportion in stale.items()}
        for arm in probed:
            for metric, units in units_of(arm, within_s).items():
                events: dict[int, list[bool]] = {}
                for (block, _, _), event in units.items():
                    events.setdefault(int(block), []).append(event)
                by_metric[metric] |= {block: float(np.mean(block_events)) for block, block_events in events.items()}
    return by_metric


def goal_values(rows: RequestTable, probed: Sequence[Probed], case: Case) -> dict[GoalName, dict[int, float]]:
    """`block_values`, with those of the routes that goals name."""
    within_s = case.freshness.within if case.freshness is not None else None
    by_metric: dict[GoalName, dict[int, float]] = {**block_values(rows, probed, within_s)}
    for name in case.goals:
        route = route_of_goal(name)
        if route and not kind_of(name).probe:
            code = rows.routes.index(route) if route in rows.routes else -2
            by_metric[name] = block_values(rows.take(rows.route == code), (), None)[metric_of_goal(name)]
    return by_metric


def one_more(
    effects: Mapping[GoalName, Effect], first: BlockValues, boundary: Boundary, error_rate: float
) -> dict[GoalName, Effect]:
    """`effects` of one further block against several, with intervals at least as wide as the prediction interval of one
    more block. `first`: the several ones; a single one does not show how blocks differ."""
    return {
        name: _wider(effect, list(first.get(name, {}).values()), boundary, error_rate)
        for name, effect in effects.items()
    }


def _wider(effect: Effect, values: list[float], boundary: Boundary, error_rate: float) -> Effect:
    if effect.effect is None or not values:
        return effect
    count, half_width = len(values), INF
    if count > 1:
        half_width = (
            boundary.critical_value(count - 1, error_rate) * float(np.std(values, ddof=1)) * sqrt(1 + 1 / count)
        )
    low, high = min(effect.low, effect.effect - half_width), max(effect.high, effect.effect + half_width)
    return replace(effect, low=low, high=high)
