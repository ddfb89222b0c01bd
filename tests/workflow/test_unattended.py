"""`luckyhit run`: --observe, one run of a case at a time, --timeout, --summary and --junit."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from luckyhit.case_run import CaseRun
from luckyhit.cli import app
from luckyhit.designs import design_of
from luckyhit.errors import ArgumentError, CaseError, GuardError, TargetBusy
from luckyhit.project import Project
from luckyhit.records import Rollback
from luckyhit.system import Stack
from luckyhit.text.wording import has
from luckyhit.workflow import steps
from luckyhit.workflow.step import STOP, may_change
from luckyhit.workflow.unattended import run_case
from luckyhit.workflow.unattended.interruptions import interruptions_of, one_at_a_time
from luckyhit.workflow.unattended.kernel import Notebook
from luckyhit.workflow.workbook import Reported

ROOT = Path(__file__).parents[2]
LIVE = ROOT / "docs" / "examples" / "live-price.yml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))
    return Project.find(runs_dir=str(tmp_path / "runs"), reports_dir=str(tmp_path / "reports"))


@pytest.fixture
def edited(tmp_path: Path) -> Callable[..., Path]:
    """A case file with some of its sections replaced (None: left out)."""

    def make(source: Path, **sections: object) -> Path:
        yaml = YAML()
        data = yaml.load(source)
        for name, value in sections.items():
            if value is None:
                data.pop(name, None)
            else:
                data[name] = value
        path = tmp_path / source.name
        with path.open("w") as file:
            yaml.dump(data, file)
        return path

    return make


def command(project: Project, *words: str):
    folders = ["--runs-dir", str(project.runs), "--reports-dir", str(project.reports)]
    return CliRunner().invoke(app, [*words, *folders])


# --- only observing


def test_an_observing_run_may_not_change_its_target(project: Project, monkeypatch) -> None:
    monkeypatch.setenv("CATALOGUE_REDIS", "redis://127.0.0.1:1/0")
    run = run_case.new_run(project, project.case_file("placebo"), observe=True)
    assert not may_change(run)
    assert run.manifest.command == 'luckyhit run placebo --observe --runs-dir "$RUNS_DIR" --reports-dir "$REPORTS_DIR"'
    assert may_change(run_case.new_run(project, project.case_file("placebo")))


def test_observe_and_environment_exclude_each_other(project: Project) -> None:
    with pytest.raises(ArgumentError, match="--observe and --environment"):
        run_case.new_run(project, LIVE, environment="my-laptop", observe=True)
    assert not project.runs.exists()


def test_a_case_that_writes_to_a_live_service_is_refused(project: Project, monkeypatch) -> None:
    monkeypatch.setenv("CATALOGUE_REDIS", "redis://127.0.0.1:1/0")
    with pytest.raises(GuardError, match="only observed"):
        run_case.new_run(project, LIVE, observe=True)
    assert not project.runs.exists()


def test_a_shared_cache_is_not_changed_while_observing(project: Project, edited, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHARED_REDIS", "redis://127.0.0.1:1/0")
    source = project.case_file("placebo")
    case = YAML(typ="safe").load(source)
    shared = {**case["cache"], "url_env": "SHARED_REDIS"}
    quiet = edited(source, cache=shared, design="crossover", freshness=None)
    run = run_case.new_run(project, quiet, observe=True)
    rights = {"project": project.root, "allow_change": True}
    assert not Stack(run.case, "before", tmp_path / "w", only_observe=True, **rights).changeable
    assert Stack(run.case, "before", tmp_path / "w", **rights).changeable
    # With a probe, its writes would end up in that cache.
    probing = edited(project.case_file("stale-price"), cache=shared, design="crossover")
    with pytest.raises(GuardError, match="only observed"):
        run_case.new_run(project, probing, observe=True)


def test_the_runs_own_cache_is_cleared_while_observing(project: Project, tmp_path: Path) -> None:
    case = run_case.new_run(project, project.case_file("placebo"), observe=True).case
    assert Stack(case, "before", tmp_path / "w", project=project.root, only_observe=True).changeable


def test_an_observing_run_measures_the_baseline_only(project: Project) -> None:
    run = run_case.new_run(project, project.case_file("placebo"), observe=True)
    plan = run.case.plan
    assert steps.planned_seconds(run) == plan.warmup + plan.baseline < design_of(run.case).load_s(plan)
    run.add_block(0, "baseline", ["before"])
    steps.measure_change(run, project, lambda *_: None)
    assert run.state == "measured" and run.manifest.rollback.confirmed is True
    assert run.blocks("change") == [] and not (run.path / "journal.jsonl").exists()


# --- one run at a time, and its time limit


def test_a_second_run_of_the_same_case_is_refused(project: Project) -> None:
    with one_at_a_time(project.runs, "placebo"):
        done = command(project, "run", "placebo", "--observe")
        assert isinstance(done.exception, TargetBusy) and done.exception.exit_code == 3
        assert not project.runs.exists()
        with one_at_a_time(project.runs, "lucky-hit"), one_at_a_time(project.runs.parent, "placebo"):
            pass  # other cases, and other folders, are not held up


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Notebooks that go on until they are asked to stop."""
    waiting = threading.Event()

    def execute(self: Notebook) -> None:
        for _ in range(3000):
            if (self.run.path / STOP).exists():
                self.error = KeyboardInterrupt()
                return
            waiting.wait(0.02)

    monkeypatch.setattr(Notebook, "_execute", execute)
    yield


