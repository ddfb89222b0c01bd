"""Runs to report on: see `synthetic_run`. Those that are only read are made once for all tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from baselines import OBSERVED
from page_reader import Page
from plain_figures import draw_plainly
from synthetic_run import judged, make_run

from luckyhit.case_run import CaseRun
from luckyhit.records import Result
from luckyhit.report.page import render
from luckyhit.report.recorded import Recorded, recorded


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[..., CaseRun]:
    """Make a run under the test's own folder; takes what `make_run` takes."""

    def make(**knobs: Any) -> CaseRun:
        return make_run(tmp_path, **knobs)

    return make


@pytest.fixture(scope="session")
def judged_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[CaseRun, Result]:
    run = make_run(tmp_path_factory.mktemp("judged"))
    return run, judged(run)


@pytest.fixture(scope="session")
def recorded_run(judged_run: tuple[CaseRun, Result]) -> Recorded:
    return recorded(*judged_run)


@pytest.fixture(scope="session")
def rendered_once(judged_run: tuple[CaseRun, Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of that run with all its figures, and the index beside it."""
    return render(*judged_run, tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="session")
def page_once(rendered_once: Path) -> Page:
    return Page.read(rendered_once)


@pytest.fixture(scope="session")
def incomplete_once(judged_run: tuple[CaseRun, Result], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is shown of the same run before it is judged; its figures are drawn plainly."""
    with pytest.MonkeyPatch.context() as patched:
        draw_plainly(patched)
        return render(judged_run[0], None, tmp_path_factory.mktemp("incomplete"), incomplete="The run was stopped.")


@pytest.fixture(scope="session")
def baseline_once(tmp_path_factory: pytest.TempPathFactory) -> CaseRun:
    """A judged run that measured its baseline alone."""
    run = make_run(tmp_path_factory.mktemp("baseline"), stages=("baseline",), manifest=OBSERVED, probes=20)
    judged(run)
    return run


@pytest.fixture
def copied(judged_run: tuple[CaseRun, Result], tmp_path: Path) -> tuple[CaseRun, Result]:
    """The judged run, in a folder that the test may spoil."""
    return _copy(judged_run[0], tmp_path), judged_run[1]


@pytest.fixture
def observed_run(baseline_once: CaseRun, tmp_path: Path) -> CaseRun:
    """The baseline alone, in a folder that the test may spoil."""
    return _copy(baseline_once, tmp_path)


def _copy(run: CaseRun, folder: Path) -> CaseRun:
    path = folder / "runs" / run.name / run.id
    shutil.copytree(run.path, path)
    return CaseRun(path)


@pytest.fixture
def plain_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures with their sentences, but one picture for all: for tests of what stands around them."""
    draw_plainly(monkeypatch)
