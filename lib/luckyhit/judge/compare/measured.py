"""Every metric of a comparison, and the metrics of single routes that goals name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luckyhit.case import Case
from luckyhit.case.model import Goal
from luckyhit.judge.compare.effect import Effect, ErrorRates
from luckyhit.judge.compare.effects import request_effects
from luckyhit.judge.compare.probe_effects import freshness_effects
from luckyhit.judge.compare.process_starts import Starts, over_starts
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.probe_pairs import read_effects, stale_of_route
from luckyhit.judge.stale.write_units import StalePairs
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.one_route import only_route
from luckyhit.judge.table.samples import Comparison
from luckyhit.records import METRICS, OF_FRESHNESS, GoalName, kind_of, metric_of_goal, route_of_goal

Effects = dict[GoalName, Effect]
NO_STARTS = Starts({})


def measured_requests(
    comparison: Comparison, case: Case, boundary: Boundary, error_rates: ErrorRates, starts: Starts = NO_STARTS
) -> Effects:
    """The metrics of all requests, and of the routes that goals name (`stores.hit_ratio`). `starts`: the process starts
    over which a latency has to recur."""
    effects: Effects = over_starts(
        request_effects(comparison, boundary, error_rates.goals, case.goals, error_rates.faults),
        comparison,
        starts,
        error_rates.goals,
    )
    for route in dict.fromkeys(route_of_goal(name) for name in case.goals if not kind_of(name).probe):
        if route:
            goals: dict[GoalName, Goal] = {
                metric_of_goal(name): goal for name, goal in case.goals.items() if route_of_goal(name) == route
            }
            alone = only_route(comparison, route)
            of_route = request_effects(alone, boundary, error_rates.goals, goals)
            of_route = over_starts(of_route, alone, starts, error_rates.goals)
            effects |= {f"{route}.{name}": of_route[name] for name in goals if name in of_route}
    return effects


def measured_reads(
    arms: Sequence[Probed], case: Case, boundary: Boundary, error_rates: ErrorRates, pairs: StalePairs | None = None
) -> Effects:
    """The metrics of the freshness probe's reads in both arms, and of the read routes that goals name. `pairs`: the
    writes decided in both arms; None where arms were not probed side by side."""
    within_s = case.freshness.within if case.freshness is not None else None
    before, after = arms
    rate = error_rates.at(*OF_FRESHNESS)
    effects: Effects = {
        **freshness_effects(before, after, within_s, boundary, rate, pairs),
        **read_effects(before, after, within_s, boundary, error_rates, paired=pairs is not None),
    }
    for name in case.goals:
        route = route_of_goal(name)
        if route and kind_of(name).probe and within_s is not None:
            effects[name] = stale_of_route(
                before, after, route, within_s, boundary, error_rates.goals, paired=pairs is not None
            )
    return effects


def in_order(effects: Mapping[GoalName, Effect]) -> Effects:
    """In the order of `records.METRICS`, then those of single routes."""
    names = [*METRICS, *(name for name in effects if route_of_goal(name))]
    return {name: effects[name] for name in names}
