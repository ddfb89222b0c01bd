"""`luckyhit runs --prune`: which runs are removed, and which are kept whatever their age."""

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
from luckyhit.records import Result
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
    """`make(days)`: a run of that age, with its report."""

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


def removable(project: Project, keep: int | None = None, days: float | None = None) -> list[str]:
    return [entry.run.id for entry in planned(project, keep, days).removable]


def kept(project: Project) -> list[Run]:
    """What stays although no rule keeps it."""
    return [run for run, _ in planned(project, keep=0).kept]


def test_newest_and_young_runs_of_each_case_are_kept(project: Project, make) -> None:
    old = [make(days).id for days in (400, 300, 200, 100, 10)]
    make(500, case="lucky-hit")
    assert removable(project, keep=2) == old[:3]
    assert removable(project, keep=2, days=250) == old[:2]
    assert removable(project, keep=5) == []
    assert len(removable(project, days=90)) == 5  # the other case's too
    assert len(removable(project, keep=0)) == 6


def verdict_for(run: Run, verdict: str, *, change: bool = True) -> None:
    """As after a judged change, or after a judged baseline."""
    stages = ["baseline", *(["change"] if change else [])]
    opened = CaseRun(run.path)
    opened.update(blocks=[{"block": number, "stage": stage, "arms": []} for number, stage in enumerate(stages)])
    opened.write_result(
        Result(case="placebo", run=run.id, date="2026-11-23", design="side-by-side", verdict=verdict, reason="measured")
    )


def test_runs_with_a_verdict_are_kept_unless_asked_for(project: Project, make) -> None:
    judged, observed, unread = make(400), make(300), make(200)
    verdict_for(judged, "INVALID")
    verdict_for(observed, "OBSERVED", change=False)
    (unread.path / "result.json").write_text("{")
    assert removable(project, keep=0) == [observed.id]
    assert planned(project, keep=0).judged == [unread, judged] and kept(project) == []
    every = prune.plan(project.runs, project.reports, keep=0, older_than_s=None, now=NOW, verdicts=True)
    assert [entry.run.id for entry in every.removable] == [judged.id, observed.id, unread.id]
    done = command(project, "--prune", "--keep", "0", "--json", "--dry-run")
    assert judged.id in json.loads(done.stdout)["stay"]
    assert "2 runs with a verdict" in command(project, "--prune", "--keep", "0", "--dry-run").stderr


def test_incomplete_runs_push_out_no_whole_ones(project: Project, make) -> None:
    whole = [make(days).id for days in (400, 300)]
    died = [make(days, state="failed").id for days in (200, 100, 50)]
    silent = make(40, state="measuring").id
    assert removable(project, keep=2) == died[:2]
    (*_, last) = planned(project, keep=0).removable
    assert last.run.id == silent and last.incomplete
    done = command(project, "--prune", "--keep", "1", "--json", "--dry-run")
    facts = json.loads(done.stdout)
    assert [entry["run"] for entry in facts["gone"]] == [whole[0], *died] and facts["incomplete"] == 3


def test_a_pinned_run_is_kept_until_it_is_unpinned(project: Project, make) -> None:
    run = make(400)
    verdict_for(run, "HELPED")
    pinned = command(project, "--pin", run.id)
    assert pinned.exit_code == 0 and run.id in pinned.stdout
    every = {"keep": 0, "older_than_s": None, "now": NOW, "verdicts": True}
    assert prune.plan(project.runs, project.reports, **every).removable == []
    assert kept(project) == [run] and " pinned" in command(project).stdout
    assert json.loads(command(project, "--json").stdout)[0]["pinned"] is True
    command(project, "--unpin", run.id)
    assert [entry.run for entry in prune.plan(project.runs, project.reports, **every).removable] == [run]
    assert isinstance(command(project, "--pin", "no-such-run").exception, ArgumentError)
    assert isinstance(command(project, "--pin", run.id, "--prune").exception, ArgumentError)


def test_an_interrupted_run_has_one_name(project: Project, make) -> None:
    run = make(1, state="failed", failure={"error": "Interrupted", "message": "interrupted", "exit_code": 130})
    verdict_for(run, "INVALID")
    (row,) = json.loads(command(project, "--json").stdout)
    assert (row["state"], row["verdict"], row["reason"]) == ("incomplete", None, "interrupted")
    assert "incomplete  -  interrupted" in command(project).stdout


def test_a_run_is_removed_with_its_report_only(project: Project, make) -> None:
    gone, stays = make(200), make(100)
    (entry,) = planned(project, keep=1).removable
    assert entry.size == sum(path.stat().st_size for path in gone.path.rglob("*") if path.is_file()) + len("a report")
    prune.remove(entry, project.runs, now=NOW)
    assert [path.name for path in gone.path.parent.iterdir()] == [stays.id]
    assert [path.name for path in project.reports.iterdir()] == [report_name(stays, stays.manifest)]


@pytest.mark.parametrize(
    "manifest",
    [
        {"changed": True},
        {"rollback": {"confirmed": False, "detail": "?"}},
        {"state": "failed", "changed": True},
        {"state": "measuring", "days": 0.5},
    ],
)
def test_a_run_that_may_be_changed_or_in_progress_is_kept(project: Project, make, manifest) -> None:
    run = make(**{"days": 400, **manifest})
    assert removable(project, keep=0) == [] and kept(project) == [run]


