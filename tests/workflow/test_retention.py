"""Which old runs go, and which stay whatever their age."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from luckyhit.case_run import CaseRun
from luckyhit.change.journal import Journal
from luckyhit.change.lock import held
from luckyhit.cli import app
from luckyhit.errors import ArgumentError
from luckyhit.project import Project
from luckyhit.report.html_files import report_name
from luckyhit.run import Run
from luckyhit.workflow.unattended import prune
from luckyhit.workflow.unattended.interruptions import one_at_a_time

CASES = Path(__file__).parents[2] / "data" / "cases"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY_S = 86_400.0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))
    return Project.find(runs_dir=str(tmp_path / "runs"), reports_dir=str(tmp_path / "reports"))


@pytest.fixture
def make(project: Project) -> Callable[..., Run]:
    """A run that is so many days old, with its report."""

    def make(days: float, case: str = "placebo", **manifest: object) -> Run:
        when = NOW - timedelta(days=days)
        facts = {"state": "finished", "rollback": {"confirmed": True, "detail": ""}} | manifest
        run = CaseRun.create(project.runs, CASES / f"{case}.yml", now=when, manifest=facts)
        project.reports.mkdir(exist_ok=True)
        (project.reports / report_name(run, run.manifest)).write_text("a report")
        for path in (*run.path.iterdir(), run.path):
            os.utime(path, (when.timestamp(), when.timestamp()))
        return Run(run.path)

    return make


def planned(project: Project, keep: int | None = None, days: float | None = None) -> prune.PrunePlan:
    older_than_s = None if days is None else days * DAY_S
    return prune.plan(project.runs, project.reports, keep=keep, older_than_s=older_than_s, now=NOW)


def going(project: Project, keep: int | None = None, days: float | None = None) -> list[str]:
    return [each.run.id for each in planned(project, keep, days).going]


def test_of_each_case_the_newest_stay_and_so_does_what_is_young(project: Project, make) -> None:
    old = [make(days).id for days in (400, 300, 200, 100, 10)]
    make(500, case="lucky-hit")
    assert going(project, keep=2) == old[:3]
    assert going(project, keep=2, days=250) == old[:2]
    assert going(project, keep=5) == []
    assert len(going(project, days=90)) == 5  # the other case's too
    assert len(going(project, keep=0)) == 6


def test_a_run_goes_with_its_report_and_nothing_else(project: Project, make) -> None:
    gone, stays = make(200), make(100)
    (each,) = planned(project, keep=1).going
    assert each.size == sum(path.stat().st_size for path in gone.path.rglob("*") if path.is_file()) + len("a report")
    prune.remove(each, project.runs, now=NOW)
    assert [path.name for path in gone.path.parent.iterdir()] == [stays.id]
    assert [path.name for path in project.reports.iterdir()] == [report_name(stays, stays.manifest)]


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"changed": True}, "its rollback is not confirmed"),
        ({"rollback": {"confirmed": False, "detail": "?"}}, "its rollback is not confirmed"),
        ({"state": "failed", "changed": True}, "luckyhit revert"),
    ],
)
def test_a_run_whose_change_may_still_be_in_place_stays(project: Project, make, manifest, why) -> None:
    run = make(400, **manifest)
    plan = planned(project, keep=0)
    assert plan.going == [] and plan.staying[0][0] == run and why in plan.staying[0][1]


def test_a_run_with_an_open_step_stays_until_it_is_undone(project: Project, make) -> None:
    run = make(400)
    journal = Journal(run.path / "journal.jsonl")
    step = journal.intend("apply", {"target": ["service at http://shop"]}, {"kind": "http"})
    assert "its change is not rolled back" in planned(project, keep=0).staying[0][1]
    journal.undo(step)
    assert going(project, keep=0) == [run.id]


def test_a_run_that_goes_on_stays_and_one_that_died_long_ago_does_not(project: Project, make) -> None:
    run = make(0.5, state="measuring")
    assert planned(project, keep=0).staying == [(run, "it goes on")]
    dead = make(3, state="measuring")
    assert going(project, keep=0) == [dead.id]


def test_a_run_that_holds_a_lock_stays_as_long_as_it_does(project: Project, make) -> None:
    run = make(400)
    with held(["service at http://shop"], project.runs, run=run.id):
        assert planned(project, keep=0).staying == [(run, "it holds a lock")]
    assert going(project, keep=0) == [run.id]


def test_while_a_run_of_the_case_goes_on_its_newest_stays(project: Project, make) -> None:
    older, newest = make(2), make(1)
    other = make(3, case="lucky-hit")
    with one_at_a_time(project.runs, "placebo"):
        assert going(project, keep=0) == [other.id, older.id]
    assert newest.id in going(project, keep=0)


@pytest.mark.parametrize("name", ["manifest.json", "journal.jsonl"])
def test_what_can_not_be_read_stays(project: Project, make, name: str) -> None:
    run = make(400)
    (run.path / name).write_text('{"event": "in\n{"')
    (stays,) = planned(project, keep=0).staying
    assert stays[0] == run and "can't be told" in stays[1]


def test_what_became_needed_meanwhile_stays(project: Project, make) -> None:
    run = make(400)
    (each,) = planned(project, keep=0).going
    CaseRun(run.path).update(changed=True)
    with pytest.raises(ArgumentError, match="stays: its rollback is not confirmed"):
        prune.remove(each, project.runs, now=NOW)
    assert run.path.is_dir()


def test_links_are_never_followed(project: Project, make, tmp_path: Path) -> None:
    run = make(400)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("keep me")
    (run.path / "work").symlink_to(precious)
    (run.path / "one").symlink_to(precious / "data")
    # A run, and a whole case, that are only links to somewhere else; and a report that is one.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = make(300, case="lucky-hit")
    other.path.rename(elsewhere / other.id)
    (run.path.parent / other.id).symlink_to(elsewhere / other.id)
    (project.runs / "linked").symlink_to(elsewhere)
    report = project.reports / report_name(run, run.manifest)
    report.unlink()
    report.symlink_to(precious / "data")

    plan = planned(project, keep=0)
    assert [each.run.id for each in plan.going] == [run.id]
    prune.remove(plan.going[0], project.runs, now=NOW)
    assert not run.path.exists()
    assert (precious / "data").read_text() == "keep me" and report.is_symlink()
    assert (elsewhere / other.id / "manifest.json").is_file()


def test_what_is_no_run_is_refused_and_left_alone(project: Project, make, tmp_path: Path) -> None:
    run = make(400)
    (each,) = planned(project, keep=0).going
    outside = tmp_path / "somewhere" / "placebo" / run.id
    outside.parent.mkdir(parents=True)
    run.path.rename(outside)
    for path in (outside, project.runs, project.runs / "placebo", tmp_path):
        moved = prune.Going(Run(path), "placebo", each.started, 0, None)
        with pytest.raises(ArgumentError, match="is not a run directory"):
            prune.remove(moved, project.runs, now=NOW)
    assert (outside / "manifest.json").is_file()
    # Nor is a folder that only has the name of one.
    (project.runs / "placebo" / run.id).mkdir()
    assert going(project, keep=0) == []


def test_a_removal_that_was_stopped_is_finished_by_the_next(project: Project, make) -> None:
    run = make(400)
    doomed = run.path.with_name(f".{run.id}.removed")
    run.path.rename(doomed)
    (doomed / "manifest.json").unlink()
    mine = run.path.with_name(".mine.removed")
    mine.mkdir()
    prune.sweep(project.runs)
    assert not doomed.exists() and mine.is_dir()


@pytest.mark.parametrize(("text", "days"), [("90d", 90), ("12w", 84), ("36h", 1.5)])
def test_ages(text: str, days: float) -> None:
    assert prune.age_of(text) == days * DAY_S


@pytest.mark.parametrize("text", ["90", "d", "-1d", "a year", "1.5d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="is no age"):
        prune.age_of(text)


def test_rules_are_needed_and_have_to_make_sense(project: Project) -> None:
    with pytest.raises(ArgumentError, match="which runs should go"):
        planned(project)
    with pytest.raises(ArgumentError, match="less than nothing"):
        planned(project, keep=-1)


def command(project: Project, *words: str):
    return CliRunner().invoke(
        app, ["runs", *words, "--runs-dir", str(project.runs), "--reports-dir", str(project.reports)]
    )


def test_by_the_command_line_first_dry_then_for_good(project: Project, make) -> None:
    gone, stays = make(400), make(300)
    kept = make(350, changed=True)
    make(1)
    dry = command(project, "--prune", "--keep", "2", "--dry-run")
    assert dry.exit_code == 0 and gone.path.is_dir() and not (project.reports / "index.html").exists()
    assert dry.stdout.splitlines()[0].startswith(f"{gone.id}  placebo") and "1 run would go, 0.0 MB" in dry.stdout
    assert f"{kept.id} stays: its rollback is not confirmed" in dry.stderr

    done = command(project, "--prune", "--keep", "2", "--older-than", "90d", "--json")
    told = json.loads(done.stdout)
    assert [each["run"] for each in told["gone"]] == [gone.id] and told["stay"].keys() == {kept.id}
    assert told["gone"][0]["bytes"] > 1000 and told["dry_run"] is False and told["failed"] == []
    assert not gone.path.exists() and stays.path.is_dir() and kept.path.is_dir()
    index = (project.reports / "index.html").read_text()
    assert gone.id not in index and stays.id in index


@pytest.mark.parametrize("words", [("--keep", "3"), ("--dry-run",), ("--older-than", "90d")])
def test_its_options_do_nothing_without_prune(project: Project, words) -> None:
    done = command(project, *words)
    assert isinstance(done.exception, ArgumentError) and "Add --prune" in done.exception.hint
