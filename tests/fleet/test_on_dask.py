"""A fleet on real Dask workers: lost workers, a lost scheduler, other versions, results that are brought."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_cluster import Cluster
from fleet_world import STAND_IN, FleetWorld
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.errors import ArgumentError, NotEnoughData, TargetError
from luckyhit.fleet.attempt import AttemptOutcome, Request, read_outcome
from luckyhit.fleet.digest.nightly import Night
from luckyhit.fleet.fleet_file import FleetCase, FleetFile
from luckyhit.fleet.night import Fleet
from luckyhit.fleet.on_dask import cluster as cluster_module
from luckyhit.fleet.on_dask.bringing import bring, keep, to_bring
from luckyhit.fleet.on_dask.dask_places import DaskPlaces
from luckyhit.fleet.on_dask.host_facts import differences, host_facts
from luckyhit.project import Project
from tier import examples
from waiting import eventually

ROOT = Path(__file__).parents[2]
Behave = Callable[..., Path]


@pytest.fixture
def cluster(fleet_world: FleetWorld) -> Iterator[Cluster]:
    """A scheduler and one worker."""
    made = Cluster(fleet_world.project, {**os.environ})
    try:
        made.start_scheduler()
        made.start_worker()
        yield made
    finally:
        made.close()


def night_of(project: Project, cluster: Cluster, *names: str, meanwhile: Callable[[], None] | None = None) -> Night:
    """A fleet of the stand-in to its end."""
    file = FleetFile(cases=[FleetCase(case=name, environment="staging") for name in names], grace="20s")
    if meanwhile is not None:
        threading.Thread(target=meanwhile, daemon=True).start()
    return Fleet(project, file, dask=cluster.address, quiet=True, luckyhit=STAND_IN).run().night


def by_case(night: Night) -> dict[str, Any]:
    return {one.case: one for one in night.cases}


def begun(go: Path) -> None:
    eventually(go.with_suffix(".begun").exists, within_s=120)


@pytest.mark.slow
def test_all_cases_of_a_night(project: Project, cluster: Cluster, behave: Behave) -> None:
    behave("bob", exit=4, reason="too few")
    night = night_of(project, cluster, "ann", "bob", "cay")
    cases = by_case(night)
    assert {name: one.exit_code for name, one in cases.items()} == {"ann": 0, "bob": 4, "cay": 0}
    assert night.exit_code == 4 and all(one.attempts == 1 for one in cases.values())


@pytest.mark.slow
@pytest.mark.parametrize("tree", [False, True], ids=["worker", "everything"])
def test_a_worker_is_killed_with_a_change_in_place(
    tree: bool, fleet_world: FleetWorld, project: Project, cluster: Cluster, behave: Behave
) -> None:
    go = behave("ann", waits=True, change=True)

    def kill() -> None:
        begun(go)
        cluster.kill_worker(0, tree=tree)
        cluster.start_worker()

    cases = by_case(night_of(project, cluster, "ann", "bob", meanwhile=kill))
    assert (cases["ann"].state, cases["ann"].attempts, cases["bob"].state) == ("lost", 1, "finished")
    assert fleet_world.left_changed == []


@pytest.mark.slow
def test_a_worker_is_killed_before_any_change(project: Project, cluster: Cluster, behave: Behave) -> None:
    go = behave("ann", waits=True)

    def kill() -> None:
        begun(go)
        cluster.kill_worker(0, tree=False)
        go.touch()
        cluster.start_worker()

    (case,) = night_of(project, cluster, "ann", meanwhile=kill).cases
    assert (case.state, case.attempts, len(case.lost)) == ("finished", 2, 1)


@pytest.mark.slow
def test_the_scheduler_is_killed_and_started_again(
    fleet_world: FleetWorld, project: Project, cluster: Cluster, behave: Behave
) -> None:
    go = behave("ann", waits=True, change=True)

    def kill() -> None:
        begun(go)
        cluster.kill_scheduler()
        cluster.start_scheduler()
        cluster.start_worker()  # the other one ends with its scheduler

    cases = by_case(night_of(project, cluster, "ann", "bob", meanwhile=kill))
    assert cases["ann"].state == "lost" and cases["bob"].state == "finished" and fleet_world.left_changed == []


@pytest.mark.slow
def test_an_interruption_rolls_back_everywhere(
    fleet_world: FleetWorld, project: Project, cluster: Cluster, behave: Behave
) -> None:
    cluster.start_worker()
    waiting = [behave(name, waits=True, change=True) for name in ("ann", "bob")]

    def interrupt() -> None:
        for go in waiting:
            begun(go)
        os.kill(os.getpid(), signal.SIGINT)

    night = night_of(project, cluster, "ann", "bob", "cay", meanwhile=interrupt)
    cases = by_case(night)
    assert night.exit_code == 130 and fleet_world.left_changed == []
    assert [cases[name].state for name in ("ann", "bob", "cay")] == ["interrupted", "interrupted", "not-begun"]


@pytest.mark.slow
def test_a_run_of_another_project_folder_is_brought(
    tmp_path: Path, fleet_world: FleetWorld, project: Project, behave: Behave
) -> None:
    """As on another machine: the worker's runs are not in the folder of the fleet's."""
    behave("ann", change=True)
    other = tmp_path / "other"
    shutil.copytree(fleet_world.project, other)
    cluster = Cluster(fleet_world.project, {**os.environ})
    try:
        cluster.start_scheduler()
        cluster.start_worker(folder=other)
        (case,) = night_of(project, cluster, "ann").cases
    finally:
        cluster.close()
    here, there = project.runs / "ann" / case.run, other / "data" / "runs" / "ann" / case.run
    assert case.run and case.exit_code == 0 and fleet_world.left_changed == []
    files = sorted(path.relative_to(there) for path in there.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
    assert all((here / path).read_bytes() == (there / path).read_bytes() for path in files)


FLEET = """
import sys
from pathlib import Path
from luckyhit.fleet.fleet_file import FleetCase, FleetFile
from luckyhit.fleet.night import Fleet
from luckyhit.project import Project
file = FleetFile(cases=[FleetCase(case="ann", environment="staging")])
Fleet(Project.at(Path.cwd()), file, dask=sys.argv[1], luckyhit=tuple(sys.argv[2:])).run()
"""


@pytest.mark.slow
def test_the_fleet_itself_is_killed(
    fleet_world: FleetWorld, project: Project, cluster: Cluster, behave: Behave
) -> None:
    go = behave("ann", waits=True, change=True)
    words = [sys.executable, "-c", FLEET, cluster.address, *STAND_IN]
    with subprocess.Popen(words, cwd=project.root) as fleet:
        begun(go)
        fleet.kill()
    (folder,) = project.runs.glob(".fleet/*/*")
    outcome = eventually(lambda: read_outcome(folder), within_s=120)
    assert outcome.exit_code == 130 and fleet_world.left_changed == []


@pytest.mark.slow
def test_other_versions_are_refused_with_both(tmp_path: Path, project: Project, cluster: Cluster) -> None:
    other = tmp_path / "lib"
    shutil.copytree(ROOT / "lib", other, ignore=shutil.ignore_patterns("__pycache__"))
    (other / "luckyhit" / "other.py").write_text("")
    cluster.start_worker(PYTHONPATH=str(other))
    cluster.start_worker(folder=tmp_path)
    news: list[str] = []

    def enough() -> bool:
        return len([text for text in news if "not used" in text]) == 2

    places = DaskPlaces(cluster.address, project, "f")
    try:
        eventually(lambda: news.extend(places.news()) or enough(), within_s=120)
        eventually(places.free, within_s=120)
    finally:
        places.close()
    own = host_facts()["code"]
    assert any(f"code {own} here" in text for text in news) and any(str(tmp_path) in text for text in news)


def test_no_scheduler_at_the_address(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.5)
    with pytest.raises(TargetError, match=r"127\.0\.0\.1:1"):
        cluster_module.Cluster("tcp://127.0.0.1:1", project, "f")


@pytest.mark.parametrize("address", ["nonsense://x", "10.0.0.1", "tcp://10.0.0.1:99999", "tcp://:8786", ""])
def test_what_is_no_address_is_told_at_once(address: str, project: Project) -> None:
    with pytest.raises(ArgumentError):
        cluster_module.Cluster(address, project, "f")


def test_versions_that_differ_are_named_with_both() -> None:
    own = host_facts()
    assert differences(own, dict(own)) == []
    (text,) = differences(own, {**own, "luckyhit": "9.9"})
    assert "9.9" in text and own["luckyhit"] in text
    assert len(differences(own, {"host": "x"})) == len(
        [name for name in own if name not in ("host", "folder", "project")]
    )


REQUEST = Request("fleet", "ann", 1, "ann", "")


@settings(max_examples=examples(40))
@given(contents=st.dictionaries(st.sampled_from(["run/manifest.json", "run/requests/a.parquet", "report"]), st.binary(max_size=300), min_size=1), cut=st.booleans(), size=st.integers(1, 64))  # fmt: skip
def test_a_run_is_brought_whole_or_not_at_all(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes], cut: bool, size: int
) -> None:
    contents = {"run/manifest.json": b"{}", **contents}
    project = Project.at(tmp_path_factory.mktemp("here"))
    files = [(name, len(content), hashlib.sha256(content).hexdigest()) for name, content in contents.items()]

    def read(name: str, offset: int, most: int) -> bytes:
        content = contents[name] if not cut else contents[name][:-1]
        return content[offset : offset + min(most, size)]

    outcome, target = AttemptOutcome(0, run="r1", report="a.html"), project.runs / "ann" / "r1"
    if cut and any(contents.values()):
        with pytest.raises(NotEnoughData):
            bring(REQUEST, outcome, project, files, read)
        assert not target.exists() and not (project.reports / "a.html").exists()
        return
    bring(REQUEST, outcome, project, files, read)
    brought = {f"run/{path.relative_to(target)}": path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert brought == {name: content for name, content in contents.items() if name != "report"}
    assert (project.reports / "a.html").is_file() == ("report" in contents)


def test_a_run_is_kept_on_shared_storage(tmp_path: Path) -> None:
    project, shared = Project.at(tmp_path / "project"), tmp_path / "shared"
    folder = project.runs / "ann" / "r1"
    (folder / "requests").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (folder / "requests" / "a.parquet").write_bytes(b"rows")
    request = Request.of({**REQUEST.document(), "results": f"file://{shared}"})
    outcome = keep(request, AttemptOutcome(0, run="r1"), project)
    assert outcome.kept.endswith("ann/r1") and (shared / "ann/r1/requests/a.parquet").read_bytes() == b"rows"
    files = [("run/manifest.json", 2, ""), ("run/requests/a.parquet", 4, ""), ("report", 1, "")]
    assert [name for name, *_ in to_bring(files, outcome)] == ["run/manifest.json", "report"]
    failed = keep(
        Request.of({**REQUEST.document(), "results": "no-such-protocol://x"}), AttemptOutcome(0, run="r1"), project
    )
    assert not failed.kept and failed.notes
