"""What was measured stays measured where its report can't be written; no file is ever half there under its name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from plain_figures import PLAINLY
from synthetic_run import make_run
from typer.testing import CliRunner

from luckyhit.case_run import CaseRun
from luckyhit.cli import app
from luckyhit.errors import ReportNotWritten
from luckyhit.judge import judge
from luckyhit.project import Project
from luckyhit.workflow.unattended import run_case
from luckyhit.workflow.unattended.ending import INTERRUPTED, finish
from luckyhit.workflow.unattended.export import export
from luckyhit.workflow.unattended.interruptions import Interruptions
from luckyhit.workflow.unattended.kernel import Kernel, Notebook

pytestmark = pytest.mark.usefixtures("plain_figures")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))
    return Project.find(runs_dir=str(tmp_path / "runs"), reports_dir=str(tmp_path / "reports"))


@pytest.fixture
def measured(tmp_path: Path) -> CaseRun:
    return make_run(tmp_path, probes=20)


def no_folder(project: Project) -> None:
    """Nothing can be written where the folder of reports should be, whoever one is."""
    project.reports.write_text("a file")


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file()]


def test_a_run_whose_report_can_not_be_written_is_a_measured_one(project: Project, measured: CaseRun) -> None:
    no_folder(project)
    outcome = finish(project, measured, Interruptions())
    assert outcome.exit_code == 1 and outcome.report is None and isinstance(outcome.error, ReportNotWritten)
    assert "could not be written" in outcome.error.message and "Make room in, or rights to" in outcome.error.hint
    assert measured.manifest.state == "measured" and not measured.manifest.failure
    assert measured.result.verdict == judge(measured).verdict == "HELPED"

    project.reports.unlink()
    folders = ["--runs-dir", str(project.runs), "--reports-dir", str(project.reports)]
    done = CliRunner().invoke(app, ["report", measured.id, *folders])
    assert done.exit_code == 0, done.output
    page = Path(done.stdout.splitlines()[-1]).read_text()
    assert "<title>HELPED: " in page and "INCOMPLETE" not in page.split("<nav")[0].split("</style>")[1]
    assert measured.manifest.state == "finished" and measured.result.report == Path(done.stdout.splitlines()[-1]).name


def test_the_command_says_the_verdict_and_that_there_is_no_report(
    project: Project, measured: CaseRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    no_folder(project)
    monkeypatch.setattr(run_case, "new_run", lambda *_, **__: measured)
    monkeypatch.setattr(Kernel, "_start", lambda self: None)
    monkeypatch.setattr(Notebook, "_execute", lambda self: setattr(self, "error", RuntimeError("its cell raised")))
    told, xml = tmp_path / "told.md", tmp_path / "told.xml"
    words = ["run", "stale-price", "--runs-dir", str(project.runs), "--reports-dir", str(project.reports)]
    done = CliRunner().invoke(app, [*words, "--summary", str(told), "--junit", str(xml)])
    assert done.exit_code == 1
    assert "HELPED: " in done.stdout and not done.stdout.rstrip().endswith(".html")
    assert "there is no report: " in done.stderr and "what to do: " in done.stderr and "INCOMPLETE" not in done.stderr
    assert "## Lucky Hit: HELPED" in told.read_text() and "**There is no report.**" in told.read_text()
    assert 'name="its report was written"' in xml.read_text() and 'errors="1"' in xml.read_text()
    assert "Traceback" not in done.stderr

    again = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert again["exit_code"] == 1 and again["report"] is None and again["result"]["verdict"] == "HELPED"
    assert "could not be written" in again["reason"]


def test_interrupted_while_it_is_reported_the_report_is_whole(project: Project, measured: CaseRun) -> None:
    interruptions = Interruptions()
    interruptions.count = 1
    outcome = finish(project, measured, interruptions)
    assert outcome.exit_code == INTERRUPTED and outcome.report is not None
    assert "<title>HELPED: " in outcome.report.read_text() and "everything had been measured" in outcome.note
    assert measured.manifest.state == "finished"


def test_a_time_limit_that_ends_its_reporting_costs_nothing(project: Project, measured: CaseRun) -> None:
    interruptions = Interruptions(60.0)
    interruptions.expire()
    outcome = finish(project, measured, interruptions)
    assert outcome.exit_code == 0 and outcome.reason == "" and outcome.result.verdict == "HELPED"


def test_a_kernel_that_died_before_its_stacks_were_stopped_was_not_measured_to_the_end(
    project: Project, measured: CaseRun
) -> None:
    measured.update(changed=True)
    outcome = finish(project, measured, Interruptions())
    assert outcome.reason and measured.manifest.state == "failed"


LIMITED = (
    PLAINLY
    + """
