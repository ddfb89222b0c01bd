"""A traced service in a run: what each route asks for, and what can't be known is never 0."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from luckyhit.case_run import CaseRun
from luckyhit.project import Project
from luckyhit.records.trace import TRACE, Trace, TracedRoute
from luckyhit.report.figures import service_map as figure
from luckyhit.report.notebook_tables import service_map
from luckyhit.report.recorded import Recorded, recorded
from luckyhit.workflow.step import step_of
from luckyhit.workflow.steps import measure_baseline
from luckyhit.workflow.tracing import trace_service
from luckyhit.workflow.unattended import run_case
from world.cases import case

SERVICE = Path(__file__).with_name("traced_service.py")
READ, WRITE = "GET /products/{key}", "PUT /products/{key}"
PROBE = {
    "write": {"method": "PUT", "path": "/products/{key}", "body": {"price": "{version}"}},
    "reads": [{"name": "detail", "path": "/products/{key}", "version": "$.price"}],
    "keys": {"first": 41, "last": 60},
    "within": "1s",
}


def new_run(
    folder: Path, faults: str = "", *options: str, command: list[str] | None = None, **parts: Any
) -> tuple[CaseRun, Project]:
    shutil.copy(SERVICE, folder / "service.py")
    (folder / "pymongo.py").write_text("")
    start = {
        "command": command or ["{python}", *options, "service.py", "{port}", "{cache_url}"],
        "env": {"SHOP_TTL": "30", "FAULTS": faults, "DATABASE": str(folder / "shop.db")}, "trace": True,
    }  # fmt: skip
    routes = [
        {"name": "detail", "path": "/products/{key}", "keys": {"first": 1, "last": 20}, "weight": 3},
        {"name": "plain", "path": "/plain", "weight": 1},
    ]
    document = case(
        cache={"clear": ["product:{id}"]}, target={"start": start},
        workload={"seed": 7, "rate": "40/s", "routes": routes}, plan={"warmup": "1s", "baseline": "5s"}, **parts,
    )  # fmt: skip
    path = folder / "shop.yml"
    path.write_text(json.dumps(document))
    project = Project(folder, folder / "runs", folder / "reports")
    return run_case.new_run(project, path), project


def traced(folder: Path, faults: str = "", *options: str, **parts: Any) -> tuple[Trace, CaseRun]:
    run, project = new_run(folder, faults, *options, **parts)
    with step_of(run, project) as step:
        trace_service(step)
    trace, unread = run.load_trace()
    assert trace is not None and not unread
    return trace, run


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> CaseRun:
    """A service without faults, traced; its database is two folders up."""
    return traced(tmp_path_factory.mktemp("good"), freshness=PROBE)[1]


def trace_in(run: CaseRun) -> Trace:
    trace, _ = run.load_trace()
    assert trace is not None
    return trace


def route(trace: Trace, name: str) -> TracedRoute:
    (one,) = [route for route in trace.routes if route.route == name]
    return one


def test_each_route_has_its_calls_and_keys(good: CaseRun) -> None:
    trace = trace_in(good)
    assert not trace.unknown and trace.libraries.keys() == {"redis", "sqlite3"}
    read, write, plain = (route(trace, name) for name in (READ, WRITE, "GET /plain"))
    (looked_up,) = read.cache_reads
    assert looked_up.key == "product:{id}" and looked_up.misses == 20
    assert read.database_calls == pytest.approx(20 / read.requests)
    assert read.hit_ratio == pytest.approx(1 - 20 / read.requests)
    assert [(one.text, one.calls) for one in read.statements] == [("SELECT product", 20)]
    assert write.database_calls == 1 and [one.verb for one in write.cache_writes] == ["deleted"]
    assert plain.database_calls == 0 and plain.hit_ratio is None and not plain.unknown
    assert not [path for path in good.path.rglob("*") if path.name in ("calls.jsonl", "sitecustomize.py")]


def test_written_keys_get_their_values_back(good: CaseRun) -> None:
    assert route(trace_in(good), WRITE).requests > 0
    with sqlite3.connect(good.path.parents[2] / "shop.db") as connection:
        assert all(key == price for key, price in connection.execute("SELECT id, price FROM product"))


@pytest.mark.parametrize(
    ("faults", "options", "unknown"),
    [("particular", [], ["not-started"]), ("", ["-I"], ["not-loaded"]), ("polls", [], ["background"])],
    ids=["does not start", "ignores PYTHONPATH", "works without requests"],
)
def test_what_is_not_known_is_said(faults: str, options: list[str], unknown: list[str], tmp_path: Path) -> None:
    trace, _ = traced(tmp_path, faults, *options)
    assert trace.unknown == unknown
    if unknown == ["not-loaded"]:
        assert {one.database_calls for one in trace.routes} == {None}
        assert all(one.hit_ratio is None and "not-loaded" in one.unknown for one in trace.routes)
    if unknown == ["not-started"]:
        assert not trace.routes


def test_a_script_that_sets_its_own_path_is_traced(tmp_path: Path) -> None:
    (tmp_path / "start.sh").write_text('export PYTHONPATH=/nowhere\n"$1" service.py "$2" "$3" & wait\n')
    trace, _ = traced(tmp_path, command=["sh", "start.sh", "{python}", "{port}", "{cache_url}"])
    assert not trace.unknown and route(trace, READ).cache_reads


@pytest.mark.slow
def test_work_after_the_answer_is_that_request_s(tmp_path: Path) -> None:
    trace, _ = traced(tmp_path, "later", freshness=PROBE)
    assert route(trace, WRITE).database_calls == 1 and route(trace, WRITE).cache_writes
    assert {one.text for one in route(trace, READ).statements} == {"SELECT product"}
    assert {one.verb for one in route(trace, READ).cache_writes} == {"stored"}


def test_calls_of_a_database_that_is_not_watched_are_unknown(tmp_path: Path) -> None:
    trace, _ = traced(tmp_path, "mongo")
    for one in trace.routes:
        assert one.database_calls is None and one.unknown == ["unwatched-database:pymongo"]
    assert route(trace, READ).hit_ratio is not None


def test_a_service_that_ends_leaves_what_was_traced(tmp_path: Path) -> None:
    trace, _ = traced(tmp_path, "dies")
    assert "ended" in trace.unknown
    assert "no-answer" in route(trace, "GET /plain").unknown and route(trace, "GET /plain").database_calls is None


def test_a_write_that_deletes_nothing_is_a_problem_of_the_map(tmp_path: Path) -> None:
    _, run = traced(tmp_path, "stale", freshness=PROBE)
    shown = figure.data(recorded(run))
    assert list(shown.problems) == [("deletes-nothing", f"write:{WRITE}")]
    edges = {(edge.route, edge.kind, edge.key) for edge in shown.edges}
    assert {(f"read:{READ}", kind, "key:product:{id}") for kind in ("reads", "stores")} == edges
    assert not shown.gaps and figure.draw(shown)


def test_the_map_has_a_row_for_each_statement(good: CaseRun) -> None:
    rows = service_map(recorded(good))
    assert {"SELECT product", "UPDATE product", "product:{id}"} <= set(rows["key or statement"])
    assert set(rows["known from"]) == {"trace"}


def test_a_damaged_trace_leaves_the_rest(good: CaseRun, tmp_path: Path) -> None:
    run = CaseRun(Path(shutil.copytree(good.path, tmp_path / "shop" / good.path.name)))
    document = json.loads((run.path / TRACE).read_text())
    document["routes"][0]["database_calls"] = "many"
    (run.path / TRACE).write_text(json.dumps(document))
    read: Recorded = recorded(run)
    assert read.trace is not None and len(read.trace.routes) == len(document["routes"])
    assert read.trace.routes[0].database_calls is None and any(TRACE in problem for problem in read.problems)
    (run.path / TRACE).write_text("[")
    assert recorded(run).trace is None


@pytest.mark.slow
def test_a_service_that_can_not_be_traced_is_measured_all_the_same(tmp_path: Path) -> None:
    run, project = new_run(tmp_path, "particular")
    measure_baseline(run, project, lambda *_: None)
    trace, _ = run.load_trace()
    assert trace is not None and trace.unknown == ["not-started"]
    assert run.blocks("baseline") and run.manifest.failure is None
