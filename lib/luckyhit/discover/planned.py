"""What `luckyhit new --dry-run` lists: the requests that would be sent, without sending or starting anything."""

from __future__ import annotations

import json
from collections.abc import Iterator

from luckyhit.discover.asking import NO_SUCH_PATH, NotJson
from luckyhit.discover.discovering import SourceFiles
from luckyhit.discover.evidence import ServiceRoute
from luckyhit.discover.exploring.attempts import MOST_REJECTED
from luckyhit.discover.exploring.bodies import first_bodies
from luckyhit.discover.exploring.ids import MOST_NUMBERS, candidates, parameter_names
from luckyhit.discover.exploring.reads import ENOUGH, MOST_ATTEMPTS, MOST_TEXTS
from luckyhit.discover.exploring.writes import METHODS
from luckyhit.discover.launch import READY_PATHS, StartRequest
from luckyhit.discover.merge import merged
from luckyhit.discover.sources import openapi


def planned_requests(files: SourceFiles, start: StartRequest | None, url: str) -> list[str]:
    """One line each: a request, or one form of requests with the values that are tried."""
    known = files.with_paths(merged(files.evidence()))
    if start is None and not url:
        return ["no request: only files are read"]
    lines = [f"GET {path}   (is it ready)" for path in READY_PATHS] if start is not None else []
    places = (files.place,) if files.place else openapi.USUAL_PLACES
    if files.document is None:
        lines += [f"GET {path}   (an OpenAPI document)" for path in places]
    lines.append(f"GET {NO_SUCH_PATH}   (does it answer 200 to anything)")
    for route in known.routes:
        lines += _of_route(route, writes=start is not None)
    if start is not None:
        lines += [
            "and the same for each route that the service's OpenAPI document or route table has, which are read once "
            "it runs: GET with ids from its own answers and small numbers, PUT, PATCH and POST with bodies from its "
            "schemas and answers; DELETE never, nor what its name says deletes, pays, sends or controls",
        ]
    return lines


def _of_route(route: ServiceRoute, *, writes: bool) -> Iterator[str]:
    request = f"{route.method} {route.path}"
    if route.risk:
        yield f"not sent: {request}   ({route.risk})"
    elif route.method == "GET":
        yield f"{request}   ({_ids(route)})"
    elif route.method not in METHODS:
        yield f"not sent: {request}   (this method is not tried)"
    elif not writes:
        yield f"not sent: {request}   (nothing is written to --url)"
    else:
        media_type = route.body.media_type if route.body is not None else "application/json, then as a form"
        yield f"{request}   (to the service that is started here; {media_type}; at most {MOST_REJECTED} refused)"
        body = route.body
        last_word = route.path.rstrip("/").rpartition("/")[2]
        bodies = first_bodies(
            body.schema if body else None,
            body.example if body else None,
            NotJson,
            (),
            "" if "{" in last_word else last_word,
        )
        yield from (f"  body {json.dumps(each, ensure_ascii=False)[:300]}" for each in bodies)
        yield "  and what a GET of the same path answers; a field that is accepted, with numbers from 1,700,003 on"


def _ids(route: ServiceRoute) -> str:
    names = parameter_names(route.path)
    if not names:
        return "twice, with an empty cache before"
    tried = {name: candidates(route, name, {})[:MOST_TEXTS] for name in names}
    values = "; ".join(f"{name}: {', '.join(own) or 'from other answers'}" for name, own in tried.items())
    return (
        f"{values}; ids in other answers; at most {MOST_ATTEMPTS} that fail; then whole numbers up to {MOST_NUMBERS:,} "
        f"by bisection, {ENOUGH} of them twice"
    )
