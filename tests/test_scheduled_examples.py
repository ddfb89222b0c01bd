"""docs/scheduled.md and its examples: what they say to run can be run, by the command line and the notebooks there
are."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import papermill
import pytest
import typer
from ruamel.yaml import YAML

from luckyhit.case import load_case
from luckyhit.case.changes.revision import RevisionChange
from luckyhit.change.kinds import kind_of
from luckyhit.change.permissions.permission_findings import Findings
from luckyhit.change.worktrees import revisions_of
from luckyhit.cli import app
from luckyhit.cli.app import chosen_outcomes
from luckyhit.cli.tasks.case_tasks import duration
from luckyhit.judge.context.earlier_baselines import FEWEST, MOST
from luckyhit.project import Project
from luckyhit.system import Stack
from luckyhit.workflow.unattended.prune import parse_age

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples" / "scheduled"
PAGE = (ROOT / "docs" / "scheduled.md").read_text(encoding="utf-8")
LUCKYHIT = Path(sys.executable).with_name("luckyhit")


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of a `luckyhit` command, as the command line takes them. Fails where it would refuse them."""
    assert Path(words[0]).name == "luckyhit"
    group = typer.main.get_command(app)
    command = group.commands[words[1]]
    values = command.make_context(words[1], list(words[2:])).params
    if values.get("fail_on"):
        assert chosen_outcomes(values["fail_on"])
    if values.get("timeout"):
        assert duration(values["timeout"], "--timeout") >= 600
    if values.get("older_than"):
        assert parse_age(values["older_than"]) > 0
    if "case" in values:
        known = (EXAMPLES / f"{values['case']}.yml", *Project.find(ROOT).case_files())
        assert values["case"] in {path.stem for path in known if path.is_file()}
    return values


def commands_in(line: str) -> list[list[str]]:
    """The `luckyhit` commands of a shell line, without where their output goes."""
    found = []
    for part in re.split(r"&&|\|\||;", line):
        words = shlex.split(re.split(r"\s\d?>>?", part)[0])
        if words and Path(words[0]).name == "luckyhit":
            found.append(words)
    return found


def test_a_command_that_is_wrong_would_be_noticed() -> None:
    with pytest.raises(Exception, match="--obsreve"):
        parsed(["luckyhit", "run", "stale-price", "--obsreve"])


def test_the_crontab_is_added_to_a_table_that_has_lines() -> None:
    text = (EXAMPLES / "crontab").read_text()
    (added,) = re.findall(r"^#     (\(crontab -l .*)$", text, re.M)
    assert re.search(r"\| crontab -$", added) and not re.search(r"(?m)^#.*: crontab docs", text)


def test_the_crontab() -> None:
    settings, jobs = {}, []
    for line in (EXAMPLES / "crontab").read_text().splitlines():
        if match := re.fullmatch(r"([A-Z]+)=(.+)", line):
            settings[match[1]] = match[2]
        elif line and not line.startswith("#"):
            jobs.append(line.split(maxsplit=5))
    assert settings["SHELL"] == "/bin/sh" and len(jobs) == 2
    for *when, what in jobs:
        assert all(re.fullmatch(r"\*|\d+", field) for field in when)
        assert "%" not in what  # cron would end the line there
        assert subprocess.run(["/bin/sh", "-n", "-c", what], check=False).returncode == 0
    observing, pruning = (parsed(*commands_in(job[5])) for job in jobs)
    assert observing["observe"] is True and observing["timeout"] == "20m"
    assert pruning["prune"] is True and pruning["keep"] > MOST


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((EXAMPLES / name).read_text())
    return parser


