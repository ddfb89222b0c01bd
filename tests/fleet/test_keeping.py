"""An attempt and its keeper: however it ends, the target is as before, and the outcome is told once."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from fleet_world import FleetWorld

from luckyhit.fleet import carrying
from luckyhit.fleet.attempt import AttemptOutcome, Request, read_outcome
from luckyhit.fleet.settling import never_begun, settle, settle_earlier
from luckyhit.project import Project
from waiting import eventually

Behave, Requests = Callable[..., Path], Callable[..., Request]


def carried(request: Request, project: Project, **more: object) -> Future[AttemptOutcome]:
    return ThreadPoolExecutor(1).submit(carrying.carry_out, request, project, **more)  # type: ignore[arg-type]


def begun(go: Path) -> None:
    eventually(go.with_suffix(".begun").exists)


def keeper_of(folder: Path) -> psutil.Process:
    return psutil.Process(json.loads((folder / "started.json").read_text())["keeper"])


def test_a_case_that_finishes(project: Project, behave: Behave, request_of: Requests) -> None:
    behave("ann", exit=3, reason="it is busy")
    outcome = carrying.carry_out(request_of("ann"), project)
    assert (outcome.exit_code, outcome.stopped, outcome.reason) == (3, None, "it is busy")
    assert not outcome.may_repeat


@pytest.mark.slow
def test_an_attempt_is_never_begun_twice(project: Project, behave: Behave, request_of: Requests) -> None:
    behave("ann", exit=0)
    first = carrying.carry_out(request_of("ann"), project)
    behave("ann", exit=4)
    again = carrying.carry_out(request_of("ann"), project)
    assert (first.exit_code, again.exit_code) == (0, 0)


def test_a_fleet_that_is_stopped_rolls_back(
    fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests
) -> None:
    go, request = behave("ann", waits=True, change=True), request_of("ann")
    ending = carried(request, project)
    begun(go)
    assert fleet_world.left_changed == ["ann"]
    assert carrying.stop(request.fleet) == 1
    outcome = ending.result(60)
    assert (outcome.exit_code, outcome.stopped, outcome.changed) == (130, "asked", True)
    assert fleet_world.left_changed == [] and not outcome.may_repeat


@pytest.mark.slow
def test_an_attempt_that_nobody_wants_any_more(
    fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests
) -> None:
    go, wanted = behave("ann", waits=True, change=True), threading.Event()
    wanted.set()
    ending = carried(request_of("ann"), project, wanted=wanted.is_set)
    begun(go)
    wanted.clear()
    assert ending.result(60).exit_code == 130 and fleet_world.left_changed == []


OWNER = """
import json, sys
from pathlib import Path
from luckyhit.fleet import carrying
from luckyhit.fleet.attempt import Request
from luckyhit.project import Project
carrying.carry_out(Request.of(json.loads(sys.argv[1])), Project.at(Path.cwd()))
"""


def test_an_owner_that_is_killed(
    fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests
) -> None:
    go, request = behave("ann", waits=True, change=True), request_of("ann")
    words = [sys.executable, "-c", OWNER, json.dumps(request.document())]
    with psutil.Popen(words, cwd=project.root) as owner:
        begun(go)
        owner.kill()
    outcome = settle(request.folder(project.runs), within_s=60)
    assert outcome is not None and (outcome.exit_code, outcome.stopped, outcome.changed) == (130, "lease", True)
    assert fleet_world.left_changed == [] and outcome.lost and not outcome.may_repeat


def test_a_keeper_that_is_killed(
    fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests
) -> None:
    go, request = behave("ann", waits=True, change=True), request_of("ann")
    ending = carried(request, project)
    begun(go)
    keeper_of(request.folder(project.runs)).kill()
    outcome = ending.result(60)
    assert (outcome.exit_code, outcome.stopped, outcome.changed) == (130, "not-reported", True)
    assert fleet_world.left_changed == []


@pytest.mark.parametrize(
    "everything", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["the-run", "everything"]
)
def test_a_run_that_is_killed(
    everything: bool, fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests
) -> None:
    go, request = behave("ann", waits=True, change=True), request_of("ann")
    ending = carried(request, project)
    begun(go)
    keeper = keeper_of(request.folder(project.runs))
    run = keeper.children()
    for process in [keeper, *run] if everything else run:
        process.kill()
    outcome = ending.result(60)
    assert outcome.exit_code == 130 and outcome.stopped == ("not-reported" if everything else "killed")
    assert outcome.changed is True and fleet_world.left_changed == [] and outcome.run


@pytest.mark.slow
def test_lost_before_anything_was_changed(project: Project, behave: Behave, request_of: Requests) -> None:
    go, request = behave("ann", waits=True), request_of("ann")
    ending = carried(request, project)
    begun(go)
    keeper_of(request.folder(project.runs)).children()[0].kill()
    outcome = ending.result(60)
    assert (outcome.changed, outcome.run, outcome.may_repeat) == (False, "", True)


@pytest.mark.slow
def test_a_case_that_hangs(fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests) -> None:
    behave("ann", waits=True, change=True, on_term="ignore")
    outcome = carried(request_of("ann", timeout_s=15.0, grace_s=1.0), project).result(120)
    assert (outcome.exit_code, outcome.stopped, outcome.changed) == (4, "time-limit", True)
    assert fleet_world.left_changed == []


@pytest.mark.slow
def test_a_second_interruption_kills_at_once(
    fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests
) -> None:
    go, request = behave("ann", waits=True, change=True, on_term="ignore"), request_of("ann")
    ending = carried(request, project)
    begun(go)
    carrying.stop(request.fleet)
    carrying.stop(request.fleet, kill=True)
    outcome = ending.result(60)
    assert (outcome.stopped, outcome.changed) == ("killed", True) and fleet_world.left_changed == []


@pytest.mark.slow
def test_a_target_that_can_not_be_rolled_back(
    fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, request = behave("ann", waits=True, change=True), request_of("ann")
    ending = carried(request, project)
    begun(go)
    fleet_world.services["ann"].stuck = True
    keeper_of(request.folder(project.runs)).children()[0].kill()
    outcome = ending.result(120)
    assert outcome.exit_code == 5 and outcome.hint and outcome.run in outcome.hint


def test_a_case_that_differs_on_this_machine(project: Project, request_of: Requests) -> None:
    outcome = carrying.carry_out(request_of("ann", sha256="0" * 64), project)
    assert outcome.exit_code == 2 and "0" * 12 in outcome.reason
    assert not (project.runs / ".fleet").exists()


@pytest.mark.slow
def test_what_an_earlier_fleet_left_is_settled(
    fleet_world: FleetWorld, project: Project, behave: Behave, request_of: Requests
) -> None:
    go, request = behave("ann", waits=True, change=True), request_of("ann")
    ending = carried(request, project)
    begun(go)
    folder = request.folder(project.runs)
    assert settle_earlier(project.runs, but="another") == []  # it lives
    keeper = keeper_of(folder)
    for process in [keeper, *keeper.children()]:
        process.send_signal(signal.SIGKILL)
    ending.result(60)
    (folder / "outcome.json").unlink()
    assert settle_earlier(project.runs, but=request.fleet) == []
    (sentence,) = settle_earlier(project.runs, but="another")
    assert request.id in sentence and read_outcome(folder) is not None
    assert settle_earlier(project.runs, but="another") == []


def test_an_attempt_that_was_never_begun_never_will_be(project: Project, behave: Behave, request_of: Requests) -> None:
    behave("ann", exit=0)
    request = request_of("ann")
    outcome = never_begun(request, request.folder(project.runs))
    assert outcome is not None and outcome.may_repeat and never_begun(request, request.folder(project.runs)) is None
    late = carrying.carry_out(request, project)
    assert (late.exit_code, late.stopped, late.run) == (130, "not-reported", "")


def test_folders_of_old_fleets_are_removed(project: Project) -> None:
    for fleet, ended in (("old", True), ("open", False), ("new", True)):
        folder = project.runs / ".fleet" / fleet / "ann.1"
        folder.mkdir(parents=True)
        if ended:
            (folder / "outcome.json").write_text("{}")
        if fleet != "new":
            os.utime(folder.parent, (1.0, 1.0))
    settle_earlier(project.runs)
    assert sorted(path.name for path in (project.runs / ".fleet").iterdir()) == ["new", "open"]


def test_an_attempt_of_another_machine_is_only_read(project: Project, behave: Behave, request_of: Requests) -> None:
    request = request_of("ann")
    folder = request.folder(project.runs)
    folder.mkdir(parents=True)
    (folder / "request.json").write_text(json.dumps({**request.document(), "host": "elsewhere"}))
    assert settle(folder) is None and read_outcome(folder) is None
