"""What has to hold for the goals of a case: which units a metric's margin and limit can have."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from luckyhit.case.findings import Finding, get
from luckyhit.records import AMOUNTS, GoalName, MarginUnit, kind_of, metric_of_goal, route_of_goal

if TYPE_CHECKING:
    from luckyhit.case.model import Case


def limit_units(name: GoalName) -> tuple[MarginUnit, ...]:
    """The units of a hard limit, which is never relative to before; empty where a metric has none."""
    kind = kind_of(name)
    if kind.higher_is_better:
        return ()
    return kind.units if kind.unit == "share" else tuple(unit for unit in kind.units if unit != "%")


def stale_goals(case: Case) -> Iterator[Finding]:
    """A goal on what the probe reads, such as `stale_reads` or `phantom_reads`, comes with a `freshness` section."""
    if case.freshness is None:
        for name in case.goals:
            if kind_of(name).probe:
                expected = "a freshness section too: without the probe, it is not visible"
                yield Finding(("goals", name), f"a goal for {kind_of(name).words}, but no freshness", expected)


def routes_of_goals(case: Case) -> Iterator[Finding]:
    """The route in a goal's name (`stores.hit_ratio`) is one of `workload.routes`; of `stale_reads`, one of
    `freshness.reads`."""
    reads = get(case.freshness, "reads") if case.freshness is not None else None
    of_requests = [route.name for route in case.workload.routes]
    for name in case.goals:
        route, metric = route_of_goal(name), metric_of_goal(name)
        names = [read.name for read in reads or ()] if kind_of(name).probe else of_requests
        if not route or route in names or (kind_of(name).probe and reads is None):
            continue
        near = difflib.get_close_matches(route, names, n=1, cutoff=0.6)
        where = "freshness.reads" if kind_of(name).probe else "workload.routes"
        expected = f"a name of {where}: {', '.join(names)}"
        yield Finding(("goals", name), f"the route {route}", f"`{near[0]}.{metric}`? {expected}" if near else expected)


def parts_probed(case: Case) -> Iterator[Finding]:
    """A goal on one kind of stale reads comes with what makes such reads: `freshness.absent`, `freshness.refused`,
    `in-flight` among `freshness.prestates`."""
    if case.freshness is None:
        return
    for name in case.goals:
        needed = kind_of(name).needs
        if needed is None:
            continue
        declared = get(case.freshness, needed.field)
        if declared is None or (needed.item and needed.item not in declared):
            yield Finding(("goals", name), f"a goal for {kind_of(name).words}", f"{needed} too: no read tells it else")


def controls(case: Case) -> Iterator[Finding]:
    """A control is a metric of requests that no goal is about; a route in its name is one of `workload.routes`."""
    routes = [route.name for route in case.workload.routes]
    for name in case.controls:
        route, at = route_of_goal(name), ("controls", name)
        if kind_of(name).probe:
            yield Finding(at, f"{kind_of(name).words}, which the probe reads", "a metric of the workload's requests")
        elif name in case.goals:
            yield Finding(
                at, f"{name}, which is a goal too", "a metric that the change can't touch, so no goal is about"
            )
        elif route and route not in routes:
            near = difflib.get_close_matches(route, routes, n=1, cutoff=0.6)
            expected = f"a name of workload.routes: {', '.join(routes)}"
            yield Finding(
                at, f"the route {route}", f"`{near[0]}.{metric_of_goal(name)}`? {expected}" if near else expected
            )


def margins(case: Case) -> Iterator[Finding]:
    """A margin is above zero, and in a unit that fits its metric; that of a control too."""
    of_goals = [(("goals", name, "margin"), name, get(goal, "margin")) for name, goal in case.goals.items()]
    of_controls = [(("controls", name), name, margin) for name, margin in case.controls.items()]
    for at, name, margin in (*of_goals, *of_controls):
        if margin is None:
            continue
        units = kind_of(name).units
        if margin.unit not in units:
            yield Finding(at, str(margin), f"{' or '.join(str(AMOUNTS[unit]) for unit in units)} for {name}")
        elif margin.amount <= 0:
            yield Finding(at, str(margin), "more than zero: the smallest difference that matters")
        elif kind_of(name).unit == "share" and margin.amount >= 1:
            yield Finding(at, str(margin), "less than 100 % (percentage points)")


def limits(case: Case) -> Iterator[Finding]:
    """A limit (`at_most`) is in a unit that fits its metric, and never relative; `hit_ratio` has none."""
    for name, goal in case.goals.items():
        limit = get(goal, "at_most")
        if limit is None:
            continue
        at = ("goals", name, "at_most")
        units = limit_units(name)
        if kind_of(name).higher_is_better:
            yield Finding(at, str(limit), f"no such limit for {metric_of_goal(name)}, since higher is better")
        elif limit.unit not in units:
            yield Finding(at, str(limit), f"{AMOUNTS[units[0]]} for {name}: a limit is never relative to before")
        elif kind_of(name).unit == "share" and limit.amount > 1:
            yield Finding(at, str(limit), "100 % at most")
