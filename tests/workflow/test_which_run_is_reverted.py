"""`luckyhit revert`: the run that is meant, where a later one was refused because of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from luckyhit.case_run import CaseRun
from luckyhit.change.journal import Journal
from luckyhit.cli import app, main
from luckyhit.cli.tasks import judging_tasks
from luckyhit.records.result import Rollback

CASES = Path(__file__).parents[2] / "data" / "cases"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., CaseRun]:
    """`make(minutes, case, left_open=…)`: a run that began so many minutes after noon."""

    def make(minutes: int, case: str = "placebo", *, left_open: bool = False) -> CaseRun:
        when = NOW + timedelta(minutes=minutes)
        run = CaseRun.create(tmp_path / "runs", CASES / f"{case}.yml", now=when, manifest={"state": "failed"})
        if left_open:
            target = {"target": ["service at http://shop"]}
            Journal(run.path / "journal.jsonl").intend("apply", target, {"kind": "http"})
        return run

    return make


@pytest.fixture
def revert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[list[str], str]]:
    """`revert(name)`: (ids of the runs that were reverted, what was said beside the outcome)."""

    def revert(name: str) -> tuple[list[str], str]:
        reverted: list[str] = []

        def confirmed(run: CaseRun, **_: object) -> Rollback:
            reverted.append(run.id)
            return Rollback(confirmed=True)

        monkeypatch.setattr(judging_tasks, "revert_run", confirmed)
        done = CliRunner().invoke(app, ["revert", name, "--runs-dir", str(tmp_path / "runs")])
        assert done.exit_code == 0, done.output
        return reverted, done.stderr

    return revert


def test_latest_is_the_newest_run_that_left_a_step_open(make, revert) -> None:
    make(0, left_open=True)
    killed, refused = make(1, left_open=True), make(2)
    for name in ("latest", "placebo", "latest:placebo"):
        assert revert(name)[0] == [killed.id]
    assert revert(refused.id)[0] == revert(str(refused.path))[0] == [refused.id], "a run that is named is that run"


def test_latest_is_the_newest_run_where_none_is_left(make, revert) -> None:
    make(0)
    newest = make(1, "short-ttl")
    assert revert("latest") == ([newest.id], "")


def test_a_case_means_its_own_runs_and_others_are_named(make, revert) -> None:
    other, own = make(0, "short-ttl", left_open=True), make(1)
    reverted, said = revert("placebo")
    assert reverted == [own.id] and other.id in said and own.id not in said


def test_a_folder_that_can_hold_no_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["luckyhit", "run", "placebo", "--runs-dir", str(tmp_path / "file")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2 and "what to do:" in capsys.readouterr().err
