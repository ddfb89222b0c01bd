"""The metrics of each route in words, beside those of all requests: where an overall effect comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from luckyhit.judge.facade import direction, run_events
from luckyhit.records import METRICS, GoalName, Metric, Result
from luckyhit.text.numbers import DASH, listed, sentence_case
from luckyhit.text.quantities import interval_text, name_of, signed_difference, value_text

FOLDED_BEYOND = 6
"""Routes; a longer table is folded."""


@dataclass(frozen=True)
class RouteCell:
    """One metric of one route: `values` in both arms, and the difference with its interval."""

    values: str
    effect: str
    against: bool = False
    """Whether it certainly moves against all requests together."""


@dataclass(frozen=True)
class RouteTable:
    """`headings` name the metrics; the first row is that of all requests."""

    headings: list[str]
    rows: list[tuple[str, list[RouteCell]]]
    sentence: str

    @property
    def folded(self) -> bool:
        return len(self.rows) - 1 > FOLDED_BEYOND


def route_table(result: Result | None) -> RouteTable | None:
    """None where there is one route only, or nothing was compared. Metrics that no route shows are left out."""
    if result is None or not result.routes:
        return None
    names = [name for name in METRICS if any(_seen(metrics, name) for metrics in result.routes.values())]
    parts: dict[str, Mapping[GoalName, Metric]] = {"All requests": result.metrics, **result.routes}
    rows = [
        (route, [_cell(name, metrics.get(name), result.metrics.get(name)) for name in names])
        for route, metrics in parts.items()
    ]
    against = [
        f"{route} ({listed([name_of(name) for name, cell in zip(names, cells, strict=True) if cell.against])})"
        for route, cells in rows
        if any(cell.against for cell in cells)
    ]
    return RouteTable(
        [sentence_case(name_of(name)).removesuffix(" per request") for name in names], rows, _sentence(against)
    )


def _sentence(against: list[str]) -> str:
    outcome = (
        f"Certainly against the whole: {listed(against)}." if against else "No route certainly goes against the whole."
    )
    return (
        "Where the overall effect comes from: the same metrics for each route. Both arms got the same mix of routes "
        f"from one schedule, so the traffic explains no difference here. {outcome} No verdicts: the goals are about "
        "all requests together."
    )


def _seen(metrics: Mapping[GoalName, Metric], name: GoalName) -> bool:
    metric = metrics.get(name)
    return metric is not None and (metric.before is not None or metric.after is not None)


def _cell(name: GoalName, metric: Metric | None, overall: Metric | None) -> RouteCell:
    if metric is None or (metric.before is None and metric.after is None):
        return RouteCell(DASH, "")
    if metric.before is not None and metric.after is not None:
        values = run_events.from_to(name, metric.before, metric.after)
    else:
        arms = (metric.before, metric.after)
        values = " → ".join(DASH if value is None else value_text(name, value) for value in arms)
    effect = ""
    if metric.effect is not None:
        effect = f"{signed_difference(name, metric.effect)} ({interval_text(name, metric.low, metric.high)})"
    against = overall is not None and direction(metric) * direction(overall) < 0
    return RouteCell(values, effect, against)
