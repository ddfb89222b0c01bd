"""The processes that a run started: recognised by pid *and* time of creation, so that a recycled pid is safe."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from luckyhit.errors import TargetError

if TYPE_CHECKING:
    from luckyhit.system import Stack

_SAME_START_S = 1.0
_POLITE_S = 5.0
_KILLED_S = 5.0
# A shell that was once in the directory is none of the run's processes.
_IGNORED_VARIABLES = frozenset({"PWD", "OLDPWD", "_"})


def identify(process: psutil.Process, role: str) -> dict[str, Any]:
    """What the journal keeps of a process."""
    return {"pid": process.pid, "created": process.create_time(), "what": role}


def of_stack(stack: Stack) -> list[dict[str, Any]]:
    """The service's processes, and the cache server's where it is the run's own."""
    identified = []
    if stack.owned and stack.pid is not None:
        with contextlib.suppress(psutil.Error):
            service = psutil.Process(stack.pid)
            family = [service, *service.children(recursive=True)]
            identified += [identify(process, f"service {process.name()}") for process in family]
    cache = stack.cache
    if cache is not None and cache.owned:
        with contextlib.suppress(psutil.Error, TargetError):
            server = psutil.Process(cache.answering_pid())
            identified.append(identify(server, f"cache {server.name()}"))
    return identified


def myself() -> dict[str, Any]:
    return identify(psutil.Process(), "run")


def living(recorded: Iterable[dict[str, Any]]) -> list[psutil.Process]:
    """Those of the recorded processes that still live: same pid, same start."""
    living = []
    for record in recorded:
        with contextlib.suppress(psutil.Error, KeyError, TypeError, ValueError):
            process = psutil.Process(int(record["pid"]))
            if abs(process.create_time() - float(record["created"])) < _SAME_START_S and _runs(process):
                living.append(process)
    return living


def with_workdir(workdir: Path) -> list[psutil.Process]:
    """Processes that were started for `workdir`, found by their environment, or as a cache server that runs in it: also
    those whose pid was not recorded before a crash."""
    processes = []
    marker = str(workdir)
    ours = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        if process.pid in ours:
            continue
        with contextlib.suppress(psutil.Error, OSError):
            values = [value for name, value in process.environ().items() if name not in _IGNORED_VARIABLES]
            mentioned = any(marker in value for value in values)
            serves = process.name().startswith(("valkey-server", "redis-server"))
            if (mentioned or (serves and Path(process.cwd()).is_relative_to(workdir))) and _runs(process):
                processes.append(process)
    return processes


def end(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """End `processes` and all their children: SIGTERM, then SIGKILL. Returns those that still live."""
    family: dict[int, psutil.Process] = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            for member in (process, *process.children(recursive=True)):
                family[member.pid] = member
    family.pop(os.getpid(), None)
    left = list(family.values())
    for send, patience_s in (("terminate", _POLITE_S), ("kill", _KILLED_S)):
        for process in left:
            with contextlib.suppress(psutil.Error):
                getattr(process, send)()
        left = _wait_gone(left, patience_s)
    return left


def _wait_gone(processes: list[psutil.Process], patience_s: float) -> list[psutil.Process]:
    """Wait until they are gone. A zombie, which only its parent can reap, counts as gone. Returns those that are
    left."""
    deadline = time.monotonic() + patience_s
    pause_s = 0.005
    while (left := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.1)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def describe(processes: Iterable[psutil.Process]) -> Iterator[str]:
    """`pid (command)` of each, for messages."""
    for process in processes:
        try:
            yield f"{process.pid} ({' '.join(process.cmdline())[:120]})"
        except psutil.Error:
            yield str(process.pid)
