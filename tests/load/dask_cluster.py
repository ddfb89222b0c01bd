"""A Dask scheduler and workers, started by the commands of the docs, each worker with a clock of its own if wanted."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psutil

from luckyhit.load.sharding.dask_hosts import count_dask_workers
from waiting import eventually

DASK = str(Path(sys.executable).with_name("dask"))


@dataclass
class Cluster:
    """`address`: of the scheduler; `processes`: of the workers."""

    address: str
    folder: Path
    scheduler: subprocess.Popen[bytes]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add_worker(self, clock_ahead_s: int | None = None, environ: dict[str, str] | None = None) -> None:
        """One more worker. `clock_ahead_s`: its monotonic clock is ahead of this host's by so much."""
        name = f"worker-{len(self.processes)}"
        own_clock = ["unshare", "-T", "--monotonic", str(clock_ahead_s), "--fork", "--kill-child"]
        options = ["--no-dashboard", "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--name", name]
        command = [DASK, "worker", self.address, *options, "--local-directory", str(self.folder / name)]
        self.processes.append(_started([*(own_clock if clock_ahead_s else []), *command], self.folder / name, environ))

    def wait_for(self, workers: int) -> None:
        eventually(lambda: count_dask_workers(self.address) == workers)


@contextlib.contextmanager
def dask_cluster(folder: Path, clocks: Sequence[int | None] = (None, None, None)) -> Iterator[Cluster]:
    """A worker for each of `clocks`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "scheduler.json"
    command = [DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    scheduler = _started([*command, "--scheduler-file", str(file)], folder / "scheduler")
    cluster = Cluster("", folder, scheduler)
    try:
        text = eventually(lambda: file.is_file() and file.read_text())
        cluster.address = text.partition('"address": "')[2].partition('"')[0]
        for ahead_s in clocks:
            cluster.add_worker(ahead_s)
        cluster.wait_for(len(clocks))
        yield cluster
    finally:
        for process in (*cluster.processes, scheduler):
            _end(process)


@cache
def clocks_can_differ() -> bool:
    """Whether this machine lets a process have a monotonic clock of its own."""
    try:
        return (
            subprocess.run(["unshare", "-T", "--monotonic", "9", "--fork", "true"], capture_output=True).returncode == 0
        )
    except OSError:
        return False


def _started(command: Sequence[str], log: Path, environ: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    with log.with_suffix(".log").open("wb") as output:
        return subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **(environ or {})}, start_new_session=True
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for one in family:
        with contextlib.suppress(psutil.Error):
            one.kill()
    process.kill()
    process.wait()
