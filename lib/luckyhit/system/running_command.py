"""The command, environment and directory of a service that runs, as its start script made them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

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
        return RunningCommand((program_of(known[-1]), *command[1:]), env, known[-1].cwd())
    except (psutil.Error, OSError):
        return None


def _is_python(process: psutil.Process) -> bool:
    command = process.cmdline()
    return bool(command) and PurePath(command[0]).name.startswith(("python", "pypy"))


def program_of(process: psutil.Process) -> str:
    """The path that a process was started by, links kept: a virtual environment's python links to the interpreter that
    it was made from, which has none of its packages. A name alone was found on its PATH. Raises psutil.Error."""
    env, own = process.environ(), Path(process.exe())
    first = next(iter(process.cmdline()), str(own))  # a process that just starts another program shows none
    named = Path(process.cwd(), first) if os.sep in first else Path(shutil.which(first, path=env.get("PATH")) or own)
    active = Path(env.get("VIRTUAL_ENV", ""), "bin", own.name)
    for path in (named, active):
        with suppress(OSError):
            if path.samefile(own):
                return str(path)
    return str(own)
