"""Ctrl-C in the moment in which a run is made: where there is a run, there is a report that says how it ended."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from luckyhit.case_run import CaseRun
from luckyhit.project import Project
from luckyhit.workflow.unattended import run_case
from luckyhit.workflow.unattended.ending import INTERRUPTED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_interrupted_while_it_is_made_has_a_report(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project.find(runs_dir=str(tmp_path / "runs"), reports_dir=str(tmp_path / "reports"))
    made = run_case.new_run

    def interrupted(*arguments: object, **more: object) -> CaseRun:
        run = made(*arguments, **more)  # type: ignore[arg-type]
        os.kill(os.getpid(), number)
        return run

    monkeypatch.setattr(run_case, "new_run", interrupted)
    outcome = run_case.run_case(project, project.case_file("placebo"), quiet=True)

    assert outcome.exit_code == INTERRUPTED
    assert outcome.report is not None and "INCOMPLETE" in outcome.report.read_text()
    assert outcome.run.manifest.state == "failed"
    assert list((outcome.run.path / "notebooks").glob("*")) == []  # nothing was started any more
