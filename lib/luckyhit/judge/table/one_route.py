"""A comparison of the requests of one route alone, in the units of all."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from luckyhit.judge.table.rows import RequestTable
from luckyhit.judge.table.samples import Comparison, Groups, Side

_NONE = np.zeros(0, dtype=np.int32)


class RouteSide(Side):
    """One arm's rows of one route. They are picked part by part: a list of their places would take as much memory as a
    column."""

    _whole: Side
    _code: int

    def __init__(self, whole: Side, code: int) -> None:
        self.__dict__.update(block=whole.block, _whole=whole, _code=code)

    @cached_property
    def rows(self) -> RequestTable:
        return self._whole.rows.take(self._whole.rows.route == self._code)

    @cached_property
    def units(self) -> Groups:
        return Groups(np.concatenate([_NONE, *(units.index for _, units in self.parts())]), len(self.block))

    def parts(self) -> Iterator[tuple[RequestTable, Groups]]:
        for rows, units in self._whole.parts():
            chosen = rows.route == self._code
            if units.runs is None:
                yield rows.take(chosen), Groups(units.index[chosen], units.count)
            else:
                yield rows.take(np.flatnonzero(chosen)), Groups.of_sizes(units.counts(chosen))


class RouteComparison(Comparison):
    """`before`, `after`: RouteSides of a comparison that is in step, and has the same routes in both arms."""

    @cached_property
    def in_step(self) -> bool:
        return True


def only_route(comparison: Comparison, route: str) -> Comparison:
    """One route's rows in the same units: a unit without any adds nothing."""
    routes = comparison.before.rows.routes
    before, after = (RouteSide(side, routes.index(route) if route in routes else -2) for side in comparison.sides)
    return (RouteComparison if _alike(comparison) else Comparison)(before, after, comparison.paired)


def _alike(comparison: Comparison) -> bool:
    """Whether each slot has the same route in both arms."""
    return comparison.in_step and all(
        np.array_equal(before.route, after.route) for (before, _), (after, _) in comparison.parts()
    )


def asked_routes(comparison: Comparison) -> set[str]:
    """The routes of its rows."""
    names = comparison.before.rows.routes
    counts = np.zeros(len(names) + 1, dtype=np.int64)
    for side in comparison.sides:
        for rows, _ in side.parts():
            counts += np.bincount(np.clip(rows.route, -1, len(names) - 1) + 1, minlength=len(counts))
    return {name for name, count in zip(names, counts[1:].tolist(), strict=True) if count}