@pytest.mark.usefixtures("endless")
def test_a_time_limit_ends_the_run_and_rolls_back(project: Project, tmp_path: Path) -> None:
    markdown, xml = tmp_path / "summary.md", tmp_path / "junit.xml"
    done = command(
        project, "run", "placebo", "--timeout", "300ms", "--summary", str(markdown), "--junit", str(xml)
    )  # fmt: skip
    assert done.exit_code == 4
    assert "INCOMPLETE" in done.stderr and "--timeout" in done.stderr
    (path,) = project.runs.glob("*/*")
    run = CaseRun(path)
    assert run.manifest.failure.error == "TimeLimit" and run.manifest.rollback.confirmed is True
    assert run.result.verdict == "INVALID" and has(run.result.notes, "run-ended-early")
    report = Path(done.stdout.splitlines()[-1])
    assert "INCOMPLETE" in report.read_text() and "0.3 seconds" in report.read_text()
    assert "**INCOMPLETE.**" in markdown.read_text() and 'type="error"' in xml.read_text()


@pytest.mark.usefixtures("endless")
def test_json_has_the_result_of_a_timed_out_run(project: Project, tmp_path: Path) -> None:
    unwritable = str(tmp_path)  # its error hides no worse one
    done = command(project, "run", "placebo", "--timeout", "300ms", "--json", "--summary", unwritable)
    assert done.exit_code == 4 and "error: " in done.stderr
    facts = json.loads(done.stdout)
    assert facts["exit_code"] == 4 and facts["result"]["verdict"] == "INVALID" and "--timeout" in facts["reason"]


def test_ctrl_c_is_not_taken_for_the_time_limit() -> None:
    with interruptions_of(60.0) as counter:
        counter.note(2, None)
        counter.expire()
    assert counter.count == 1 and not counter.too_late


@pytest.mark.parametrize("text", ["20", "0s", "soon", "-1m", "25h"])
def test_an_invalid_time_limit_is_refused(project: Project, text: str) -> None:
    done = command(project, "run", "placebo", f"--timeout={text}")
    assert isinstance(done.exception, ArgumentError) and "--timeout" in done.exception.message
    assert not project.runs.exists()


# --- --summary, --junit, --json


@pytest.mark.parametrize(
    "words", [("--summary", "-", "--json"), ("--junit", "-", "--summary", "-"), ("--junit", "-", "--json")]
)
def test_only_one_output_can_be_stdout(project: Project, words) -> None:
    done = command(project, "run", "placebo", *words)
    assert isinstance(done.exception, ArgumentError) and "stdout" in done.exception.message


@pytest.mark.parametrize("parameter", ["observe=yes", "run=latest", "csae=placebo", "placebo"])
def test_a_parameter_that_can_not_be_given_is_refused(project: Project, parameter: str) -> None:
    assert isinstance(command(project, "run", "placebo", "-p", parameter).exception, ArgumentError)


def test_junit_reports_a_case_with_problems(project: Project, edited, tmp_path: Path) -> None:
    case, xml = edited(project.case_file("placebo"), title=7), tmp_path / "junit.xml"
    done = command(project, "run", str(case), "--junit", str(xml))
    assert isinstance(done.exception, CaseError)
    assert "placebo.yml:" in xml.read_text() and 'errors="1"' in xml.read_text()


def test_judging_drawing_and_writing_show_as_progress(project: Project, monkeypatch) -> None:
    run = CaseRun.create(
        project.runs, project.case_file("placebo"), now=datetime(2026, 11, 23, tzinfo=UTC), manifest={"observe": True}
    )
    run.update(state="measured", rollback=Rollback(confirmed=True).model_dump())
    book = Reported(run, project)
    book.judge()
    book.figure("hit-ratio")
    book.export()
    doing = [json.loads(line)["text"] for line in (run.path / "progress.jsonl").read_text().splitlines()]
    assert len(doing) == 3 and "hit-ratio" in doing[1]
    # And again by hand, with a summary on the way.
    judged = CliRunner().invoke(app, ["judge", run.id, "--runs-dir", str(project.runs), "--summary", "-"])
    assert judged.exit_code == 0 and "INVALID (placebo)" in judged.stdout
    made = command(project, "report", run.id, "--junit", str(project.runs.parent / "junit.xml"))
    assert made.exit_code == 0 and Path(made.stdout.splitlines()[-1]).is_file()
    assert "luckyhit.placebo.guard" in (project.runs.parent / "junit.xml").read_text()
