"""Reverting where something is in the way: it says what to do by hand, and can be done again."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from aftermath import LUCKYHIT, problems_after
from crash_world import World, git, until
from scenarios import COMMAND, HTTP, REVISION, SETTING
from victim import Victim, Whom, start_run

from luckyhit.case_run import CaseRun


def revert(world: World, run: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LUCKYHIT, "revert", CaseRun(run).id], cwd=world.project, env={**os.environ, **world.environ},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


@pytest.mark.slow
def test_a_cache_that_is_down_comes_back_and_is_reverted_then(world: World) -> None:
    first = world.look()
    run = start_run(world, SETTING, steps=True, light=True)
    assert run.upto_event("confirm", "apply", "after") and run.run is not None
    run.kill()
    world.stop_cache()
    done = revert(world, run.run)
    assert done.returncode == 5
    by_hand = "redis-cli CONFIG SET set-max-intset-entries '100'"
    assert by_hand in done.stderr
    assert f"luckyhit revert {run.run.name}" in done.stderr and "Traceback" not in done.stderr
    # A server that starts anew has the settings of its start: put back by hand, or not needed any more.
    world.start_cache()
    assert problems_after(run, first) == []


@pytest.mark.slow
def test_unreachable_cache_keeps_its_setting_until_the_next_try(world: World) -> None:
    first = world.look()
    run = start_run(world, SETTING, steps=True, light=True)
    assert run.upto_event("confirm", "notify", "after") and run.run is not None
    run.kill()
    environ = {**world.environ, "CRASH_CACHE": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [LUCKYHIT, "revert", run.run.name], cwd=world.project, env={**os.environ, **environ}, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 5 and "CRASH_CACHE" in done.stderr
    assert problems_after(run, first, by_command=True) == []


@pytest.mark.slow
def test_a_shop_that_refuses_is_named_with_the_call_to_make(world: World) -> None:
    first = world.look()
    run = start_run(world, HTTP, steps=True, light=True)
    assert run.upto_event("confirm", "apply", "after") and run.run is not None
    run.kill()
    with world.shop_closed():
        done = revert(world, run.run)
    assert done.returncode == 5
    assert f"curl --fail -X PUT {world.url}/flags/new-keys" in done.stderr
    # What could be done was done: the cache's keys are back.
    with world.cache() as cache:
        assert cache.exists("product:50:v1")
    assert problems_after(run, first) == []


@pytest.mark.parametrize("whom", ["main", pytest.param("tree", marks=pytest.mark.slow)])
def test_a_worktree_that_was_just_being_made_is_removed(whom: Whom, world: World) -> None:
    """Git locks what it has not finished; here its checkout hangs until the death."""
    first = world.look()
    waiting = world.project.parent / "waiting"
    hang = f"touch '{waiting}' && exec sleep 600"
    git(world.repository, "config", "filter.hangs.smudge", hang)
    (world.repository / ".git" / "info").mkdir(exist_ok=True)
    (world.repository / ".git" / "info" / "attributes").write_text("service.py filter=hangs\n")
    run = start_run(world, REVISION, light=True)
    until(waiting.exists, "Git checks out")
    run.kill(whom)
    git(world.repository, "config", "--unset", "filter.hangs.smudge")
    assert problems_after(run, first) == []


@pytest.fixture
def small_disk(world: World) -> Iterator[Path]:
    """The folder for runs, on a disk of two megabytes where one may mount it; that is filled by who uses it."""
    folder = world.project / "data" / "runs"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def no_longer_files(run: Victim, than: Path | None = None) -> None:
    """As on a full disk: from now on the run's process may not make a file longer than that one is (than nothing)."""
    size = than.stat().st_size if than is not None else 0
    psutil.Process(run.process.pid).rlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_on_a_full_disk_nothing_is_cleared(world: World, small_disk: Path) -> None:
    first = world.look()
    run = start_run(world, HTTP, steps=True, light=True)
    assert run.upto_event("intent", "clear", "before")
    filler = small_disk / "filler"
    if small_disk.is_mount():
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(b"x" * 512):
                pass
    else:
        no_longer_files(run)
    run.upto(None)
    assert run.events[-1]["failed"].startswith("GuardError: the journal") and run.events[-1]["exit_code"] == 3
    assert world.differences(first) == []
    filler.unlink(missing_ok=True)
    assert problems_after(run, first) == []


@pytest.mark.slow
def test_what_cannot_be_journalled_is_not_changed(world: World) -> None:
    first = world.look()
    run = start_run(world, HTTP, steps=True, light=True)
    assert run.upto_event("intent", "apply", "before") and run.run is not None
    no_longer_files(run, run.run / "journal.jsonl")
    run.upto(None)
    assert run.events[-1]["failed"].startswith("GuardError: the journal")
    assert [events["side"] for events in run.events if events.get("of") == "apply"] == ["before"]
    assert world.look().flags == first.flags
    assert problems_after(run, first) == []


SLOW = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
file = pathlib.Path(sys.argv[1])
file.write_text("half-way")
time.sleep(1.5)
file.write_text("on")
"""


@pytest.mark.slow
def test_command_that_outlives_the_run_does_not_undo_the_revert(world: World) -> None:
    """It takes no SIGTERM, and would finish its work behind the back of whoever reverts at once."""
    first = world.look()
    change = {**COMMAND.change, "apply": ["{python}", "-c", SLOW, "<switch>"]}
    run = start_run(world, replace(COMMAND, change=change), light=True)
    until(lambda: world.switch.read_text() == "half-way", "the command is at work")
    run.kill("main")
    assert problems_after(run, first) == []
    assert world.switch.read_text() == "off"
