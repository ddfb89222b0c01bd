"""The command line around the commands: its version, what it says while one waits, `lab`, `--fail-on`, a full disk."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from papermill.exceptions import PapermillExecutionError
from typer.testing import CliRunner

import luckyhit
from luckyhit.case_run import CaseRun
from luckyhit.cli import app, main
from luckyhit.cli.app import FailOn, chosen_outcomes, has_chosen
from luckyhit.cli.lab_command import SETTINGS, lab_command
from luckyhit.cli.waiting import waiting
from luckyhit.errors import ArgumentError, NoRoom
from luckyhit.project import EXPLORE, NOTEBOOKS, Project
from luckyhit.records import Beside, Earlier, Result
from luckyhit.workflow import checking
from luckyhit.workflow.unattended import ending, export, run_case
from luckyhit.workflow.unattended.interruptions import Interruptions
from luckyhit.workflow.unattended.kernel import Notebook

CASE = Project.find().case_file("placebo")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_version() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert done.exit_code == 0 and done.stdout == f"luckyhit {luckyhit.__version__}\n"


# --- while one waits


@pytest.mark.parametrize(("quiet", "lines"), [(False, ["starting the service ...", "asking ..."]), (True, [])])
def test_activities_are_lines_without_a_terminal(quiet: bool, lines: list[str]) -> None:
    out = io.StringIO()
    with waiting(quiet=quiet, stream=out) as doing:
        doing("starting the service")
        doing("asking")
    assert out.getvalue().splitlines() == lines


def test_on_a_terminal_the_activity_is_gone_at_the_end() -> None:
    out = Terminal()
    with waiting(stream=out) as doing:
        doing("asking")
        assert "asking ..." in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[2K")


def test_check_says_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def check_case(*_: Any, doing: Any) -> list:
        doing("starting the service")
        return []

    monkeypatch.setattr(checking, "check_case", check_case)
    done = CliRunner().invoke(app, ["check", "placebo", "--json"])
    assert json.loads(done.stdout)["guards"] == [] and "starting the service" in done.stderr


# --- lab


def test_lab_opens_the_projects_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    project = Project.find()
    started: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *command: started.append(command))
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path))
    monkeypatch.chdir(project.cases)
    CliRunner().invoke(app, ["lab", "explore", "--", "--no-browser"])
    ((program, words, environment),) = started
    assert program == sys.executable and f"--ServerApp.root_dir={project.root}" in words and words[-1] == "--no-browser"
    assert any(
        re.search(r"default_url=/lab/tree/notebooks/explore\.ipynb\?file-browser-path=/$", word) for word in words
    )
    assert environment["JUPYTER_CONFIG_PATH"].split(os.pathsep) == [str(tmp_path), str(SETTINGS)], (
        "one's own come first"
    )
    assert Path.cwd() == project.root
    json.loads((SETTINGS / "labconfig" / "default_setting_overrides.json").read_text())


def test_an_unknown_notebook_is_refused() -> None:
    for name in (*NOTEBOOKS, EXPLORE, "notebooks/2-change.ipynb"):
        assert lab_command(Project.find(), name, [])
    # `luckyhit lab -- --no-browser`: the first one after the dashes comes in the place of the notebook.
    assert lab_command(Project.find(), "--no-browser", ["--port"]) == lab_command(
        Project.find(), NOTEBOOKS[0], ["--no-browser", "--port"]
    )
    with pytest.raises(ArgumentError, match="1-basline") as error:
        lab_command(Project.find(), "1-basline", [])
    assert "1-baseline" in error.value.hint


# --- run


def test_a_second_name_of_the_case_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["run", "placebo", "-p", "case=lucky-hit", "--runs-dir", str(tmp_path)])
    assert isinstance(done.exception, ArgumentError) and "luckyhit run lucky-hit" in done.exception.hint
    assert list(tmp_path.iterdir()) == []


def result(verdict: str, sides: tuple[str | None, ...] = ()) -> Result:
    names = ("hit_ratio", "latency_p99_ms")
    metrics = {
        name: Beside(value=1, runs=20, outside=side is not None, side=side)
        for name, side in zip(names, sides, strict=False)
    }
    earlier = Earlier(runs=20, metrics=metrics) if sides else None
    return Result(case="a", run="b", date="", design="", verdict=verdict, reason="", earlier=earlier)


@pytest.mark.parametrize(
    ("chosen", "given", "fails"),
    [
        ("hurt, INVALID", result("HURT"), True),
        ("hurt", result("HELPED"), False),
        ("outside", result("OBSERVED", ("better", None)), True),
        ("outside", result("OBSERVED", (None, None)), False),
        ("worse", result("OBSERVED", ("better", None)), False),
        ("worse", result("OBSERVED", ("better", "worse")), True),
        ("outside,worse", result("HURT"), False),
        ("inconclusive", result("OBSERVED", ("worse",)), False),
        ("", result("HURT"), False),
    ],
)
def test_outcomes_that_fail(chosen: str, given: Result, fails: bool) -> None:
    assert has_chosen(given, chosen_outcomes(chosen)) is fails


def test_an_unknown_outcome_is_refused_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match="outsde") as error:
        chosen_outcomes("hurt,outsde")
    assert "outside" in error.value.message and all(outcome.value in error.value.hint for outcome in FailOn)


def test_a_result_of_an_earlier_version_is_observed() -> None:
    noted = result("OBSERVED", (None,)).model_dump(mode="json", by_alias=True) | {"verdict": "INCONCLUSIVE"}
    assert Result.model_validate_json(json.dumps(noted)).verdict == "OBSERVED"
    assert Result.model_validate_json(json.dumps(noted | {"earlier": None})).verdict == "INCONCLUSIVE"


# --- a full disk


def test_a_full_disk_is_named_by_every_command(monkeypatch, capsys, tmp_path: Path) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/runs/placebo/manifest.json")

    monkeypatch.setattr(checking, "check_case", full)
    monkeypatch.setattr(sys, "argv", ["luckyhit", "check", "placebo"])
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr().err
    assert ended.value.code == 4 and "manifest.json could not be written: No space left" in shown and "Free" in shown


FULL = "[Errno 28] No space left on device: 'progress.jsonl'"


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.ENOSPC, "full", "1-baseline.ipynb"), True),
        (PapermillExecutionError(3, 2, "book.figure()", "OSError", FULL, []), True),
        (PapermillExecutionError(3, 2, "book.figure()", "NoRoom", "a file could not be written", []), True),
        (PapermillExecutionError(3, 2, "1 / 0", "ZeroDivisionError", "division by zero", []), False),
        (OSError(errno.EIO, "broken"), False),
    ],
)
def test_a_notebook_that_met_a_full_disk_says_so(
    error: BaseException, named: bool, tmp_path: Path, monkeypatch
) -> None:
    project = Project.find(runs_dir=str(tmp_path / "runs"), reports_dir=str(tmp_path / "reports"))
    run = run_case.new_run(project, CASE)
    monkeypatch.setattr(export, "incomplete_report", lambda *_: (None, None))
    ended = ending.finish(project, CaseRun(run.path), Interruptions(), error)
    assert (ended.failure is not None and ended.failure.error == NoRoom.__name__) is named
    assert ended.exit_code == (4 if named else 1)
    assert bool(ended.reason)


def test_a_run_that_can_not_be_made_names_the_disk(monkeypatch, tmp_path: Path) -> None:
    def create(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(CaseRun, "create", create)
    monkeypatch.setattr(Notebook, "execute", lambda *_: pytest.fail("nothing may start"))
    project = Project.find(runs_dir=str(tmp_path / "runs"))
    with pytest.raises(NoRoom):
        run_case.run_case(project, CASE)
