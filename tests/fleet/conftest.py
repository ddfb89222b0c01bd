"""A project with services of its own, for fleets."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_world import STAND_IN, FleetWorld

from luckyhit.fleet.attempt import Request
from luckyhit.fleet.fleet_file import FleetCase, FleetFile
from luckyhit.fleet.job import Job, jobs_of
from luckyhit.project import Project


@pytest.fixture
def fleet_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FleetWorld]:
    """Three cases; the project is the working directory, and the locks are its own."""
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "lib"))
    with FleetWorld(tmp_path / "project", ["ann", "bob", "cay"]) as world:
        (world.project / "data" / "behaviour").mkdir()
        monkeypatch.chdir(world.project)
        yield world


@pytest.fixture
def project(fleet_world: FleetWorld) -> Project:
    return Project.at(fleet_world.project)


@pytest.fixture
def behave(fleet_world: FleetWorld) -> Callable[..., Path]:
    """Say what the stand-in does for a case; gives the file that it waits for, where it waits."""

    def say(name: str, *, waits: bool = False, **behaviour: Any) -> Path:
        go = fleet_world.project / f"{name}.go"
        facts = {**behaviour, **({"wait_for": str(go)} if waits else {})}
        (fleet_world.project / "data" / "behaviour" / f"{name}.json").write_text(json.dumps(facts))
        return go

    return say


@pytest.fixture
def job_of(project: Project) -> Callable[..., Job]:
    def make(name: str, **parts: Any) -> Job:
        (job,) = jobs_of(FleetFile(cases=[FleetCase(case=name, **parts)]), project)
        return job

    return make


@pytest.fixture
def request_of(project: Project, job_of: Callable[..., Job]) -> Callable[..., Request]:
    """An attempt at a case by the stand-in."""

    def make(name: str, number: int = 1, **facts: Any) -> Request:
        request = job_of(name).request("20260101-000000-fleet-0000", number, grace_s=20.0, project=project, results="")
        return Request.of({**request.document(), "luckyhit": STAND_IN, **facts})

    return make
