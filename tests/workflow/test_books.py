"""The books that the cells of the notebooks talk to, without a kernel: what they begin, what they say when it goes wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from luckyhit import workflow
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, CaseError, NoRoom, NotEnoughData, Problem, RollbackNotConfirmed
from luckyhit.workflow import steps
from luckyhit.workflow.cell_output import Picture


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


def test_own_errors_are_shown_without_a_traceback() -> None:
    """IPython asks an exception for this in place of its own traceback."""
    problem = Problem("shop.yml", 3, "owner", "nothing", "a name")
    error = CaseError([problem], hint="fix it")
    assert error._render_traceback_() == f"CaseError: {error}".splitlines()


def test_a_figure_can_be_read_without_seeing_it() -> None:
    data = Picture("<svg/>", 'hit ratio "91 %" <before>', 836)._repr_mimebundle_()
    assert 'alt="hit ratio &quot;91 %&quot; &lt;before&gt;"' in data["text/html"]
    assert data["text/plain"] == 'hit ratio "91 %" <before>' and set(data) == {"text/html", "text/plain"}
