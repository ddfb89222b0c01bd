"""The engine processes of one shard, on the host where they run. Whoever follows the shard calls it, from near or far.

What is asked and answered are plain values: whoever asks may run another version, and has to be able to find that out.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import selectors
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Protocol, TypedDict

from luckyhit import __version__
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.worker_pool import WorkerProcess
from luckyhit.records.parquet import part_files

LEASE_S = 20.0
"""A host that nobody has asked anything for so long is on its own: it stops sending, and ends."""
MOST_BYTES = 16 << 20
"""Of part files in one answer, beyond the first of them."""
INPUTS, AUTHORITIES = "inputs", "authorities.pem"


class HostFacts(TypedDict):
    """What has to be the same on all hosts (`version`, `code`: a digest of the package's source), and who is there;
    `pids`: the engine processes."""

    version: str
    code: str
    host: str
    python: str
    numpy: str
    pids: list[int]


class WorkerState(TypedDict):
    """One engine process so far: what it reported (see `luckyhit.load.engine`), and how it ended if it fell silent."""

    ready: bool
    schedule: dict[str, Any]
    progress: dict[str, Any]
    watched: dict[str, list[int]]
    facts: dict[str, Any] | None
    failure: dict[str, str] | None
    silent: bool
    ended: str
    last_lines: list[str]


class HostState(TypedDict):
    """The processes in order, the part files that were written since the last answer, and whether more of them wait."""

    workers: list[WorkerState]
    files: dict[str, bytes]
    more: bool


class ShardHost(Protocol):
    """A host with one shard. Any call may raise HostLost; after that there is nothing more to be had from it."""

    def describe(self) -> HostFacts:
        """Who is there. The first call."""

    def clock(self) -> tuple[int, int]:
        """When the question was received, and when it is answered, in ns of the host's monotonic clock."""

    def begin(self, config: str, files: Mapping[str, bytes]) -> None:
        """Give the processes their block: an EngineConfig as JSON, and the files that it names, by their name."""

    def start(self, start_ns: int) -> None:
        """The instant of the first slot, by the host's clock."""

    def stop(self) -> None:
        """Send nothing more, write what is recorded, and report."""

    def poll(self, wait_s: float) -> HostState:
        """What has become of the processes, once one of them says something, or after `wait_s`."""

    def close(self) -> None:
        """End the processes, whatever they are doing, and leave nothing behind."""


class HostLost(Exception):
    """A host doesn't answer any more; in a sentence, why."""


class EngineHost:
    """`workers` engine processes of shard `shard`, which start at once and wait for their block.

    `directory`: of the run, where this host can write to it; None: they write into a folder of their own (in `scratch`,
    named `run`), and `poll` hands over the part files. `lease_s`: end by itself if nobody asks for so long.
    """

    def __init__(
        self,
        shard: int,
        workers: int,
        *,
        directory: Path | None = None,
        run: str = "run",
        scratch: str | None = None,
        lease_s: float | None = None,
    ) -> None:
        self._shard, self._own = shard, directory is None
        self._scratch = Path(tempfile.mkdtemp(prefix="luckyhit-shard-", dir=scratch)) if directory is None else None
        self._directory = directory if self._scratch is None else self._scratch / Path(run).name
        assert self._directory is not None
        (self._directory / "requests").mkdir(parents=True, exist_ok=True)
        self._handed: set[str] = set()
        self._closed, self._asked = threading.Event(), time.monotonic()
        self._ending = threading.Lock()
        self._workers = [WorkerProcess(self._directory) for _ in range(workers)]
        if lease_s is not None:
            threading.Thread(target=self._watch_lease, args=[lease_s], daemon=True).start()

    def describe(self) -> HostFacts:
        return {**self.describe_here(), "pids": [worker.pid for worker in self._workers]}

    @staticmethod
    def describe_here() -> HostFacts:
        """The same of the host of whoever asks, which has no processes."""
        return {
            "version": __version__,
            "code": code_digest(),
            "host": socket.gethostname(),
            "python": platform.python_version(),
            "numpy": package_version("numpy"),
            "pids": [],
        }

    def clock(self) -> tuple[int, int]:
        received_ns = time.monotonic_ns()
        self._asked = time.monotonic()
        return received_ns, time.monotonic_ns()

    def begin(self, config: str, files: Mapping[str, bytes]) -> None:
        directory = self._directory
        assert directory is not None
        block = EngineConfig.model_validate_json(config)
        if self._own:
            block = block.model_copy(update={"directory": directory, **self._kept(files)})
        for number, worker in enumerate(self._workers):
            place = {"worker": self._shard + block.workload.hosts * number, "owner": os.getpid()}
            worker.write(block.model_copy(update=place).model_dump_json())

    def start(self, start_ns: int) -> None:
        for worker in self._workers:
            worker.write(json.dumps({"start_ns": start_ns}))

    def stop(self) -> None:
        for worker in self._workers:
            worker.request_stop()

    def poll(self, wait_s: float) -> HostState:
        self._asked = time.monotonic()
        with selectors.DefaultSelector() as selector:
            for worker in self._workers:
                if not worker.silent:
                    selector.register(worker.stdout, selectors.EVENT_READ, worker)
            if selector.get_map():
                for key, _ in selector.select(wait_s):
                    key.data.read()
        states = [_state_of(worker) for worker in self._workers]
        files, more = self._new_parts() if self._own else ({}, False)
        return {"workers": states, "files": files, "more": more}

    def close(self) -> None:
        with self._ending:
            self._closed.set()
            for worker in self._workers:
                worker.request_end()
            for worker in self._workers:
                worker.end()
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)

    def _kept(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        """Keep the files that the block names here; where they are now, as fields of EngineConfig."""
        assert self._scratch is not None
        inputs = self._scratch / INPUTS
        for name, content in files.items():
            path = self._scratch / AUTHORITIES if name == AUTHORITIES else inputs / Path(name).name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        authorities = str(self._scratch / AUTHORITIES) if AUTHORITIES in files else None
        return {"inputs": inputs if inputs.is_dir() else None, "ca_file": authorities}

    def _new_parts(self) -> tuple[dict[str, bytes], bool]:
        """Part files that were not handed over yet; whether there are more."""
        assert self._directory is not None
        files: dict[str, bytes] = {}
        size = 0
        for path in part_files(self._directory / "requests"):
            if path.name in self._handed:
                continue
            if size > MOST_BYTES:
                return files, True
            files[path.name] = path.read_bytes()
            self._handed.add(path.name)
            size += len(files[path.name])
        return files, False

    def _watch_lease(self, lease_s: float) -> None:
        while not self._closed.wait(min(1.0, lease_s / 4)):
            if time.monotonic() - self._asked > lease_s:
                self.close()


@cache
def code_digest() -> str:
    """The same for the same source of this package (hexadecimal): two hosts may have one version and two states."""
    root = Path(__file__).parents[2]
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        whole.update(f"{path.relative_to(root).as_posix()}\0".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


def _state_of(worker: WorkerProcess) -> WorkerState:
    over = worker.silent and not worker.reported
    return {
        "ready": worker.ready,
        "schedule": worker.schedule,
        "progress": worker.progress,
        "watched": worker.watched,
        "facts": worker.facts,
        "failure": worker.failure,
        "silent": worker.silent,
        "ended": worker.how_it_ended() if over else "",
        "last_lines": worker.last_lines() if over else [],
    }
