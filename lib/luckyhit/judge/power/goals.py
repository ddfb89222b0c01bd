"""Each goal of a case: how many pairs its plan gives that count, and how many its margin and limit need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from luckyhit.case import Case
from luckyhit.case.model import Goal
from luckyhit.designs import design_of
from luckyhit.judge.compare.effect import amount_of, level_of
from luckyhit.judge.early import ways_to_look
from luckyhit.judge.power import needs
from luckyhit.judge.power.measured_baseline import BaselineMetric, MeasuredBaseline
from luckyhit.judge.power.needs import Rule
from luckyhit.judge.power.supply import (
    ProbeUnits,
    block_pairs,
    pairs_in_batch,
    probed_pairs,
    requests_of_block,
    route_share,
    workload_units,
)
from luckyhit.judge.stats.boundary import INF
from luckyhit.records import STALE_READS, Estimator, GoalName, kind_of, metric_of_goal, route_of_goal

Counted = Literal["pairs", "reads", "windows", "answers"]
State = Literal["enough", "open", "short", "never"]
"""enough: the plan gives what the goal needs. open: it gives the least that is needed, the rest hangs on noise that is
not known yet. short: it gives less. never: no plan of this kind decides it."""
Reason = Literal[
    "", "noise-unknown", "blocks-are-units", "pace-unknown", "margin-relative", "not-visible", "limit-zero"
]


@dataclass(frozen=True)
class GoalPower:
    """One goal. `gives`: None where a log sets the pace. `at_least`: what it needs whatever the noise is, `needs`: with
    the noise of the baseline (None: not known). `error_rate`: of its interval. `changes`: edits of the case, each of
    which makes it decidable by itself: field to value, as they are written in the case file."""

    name: GoalName
    counted: Counted
    error_rate: float
    gives: float | None
    at_least: float
    needs: float | None
    state: State
    reason: Reason = ""
    changes: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True)
class Planned:
    """What one goal is held against. `hidden`: metrics that no answer told when it was asked."""

    case: Case
    probe: ProbeUnits
    baseline: MeasuredBaseline | None
    hidden: Collection[GoalName]
    rule: Rule

    def shown(self, name: GoalName) -> BaselineMetric | None:
        return self.baseline.metrics.get(name) if self.baseline is not None else None


def powers(
    case: Case, probe: ProbeUnits, baseline: MeasuredBaseline | None = None, hidden: Collection[GoalName] = ()
) -> list[GoalPower]:
    """Each goal of a case whose plan has its numbers, in the case's order."""
    design = design_of(case)
    looks = design.planned_blocks(case.plan.blocks)
    boundary, share_of_rate = ways_to_look(looks, case)
    rule = Rule(boundary, level_of(case) * share_of_rate, design.batches_are_units)
    planned = Planned(case, probe, baseline, hidden, rule)
    return [POWERS[kind_of(name).estimator](planned, name, goal) for name, goal in case.goals.items()]


def _requests(planned: Planned, name: GoalName, goal: Goal) -> GoalPower:
    """A metric of requests, or of those of one route: a share, a mean or a quantile."""
    case, rule, shown = planned.case, planned.rule, planned.shown(name)
    if metric_of_goal(name) in planned.hidden or (shown is not None and not shown.told):
        return GoalPower(name, "answers", rule.error_rate, 0, 1, None, "never", "not-visible")
    requests = requests_of_block(case)
    planned_share = route_share(case, route_of_goal(name), reads=kind_of(name).of_reads)
    share = shown.told if shown is not None else planned_share
    gives = None if requests is None else requests * share * block_pairs(case, planned.probe)
    margin = amount_of(name, goal.margin, shown.level if shown is not None else None)
    at_least, limited = _least(planned, name, goal, margin)
    if limited == INF:
        return GoalPower(name, "answers", rule.error_rate, gives, limited, limited, "never", "limit-zero")
    if not rule.paired:
        # Blocks are the units there: how much they differ shows when they are measured.
        return _held(name, "answers", planned, gives, at_least, None, "blocks-are-units")
    if margin is None:
        return _held(name, "pairs", planned, gives, at_least, None, "margin-relative")
    if shown is None or shown.variance is None:
        # Where errors are none, as in a service that is well, counts are all there is.
        known = at_least if kind_of(name).fault else None
        return _held(name, "pairs", planned, gives, at_least, known, "noise-unknown")
    noise = needs.mean_inside(shown.variance, margin, rule, pairs_in_batch(case))
    return _held(name, "pairs", planned, gives, at_least, max(at_least, noise), "")


