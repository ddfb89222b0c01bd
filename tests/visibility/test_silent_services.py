"""Services that tell nothing, on a real PostgreSQL: what a trace, the visibility file and its log say is what they did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import programs
from silent_run import COMMANDS, Told, baseline, database, of_trace, recorded, silent_project, traced, truth

HIT_RATIO, CALLS = 0.02, 0.05
"""How far from the truth a number may be."""


@pytest.fixture(scope="module", autouse=True)
def filled() -> Iterator[None]:
    if programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with database():
        yield


def holds(shown: dict[str, Told], did: dict[str, Told]) -> None:
    assert shown.keys() == did.keys()
    for route, told in shown.items():
        assert told.hit_ratio == pytest.approx(did[route].hit_ratio, abs=HIT_RATIO), route
        assert told.database_calls == pytest.approx(did[route].database_calls, abs=CALLS), route


@pytest.mark.parametrize("name", COMMANDS)
def test_a_trace_is_what_the_service_did(name: str, tmp_path: Path) -> None:
    trace = traced(*silent_project(tmp_path, name, "trace"))
    holds(of_trace(trace), truth(tmp_path))
    assert not trace.unknown and "redis" in trace.libraries and "psycopg" in trace.libraries
    by_route = {route.route: route for route in trace.routes}
    read, write = by_route["GET /items/{key}"], by_route["PUT /items/{key}"]
    assert {statement.text for statement in read.statements} == {"SELECT product", "SELECT visit"}
    (looked_up,) = read.cache_reads
    assert {(written.key, written.verb) for written in read.cache_writes} == {(looked_up.key, "stored")}
    assert {(written.key, written.verb) for written in write.cache_writes} == {(looked_up.key, "deleted")}
    assert not by_route["GET /plain"].cache_reads and not by_route["GET /plain"].statements


@pytest.mark.slow
@pytest.mark.parametrize("way", ["file", "log"])
@pytest.mark.parametrize("name", COMMANDS)
def test_headers_and_log_are_what_the_service_did(name: str, way: str, tmp_path: Path) -> None:
    run = baseline(*silent_project(tmp_path, name, way))
    holds(recorded(run), truth(tmp_path))
