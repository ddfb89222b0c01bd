"""The examples of docs/fleet.md for schedulers: what they call can be called."""

from __future__ import annotations

import re
import shlex
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import typer

from luckyhit.cli import app
from luckyhit.errors import ArgumentError
from luckyhit.fleet.digest.nightly import ALARMS
from luckyhit.fleet.fleet_file import load_fleet_file
from luckyhit.fleet.job import jobs_of
from luckyhit.project import Project

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "scheduled"
PAGE = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of a `luckyhit fleet` command; fails where it would refuse them."""
    assert Path(words[0]).name == "luckyhit" and words[1] == "fleet"
    command = typer.main.get_command(app).commands["fleet"]  # type: ignore[attr-defined]
    return dict(command.make_context("fleet", list(words[2:])).params)


def executed(name: str, monkeypatch: pytest.MonkeyPatch, **modules: dict[str, Any]) -> dict[str, Any]:
    """The names of an example, with stand-ins for what it imports."""
    for dotted, contents in modules.items():
        parts = dotted.split("__")
        for end in range(1, len(parts) + 1):
            module = ".".join(parts[:end])
            monkeypatch.setitem(sys.modules, module, sys.modules.get(module) or types.ModuleType(module))
        for attribute, value in contents.items():
            monkeypatch.setattr(sys.modules[".".join(parts)], attribute, value, raising=False)
    space: dict[str, Any] = {"__name__": "example"}
    exec(compile((EXAMPLES / name).read_text(), name, "exec"), space)
    return space


class Noted:
    """Takes anything, and notes it."""

    def __init__(self, *words: Any, **facts: Any) -> None:
        self.words, self.facts = words, facts

    def __enter__(self) -> Noted:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_the_fleet_file() -> None:
    fleet = load_fleet_file(EXAMPLES / "fleet.yml")
    jobs = jobs_of(fleet, Project.find(ROOT))
    assert {job.name for job in jobs} == {path.stem for path in (ROOT / "data" / "cases").glob("*.yml")}
    assert fleet.observe and set(fleet.fail_on) <= set(ALARMS)


def test_the_airflow_dag(monkeypatch: pytest.MonkeyPatch) -> None:
    operators: list[Noted] = []

    def operator(**facts: Any) -> Noted:
        operators.append(Noted(**facts))
        return operators[-1]

    modules = {
        "airflow__sdk": {"DAG": Noted},
        "airflow__providers__standard__operators__bash": {"BashOperator": operator},
    }
    space = executed("luckyhit_fleet_dag.py", monkeypatch, **modules)
    assert space["dag"].facts["max_active_runs"] == 1 and space["dag"].facts["catchup"] is False
    (task,) = operators
    assert task.facts["retries"] == 0 and task.facts["append_env"] is True
    words = shlex.split(task.facts["bash_command"])
    assert words[0] == "exec" and parsed(words[1:])["dask"].startswith("tcp://")


def decorator(function: Any = None, **facts: Any) -> Any:
    return function if callable(function) else lambda function: function


def test_the_dagster_job(monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"op": decorator, "job": decorator, "ScheduleDefinition": Noted, "Definitions": Noted, "Failure": Noted,
                "OpExecutionContext": object}  # fmt: skip
    space = executed("luckyhit_dagster.py", monkeypatch, dagster=contents)
    assert parsed(space["COMMAND"])["dask"] and space["nightly"].facts["cron_schedule"]


def test_the_prefect_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    space = executed("luckyhit_prefect.py", monkeypatch, prefect={"flow": decorator})
    assert parsed(space["COMMAND"])["dask"] and callable(space["luckyhit_fleet"])


def test_the_commands_and_names_of_the_page() -> None:
    lines = re.findall(r"^(?:\.venv/bin/)?(luckyhit fleet .*)$", PAGE, re.M)
    assert len(lines) >= 2
    for line in lines:
        parsed(shlex.split(line))
    assert all(f"`{alarm}`" in PAGE for alarm in ALARMS)
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert link.startswith("http") or (ROOT / "docs" / link).exists(), link


def test_the_fleet_file_of_the_page_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(cases:.*?)```", PAGE, re.S)
    path = tmp_path / "fleet.yml"
    path.write_text(text)
    fleet = load_fleet_file(path)
    assert fleet.budget.case_time and fleet.window
    path.write_text(text.replace("order: longest-first", "order: longest"))
    with pytest.raises(ArgumentError):
        load_fleet_file(path)
