"""Negative controls: metrics that the change can't touch. Where one moves, the arms differed by more than the change,
and no difference can be put down to it (Lipsitch, Tchetgen Tchetgen and Cohen 2010, Epidemiology 21: 383).

Each control has the interval that a goal on the same metric would have, at an error rate of its own, and counts as
moved where the whole interval lies beyond its margin.
"""

from __future__ import annotations

from luckyhit.case import Case
from luckyhit.case.model import Goal
from luckyhit.judge.compare.effect import Effect, amount_of
from luckyhit.judge.compare.effects import request_effects
from luckyhit.judge.compare.process_starts import Starts, over_starts
from luckyhit.judge.stats.boundary import INF, Boundary
from luckyhit.judge.table.one_route import only_route
from luckyhit.judge.table.samples import Comparison
from luckyhit.records import GoalName, Guard, metric_of_goal, route_of_goal
from luckyhit.text.numbers import listed
from luckyhit.text.quantities import difference_text, interval_text, name_of

CHANCE = 0.01
"""The chance that any control is wrongly said to have moved, over all of them together."""


def controls_guard(
    comparison: Comparison, case: Case, boundary: Boundary, starts: Starts, rate_fraction: float = 1.0
) -> Guard | None:
    """Whether the case's controls lie within their margins; None where it has none. `rate_fraction`: the part of CHANCE
    for this look."""
    if not case.controls:
        return None
    effects = _effects(comparison, case, boundary, starts, rate_fraction * CHANCE / len(case.controls))
    moved, not_visible, still = list[str](), list[str](), list[str]()
    for name, effect in effects.items():
        margin = amount_of(name, case.controls[name], effect.before)
        if effect.effect is None or margin is None:
            not_visible.append(name_of(name))
            continue
        text = f"{name_of(name)} {interval_text(name, *_finite(effect))} (margin {difference_text(name, margin)})"
        (moved if effect.low > margin or effect.high < -margin else still).append(text)
    problems = [f"moved, though the change can't touch it: {listed(moved)}"] if moved else []
    problems += [f"not visible in both arms: {listed(not_visible)}"] if not_visible else []
    remedy = ""
    if moved:
        remedy = (
            "Find out what else differed between the arms, and measure again; or see whether the change can touch it."
        )
    elif not_visible:
        remedy = "Name controls that the workload shows, or measure longer."
    detail = "; ".join(problems) or f"none moved beyond its margin: {listed(still)}"
    return Guard(id="negative-controls-still", ok=not problems, detail=detail, remedy=remedy)


def _effects(
    comparison: Comparison, case: Case, boundary: Boundary, starts: Starts, error_rate: float
) -> dict[GoalName, Effect]:
    by_control: dict[GoalName, Effect] = {}
    for route in dict.fromkeys(route_of_goal(name) for name in case.controls):
        names = [name for name in case.controls if route_of_goal(name) == route]
        goals: dict[GoalName, Goal] = {
            metric_of_goal(name): Goal(want="no-worse", margin=case.controls[name]) for name in names
        }
        alone = only_route(comparison, route) if route else comparison
        effects = over_starts(request_effects(alone, boundary, error_rate, goals), alone, starts, error_rate)
        by_control |= {name: effects[metric_of_goal(name)] for name in names}
    return {name: by_control[name] for name in case.controls}


def _finite(effect: Effect) -> tuple[float | None, float | None]:
    return effect.low if effect.low > -INF else None, effect.high if effect.high < INF else None
