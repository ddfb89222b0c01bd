"""Checks of the goals and negative controls of a case: routes, units, margins and limits."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from luckyhit.case.findings import FieldPath, Finding
from luckyhit.records import AMOUNTS, GoalName, MarginUnit, kind_of, metric_of_goal, route_of_goal

if TYPE_CHECKING:
    from luckyhit.case.model import Case


def limit_units(name: GoalName) -> tuple[MarginUnit, ...]:
    """The units of a hard limit, which is never relative to before; empty where a metric has none."""
    kind = kind_of(name)
    if kind.higher_is_better:
        return ()
    return kind.units if kind.unit == "share" else tuple(unit for unit in kind.units if unit != "%")


def _stale_goals(case: Case) -> Iterator[Finding]:
    """A goal on what the probe reads, such as `stale_reads` or `phantom_reads`, needs a `freshness` section."""
    if case.freshness is None:
        for name in case.goals:
            if kind_of(name).probe:
                expected = "a freshness section, since only the probe can see it"
                yield Finding(("goals", name), f"a goal for {kind_of(name).words} without freshness", expected)


def _unknown_route(name: GoalName, names: list[str], at: FieldPath, where: str) -> Iterator[Finding]:
    route = route_of_goal(name)
    if route and route not in names:
        near = difflib.get_close_matches(route, names, n=1, cutoff=0.6)
        meant = f" (did you mean '{near[0]}.{metric_of_goal(name)}'?)" if near else ""
        yield Finding(at, f"unknown route {route!r}{meant}", f"a name of {where}: {', '.join(names)}")


def _routes_of_goals(case: Case) -> Iterator[Finding]:
    """The route in a goal's name (`stores.hit_ratio`) is one of `workload.routes`; for `stale_reads`, one of
    `freshness.reads`."""
    reads = case.freshness.reads if case.freshness is not None else None
    for name in case.goals:
        if not kind_of(name).probe:
            routes = [route.name for route in case.workload.routes]
            yield from _unknown_route(name, routes, ("goals", name), "workload.routes")
        elif reads is not None:
            yield from _unknown_route(name, [read.name for read in reads], ("goals", name), "freshness.reads")


def _parts_probed(case: Case) -> Iterator[Finding]:
    """A goal on one kind of stale reads needs what makes such reads: `freshness.absent`, `freshness.refused`, or
    `in-flight` in `freshness.prestates`."""
    for name in case.goals if case.freshness is not None else ():
        needed = kind_of(name).needs
        if needed is None:
            continue
        declared = getattr(case.freshness, needed.field)
        if declared is None or (needed.item and needed.item not in declared):
            yield Finding(("goals", name), f"a goal for {kind_of(name).words}", f"{needed}, or no read can show it")


def _controls(case: Case) -> Iterator[Finding]:
    """A negative control is a metric of the workload's requests without a goal; a route in its name is one of
    `workload.routes`."""
    routes = [route.name for route in case.workload.routes]
    for name in case.controls:
        at = ("controls", name)
        if kind_of(name).probe:
            yield Finding(at, f"{kind_of(name).words}, which the probe reads", "a metric of the workload's requests")
        elif name in case.goals:
            yield Finding(at, f"{name}, which is also a goal", "a metric that the change can't affect, without a goal")
        else:
            yield from _unknown_route(name, routes, at, "workload.routes")


def _margins(case: Case) -> Iterator[Finding]:
    """A margin, also that of a control, is greater than zero and in a unit of its metric."""
    of_goals = [(("goals", name, "margin"), name, goal.margin) for name, goal in case.goals.items()]
    of_controls = [(("controls", name), name, margin) for name, margin in case.controls.items()]
    for at, name, margin in (*of_goals, *of_controls):
        units = kind_of(name).units
        if margin.unit not in units:
            yield Finding(at, str(margin), f"{' or '.join(str(AMOUNTS[unit]) for unit in units)} for {name}")
        elif margin.amount <= 0:
            yield Finding(at, str(margin), "more than zero: the smallest difference that matters")
        elif kind_of(name).unit == "share" and margin.amount >= 1:
            yield Finding(at, str(margin), "less than 100 % (percentage points)")


def _limits(case: Case) -> Iterator[Finding]:
    """A limit (`at_most`) is in a unit of its metric and never relative; `hit_ratio` has none."""
    for name, goal in case.goals.items():
        limit, at = goal.at_most, ("goals", name, "at_most")
        if limit is None:
            continue
        units = limit_units(name)
        if kind_of(name).higher_is_better:
            yield Finding(at, str(limit), f"no at_most for {metric_of_goal(name)}, since higher is better")
        elif limit.unit not in units:
            yield Finding(at, str(limit), f"{AMOUNTS[units[0]]} for {name}: a limit is never relative to before")
        elif kind_of(name).unit == "share" and limit.amount > 1:
            yield Finding(at, str(limit), "at most 100 %")


def _predictions(case: Case) -> Iterator[Finding]:
    """The bounds of a prediction lie on both sides of its value."""
    for name, forecast in case.predicted.items():
        if not forecast.low <= forecast.value <= forecast.high:
            actual = f"{forecast.low:g}, {forecast.value:g}, {forecast.high:g}"
            yield Finding(("predicted", name), actual, "low, value and high in ascending order")


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _stale_goals,
    _routes_of_goals,
    _parts_probed,
    _controls,
    _margins,
    _limits,
    _predictions,
)
