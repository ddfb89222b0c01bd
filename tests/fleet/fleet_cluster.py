"""A real scheduler and real workers, started by the commands of docs/fleet.md, and killed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

DASK = Path(sys.executable).with_name("dask")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass
class Cluster:
    """A scheduler and workers, each in a session of its own."""

    project: Path
    env: dict[str, str]
    port: int = field(default_factory=free_port)
    scheduler: subprocess.Popen[bytes] | None = None
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")

    def start_worker(self, *, folder: Path | None = None, **env: str) -> None:
        words = [self.address, "--nthreads", "1", "--resources", "target=1", "--no-dashboard"]
        self.workers.append(self._start("worker", *words, folder=folder, **env))

    def _start(self, *words: str, folder: Path | None = None, **env: str) -> subprocess.Popen[bytes]:
        with (self.project / f"{words[0]}.log").open("ab") as log:
            return subprocess.Popen(
                [str(DASK), *words],
                cwd=folder or self.project,
                env={**self.env, **env},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill_scheduler(self) -> None:
        assert self.scheduler is not None
        self.scheduler.kill()
        self.scheduler.wait()

    def kill_worker(self, number: int, *, tree: bool) -> None:
        """`tree`: with all that it has started; else the worker and its nanny alone."""
        worker = self.workers.pop(number)
        family: list[psutil.Process] = []
        with contextlib.suppress(psutil.Error):
            family = psutil.Process(worker.pid).children(recursive=True)
        if not tree:
            family = [process for process in family if "multiprocessing" in " ".join(_words(process))]
        for process in [psutil.Process(worker.pid), *family]:
            with contextlib.suppress(psutil.Error):
                process.kill()
        worker.wait()

    def close(self) -> None:
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
