"""The silent services in runs: a project with one of them, its PostgreSQL filled, and the truth beside what a run saw."""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from postgres_server import postgres, programs

from luckyhit.case_run import CaseRun
from luckyhit.project import Project
from luckyhit.records.trace import TRACE, Trace, load_trace
from luckyhit.visibility import visibility_file
from luckyhit.workflow.step import step_of
from luckyhit.workflow.steps import measure_baseline
from luckyhit.workflow.tracing import trace_service
from luckyhit.workflow.unattended import run_case
from world.cases import case

HERE = Path(__file__).parent / "silent"
COMMANDS = {
    "flask": ["-m", "flask", "--app", "silent_flask", "run", "--port", "{port}"],
    "fastapi": ["-m", "uvicorn", "silent_fastapi:app", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "error"],
    "django": ["-m", "gunicorn", "silent_django:app", "--bind", "127.0.0.1:{port}", "--workers", "2"],
}  # fmt: skip
FILES = {"flask": "wsgi", "fastapi": "asgi", "django": "django"}
DECLARED = {
    "flask": ["flask_cache_item:{id}", "flask_cache_{hash}"],
    "fastapi": ["item:{id}", "list:{id}", "extra:{id}"],
    "django": ["shop:1:item:{id}", "shop:1:list:{id}"],
}
PRODUCTS = 60
ROUTES: list[dict[str, Any]] = [
    {"name": "item", "path": "/items/{key}", "keys": {"first": 1, "last": 40, "popularity": "zipf"}, "weight": 4},
    {"name": "list", "path": "/lists/{key}", "keys": {"first": 1, "last": 9}, "weight": 2},
    {"name": "plain", "path": "/plain", "weight": 1},
    {
        "name": "write", "method": "PUT", "path": "/items/{key}", "keys": {"first": 1, "last": 40},
        "body": {"price": "{number}"}, "weight": 1,
    },
]  # fmt: skip


@dataclass(frozen=True)
class Told:
    """Of one route: the hit ratio of the requests that looked something up, and database calls per request; None where
    there is none, or it is not known."""

    hit_ratio: float | None
    database_calls: float | None


@contextmanager
def database() -> Iterator[str]:
    """The URL of a PostgreSQL server with the tables of the services, which is in the environment meanwhile."""
    bin_dir = programs()
    assert bin_dir is not None, "PostgreSQL is not installed"
    with postgres(bin_dir) as url:
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            connection.execute("CREATE TABLE product (id int PRIMARY KEY, price int)")
            connection.execute("CREATE TABLE visit (product int)")
            connection.execute(f"INSERT INTO product SELECT n, n * 3 FROM generate_series(1, {PRODUCTS}) n")
            connection.execute(f"INSERT INTO visit SELECT n FROM generate_series(1, {PRODUCTS}) n")
        os.environ["POSTGRES_URL"] = url
        try:
            yield url
        finally:
            del os.environ["POSTGRES_URL"]


def silent_project(folder: Path, name: str, way: str, **target: Any) -> tuple[Project, Path]:
    """A project with a service and its case. `way`: trace; file (its headers tell), or log (its line of log alone)."""
    for source in HERE.glob("*.py"):
        shutil.copy(source, folder)
    (folder / "cache_visibility.py").write_text(visibility_file(FILES[name]))
    env = {"TRUTH": str(folder / "truth.jsonl"), "CACHE_URL": "{cache_url}"}
    env["WITH_FILE"] = "no" if way == "trace" else "yes"
    start = {
        "command": ["{python}", *COMMANDS[name]], "env": env, "pass_env": ["POSTGRES_URL"], "cwd": ".",
        "trace": way == "trace",
    }  # fmt: skip
    blind = {"cache_header": "X-Nowhere", "db_header": "X-Nowhere", "log": {}} if way == "log" else {}
    document = case(
        route="GET /items/{id}",
        change={
            "kind": "env", "what": "Nothing.", "name": "SHOP_TTL", "before": None, "after": "60", "smallest": "One."
        },
        cache={"clear": DECLARED[name]},
        target={"start": start, **blind, **target},
        workload={"seed": 7, "rate": "60/s", "routes": ROUTES},
        plan={"warmup": "2s", "baseline": "8s"},
    )  # fmt: skip
    path = folder / "silent.yml"
    path.write_text(json.dumps(document))
    return Project(folder, folder / "runs", folder / "reports"), path


def traced(project: Project, path: Path) -> Trace:
    """The trace alone, without a baseline."""
    run = run_case.new_run(project, path)
    with step_of(run, project) as step:
        trace_service(step)
    return trace_in(run)


def trace_in(run: CaseRun) -> Trace:
    trace, problems = load_trace(json.loads((run.path / TRACE).read_text()))
    assert not problems
    return trace


def baseline(project: Project, path: Path) -> CaseRun:
    run = run_case.new_run(project, path)
    measure_baseline(run, project, lambda *_: None)
    return run


def truth(folder: Path) -> dict[str, Told]:
    """By route, what the service did."""
    lines = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    by_route: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        by_route[line["route"]].append(line)
    return {
        route: Told(_mean([one["hit"] for one in of if one["hit"] is not None]), _mean([one["calls"] for one in of]))
        for route, of in by_route.items()
    }


def recorded(run: CaseRun) -> dict[str, Told]:
    """By route, what the records of a run say."""
    rows = run.requests()
    named = {route["name"]: f"{route.get('method', 'GET')} {route['path']}" for route in ROUTES}
    shown = {}
    for name, of in rows[rows["error"].isna()].groupby("route", observed=True):
        known = of[of["cache"].isin(["hit", "miss"])]
        calls = of["db_calls"].dropna()
        shown[named[str(name)]] = Told(_mean(list(known["cache"] == "hit")), _mean(list(calls.astype(float))))
    return shown


def of_trace(trace: Trace) -> dict[str, Told]:
    return {route.route: Told(route.hit_ratio, route.database_calls) for route in trace.routes}


def _mean(values: list[Any]) -> float | None:
    return float(sum(values) / len(values)) if values else None
