"""The command, environment and directory of a service that runs, as its start script made them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

import psutil

from luckyhit.system import ports


@dataclass(frozen=True)
class RunningCommand:
    """What can be started again in place of the script that came to it."""

    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str


def running_python(port: int, root: int) -> RunningCommand | None:
    """The outermost Python process that holds the listener on `port`, within the tree of `root`, a pid. None where
    there is none, it is not in that tree (a container), or it can't be read."""
    try:
        listener = ports.listener(port)
        if listener is None:
            return None
        line = [listener, *listener.parents()]
        if root not in [process.pid for process in line]:
            return None
        line = line[: [process.pid for process in line].index(root)]
        known = [process for process in line if _is_python(process)]
        if not known:
            return None
        command, env = known[-1].cmdline(), known[-1].environ()
        return RunningCommand((_executable(known[-1], command[0]), *command[1:]), env, known[-1].cwd())
    except (psutil.Error, OSError):
        return None


def _is_python(process: psutil.Process) -> bool:
    command = process.cmdline()
    return bool(command) and PurePath(command[0]).name.startswith(("python", "pypy"))


def _executable(process: psutil.Process, named: str) -> str:
    """Its path. That of a virtual environment is a link, whose name is kept; a name alone was found on PATH."""
    return named if os.sep in named else process.exe()