import resource, signal, sys
from pathlib import Path
from luckyhit.errors import ReportNotWritten
from luckyhit.case_run import CaseRun
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
run, folder = CaseRun(Path(sys.argv[2])), Path(sys.argv[3])
try:
    {does}
except ReportNotWritten as error:
    print(error)
    sys.exit(7)
"""
)
EXPORTS = "from luckyhit.workflow.unattended.export import export; export(run, run.result, folder)"
TELLS = "from luckyhit.report.run_outcome import publish; publish('x' * 4000, str(folder / 'told'))"


def limited(run: CaseRun, folder: Path, bytes_at_most: int, does: str) -> subprocess.CompletedProcess[str]:
    """As on a full disk: no file may become longer than that."""
    words = [sys.executable, "-c", LIMITED.replace("{does}", does), str(bytes_at_most), str(run.path), str(folder)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("bytes_at_most", "name"), [(1_000, "result.json"), (60_000, ".html"), (3_000_000, "manifest.json")]
)
def test_on_a_full_disk_each_file_is_whole_or_as_it_was(
    bytes_at_most: int, name: str, measured: CaseRun, tmp_path: Path
) -> None:
    measured.write_result(judge(measured))
    if name == "manifest.json":
        measured.update(revision="x" * 4_000_000)
    before = {path: path.read_bytes() for path in measured.path.glob("*.json")}
    done = limited(measured, tmp_path / "reports", bytes_at_most, EXPORTS)
    assert done.returncode == 7, done.stderr
    assert name in done.stdout.splitlines()[0] and "could not be written: File too large" in done.stdout
    assert "what to do: Make room in, or rights to," in done.stdout and "luckyhit report" in done.stdout
    assert {path: path.read_bytes() for path in before} == before
    assert measured.state == "measured" and measured.result.verdict == "HELPED"
    assert hidden(tmp_path) == []
    for path in tmp_path.glob("reports/*.html"):
        assert path.read_text().rstrip().endswith("</html>")


def test_a_list_that_can_not_be_written_leaves_the_report_whole(project: Project, measured: CaseRun) -> None:
    (project.reports / "index.html").mkdir(parents=True)
    with pytest.raises(ReportNotWritten, match=r"index\.html could not be written"):
        export(measured, judge(measured), project.reports)
    (path,) = project.reports.glob("2026-*.html")
    assert path.read_text().rstrip().endswith("</html>") and measured.state == "measured"


def test_what_other_machines_are_told_is_whole_or_as_it_was(measured: CaseRun, tmp_path: Path) -> None:
    (tmp_path / "told").write_text("of the last run")
    done = limited(measured, tmp_path, 1_000, TELLS)
    assert done.returncode == 7 and "could not be written" in done.stdout
    assert (tmp_path / "told").read_text() == "of the last run" and hidden(tmp_path) == []


def test_an_executed_notebook_is_whole_or_as_it_was(measured: CaseRun, tmp_path: Path) -> None:
    path = measured.path / "notebooks" / "3-report.ipynb"
    path.write_text("{}")
    does = (
        "from luckyhit.workflow.unattended.papermill_engine import save_whole; save_whole(run.path / 'notebooks');"
        " from papermill.iorw import papermill_io; papermill_io.write('{\"cells\": []}', sys.argv[3]);"
        " papermill_io.write('x' * 4000, sys.argv[3])"
    )
    done = limited(measured, path, 1_000, does)
    assert "File too large" in done.stderr
    assert json.loads(path.read_text()) == {"cells": []} and hidden(tmp_path) == []


def test_two_exports_of_one_run_at_once_both_succeed(measured: CaseRun, tmp_path: Path) -> None:
    measured.write_result(judge(measured))
    words = [
        sys.executable,
        "-c",
        LIMITED.replace("{does}", EXPORTS),
        str(1 << 40),
        str(measured.path),
        str(tmp_path / "r"),
    ]
    for process in [subprocess.Popen(words, stderr=subprocess.PIPE) for _ in range(2)]:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()
    (path,) = (tmp_path / "r").glob("2026-*.html")
    assert path.read_text().rstrip().endswith("</html>") and measured.result.report == path.name
    assert measured.state == "finished" and hidden(tmp_path) == []
