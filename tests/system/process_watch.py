"""Watching processes, and processes that own others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import psutil

from waiting import eventually

HERE = Path(__file__).parent
LIB = HERE.parents[1] / "lib"
FAMILY = ("first", "child", "ignoring", "setsid", "daemon")


_CALL = """
import os, signal, sys, traceback
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
try:
    with os.fdopen(int(sys.argv[1]), "rb") as given:
        sys.path[:] = eval(given.readline())
        import cloudpickle
        do = cloudpickle.load(given)
    do()
except BaseException:
    traceback.print_exc()
finally:
    sys.stdout.flush()
    os._exit(0)
"""


class Owner:
    """A process that calls `do()` in `folder`. `stdout` and `stdin` are connected to it. It is no fork: a lock that
    another thread held in that moment would be held for ever in a copy of this process."""

    def __init__(self, do: Callable[[], object], folder: Path) -> None:
        given, giving = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CALL, str(given)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,
            pass_fds=(given,),
        )
        os.close(given)
        with os.fdopen(giving, "wb") as to_owner:
            to_owner.write(f"{sys.path!r}\n".encode() + cloudpickle.dumps(do))
        self.pid = self._process.pid
        assert self._process.stdin is not None and self._process.stdout is not None
        self.stdin, self.stdout = self._process.stdin, self._process.stdout

    def signal(self, number: int, *, group: bool = False) -> None:
        (os.killpg if group else os.kill)(self.pid, number)

    def say(self, line: str = "") -> None:
        print(line, file=self.stdin, flush=True)

    def pids(self) -> list[int]:
        return [int(word) for word in self.stdout.readline().split()]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            self.signal(signal.SIGKILL, group=True)
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
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
