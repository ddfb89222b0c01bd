"""Watching processes, and processes that own others."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import psutil

from waiting import eventually

HERE = Path(__file__).parent
LIB = HERE.parents[1] / "lib"
FAMILY = ("first", "child", "ignoring", "setsid", "daemon")


class Owner:
    """A fork of this process that calls `do()` in `folder`: what it imports is there already. `stdout` and `stdin` are
    connected to it."""

    def __init__(self, do: Callable[[], object], folder: Path) -> None:
        from_here, to_owner = os.pipe()
        from_owner, to_here = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setpgid(0, 0)
                os.chdir(folder)
                os.dup2(from_here, 0)
                os.dup2(to_here, 1)
                for descriptor in (to_owner, from_owner, from_here, to_here):
                    os.close(descriptor)
                sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
                signal.signal(signal.SIGINT, signal.default_int_handler)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                do()
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        os.close(from_here)
        os.close(to_here)
        self.stdin, self.stdout = os.fdopen(to_owner, "w"), os.fdopen(from_owner)

    def signal(self, number: int, *, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self.pid, number)

    def say(self, line: str = "") -> None:
        print(line, file=self.stdin, flush=True)

    def pids(self) -> list[int]:
        return [int(word) for word in self.stdout.readline().split()]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.signal(signal.SIGKILL, group=True)
        os.waitpid(self.pid, 0)
        self.stdin.close()
        self.stdout.close()


def runs(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def all_gone(pids: list[int]) -> None:
    eventually(lambda: not any(map(runs, pids)))


def family(folder: Path) -> list[int]:
    """The pids of `family_tree.py`, once all of them exist."""
    eventually(lambda: all((folder / name).exists() for name in FAMILY))
    return [int((folder / name).read_text()) for name in FAMILY]
