"""No process of a command outlives its owner, in whatever way either of them ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from process_watch import FAMILY, HERE, LIB, Owner, all_gone, family, runs

from luckyhit.errors import TargetError
from luckyhit.system.process import SupervisedProcess
from waiting import eventually

ENDED = (-signal.SIGTERM, -signal.SIGKILL)
"""A short grace may be over before a process of a busy machine takes its SIGTERM."""
SUPERVISOR = LIB / "luckyhit" / "system" / "supervisor.py"


def start_here(name: str) -> SupervisedProcess:
    """A family of processes whose files are in the folder `name` of the working directory."""
    folder = Path.cwd() / name
    folder.mkdir()
    command = [sys.executable, "-S", str(HERE / "family_tree.py"), str(folder)]
    return SupervisedProcess(command, cwd=folder, env=dict(os.environ), log=folder / "log", grace_s=0.3)


@pytest.fixture
def started(tmp_path: Path):
    """`started(*command)`: a supervised command with its log in `tmp_path / "log"`."""
    made: list[SupervisedProcess] = []

    def start(*command: str, grace_s: float = 0.3) -> SupervisedProcess:
        process = SupervisedProcess(command, cwd=tmp_path, env=dict(os.environ), log=tmp_path / "log", grace_s=grace_s)
        made.append(process)
        return process

    yield start
    for process in made:
        process.stop()


def start_family(started, tmp_path: Path, *more: str) -> tuple[SupervisedProcess, list[int]]:
    folder = tmp_path / "family"
    folder.mkdir()
    process = started(sys.executable, "-S", str(HERE / "family_tree.py"), str(folder), *more)
    return process, family(folder)


def test_stop_ends_daemons_sessions_and_deaf_processes(started, tmp_path: Path) -> None:
    process, pids = start_family(started, tmp_path)
    assert process.alive and all(map(runs, pids))
    process.stop()
    assert not any(runs(pid) for pid in (*pids, process.pid))
    assert process.returncode in ENDED
    process.stop()


def test_what_a_command_leaves_behind_ends_with_it(started, tmp_path: Path) -> None:
    process, pids = start_family(started, tmp_path, "7")
    eventually(lambda: not process.alive)
    assert process.returncode == 7
    all_gone(pids)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT], ids=lambda number: number.name)
def test_a_signal_to_the_supervisor_ends_the_tree(number: signal.Signals, started, tmp_path: Path) -> None:
    process, pids = start_family(started, tmp_path)
    os.kill(process.pid, number)
    all_gone([*pids, process.pid])


def test_a_stopped_process_is_ended_too(started, tmp_path: Path) -> None:
    process, pids = start_family(started, tmp_path)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    process.stop()
    assert not any(map(runs, pids))


def test_stop_finds_the_tree_where_the_supervisor_was_killed(started, tmp_path: Path) -> None:
    process, pids = start_family(started, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    if sys.platform.startswith("linux"):
        all_gone(pids[:1])  # the kernel ends the command itself, without anybody's help
    eventually(lambda: not process.alive)
    process.stop()
    assert not any(map(runs, pids))


def hold_family() -> None:
    process = start_here("family")
    print(process.pid, flush=True)
    time.sleep(600)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_the_tree_ends_when_its_owner_dies(number: int, owner: Callable[..., Owner], tmp_path: Path) -> None:
    process = owner(hold_family)
    (supervisor,) = process.pids()
    pids = family(tmp_path / "family")
    process.signal(number)
    all_gone([*pids, supervisor])


def test_the_tree_ends_when_its_owner_exits(owner: Callable[..., Owner], tmp_path: Path) -> None:
    def leave_it() -> None:
        process = start_here("family")
        sys.stdin.readline()
        assert process.alive
        os._exit(0)

    process = owner(leave_it)
    pids = family(tmp_path / "family")
    process.say()
    all_gone(pids)


def test_trees_of_one_owner_do_not_keep_each_other_alive(owner: Callable[..., Owner], tmp_path: Path) -> None:
    """Neither may hold the other's pipe, or it would not notice that the owner died."""

    def hold_two() -> None:
        both = list(ThreadPoolExecutor(2).map(start_here, ["one", "two"]))
        time.sleep(600)
        assert both

    process = owner(hold_two)
    pids = family(tmp_path / "one") + family(tmp_path / "two")
    process.signal(signal.SIGKILL)
    all_gone(pids)


def test_a_fork_of_the_owner_does_not_keep_the_tree_alive(owner: Callable[..., Owner], tmp_path: Path) -> None:
    """A multiprocessing worker survives its killed parent; it must not hold the pipe."""

    def hold_and_fork() -> None:
        process = start_here("family")
        if os.fork() == 0:
            process.stop()  # no effect: it isn't the fork's to stop
            print(os.getpid(), flush=True)
        time.sleep(600)

    process = owner(hold_and_fork)
    (fork,) = process.pids()
    pids = family(tmp_path / "family")
    assert all(map(runs, pids))
    process.signal(signal.SIGKILL)
    all_gone(pids)
    assert runs(fork)


