"""Another Git revision as the change: real repositories, real worktrees, a real service out of each."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from luckyhit.case.model import Case
from luckyhit.case_run import CaseRun
from luckyhit.change import (
    Journal,
    apply,
    difference_of,
    reset_block,
    revert_run,
    revisions_of,
    roll_back,
    settings_of,
    start_stacks,
    worktrees,
)
from luckyhit.errors import GuardError, TargetError
from luckyhit.system import Stack

SERVICE = """
import http.server, json, os, sys
from shop.answer import WORD

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"word": WORD, "cwd": os.getcwd()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def git(where: Path, *words: str) -> str:
    options = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", "-C", str(where), *options, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A service under `backend/`, with branches main (old) and fix (new); main is checked out."""
    root = tmp_path / "shop repository"
    package = root / "backend" / "src" / "shop"
    package.mkdir(parents=True)
    (root / "backend" / "service.py").write_text(SERVICE)
    (package / "__init__.py").write_text("")
    (package / "answer.py").write_text("WORD = 'old'\n")
    git(tmp_path, "init", "-q", "-b", "main", str(root))
    git(root, "add", "-A")
    git(root, "commit", "-qm", "old")
    git(root, "switch", "-qc", "fix")
    (package / "answer.py").write_text("WORD = 'new'\n")
    git(root, "commit", "-qam", "new")
    git(root, "switch", "-q", "main")
    return root


@pytest.fixture
def make(make_case: Callable[..., Case], repository: Path) -> Callable[..., Case]:
    def make(**change: Any) -> Case:
        return make_case(
            change={
                "kind": "revision",
                "what": "The fix",
                "before": "main",
                "after": "fix",
                "smallest": "One",
                **change,
            },
            target={
                "start": {
                    "command": ["{python}", "service.py", "{port}", "{cache_url}"],
                    "cwd": f"{repository.name}/backend",
                    "ready": "/",
                    "env": {"PYTHONPATH": str(repository / "backend" / "src")},
                }
            },
            design="crossover",
        )

    return make


@pytest.fixture
def journal(run: CaseRun) -> Journal:
    return Journal(run.path / "journal.jsonl")


@pytest.fixture
def started(run: CaseRun, repository: Path, journal: Journal) -> Iterator[Callable[[Case], Stack]]:
    with ExitStack() as running:

        def start(case: Case) -> Stack:
            found = revisions_of(case, repository.parent)
            folder = run.path / "revisions"
            made = running.enter_context(worktrees(case, repository.parent, folder, journal, found, {}))
            stack = Stack(case, "before", run.path / "work" / "before", project=repository.parent)
            stack.sources = made
            stack.settings = settings_of(stack, "before")
            running.callback(stack.stop)
            start_stacks([stack], journal)
            return stack

        yield start


def word(stack: Stack) -> str:
    return str(httpx.get(stack.base_url, trust_env=False).json()["word"])


def listed(repository: Path) -> list[str]:
    return git(repository, "worktree", "list").splitlines()


def test_each_arm_runs_its_own_revision(
    make: Callable[..., Case], started: Callable[[Case], Stack], journal: Journal, repository: Path
) -> None:
    # What is being edited, and not committed, is in neither arm.
    (repository / "backend" / "src" / "shop" / "answer.py").write_text("WORD = 'half-edited'\n")
    stack = started(make())
    cwd, env = stack.cwd, dict(stack.env)
    assert word(stack) == "old"
    apply(stack, journal)
    assert word(stack) == "new"
    # Nothing that the service is given tells the arms apart but what stands behind the paths.
    assert (stack.cwd, stack.env) == (cwd, env)
    for arm, expected in (("before", "old"), ("after", "new"), ("before", "old")):
        reset_block({arm: stack}, stack.case, journal)  # type: ignore[dict-item]
        assert word(stack) == expected
    assert roll_back(stack, journal).confirmed and word(stack) == "old"


def test_no_worktree_is_left(make: Callable[..., Case], run: CaseRun, journal: Journal, repository: Path) -> None:
    case, folder = make(), run.path / "revisions"
    with worktrees(case, repository.parent, folder, journal, revisions_of(case, repository.parent), {}):
        assert len(listed(repository)) == 3
    assert len(listed(repository)) == 1 and journal.open_steps() == [] and list(folder.iterdir()) == []
    assert git(repository, "status", "--porcelain") == ""


def test_a_killed_run_leaves_worktrees_that_another_process_removes(
    make: Callable[..., Case], run: CaseRun, journal: Journal, repository: Path
) -> None:
    case = make()
    held = worktrees(
        case, repository.parent, run.path / "revisions", journal, revisions_of(case, repository.parent), {}
    )
    held.__enter__()
    assert [step.step for step in journal.open_steps()] == ["worktree", "worktree"]
    assert revert_run(run, project=repository.parent).confirmed
    assert len(listed(repository)) == 1 and journal.open_steps() == []


def test_a_worktree_that_was_deleted_by_hand_is_forgotten_too(
    make: Callable[..., Case], run: CaseRun, journal: Journal, repository: Path
) -> None:
    case = make()
    held = worktrees(
        case, repository.parent, run.path / "revisions", journal, revisions_of(case, repository.parent), {}
    )
    held.__enter__()
    subprocess.run(["rm", "-rf", str(run.path / "revisions")], check=True)
    assert revert_run(run, project=repository.parent).confirmed
    assert len(listed(repository)) == 1


def test_the_difference_is_what_git_shows(make: Callable[..., Case], repository: Path) -> None:
    case = make()
    text = difference_of(case, repository.parent, revisions_of(case, repository.parent))
    assert "backend/src/shop/answer.py | 2 +-" in text
    assert "-WORD = 'old'" in text and "+WORD = 'new'" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"after": "fxi"}, "no revision 'fxi' (change.after)"),
        ({"after": "main~0"}, "the same revision"),
        ({"before": "fix~5"}, "no revision 'fix~5' (change.before)"),
    ],
)
def test_wrong_revisions_are_refused(
    make: Callable[..., Case], repository: Path, change: dict[str, str], said: str
) -> None:
    with pytest.raises(GuardError) as refused:
        revisions_of(make(**change), repository.parent)
    assert said in refused.value.message and refused.value.hint


def test_a_revision_without_the_directory_is_refused(make: Callable[..., Case], repository: Path) -> None:
    git(repository, "switch", "-q", "--orphan", "other")
    (repository / "backend").mkdir(exist_ok=True)
    git(repository, "commit", "-q", "--allow-empty", "-m", "empty")
    with pytest.raises(GuardError, match="has no directory backend"):
        revisions_of(make(after="other"), repository.parent)


def test_a_directory_without_a_repository_is_refused(make_case: Callable[..., Case], tmp_path: Path) -> None:
    case = make_case(
        change={"kind": "revision", "what": "The fix", "after": "fix", "smallest": "One"}, design="crossover"
    )
    with pytest.raises(GuardError, match="in no Git repository"):
        revisions_of(case, tmp_path)


def test_a_worktree_that_git_refuses_is_no_open_step(
    make: Callable[..., Case], run: CaseRun, journal: Journal, repository: Path
) -> None:
    case, folder = make(), run.path / "revisions"
    found = {**revisions_of(case, repository.parent), "after": "0" * 40}
    with (
        pytest.raises(TargetError, match="git worktree failed"),
        worktrees(case, repository.parent, folder, journal, found, {}),
    ):
        raise AssertionError("not reached")
    assert len(listed(repository)) == 1 and journal.open_steps() == []
