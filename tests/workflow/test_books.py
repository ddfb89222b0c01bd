"""The books that the cells of the notebooks talk to, without a kernel: what they begin, what they say when it goes wrong."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

from luckyhit import workflow
from luckyhit.case_run import CaseRun
from luckyhit.errors import (
    ArgumentError,
    CaseError,
    NoRoom,
    NotEnoughData,
    Problem,
    RollbackNotConfirmed,
    ServiceStopped,
)
from luckyhit.project import Project
from luckyhit.workflow import steps
from luckyhit.workflow.notebook import notebook_parameters
from luckyhit.workflow.notebook.cell_output import Picture


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    return {"runs_dir": str(tmp_path / "runs"), "reports_dir": str(tmp_path / "reports")}


def made(folders: dict[str, str]) -> list[Path]:
    return sorted(Path(folders["runs_dir"]).glob("*/*"))


def measured(run: CaseRun, *_: Any) -> None:
    run.update(blocks=[{"block": 0, "stage": "baseline", "arms": ["before"]}], state="measured")


def test_each_measurement_makes_a_run_looking_makes_none(folders, monkeypatch) -> None:
    monkeypatch.setattr(steps, "measure_baseline", measured)
    book = workflow.baseline("placebo", **folders)
    assert len(book.declared()) > 5 and made(folders) == []
    with pytest.raises(ArgumentError) as error:
        book.figure("hit-ratio")
    assert "`measure()`" in error.value.hint and repr(book) == book._repr_html_() == error.value.message
    book.measure()
    first = book.run
    book.measure()
    assert first.path != book.path and set(made(folders)) == {first.path, book.path}


def test_a_given_run_is_the_one_that_is_measured(folders, monkeypatch) -> None:
    monkeypatch.setattr(steps, "measure_baseline", measured)
    begun = workflow.baseline("placebo", **folders)
    begun.measure()
    book = workflow.baseline("placebo", str(begun.path), **folders)
    book.measure()
    assert made(folders) == [begun.path]


@pytest.fixture
def notebook(monkeypatch) -> dict[str, Any]:
    """The variables of a notebook."""
    variables: dict[str, Any] = {}
    monkeypatch.setattr(notebook_parameters, "notebook_variables", lambda: variables)
    monkeypatch.setattr(notebook_parameters.Parameters.__init__, "__defaults__", (lambda: variables,))
    return variables


@pytest.fixture
def own_case(tmp_path: Path) -> Path:
    path = tmp_path / "project" / "shop.yml"
    path.parent.mkdir()
    path.write_bytes(Project.find().case_file("placebo").read_bytes())
    return path


def test_a_changed_parameter_is_followed(folders, monkeypatch, notebook) -> None:
    monkeypatch.setattr(steps, "measure_baseline", measured)
    notebook |= {"case": "placebo", "run": "", "observe": False, "environment": "", **folders}
    book = workflow.baseline(**notebook)
    book.measure()
    notebook["case"], notebook["observe"] = "short-ttl", True
    book.measure()
    assert book.path.parent.name == "short-ttl" and book.manifest.observe and len(made(folders)) == 2
    notebook["case"] = "placebo"
    with pytest.raises(ArgumentError, match="nothing is measured yet"):
        book.numbers()
    notebook["case"] = "placbo"
    with pytest.raises(ArgumentError, match="placbo"):
        book.declared()
    with pytest.raises(ArgumentError, match="placbo"):
        book.declared()
    notebook["case"] = "placebo"
    assert len(book.declared()) > 5 and len(made(folders)) == 2


def test_values_that_were_no_parameters_are_not_followed(folders, monkeypatch, notebook) -> None:
    monkeypatch.setattr(steps, "measure_baseline", measured)
    notebook["case"] = "short-ttl"
    book = workflow.baseline("placebo", **folders)
    notebook["case"] = "lucky-hit"
    book.measure()
    assert book.path.parent.name == "placebo"


def test_another_run_as_parameter_is_shown_by_the_next_cell(folders, monkeypatch, notebook) -> None:
    monkeypatch.setattr(steps, "measure_baseline", measured)
    book = workflow.baseline("placebo", **folders)
    book.measure()
    first = book.run
    book.measure()
    notebook |= {"run": "", "case": "", **folders}
    newest, other = sorted([first.path, book.path], reverse=True)  # two of one second are in no order
    reported = workflow.report(**notebook)
    assert reported.path == newest
    notebook["run"] = other.name
    assert reported.path == other
    notebook["run"] = ""
    assert reported.path == newest


def test_a_case_edited_meanwhile_is_shown_and_measured_as_it_is(folders, own_case, monkeypatch) -> None:
    monkeypatch.setattr(steps, "measure_baseline", measured)
    book = workflow.baseline(str(own_case), **folders)
    assert "a better title" not in book.declared().to_string()
    text = own_case.read_text()
    own_case.write_text(re.sub("(?m)^title: .*$", "title: a better title", text))
    assert "a better title" in book.declared().to_string()
    own_case.write_text(text.replace("title:", "titel:"))
    with pytest.raises(CaseError):
        book.power()
    own_case.unlink()
    with pytest.raises(ArgumentError, match="shop"):
        book.measure()
    assert made(folders) == []


def test_files_are_linked_in_jupyterlab_only(folders, own_case, monkeypatch) -> None:
    root = own_case.parent
    for path in (root / "notebooks" / "1-baseline.ipynb", root / "data" / "cases" / "a case.yml"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(own_case.read_bytes() if path.suffix == ".yml" else b"{}")
    monkeypatch.chdir(root)
    book = workflow.baseline("a case", **folders)
    assert book.links() is None and book.form() is None
    monkeypatch.setenv("JPY_SESSION_NAME", str(root / "notebooks" / "1-baseline.ipynb"))
    assert book.links().data == "[the case file](../data/cases/a%20case.yml)", "there are no reports and no docs yet"
    (root / "docs").mkdir()
    (root / "docs" / "README.md").touch()
    (Path(folders["reports_dir"])).mkdir()
    (Path(folders["reports_dir"]) / "index.html").touch()
    shown = book.links().data
    assert "](../docs/README.md)" in shown and "`all reports`" in shown, "those reports are outside of the project"
    assert book.form().children[0].description == "workload.rate"


def test_a_run_that_has_its_case_has_no_form(folders, monkeypatch) -> None:
    monkeypatch.setattr(steps, "measure_baseline", measured)
    begun = workflow.baseline("placebo", **folders)
    begun.measure()
    book = workflow.baseline("placebo", str(begun.path), **folders)
    assert book.form() is None, "in `luckyhit run`, every cell is executed"
    monkeypatch.setenv("JPY_SESSION_NAME", "1-baseline.ipynb")
    assert begun.run.id in book.form().data and book.links() is not None


@pytest.mark.parametrize("observe, environment", [(True, "laptop"), (False, "laptop")])
def test_an_invalid_environment_is_refused_before_a_run_is_made(folders, observe, environment) -> None:
    with pytest.raises(ArgumentError, match="environment"):
        workflow.baseline("placebo", observe=observe, environment=environment, **folders)
    assert made(folders) == []


@pytest.mark.parametrize("confirmed, kind", [(True, NotEnoughData), (False, RollbackNotConfirmed)])
def test_an_interrupted_step_reports_the_rollback(folders, monkeypatch, confirmed, kind) -> None:
    def interrupted(run: CaseRun, *_: Any) -> None:
        detail = "The variable is writer-key again."
        run.update(changed=not confirmed, rollback={"confirmed": confirmed, "detail": detail})
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "measure_baseline", interrupted)
    with pytest.raises(kind, match=f"Interrupted. Rollback {'' if confirmed else 'not '}confirmed: The var") as error:
        workflow.baseline("placebo", **folders).measure()
    assert ("new run" if confirmed else "luckyhit revert") in error.value.hint


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, NoRoom), (errno.EIO, OSError)])
def test_a_full_disk_is_not_reported_as_a_bug(number, kind, folders, monkeypatch) -> None:
    def start(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(steps, "start_stacks", start)
    book = workflow.baseline("placebo", **folders)
    with pytest.raises(kind, match=os.strerror(number)):
        book.measure()
    (path,) = made(folders)
    failure = CaseRun(path).manifest.failure
    assert os.strerror(number) in failure.message
    assert (failure.error, failure.exit_code) == ((kind.__name__, 4) if kind is NoRoom else ("OSError", 1))


def test_a_service_that_met_a_full_disk_is_said_to_have(folders, monkeypatch) -> None:
    def start(*_: Any) -> None:
        raise ServiceStopped(
            "the service ended", log=["starting", "sqlite3.OperationalError: database or disk is full"]
        )

    monkeypatch.setattr(steps, "start_stacks", start)
    with pytest.raises(NoRoom, match="the service ended: its disk is full"):
        workflow.baseline("placebo", **folders).measure()
    failure = CaseRun(made(folders)[0]).manifest.failure
    assert failure.error == "NoRoom" and "disk" in failure.message and failure.exit_code == 4


def test_own_errors_are_shown_without_a_traceback() -> None:
    """IPython asks an exception for this in place of its own traceback."""
    problem = Problem("shop.yml", 3, "owner", "nothing", "a name")
    error = CaseError([problem], hint="fix it")
    assert error._render_traceback_() == f"CaseError: {error}".splitlines()


def test_a_figure_can_be_read_without_seeing_it() -> None:
    data = Picture("<svg/>" * 500, 'ratio "91 %" <before>', 836)._repr_mimebundle_()
    assert 'alt="ratio &quot;91 %&quot; &lt;before&gt;"' in data["text/html"]
    assert data["text/plain"] == 'ratio "91 %" <before>' and set(data) == {"text/html", "text/plain"}
    assert sum(map(len, data.values())) < 1.1 * 4000 + 400, "the picture is there once"
