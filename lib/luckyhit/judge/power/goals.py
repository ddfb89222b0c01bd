"""Each goal of a case: how many pairs its plan gives, and how many its margin and limit need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from luckyhit.case import Case
from luckyhit.case.model import Goal
from luckyhit.designs import design_of
from luckyhit.judge.compare.effect import amount_of, interval_error_rate
from luckyhit.judge.early_stopping import boundary_of_look
from luckyhit.judge.power.measured_baseline import BaselineMetric, MeasuredBaseline
from luckyhit.judge.power.sample_size import (
    IntervalRule,
    pairs_for_difference,
    pairs_for_equality,
    pairs_for_mean,
    pairs_for_quantile,
    reads_for_limit,
    windows_for_quantile,
)
from luckyhit.judge.power.supply import (
    ProbeUnits,
    block_pairs,
    pairs_in_batch,
    probed_pairs,
    requests_of_block,
    route_proportion,
)
from luckyhit.judge.stale.proportion_bounds import one_sided_rate
from luckyhit.judge.stats.boundary import INF
from luckyhit.records import STALE_READS, Estimator, GoalName, kind_of, metric_of_goal, route_of_goal

WORKLOAD = "workload"
"""The workload's own writes, among the kinds of what counts as stale reads."""
Counted = Literal["pairs", "reads", "windows", "answers"]
State = Literal["enough", "open", "short", "never"]
"""enough: the plan gives what the goal needs. open: it gives the least that is needed; the rest depends on noise that
is not known yet. short: it gives less. never: no plan of this kind decides it."""
Reason = Literal[
    "", "noise-unknown", "blocks-are-units", "pace-unknown", "margin-relative", "not-visible", "limit-zero"
]