def test_the_systemd_units() -> None:
    service, timer = unit("luckyhit-observe@.service"), unit("luckyhit-observe@.timer")
    words = shlex.split(service["Service"]["ExecStart"].replace("%i", "stale-price"))
    values = parsed(words)
    assert values["observe"] is True and values["junit"] == "data/stale-price.xml"
    # The unit's limits are beyond those of the run, which can roll back then.
    minutes = int(service["Service"]["TimeoutStartSec"].removesuffix("min"))
    assert 60 * minutes > duration(values["timeout"], "--timeout")
    assert service["Service"]["KillMode"] == "mixed" and service["Service"]["PrivateTmp"] == "false"
    assert timer["Timer"]["OnCalendar"] and timer["Timer"]["Persistent"] == "false"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """With the paths and the user of this machine: it looks whether the command is there."""
    for name in ("luckyhit-observe@.service", "luckyhit-observe@.timer"):
        text = (EXAMPLES / name).read_text().replace("/srv/lucky-hit/.venv/bin/luckyhit", str(LUCKYHIT))
        text = text.replace("/srv/lucky-hit", str(ROOT)).replace("User=luckyhit\n", "User=nobody\n")
        (tmp_path / name.replace("@.", "@stale-price.")).write_text(text)
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True, text=True, timeout=60, env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "luckyhit" in line]
    assert said == [], done.stderr
    broken = tmp_path / "luckyhit-observe@stale-price.service"
    broken.write_text(broken.read_text().replace("Type=oneshot", "Type=onceshot"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(broken)], capture_output=True, text=True, timeout=60
    )
    if "onceshot" not in done.stderr:
        pytest.skip("systemd-analyze can't tell anything here")


def test_the_workflow() -> None:
    workflow = YAML(typ="safe").load(EXAMPLES / "luckyhit.yml")
    assert workflow["on"]["schedule"][0]["cron"] and workflow["concurrency"]["cancel-in-progress"] is False
    (job,) = workflow["jobs"].values()
    lines = [step["run"] for step in job["steps"] if "run" in step]
    nightly, change, pruning = (parsed(words) for line in lines for words in commands_in(line))
    assert nightly["observe"] is True and change["observe"] is False
    assert change["fail_on"] == "hurt,invalid" and nightly["fail_on"] == "worse"
    (checkout,) = (step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout"))
    assert checkout["with"]["fetch-depth"] == 0, "a case of two revisions needs both"
    assert pruning["verdicts"] is True
    assert nightly["summary"] == change["summary"] == "$GITHUB_STEP_SUMMARY"
    assert pruning["keep"] > MOST
    assert 60 * job["timeout-minutes"] > duration(change["timeout"], "--timeout") * 1.5
    uploaded = job["steps"][-1]["with"]["path"].split()
    assert nightly["junit"] in uploaded and "reports/" in uploaded


def test_a_pull_request_is_measured_against_its_branch(tmp_path: Path) -> None:
    """In a repository as the workflow checks it out: HEAD is the merge. `check` finds both revisions."""
    shop, project = tmp_path / "docs" / "examples" / "shop", Project.at(tmp_path)
    shop.mkdir(parents=True)
    service = (ROOT / "docs" / "examples" / "shop" / "service.py").read_text()
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    (shop / "service.py").write_text(service)
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "shop"], ["checkout", "-qb", "pr"]):
        subprocess.run([*git, *words], check=True)
    (shop / "service.py").write_text(service.replace('get("SHOP_CLEAR", "en")', 'get("SHOP_CLEAR", "en,de")'))
    for words in (
        ["commit", "-qam", "fix"],
        ["checkout", "-q", "main"],
        ["merge", "-q", "--no-ff", "-m", "merge", "pr"],
    ):
        subprocess.run([*git, *words], check=True)
    project.cases.mkdir(parents=True)
    shutil.copy(EXAMPLES / "pull-request.yml", project.cases)
    case = load_case(project.case_file("pull-request"))
    assert isinstance(case.change, RevisionChange) and revisions_of(case, tmp_path)["after"] != "HEAD"
    stack = Stack(case, "before", tmp_path / "work", project=tmp_path, environ={})
    findings = Findings("change")
    kind_of(stack).check(findings)
    assert findings.ok and "1 file changed" in findings.guard().detail