def test_ctrl_c_reaches_the_owner_only(owner: Callable[..., Owner], tmp_path: Path) -> None:
    def stop_when_told() -> None:
        process = start_here("family")
        try:
            print("ready", flush=True)
            time.sleep(600)
        except KeyboardInterrupt:
            print("interrupted", process.alive, flush=True)
            sys.stdin.readline()
            process.stop()
            print("stopped", flush=True)

    process = owner(stop_when_told)
    assert process.stdout.readline() == "ready\n"
    pids = family(tmp_path / "family")
    process.signal(signal.SIGINT, group=True)
    assert process.stdout.readline() == "interrupted True\n"
    assert all(map(runs, pids))
    process.say()
    assert process.stdout.readline() == "stopped\n"
    assert not any(map(runs, pids))


def test_the_command_inherits_no_descriptors_or_signal_masks(started, tmp_path: Path) -> None:
    command = "ls /proc/self/fd | wc -l; grep -E 'SigIgn|SigBlk' /proc/self/status | cut -f2; ps -o pgid=,sid= -p $$"
    process = started("/bin/sh", "-c", command)
    eventually(lambda: not process.alive)
    count, blocked, ignored, groups = (tmp_path / "log").read_text().splitlines()
    assert int(count) == 4  # 0, 1, 2, and the one that ls reads
    # The signals that have names, 1 to 31; those above are libc's own, and come from whoever started the tests.
    assert int(blocked, 16) & 0x7FFFFFFF == int(ignored, 16) & 0x7FFFFFFF == 0
    assert groups.split() == [str(process.command_pid)] * 2
    assert process.command_pid != process.pid


@pytest.mark.parametrize(
    ("script", "code", "ending"),
    [("exit 0", 0, "0"), ("exit 3", 3, "3"), ("kill -KILL $$", -9, "SIGKILL"), ("kill -SEGV $$", -11, "SIGSEGV")],
)
def test_the_exit_status_is_the_commands(script: str, code: int, ending: str, started) -> None:
    process = started("/bin/sh", "-c", script)
    eventually(lambda: not process.alive)
    assert process.returncode == code and process.ending.endswith(ending)
    process.stop()
    assert process.returncode == code
    # Seen by whoever runs the supervisor directly.
    lease, lease_end = os.pipe()
    status, status_end = os.pipe()
    options = ["--lease", str(lease), "--status", str(status_end), "--grace", "1"]
    command = [sys.executable, "-I", "-S", SUPERVISOR, *options, "--", "/bin/sh", "-c", script]
    done = subprocess.run(command, pass_fds=(lease, status_end))
    os.close(status_end)
    assert done.returncode == code
    with os.fdopen(status) as reports:
        assert [line.split()[0] for line in reports] == ["started", "ended", "done"]
    os.close(lease)
    os.close(lease_end)


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_text("echo"), "Permission denied"),
        (lambda path: (path.write_text("#!/no/such/interpreter\n"), path.chmod(0o755)), "No such file"),
        (lambda path: (path.write_bytes(b"\x00\x01\x02"), path.chmod(0o755)), "format error"),
    ],
    ids=["missing", "not executable", "no interpreter", "not a program"],
)
def test_a_command_that_cannot_be_run_is_an_error_at_once(make, part: str, started, tmp_path: Path) -> None:
    make(tmp_path / "program")
    with pytest.raises(TargetError, match=part) as caught:
        started(str(tmp_path / "program"))
    assert "program" in caught.value.message and caught.value.hint
    assert not [child for child in psutil.Process().children() if str(tmp_path) in " ".join(child.cmdline())]


def test_without_prctl_and_proc_group_and_children_end(tmp_path: Path) -> None:
    """As on macOS: by parent and process group, from `ps`; a daemon that leaves both is out of reach."""
    folder = tmp_path / "family"
    folder.mkdir()
    lease, lease_end = os.pipe()
    code = (
        f"import importlib.util, os, sys\n"
        f"spec = importlib.util.spec_from_file_location('supervisor', {str(SUPERVISOR)!r})\n"
        f"supervisor = importlib.util.module_from_spec(spec); spec.loader.exec_module(supervisor)\n"
        f"supervisor._prctl = lambda: None\n"
        f"supervisor.os.path.exists = lambda path: False\n"
        f"supervisor.main(sys.argv[1:])"
    )
    options = ["--lease", str(lease), "--status", "1", "--grace", "0.3"]
    command = [sys.executable, "-S", str(HERE / "family_tree.py"), str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code, *options, "--", *command],
        stdout=subprocess.DEVNULL,
        pass_fds=[lease],
    )
    os.close(lease)
    pids = dict(zip(FAMILY, family(folder), strict=True))
    daemon = pids.pop("daemon")
    try:
        os.close(lease_end)
        process.wait()
        assert process.returncode in ENDED
        assert not any(map(runs, pids.values()))
    finally:
        os.kill(daemon, signal.SIGKILL)