def _least(planned: Planned, name: GoalName, goal: Goal, margin: float | None) -> tuple[float, float]:
    """(pairs that are needed whatever the noise, those of the limit alone)."""
    rule, bounds = planned.rule, [1.0]
    limit = amount_of(name, goal.at_most, None) if goal.at_most is not None else None
    limited = 1.0
    kind = kind_of(name)
    if kind.quantile is not None:
        bounds.append(needs.quantile_bounded(kind.quantile, rule, pairs_in_batch(planned.case)))
    elif kind.fault:
        assert margin is not None  # a share's margin is in points
        bounds.append(needs.share_inside(margin, rule))
        limited = needs.share_within(limit, rule, rule.error_rate) if limit is not None else 1.0
    elif margin is not None and kind.estimator in _COUNTED:
        # Near its ends a mean has the bounds of a count (see `effects`).
        bounds.append(needs.share_within(min(margin, 1.0), rule, rule.error_rate))
    return max(*bounds, limited), limited


def _reads(planned: Planned, name: GoalName, goal: Goal) -> GoalPower:
    """A share of what the probe reads: stale reads (the workload's own among them), those of a kind or a route, phantom
    reads."""
    case, probe, rule = planned.case, planned.probe, planned.rule
    share = planned.baseline.probe_told if planned.baseline is not None else 1.0
    own = workload_units(case) if name == STALE_READS else 0.0
    gives = probed_pairs(case, probe) * (probe.units(name) * share + own)
    margin = amount_of(name, goal.margin, None)
    assert margin is not None  # a share's margin is in points
    needed = needs.share_inside(margin, rule)
    if goal.want == "better":
        needed = max(needed, needs.share_apart(margin, rule))
    if goal.at_most is not None:
        limit = amount_of(name, goal.at_most, None)
        limited = needs.share_within(limit or 0.0, rule, _one_sided(rule.error_rate))
        if limited == INF:
            return GoalPower(name, "reads", rule.error_rate, gives, INF, INF, "never", "limit-zero")
        needed = max(needed, limited)
    return _held(name, "pairs" if rule.paired else "reads", planned, gives, needed, needed, "")


def _staleness(planned: Planned, name: GoalName, goal: Goal) -> GoalPower:
    rule = planned.rule
    gives = probed_pairs(planned.case, planned.probe) * planned.probe.windows
    needed = needs.windows_bounded(kind_of(name).quantile or 0.5, rule, rule.error_rate / 2)
    return _held(name, "windows", planned, gives, needed, needed, "")


def _held(
    name: GoalName,
    counted: Counted,
    planned: Planned,
    gives: float | None,
    at_least: float,
    needed: float | None,
    reason: Reason,
) -> GoalPower:
    """What is given, held against what is needed."""
    rate = planned.rule.error_rate
    if gives is None:
        return GoalPower(name, counted, rate, None, at_least, needed, "open", "pace-unknown")
    if gives < (at_least if needed is None else needed):
        return GoalPower(name, counted, rate, gives, at_least, needed, "short", reason)
    state: State = "enough" if needed is not None else "open"
    return GoalPower(name, counted, rate, gives, at_least, needed, state, reason if needed is None else "")


def _one_sided(error_rate: float) -> float:
    """A hard limit is compared with one bound, which may be wrong with the whole error rate."""
    return min(2 * error_rate, 0.5)


_COUNTED: tuple[Estimator, ...] = ("share", "count")
POWERS: dict[Estimator, Callable[[Planned, GoalName, Goal], GoalPower]] = {
    "share": _requests,
    "count": _requests,
    "mean": _requests,
    "quantile": _requests,
    "stale-share": _reads,
    "probe-share": _reads,
    "window-quantile": _staleness,
}
"""What a goal needs, by how its metric is estimated."""

__all__ = ["POWERS", "Counted", "GoalPower", "Reason", "State", "powers"]
