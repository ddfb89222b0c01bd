"""Another Git revision as the change: real repositories and worktrees. (A service out of each: test_change_kinds.)"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
from kind_worlds import git, make_repository

from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import Journal, apply, difference_of, revert_run, revisions_of, worktrees
from luckyhit.errors import GuardError, TargetError
from luckyhit.system import Stack

CHANGE = {"kind": "revision", "what": "The fix", "before": "main", "after": "fix", "smallest": "One"}


@pytest.fixture
def repository(run: CaseRun) -> Path:
    root = run.path / "shop repository"
    root.mkdir()
    make_repository(root)
    return root


@pytest.fixture
def start(repository: Path) -> dict[str, Any]:
    env = {"PYTHONPATH": str(repository / "backend" / "src")}
    return {"command": ["{python}", "service.py", "{port}", "x"], "cwd": f"{repository.name}/backend", "env": env}


@pytest.fixture
def make(make_case: Callable[..., Case], start: dict[str, Any]) -> Callable[..., Case]:
    return lambda **change: make_case(change=CHANGE | change, target={"start": start}, cache=None, design="crossover")


@pytest.fixture
def checked_out(
    make: Callable[..., Case], run: CaseRun, journal: Journal
) -> Callable[..., AbstractContextManager[Any]]:
    def checked_out(**revisions: str) -> AbstractContextManager[Any]:
        case = make()
        hashes: Any = {**revisions_of(case, run.path), **revisions}
        return worktrees(case, run.path, run.path / "revisions", journal, hashes, {})

    return checked_out


def listed(repository: Path) -> int:
    return len(git(repository, "worktree", "list").splitlines())


def test_uncommitted_code_is_in_neither_arm(
    own: Callable[..., Stack], start: dict[str, Any], journal: Journal, repository: Path
) -> None:
    (repository / "backend" / "src" / "word.py").write_text("WORD = 'half-edited'\n")
    stack = own(start, change=CHANGE, cache=None)
    cwd, env = stack.cwd, dict(stack.env)
    words = []
    for _ in range(2):
        words.append(httpx.get(stack.base_url, trust_env=False).json()["revision"])
        apply(stack, journal)
    assert words == ["old", "new"]
    # Nothing that the service is given differs but what stands behind the paths.
    assert (stack.cwd, stack.env) == (cwd, env)


def test_no_worktree_is_left(checked_out: Any, run: CaseRun, journal: Journal, repository: Path) -> None:
    with checked_out():
        assert listed(repository) == 3
    assert listed(repository) == 1 and journal.open_steps() == [] and list((run.path / "revisions").iterdir()) == []
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("deleted_by_hand", [False, True])
def test_another_process_removes_the_worktrees(
    deleted_by_hand: bool, checked_out: Any, run: CaseRun, journal: Journal, repository: Path
) -> None:
    held = checked_out()
    held.__enter__()
    assert [step.step for step in journal.open_steps()] == ["worktree", "worktree"]
    if deleted_by_hand:
        subprocess.run(["rm", "-rf", str(run.path / "revisions")], check=True)
    assert revert_run(run, project=run.path).confirmed
    assert listed(repository) == 1 and journal.open_steps() == []


def test_difference_is_what_git_shows(make: Callable[..., Case], run: CaseRun) -> None:
    text = difference_of(make(), run.path, revisions_of(make(), run.path))
    assert "backend/src/word.py | 2 +-" in text and "-WORD = 'old'" in text and "+WORD = 'new'" in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"after": "fxi"}, "'fxi' (change.after)"),
        ({"before": "fix~5"}, "'fix~5' (change.before)"),
        ({"after": "main~0"}, "'main~0'"),
        ({"after": "other"}, "backend"),
    ],
)
def test_wrong_revisions_are_refused(
    make: Callable[..., Case], run: CaseRun, repository: Path, change: dict[str, str], named: str
) -> None:
    git(repository, "switch", "-q", "--orphan", "other")  # without the directory
    git(repository, "commit", "-q", "--allow-empty", "-m", "empty")
    (repository / "backend").mkdir(exist_ok=True)
    with pytest.raises(GuardError) as refused:
        revisions_of(make(**change), run.path)
    assert named in refused.value.message and refused.value.hint


def test_directory_without_a_repository_is_refused(make_case: Callable[..., Case], tmp_path: Path) -> None:
    with pytest.raises(GuardError, match=re.escape(str(tmp_path))):
        revisions_of(make_case(change={**CHANGE, "before": "HEAD"}, design="crossover"), tmp_path)


def test_worktree_that_git_refuses_is_no_open_step(checked_out: Any, journal: Journal, repository: Path) -> None:
    with pytest.raises(TargetError, match="git worktree"), checked_out(after="0" * 40):
        raise AssertionError("not reached")
    assert listed(repository) == 1 and journal.open_steps() == []
