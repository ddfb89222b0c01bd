"""Which of a workload's routes can be held against each other by their bodies, and which of them a write is about."""

from __future__ import annotations

from collections.abc import Sequence

from luckyhit.case import Case
from luckyhit.case.placeholders import Placeholder, parse_template
from luckyhit.case.workload import Route
from luckyhit.judge.stale.background_routes import place_of

_READING = frozenset({"GET", "HEAD"})


def compared_routes(case: Case) -> list[Route]:
    """Reads whose route and key are their whole URL: a `{number}` makes every request another one, and of a replayed
    log the first route of a method may take whatever no route matches."""
    reads = [route for route in case.workload.routes if route.method == "GET"]
    replay = case.workload.replay
    if replay is not None and replay.others:
        reads = reads[1:]
    return [route for route in reads if not _draws(route)]


def writing_routes(case: Case) -> list[Route]:
    return [route for route in case.workload.routes if route.method not in _READING]


def told_by_writes(case: Case) -> frozenset[str]:
    """Names of the compared routes whose answers change with the writes of their own key and with nothing else that is
    known: all where nothing writes, else those with the path, up to `{key}`, of a write. A list may change with a write
    of any of its members, and the probe's put theirs back."""
    places = {place_of(route.path) for route in writing_routes(case)}
    reads = compared_routes(case)
    probe = case.freshness.write if case.freshness is not None else None
    if probe is not None:
        places.add(place_of(probe.path) if probe.path is not None else None)
    if not places:
        return frozenset(route.name for route in reads)
    return frozenset(
        route.name for route in reads if route.keys is not None and place_of(route.path) in places - {None}
    )


def _draws(route: Route) -> bool:
    texts = [route.path, *route.headers.values()]
    return any(isinstance(part, Placeholder) and part.name == "number" for text in texts for part in _parts(text))


def _parts(text: str) -> Sequence[str | Placeholder]:
    return parse_template(str(text))


__all__ = ["compared_routes", "told_by_writes", "writing_routes"]
