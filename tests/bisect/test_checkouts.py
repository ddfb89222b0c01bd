"""Revisions on the disk: real worktrees, builds and services, and that nothing of them is left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from repositories import History, git, repository, shop_case

from luckyhit.bisect import checkouts as module
from luckyhit.bisect.checkouts import Build, Checkouts, Untestable
from luckyhit.bisect.search_folder import clean_up
from luckyhit.case.model import Case
from luckyhit.errors import ArgumentError, NoRoom
from luckyhit.scrub.redactor import Redactor

Make = Callable[..., Checkouts]


@pytest.fixture
def history(project: Path) -> History:
    return repository(project / "shop", 5, 3, broken=(2,))


@pytest.fixture
def folder(project: Path) -> Path:
    path = project / "data" / "runs" / "old-prices" / "bisect-20260101-000000-abcd"
    path.mkdir(parents=True)
    return path


@pytest.fixture
def make(project: Path, history: History, folder: Path) -> Make:
    def make(command: str = "", within_s: float = 30.0, **parts: Any) -> Checkouts:
        case = Case.model_validate(shop_case(**parts))
        return Checkouts(case, project, folder, Build(command, within_s), Redactor())

    return make


def listed(history: History) -> int:
    return len(git(history.root, "worktree", "list").splitlines())


def running(folder: Path) -> list[str]:
    """Processes of ours: each has its folder in its environment."""
    names = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in value for value in process.environ().values()):
                names.append(process.name())
        except psutil.Error:
            continue
    return names


def test_a_revision_is_checked_out_once_and_removed(make: Make, history: History, folder: Path) -> None:
    with make() as checkouts:
        first = checkouts.settings(history.good)
        assert first.source is not None and "DELETES = True" in Path(first.source, "terms.py").read_text()
        assert checkouts.settings(history.good) is first
        checkouts.settings(history.culprit)
        assert listed(history) == 3
        checkouts.keep_only(history.good)
        assert listed(history) == 2
    assert listed(history) == 1 and not (folder / "revisions").exists() and running(folder) == []


def test_one_that_does_not_start_says_why(make: Make, history: History, folder: Path) -> None:
    with make() as checkouts, pytest.raises(Untestable) as untestable:
        checkouts.settings(history.revisions[2])
    assert untestable.value.outcome == "not-started" and "no_such_module" in untestable.value.reason
    assert listed(history) == 1 and running(folder) == []


def test_a_build_runs_in_the_worktree(make: Make, history: History) -> None:
    with make(f"{sys.executable} -c \"open('built.txt', 'w').write('done')\"") as checkouts:
        settings = checkouts.settings(history.good)
        assert settings.source is not None and Path(settings.source, "built.txt").read_text() == "done"
    assert not (history.root / "built.txt").exists()


def test_a_build_may_name_the_services_python(make: Make, history: History) -> None:
    with make("{python} -c pass") as checkouts:
        checkouts.settings(history.good)


@pytest.mark.parametrize(
    ("code", "within_s", "named"), [("raise SystemExit('no compiler')", 30.0, "no compiler"), ("input()", 30.0, "EOF")]
)
def test_a_build_that_fails_says_why(code: str, within_s: float, named: str, make: Make, history: History) -> None:
    with make(f'{{python}} -c "{code}"', within_s) as checkouts, pytest.raises(Untestable) as untestable:
        checkouts.settings(history.good)
    assert untestable.value.outcome == "not-built" and named in untestable.value.reason


def test_a_build_that_hangs_is_ended(make: Make, history: History, folder: Path) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    with make(f'{{python}} -c "{code}"', 0.5) as checkouts, pytest.raises(Untestable) as untestable:
        checkouts.settings(history.good)
    assert untestable.value.outcome == "not-built" and running(folder) == []


def test_a_build_that_is_no_program_is_refused(make: Make, history: History) -> None:
    with make("no-such-tool --fast") as checkouts, pytest.raises(ArgumentError):
        checkouts.settings(history.good)
    with pytest.raises(ArgumentError):
        Build("make 'install").words()
    assert listed(history) == 1


def test_a_full_disk_is_no_revisions_fault(make: Make, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_FREE_BYTES", 1 << 62)
    with make() as checkouts, pytest.raises(NoRoom):
        checkouts.settings(history.good)
    assert listed(history) == 1


def test_another_process_removes_what_a_killed_one_left(
    make: Make, history: History, folder: Path, project: Path
) -> None:
    killed = make()
    killed.settings(history.good)
    assert listed(history) == 2
    assert len(clean_up(project / "data" / "runs", "old-prices", project)) == 1
    assert listed(history) == 1 and clean_up(project / "data" / "runs", "old-prices", project) == []