@dataclass(frozen=True)
class GoalPower:
    """One goal. `gives`: None where a log sets the pace. `at_least`: what it needs whatever the noise, `needs`: with
    the noise of the baseline (None: not known). `error_rate`: of its interval. `changes`: edits of the case, each
    enough by itself: field to value, as written in the case file. `parts`: of stale reads, what of `gives` is of which
    kind (a state of the key before the write, or WORKLOAD): not every kind shows every fault."""

    name: GoalName
    counted: Counted
    error_rate: float
    gives: float | None
    at_least: float
    needs: float | None
    state: State
    reason: Reason = ""
    changes: tuple[Mapping[str, str], ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """What one goal is compared with. `hidden`: metrics that no response showed in the preflight."""

    case: Case
    probe: ProbeUnits
    baseline: MeasuredBaseline | None
    hidden: Collection[GoalName]
    rule: IntervalRule

    def baseline_metric(self, name: GoalName) -> BaselineMetric | None:
        return self.baseline.metrics.get(name) if self.baseline is not None else None


def powers(
    case: Case, probe: ProbeUnits, baseline: MeasuredBaseline | None = None, hidden: Collection[GoalName] = ()
) -> list[GoalPower]:
    """Each goal of a case whose plan is complete, in the case's order."""
    design = design_of(case)
    looks = design.planned_blocks(case.plan.blocks)
    boundary, rate_fraction = boundary_of_look(looks, case)
    rule = IntervalRule(boundary, interval_error_rate(case) * rate_fraction, design.batches_are_units)
    planned = Planned(case, probe, baseline, hidden, rule)
    return [POWERS[kind_of(name).estimator](planned, name, goal) for name, goal in case.goals.items()]


def _requests(planned: Planned, name: GoalName, goal: Goal) -> GoalPower:
    """A metric of requests, or of those of one route: a proportion, a mean or a quantile."""
    case, rule, measured = planned.case, planned.rule, planned.baseline_metric(name)
    if metric_of_goal(name) in planned.hidden or (measured is not None and not measured.visible):
        return GoalPower(name, "answers", rule.error_rate, 0, 1, None, "never", "not-visible")
    requests = requests_of_block(case)
    proportion = route_proportion(case, route_of_goal(name), reads=kind_of(name).of_reads)
    if measured is not None:
        proportion = measured.visible
    gives = None if requests is None else requests * proportion * block_pairs(case, planned.probe)
    margin = amount_of(name, goal.margin, measured.value if measured is not None else None)
    at_least, limited = _least(planned, name, goal, margin)
    if limited == INF:
        return GoalPower(name, "answers", rule.error_rate, gives, limited, limited, "never", "limit-zero")
    if not rule.paired:
        # Blocks are the units: how much they differ shows when they are measured.
        return _power(name, "answers", planned, gives, at_least, None, "blocks-are-units")
    if margin is None:
        return _power(name, "pairs", planned, gives, at_least, None, "margin-relative")
    if measured is None or measured.variance is None:
        # A healthy service has no errors: counts decide.
        known = at_least if kind_of(name).fault else None
        return _power(name, "pairs", planned, gives, at_least, known, "noise-unknown")
    noise = pairs_for_mean(measured.variance, margin, rule, pairs_in_batch(case))
    return _power(name, "pairs", planned, gives, at_least, max(at_least, noise), "")


def _least(planned: Planned, name: GoalName, goal: Goal, margin: float | None) -> tuple[float, float]:
    """(pairs needed whatever the noise, pairs needed by the limit alone)."""
    rule, bounds = planned.rule, [1.0]
    limit = amount_of(name, goal.at_most, None) if goal.at_most is not None else None
    limited = 1.0
    kind = kind_of(name)
    if kind.quantile is not None:
        bounds.append(pairs_for_quantile(kind.quantile, rule, pairs_in_batch(planned.case)))
    elif kind.fault:
        assert margin is not None  # a proportion's margin is in points
        bounds.append(pairs_for_equality(margin, rule))
        limited = reads_for_limit(limit, rule, rule.error_rate) if limit is not None else 1.0
    elif margin is not None and kind.estimator in _COUNTED:
        # Near its ends a mean has the bounds of a count (see `effects`).
        bounds.append(reads_for_limit(min(margin, 1.0), rule, rule.error_rate))
    return max(*bounds, limited), limited


def _reads(planned: Planned, name: GoalName, goal: Goal) -> GoalPower:
    """A proportion of the probe's reads: stale reads (with the workload's own), those of a kind or a route, phantom
    reads."""
    case, probe, rule = planned.case, planned.probe, planned.rule
    decided = planned.baseline.probe_decided if planned.baseline is not None else 1.0
    blocks, parts = probed_pairs(case, probe), dict[str, float]()
    if name == STALE_READS:
        parts = {state: blocks * count * decided for state, count in sorted(probe.states.items())}
        parts |= {WORKLOAD: blocks * probe.workload} if probe.workload else {}
    gives = sum(parts.values()) if name == STALE_READS else blocks * probe.kinds.get(name, 0.0) * decided
    margin = amount_of(name, goal.margin, None)
    assert margin is not None  # a proportion's margin is in points
    needed = pairs_for_equality(margin, rule)
    if goal.want == "better":
        needed = max(needed, pairs_for_difference(margin, rule))
    if goal.at_most is not None:
        limit = amount_of(name, goal.at_most, None)
        limited = reads_for_limit(limit or 0.0, rule, one_sided_rate(rule.error_rate))
        if limited == INF:
            return GoalPower(name, "reads", rule.error_rate, gives, INF, INF, "never", "limit-zero")
        needed = max(needed, limited)
    power = _power(name, "pairs" if rule.paired else "reads", planned, gives, needed, needed, "")
    return replace(power, parts=parts)


def _staleness(planned: Planned, name: GoalName, goal: Goal) -> GoalPower:
    rule = planned.rule
    gives = probed_pairs(planned.case, planned.probe) * planned.probe.windows
    needed = windows_for_quantile(kind_of(name).quantile or 0.5, rule, rule.error_rate / 2)
    return _power(name, "windows", planned, gives, needed, needed, "")


def _power(
    name: GoalName,
    counted: Counted,
    planned: Planned,
    gives: float | None,
    at_least: float,
    needed: float | None,
    reason: Reason,
) -> GoalPower:
    """What the plan gives, compared with what is needed."""
    rate = planned.rule.error_rate
    if gives is None:
        return GoalPower(name, counted, rate, None, at_least, needed, "open", "pace-unknown")
    if gives < (at_least if needed is None else needed):
        return GoalPower(name, counted, rate, gives, at_least, needed, "short", reason)
    state: State = "enough" if needed is not None else "open"
    return GoalPower(name, counted, rate, gives, at_least, needed, state, reason if needed is None else "")


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
