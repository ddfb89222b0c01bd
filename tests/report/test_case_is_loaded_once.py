"""The case of a run is loaded once in a process, and passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from luckyhit import case_run
from luckyhit.case import Case, load_case
from luckyhit.case_run import CaseRun
from luckyhit.cli import app
from luckyhit.records import Result


@pytest.mark.parametrize("command", [["judge", "--write"], ["report"]], ids=["judge", "report"])
def test_a_command_loads_the_case_of_its_run_once(
    command: list[str], copied: tuple[CaseRun, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = copied
    loaded: list[Path] = []

    def counted(path: Path, **options: Any) -> Case:
        loaded.append(path)
        return load_case(path, **options)

    monkeypatch.setattr(case_run, "load_case", counted)
    folders = ["--runs-dir", str(run.path.parents[1])]
    if command == ["report"]:
        folders += ["--reports-dir", str(tmp_path / "reports")]
    done = CliRunner().invoke(app, [*command, str(run.path), *folders])
    assert done.exit_code == 0, done.output
    assert loaded == [run.path / "case.yml"]
