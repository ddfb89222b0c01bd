"""Searches that are measured, from the command to the report: each kind of fault, and one that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from repositories import History, git, repository, shop_case, write_case

from luckyhit.bisect.search_folder import load, searches
from luckyhit.records.bisection import Bisection
from waiting import eventually

COMMAND = [sys.executable, "-m", "luckyhit", "bisect", "old-prices"]


def searched(project: Path, history: History) -> Bisection:
    done = subprocess.run([*COMMAND, "--good", history.good], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.splitlines()[-1])
    record = load(page.parent)
    assert record is not None and page.is_file()
    return record


def ours(project: Path) -> list[int]:
    """Processes that were started for this project."""
    pids = []
    for process in psutil.process_iter():
        try:
            texts = [process.cwd(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(text.startswith(str(project / "data" / "runs")) for text in texts):
            pids.append(process.pid)
    return pids


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("fault", "goal", "count"),
    [("stale read", "stale_reads", 64), ("lost hit", "hit_ratio", 12), ("15 % slower", "latency_p50_ms", 12)],
)
def test_the_commit_of_each_fault_is_found(fault: str, goal: str, count: int, project: Path) -> None:
    write_case(project, shop_case())
    bad_at = 2 * count // 3
    history = repository(project / "shop", count, bad_at, fault, broken=(2, bad_at // 2, bad_at + 2))
    record = searched(project, history)
    assert record.culprit is not None and record.culprit.revision == history.culprit
    assert goal in record.margins and record.compared <= 8 and record.confirmed is not False
    (folder,) = searches(project / "data" / "runs", "old-prices")
    assert all((folder / page).is_file() for step in record.steps for page in step.reports)
    assert sum(len(step.reports) for step in record.steps) >= record.compared
    assert len(git(history.root, "worktree", "list").splitlines()) == 1 and ours(project) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_search_goes_on_and_leaves_nothing(project: Path) -> None:
    """SIGKILL while a comparison is measured: its processes end with it, and the next call removes its worktrees."""
    write_case(project, shop_case())
    history = repository(project / "shop", 3, 1)
    runs = project / "data" / "runs"
    first = subprocess.Popen([*COMMAND, "--good", history.good], cwd=project, stderr=subprocess.DEVNULL)

    def measuring() -> bool:
        for folder in searches(runs, "old-prices"):
            record = load(folder)
            manifests = list((folder / "runs").glob("*/*/manifest.json"))
            if record and record.steps and record.ahead and len(manifests) == 2:
                return bool(json.loads(manifests[-1].read_text())["blocks"])
        return False

    try:
        eventually(lambda: first.poll() is not None or measuring(), within_s=300)
        assert first.poll() is None
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    eventually(lambda: ours(project) == [], within_s=60)
    (folder,) = searches(runs, "old-prices")
    killed = load(folder)
    assert killed is not None and killed.ahead is not None and len(killed.steps) == 1
    record = searched(project, history)
    (again,) = searches(runs, "old-prices")
    assert again == folder and record.steps[0] == killed.steps[0]
    assert record.first_with == history.culprit
    assert len(git(history.root, "worktree", "list").splitlines()) == 1 and ours(project) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_revisions_alike_have_no_fault_between_them(project: Path) -> None:
    write_case(project, shop_case())
    history = repository(project / "shop", 4, 2, fault="none")
    done = subprocess.run(
        [*COMMAND, "--good", history.good, "--goal", "hit_ratio", "--json"],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and json.loads(done.stdout)["conclusion"] == "no-difference"