def test_a_run_with_an_open_step_is_kept_until_it_is_undone(project: Project, make) -> None:
    run = make(400)
    journal = Journal(run.path / "journal.jsonl")
    step = journal.intend("apply", {"target": ["service at http://shop"]}, {"kind": "http"})
    assert kept(project) == [run]
    journal.undo(step)
    assert removable(project, keep=0) == [run.id]


def test_an_unfinished_run_that_died_is_removed(project: Project, make) -> None:
    dead = make(3, state="measuring")
    assert removable(project, keep=0) == [dead.id]


def test_a_run_is_kept_while_it_holds_a_lock(project: Project, make) -> None:
    run = make(400)
    with held(["service at http://shop"], project.runs, run=run.id):
        assert kept(project) == [run]
    assert removable(project, keep=0) == [run.id]


def test_the_newest_run_is_kept_while_its_case_runs(project: Project, make) -> None:
    older, newest = make(2), make(1)
    other = make(3, case="lucky-hit")
    with one_at_a_time(project.runs, "placebo"):
        assert removable(project, keep=0) == [other.id, older.id]
    assert newest.id in removable(project, keep=0)


@pytest.mark.parametrize("name", ["manifest.json", "journal.jsonl"])
def test_a_run_that_can_not_be_read_is_kept(project: Project, make, name: str) -> None:
    run = make(400)
    (run.path / name).write_text('{"event": "in\n{"')
    assert kept(project) == [run]


def test_a_run_that_became_needed_is_not_removed(project: Project, make) -> None:
    run = make(400)
    (entry,) = planned(project, keep=0).removable
    CaseRun(run.path).update(changed=True)
    with pytest.raises(ArgumentError, match=run.id):
        prune.remove(entry, project.runs, now=NOW)
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
    assert [entry.run.id for entry in plan.removable] == [run.id]
    prune.remove(plan.removable[0], project.runs, now=NOW)
    assert not run.path.exists()
    assert (precious / "data").read_text() == "keep me" and report.is_symlink()
    assert (elsewhere / other.id / "manifest.json").is_file()


def test_only_run_directories_are_removed(project: Project, make, tmp_path: Path) -> None:
    run = make(400)
    (entry,) = planned(project, keep=0).removable
    outside = tmp_path / "somewhere" / "placebo" / run.id
    outside.parent.mkdir(parents=True)
    run.path.rename(outside)
    for path in (outside, project.runs, project.runs / "placebo", tmp_path):
        moved = prune.PrunableRun(Run(path), "placebo", entry.started, 0, None)
        with pytest.raises(ArgumentError, match="is not a run directory"):
            prune.remove(moved, project.runs, now=NOW)
    assert (outside / "manifest.json").is_file()
    (project.runs / "placebo" / run.id).mkdir()  # only the name of a run
    assert removable(project, keep=0) == []


def test_an_interrupted_removal_is_finished_by_the_next(project: Project, make) -> None:
    run = make(400)
    doomed = run.path.with_name(f".{run.id}.removed")
    run.path.rename(doomed)
    (doomed / "manifest.json").unlink()
    other = run.path.with_name(".other.removed")
    other.mkdir()
    prune.sweep(project.runs)
    assert not doomed.exists() and other.is_dir()


@pytest.mark.parametrize(("text", "days"), [("90d", 90), ("12w", 84), ("36h", 1.5)])
def test_an_age_is_read_with_its_unit(text: str, days: float) -> None:
    assert prune.parse_age(text) == days * DAY_S


@pytest.mark.parametrize("text", ["90", "d", "-1d", "a year", "1.5d"])
def test_an_invalid_age_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError):
        prune.parse_age(text)


@pytest.mark.parametrize("keep", [None, -1])
def test_a_missing_or_negative_rule_is_refused(project: Project, keep: int | None) -> None:
    with pytest.raises(ArgumentError, match="--keep"):
        planned(project, keep=keep)


def command(project: Project, *words: str):
    return CliRunner().invoke(
        app, ["runs", *words, "--runs-dir", str(project.runs), "--reports-dir", str(project.reports)]
    )


def test_the_command_prunes_dry_and_for_good(project: Project, make) -> None:
    gone, stays = make(400), make(300)
    needed = make(350, changed=True)
    make(1)
    dry = command(project, "--prune", "--keep", "2", "--dry-run")
    assert dry.exit_code == 0 and gone.path.is_dir() and not (project.reports / "index.html").exists()
    assert dry.stdout.splitlines()[0].startswith(f"{gone.id}  placebo") and needed.id in dry.stderr

    done = command(project, "--prune", "--keep", "2", "--older-than", "90d", "--json")
    facts = json.loads(done.stdout)
    assert [run["run"] for run in facts["gone"]] == [gone.id] and facts["stay"].keys() == {needed.id}
    assert facts["gone"][0]["bytes"] > 1000 and facts["dry_run"] is False and facts["failed"] == []
    assert not gone.path.exists() and stays.path.is_dir() and needed.path.is_dir()
    index = (project.reports / "index.html").read_text()
    assert gone.id not in index and stays.id in index


@pytest.mark.parametrize("words", [("--keep", "3"), ("--verdicts",), ("--dry-run",), ("--older-than", "90d")])
def test_prune_options_need_prune(project: Project, words) -> None:
    done = command(project, *words)
    assert isinstance(done.exception, ArgumentError) and "Add --prune" in done.exception.hint