class Operator:
    """Stands in for Airflow's operator: notes what it is given, and what follows what."""

    made: list[Operator] = []  # noqa: RUF012

    def __init__(self, *, task_id: str, input_nb: str, output_nb: str, parameters: dict, kernel_name: str) -> None:
        self.task_id, self.input_nb, self.output_nb, self.parameters = task_id, input_nb, output_nb, parameters
        self.after: list[Operator] = []
        Operator.made.append(self)

    def __rrshift__(self, other: Any) -> Operator:
        self.after.append(other)
        return self

    def __rshift__(self, other: Operator) -> Operator:
        other.after.append(self)
        return other


class Dag:
    def __init__(self, **facts: Any) -> None:
        self.facts = facts

    def __enter__(self) -> Dag:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_the_airflow_dag(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Operator, "made", [])
    stand_ins = {
        "airflow.sdk": {"DAG": Dag, "task": lambda function: function},
        "airflow.providers.papermill.operators.papermill": {"PapermillOperator": Operator},
    }
    for name, contents in stand_ins.items():
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            package = ".".join(parts[:end])
            if package not in sys.modules:
                monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
        for attribute, value in contents.items():
            setattr(sys.modules[name], attribute, value)
    path = EXAMPLES / "luckyhit_dag.py"
    space: dict[str, Any] = {}
    project = tmp_path / "project"
    exec(compile(path.read_text().replace('"/srv/lucky-hit"', repr(str(project))), path.name, "exec"), space)
    assert (project / "data" / "airflow").is_dir(), "its first task makes the folder of the executed notebooks"

    assert space["dag"].facts["max_active_runs"] == 1 and space["dag"].facts["catchup"] is False
    baseline, report = Operator.made
    assert report.after == [baseline] and len(baseline.after) == 1 and baseline.output_nb != report.output_nb
    assert baseline.parameters["observe"] is True
    assert report.parameters["runs_dir"] == baseline.parameters["runs_dir"]
    for task in (baseline, report):
        notebook = ROOT / "notebooks" / Path(task.input_nb).name
        declared = papermill.inspect_notebook(str(notebook))
        assert set(task.parameters) <= set(declared)
        for name, value in task.parameters.items():
            assert type(value).__name__ == declared[name]["inferred_type_name"]
        assert Project.find(ROOT).case_file(task.parameters["case"]).is_file()
        assert "{{ ds_nodash }}" in task.output_nb  # a template, for Airflow


def test_the_commands_of_the_page() -> None:
    lines = re.findall(r"^(luckyhit .+)$", PAGE, re.M)
    assert len(lines) == 4
    assert [parsed(shlex.split(line)).get("dry_run") for line in lines] == [None, True, False, False]
    for line in re.findall(r"^papermill (.+)$", PAGE, re.M):
        notebook, _, *options = shlex.split(line)
        declared = papermill.inspect_notebook(str(ROOT / notebook))
        assert options and set(options[1::3]) <= set(declared) and set(options[::3]) == {"-p"}


def test_each_command_that_is_named_in_the_text_exists() -> None:
    named = set(re.findall(r"`luckyhit ([a-z]+)", PAGE))
    assert {"judge", "report", "revert", "run"} <= named <= set(typer.main.get_command(app).commands)
    options = set(re.findall(r"`?(--[a-z][a-z-]+)", PAGE))
    known = {
        option
        for name in ("run", "runs", "judge")
        for each in typer.main.get_command(app).commands[name].params
        for option in each.opts
    }
    assert options <= known


def test_links_and_numbers_of_the_examples_are_right() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / link.partition("#")[0]).exists(), link
    assert f"fewer than {FEWEST}" in PAGE and f"the newest {MOST} " in PAGE
    for count, percent in re.findall(r"^\| (\d+) \| (\d+) %", PAGE, re.M):
        assert round(200 / (int(count) + 1)) == int(percent)
