"""`luckyhit fleet` as a user gives it: by real runs, and with what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_world import ENVIRONMENT, FleetWorld
from typer.testing import CliRunner

from luckyhit.cli import app
from luckyhit.errors import InputError, LuckyHitError


def fails(*words: str) -> LuckyHitError:
    result = CliRunner().invoke(app, ["fleet", *words])
    assert isinstance(result.exception, LuckyHitError), result.output
    return result.exception


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["anm"], "ann"),
        (["ann", "--fail-on", "outsid"], "outside"),
        (["ann", "--dask", "tcp://127.0.0.1:1", "--jobs", "2"], "--jobs"),
        (["ann", "--timeout", "soon"], "--timeout"),
        (["ann", "--notify-command", "mail 'open"], "--notify-command"),
        ([], "fleet.yml"),
        (["--file", "nowhere.yml"], "nowhere.yml"),
    ],
    ids=["case", "alarm", "both engines", "timeout", "command", "no file", "other file"],
)
def test_what_is_wrong_is_told_before_anything_begins(fleet_world: FleetWorld, words: list[str], named: str) -> None:
    error = fails(*words)
    assert isinstance(error, InputError) and named in str(error)
    assert not (fleet_world.project / "data" / "runs").exists()


@pytest.mark.slow
def test_a_night_from_the_shell(fleet_world: FleetWorld, tmp_path: Path) -> None:
    """Two real cases at a time, one that can't be run; a digest, an alarm, somebody notified."""
    (fleet_world.project / "data" / "cases" / "bob.yml").write_text("title: 3\n")
    entries: list[Any] = [{"case": "ann", "environment": ENVIRONMENT}, "bob", {"case": "cay", "observe": True}]
    (fleet_world.project / "fleet.yml").write_text(json.dumps({"cases": entries, "fail_on": ["not-run"]}))
    told = tmp_path / "told.json"
    script = f"import pathlib, sys; pathlib.Path({str(told)!r}).write_text(sys.stdin.read())"
    (tmp_path / "notify.py").write_text(script)
    notify = f"{sys.executable} {tmp_path / 'notify.py'}"
    words = [sys.executable, "-m", "luckyhit", "fleet", "--jobs", "2", "--notify-command", notify]
    done = subprocess.run(words, cwd=fleet_world.project, capture_output=True, text=True, timeout=280)
    assert done.returncode == 1, done.stderr
    page = Path(done.stdout.splitlines()[-1])
    assert page.is_file() and page.with_suffix(".md").is_file()
    record = json.loads(page.with_suffix(".json").read_text())
    states = {case["case"]: (case["state"], case["observed"]) for case in record["cases"]}
    assert states == {"ann": ("finished", False), "bob": ("case-invalid", False), "cay": ("finished", True)}
    assert fleet_world.left_changed == [] and (page.parent / "index.html").is_file()
    message = json.loads(told.read_text())
    assert (message["kind"], message["alarm"], message["exit_code"]) == ("fleet", True, 1)
    assert message["report"] == str(page) and len(message["cases"]) == 3


@pytest.mark.slow
def test_a_run_notifies_too(fleet_world: FleetWorld, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    (tmp_path / "notify.py").write_text(
        f"import pathlib, sys; pathlib.Path({str(told)!r}).write_text(sys.stdin.read()); sys.exit(3)"
    )
    words = [sys.executable, "-m", "luckyhit", "run", "ann", "--environment", "another", "--json"]
    words += ["--notify-command", f"{sys.executable} {tmp_path / 'notify.py'}"]
    done = subprocess.run(words, cwd=fleet_world.project, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "--notify-command" in done.stderr
    message, answer = json.loads(told.read_text()), json.loads(done.stdout)
    assert message["kind"] == "run" and message["verdict"] is None and message["exit_code"] == 2
    assert answer["exit_code"] == 2 and answer["run"] is None and answer["reason"]
