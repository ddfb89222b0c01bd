"""The case of a run is loaded once in a process, and passed on."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from luckyhit import case_run
from luckyhit.case import load_case
from luckyhit.cli import app


@pytest.mark.parametrize("command", ["judge --write", "report --reports-dir reports"])
def test_a_command_loads_the_case_of_its_run_once(command: str, copied, tmp_path: Path, monkeypatch) -> None:
    run, _ = copied
    loaded: list[Path] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        case_run, "load_case", lambda path, **options: loaded.append(path) or load_case(path, **options)
    )
    words = [*command.split(), str(run.path), "--runs-dir", str(run.path.parents[1])]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert loaded == [run.path / "case.yml"]
