"""What was measured stays measured when its report can't be written; no file is ever half there under its name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from plain_figures import PLAINLY, run_at_once
from typer.testing import CliRunner

from luckyhit.case_run import CaseRun
from luckyhit.cli import app
from luckyhit.errors import ReportNotWritten
from luckyhit.project import Project
from luckyhit.report.run_folders import FOLDERS_FILE
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
def measured(copied) -> CaseRun:
    """Not judged yet."""
    run, _ = copied
    (run.path / "result.json").unlink()
    return run


@pytest.fixture
def exported(copied) -> CaseRun:
    """Judged, and without its report."""
    return copied[0]


def folders(project: Project) -> list[str]:
    return ["--runs-dir", str(project.runs), "--reports-dir", str(project.reports)]


def hidden(folder: Path) -> list[Path]:
    """Temporary files that were left."""
    return [path for path in folder.rglob(".*") if path.is_file() and path.name != FOLDERS_FILE]


def is_whole(path: Path) -> bool:
    return path.read_text().rstrip().endswith("</html>")


def test_a_run_whose_report_can_not_be_written_is_measured(project: Project, measured: CaseRun) -> None:
    project.reports.write_text("a file where the folder should be")
    outcome = finish(project, measured, Interruptions())
    assert outcome.exit_code == 1 and outcome.report is None and isinstance(outcome.error, ReportNotWritten)
    assert outcome.error.hint
    assert measured.manifest.state == "measured" and not measured.manifest.failure
    assert measured.result is not None and measured.result.verdict == "HELPED"

    project.reports.unlink()
    done = CliRunner().invoke(app, ["report", measured.id, *folders(project)])
    assert done.exit_code == 0, done.output
    path = Path(done.stdout.splitlines()[-1])
    assert "<title>HELPED: " in path.read_text()
    assert measured.manifest.state == "finished" and measured.result.report == path.name


def test_the_command_gives_the_verdict_without_a_report(project, measured, monkeypatch, tmp_path: Path) -> None:
    project.reports.write_text("a file where the folder should be")
    monkeypatch.setattr(run_case, "new_run", lambda *_, **__: measured)
    monkeypatch.setattr(Kernel, "_start", lambda self: None)
    monkeypatch.setattr(Notebook, "_execute", lambda self: setattr(self, "error", RuntimeError("its cell raised")))
    markdown, xml = tmp_path / "summary.md", tmp_path / "junit.xml"
    words = ["run", "stale-price", *folders(project)]
    done = CliRunner().invoke(app, [*words, "--summary", str(markdown), "--junit", str(xml)])
    assert done.exit_code == 1 and "HELPED: " in done.stdout and not done.stdout.rstrip().endswith(".html")
    assert "what to do: " in done.stderr and "INCOMPLETE" not in done.stderr and "Traceback" not in done.stderr
    assert markdown.read_text().startswith("## Lucky Hit: HELPED")
    (suite,) = ElementTree.parse(xml).getroot()
    assert suite.attrib["errors"] == "1"

    answer = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert answer["exit_code"] == 1 and answer["report"] is None and answer["result"]["verdict"] == "HELPED"
    assert answer["reason"]


def interrupt(interruptions: Interruptions) -> None:
    interruptions.count = 1


@pytest.mark.parametrize(("ends", "exit_code"), [(interrupt, INTERRUPTED), (Interruptions.expire, 0)])
def test_an_interruption_while_reporting_costs_no_report(
    ends: Callable[[Interruptions], None], exit_code: int, project: Project, measured: CaseRun
) -> None:
    interruptions = Interruptions(60.0)
    ends(interruptions)
    outcome = finish(project, measured, interruptions)
    assert outcome.exit_code == exit_code and outcome.reason == "" and outcome.result.verdict == "HELPED"
    assert outcome.report is not None and is_whole(outcome.report) and measured.manifest.state == "finished"


def test_a_run_whose_changed_stacks_were_not_stopped_failed(project: Project, measured: CaseRun) -> None:
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
from luckyhit.report.run_folders import FOLDERS_FILE
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
sys.dont_write_bytecode = True  # a compiled module would be cut as well, and spoil the next import of it
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
PUBLISHES = "from luckyhit.report.run_outcome import publish; publish('x' * 4000, str(folder / 'summary'))"
SAVES = (
    "from luckyhit.workflow.unattended.papermill_engine import save_whole; save_whole(run.path / 'notebooks');"
    " from papermill.iorw import papermill_io; papermill_io.write('{\"cells\": []}', sys.argv[3]);"
    " papermill_io.write('x' * 4000, sys.argv[3])"
)


def limited(run: CaseRun, folder: Path, bytes_at_most: int, does: str) -> subprocess.CompletedProcess[str]:
    """As on a full disk: no file may become longer than that."""
    words = [sys.executable, "-c", LIMITED.replace("{does}", does), str(bytes_at_most), str(run.path), str(folder)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("bytes_at_most", "name"), [(1_000, "result.json"), (60_000, ".html"), (3_000_000, "manifest.json")]
)
def test_on_a_full_disk_each_file_is_whole_or_as_it_was(bytes_at_most, name, exported, tmp_path: Path) -> None:
    if name == "manifest.json":
        exported.update(revision="x" * 4_000_000)
    before = {path: path.read_bytes() for path in exported.path.glob("*.json")}
    done = limited(exported, tmp_path / "reports", bytes_at_most, EXPORTS)
    assert done.returncode == 7, done.stderr
    assert name in done.stdout.splitlines()[0] and "File too large" in done.stdout and "what to do: " in done.stdout
    assert {path: path.read_bytes() for path in before} == before
    assert exported.state == "measured" and exported.result.verdict == "HELPED"
    assert hidden(tmp_path) == [] and all(map(is_whole, tmp_path.glob("reports/*.html")))


def test_without_an_index_the_report_is_whole(project: Project, exported: CaseRun) -> None:
    (project.reports / "index.html").mkdir(parents=True)
    with pytest.raises(ReportNotWritten, match=r"index\.html"):
        export(exported, exported.result, project.reports)
    (path,) = project.reports.glob("2026-*.html")
    assert is_whole(path) and exported.state == "measured"


def test_other_files_are_whole_or_as_they_were_too(exported: CaseRun, tmp_path: Path) -> None:
    (tmp_path / "summary").write_text("of the last run")
    assert limited(exported, tmp_path, 1_000, PUBLISHES).returncode == 7
    assert (tmp_path / "summary").read_text() == "of the last run" and hidden(tmp_path) == []
    notebook = exported.path / "notebooks" / "3-report.ipynb"
    notebook.write_text("{}")
    assert "File too large" in limited(exported, notebook, 1_000, SAVES).stderr
    assert json.loads(notebook.read_text()) == {"cells": []} and hidden(tmp_path) == []


def test_two_exports_of_one_run_at_once_both_succeed(exported: CaseRun, tmp_path: Path) -> None:
    words = [str(1 << 40), str(exported.path), str(tmp_path / "r")]
    run_at_once(LIMITED.replace("{does}", EXPORTS), words, words)
    (path,) = (tmp_path / "r").glob("2026-*.html")
    assert is_whole(path) and exported.result.report == path.name
    assert exported.state == "finished" and hidden(tmp_path) == []
