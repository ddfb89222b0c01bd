"""Which routes of a workload are about the same value: those that write it, and those that show it.

Their paths up to `{key}` say so: `PUT /products/{key}/price` writes what `GET /products/{key}` shows. Where only one
such place is read, writes whose key is in the body, or else all writes, belong to it too. Other writes with a version
may concern it: they can excuse a read, but never make one stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from luckyhit.case.values.placeholders import Placeholder, parse_template
from luckyhit.case.workload import Route


@dataclass(frozen=True)
class Family:
    """Names of routes. `reads` show the value; `writes` write it; `elsewhere`: others that may write it; `unnamed`:
    those that write to the path of a read without a version (a removal, a replacement)."""

    reads: frozenset[str]
    writes: frozenset[str]
    elsewhere: frozenset[str]
    unnamed: frozenset[str]

    @property
    def every_write(self) -> frozenset[str]:
        return self.writes | self.elsewhere | self.unnamed


def families(routes: Sequence[Route]) -> list[Family]:
    """The families that both read and write; one for each path (up to `{key}`) that is read."""
    reads = [route for route in routes if route.method == "GET" and route.version is not None]
    writes = [route for route in routes if route.method not in ("GET", "HEAD") and route.version is not None]
    places = sorted({place_of(route.path) or "" for route in reads})
    families = []
    for place in places:
        same_place = [route for route in reads if (place_of(route.path) or "") == place]
        of_it = [route for route in writes if place_of(route.path) == place]
        if len(places) == 1:
            of_it += [route for route in writes if place_of(route.path) is None]
            of_it = of_it or writes
        if of_it:
            paths = {_path(route) for route in same_place}
            families.append(
                Family(
                    reads=_names(same_place),
                    writes=_names(of_it),
                    elsewhere=_names(writes) - _names(of_it),
                    unnamed=frozenset(
                        route.name
                        for route in routes
                        if route.method not in ("GET", "HEAD") and route.version is None and _path(route) in paths
                    ),
                )
            )
    return families


def _names(routes: Sequence[Route]) -> frozenset[str]:
    return frozenset(route.name for route in routes)


def _path(route: Route) -> str:
    return route.path.partition("?")[0]


def place_of(path: str) -> str | None:
    """A path up to its `{key}`; None where the key stands elsewhere."""
    before = ""
    for part in parse_template(path):
        if isinstance(part, Placeholder) and part.name == "key":
            return before
        before += f"{{{part.name}}}" if isinstance(part, Placeholder) else part
    return None
