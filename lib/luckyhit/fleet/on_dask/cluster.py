"""A Dask cluster seen from the client: its workers as they come and go, and calls to them beside their tasks.

One thread looks every second. A worker is accepted once its versions are those of this machine, and what earlier fleets
left on it is settled. A lost scheduler is waited for.
"""

from __future__ import annotations

import contextlib
import importlib
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from luckyhit.errors import ArgumentError, TargetError
from luckyhit.fleet.on_dask import host_facts as host_facts_module
from luckyhit.fleet.on_dask import worker_side
from luckyhit.fleet.on_dask.host_facts import differences, host_facts
from luckyhit.project import Project
from luckyhit.text.json_values import is_object

RESOURCE = "target"
_ADDRESS = re.compile(r"(?:(?:tcp|tls|wss?|ucx)://)?(?:[\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})/?")
CONNECT_S = 20.0
RECONNECT_S = 180.0
"""How long a lost scheduler is waited for."""
LOOK_S = 1.0
SILENT_S = 20.0
"""A scheduler that has not answered for so long is gone; the client itself tries to reach it meanwhile."""
CALL_S = 30.0
SETTLE_S = 300.0
WARM_UP_S = 10.0


@dataclass
class Worker:
    """`places`: how many cases it takes at a time. `root`: of its project. `why_not`: why it gets none."""

    address: str
    host: str
    places: int
    root: str = ""
    why_not: str = ""


@dataclass
class Cluster:
    """`on_lost`: called with the addresses that are left, after each look. Raises TargetError where no scheduler
    answers, ArgumentError for what is no address, and without the extra `fleet`."""

    address: str
    project: Project
    fleet: str
    on_lost: Callable[[set[str]], None] = lambda addresses: None
    reconnect_s: float = RECONNECT_S
    settled: list[str] = field(default_factory=list)
    news: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)

    def __post_init__(self) -> None:
        match = _ADDRESS.fullmatch(self.address)
        if match is None or not 0 < int(match[1]) < 65_536:
            raise ArgumentError(
                f"{self.address!r} is no address of a Dask scheduler",
                hint="`dask scheduler` prints it, such as tcp://10.0.0.5:8786.",
            )
        self._distributed = _distributed()
        self._own = host_facts()
        self.client = self._connected(CONNECT_S)
        self._workers: dict[str, Worker] = {}
        self._lock = threading.Lock()
        self._none_since: float | None = time.monotonic()
        self.closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="cluster", daemon=True)

    def watch(self) -> None:
        """Begin to look."""
        self._watcher.start()

    def close(self) -> None:
        self.closed.set()
        self._watcher.join(CALL_S)
        with contextlib.suppress(Exception):  # whichever error a broken connection gives
            self.client.close(timeout=5)

    @property
    def accepted(self) -> list[Worker]:
        """The workers that take cases; none while the scheduler is not reached."""
        if self.client.status != "running":
            return []
        with self._lock:
            return [worker for worker in self._workers.values() if not worker.why_not]

    @property
    def gone_s(self) -> float:
        """For how long no worker has taken cases; 0 where one does."""
        with self._lock:
            return 0.0 if self._none_since is None else time.monotonic() - self._none_since

    @property
    def dashboard(self) -> str:
        """The address of Dask's dashboard; empty where there is none."""
        with contextlib.suppress(Exception):  # it depends on optional packages of the scheduler
            return str(self.client.dashboard_link or "")
        return ""

    def call(self, address: str, function: Callable[..., Any], *words: Any, within_s: float = CALL_S) -> Any:
        """What a function gives in that worker, beside its tasks; None where the worker, or the way to it, is gone."""
        answers: dict[str, Any] = {}

        def ask() -> None:
            with contextlib.suppress(Exception):  # whichever error a broken connection gives
                answers.update(self.client.run(function, *words, workers=[address], on_error="ignore"))

        # A worker that hangs would never answer: its call is left behind.
        asking = threading.Thread(target=ask, name=f"call {function.__name__}", daemon=True)
        asking.start()
        asking.join(within_s)
        return answers.get(address)

    def _connected(self, within_s: float) -> Any:
        try:
            return self._distributed.Client(self.address, timeout=within_s, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise TargetError(
                f"no Dask scheduler answers at {self.address} ({type(error).__name__})",
                hint="Start one with `dask scheduler`; it prints its address, such as tcp://10.0.0.5:8786.",
            ) from None

    def _watch(self) -> None:
        answered_s = time.monotonic()
        while not self.closed.wait(LOOK_S):
            try:
                # Not scheduler_info(): the client's own updates, which leave the workers out, may get in between.
                workers = self.client.sync(self.client.scheduler.identity, n_workers=-1)["workers"]
            except Exception:  # whichever error a broken connection gives
                gone = self.client.status in ("closing", "closed") or time.monotonic() - answered_s > SILENT_S
                if gone and not self.closed.is_set():
                    self._reconnect()
                    answered_s = time.monotonic()
                continue
            answered_s = time.monotonic()
            self._look_at(workers)

    def _look_at(self, workers: Mapping[str, Any]) -> None:
        with self._lock:
            gone = [self._workers.pop(address) for address in self._workers.keys() - workers.keys()]
        for worker in gone:
            if not worker.why_not:
                self.news.put(f"worker {worker.address} on {worker.host} is gone")
        self.on_lost(set(workers))
        for address in workers.keys() - self._workers.keys():
            admitted = self._admitted(address, workers[address])
            if admitted is not None:
                with self._lock:
                    self._workers[address] = admitted
        none = not self.accepted
        with self._lock:
            self._none_since = (self._none_since or time.monotonic()) if none else None

    def _admitted(self, address: str, about: Mapping[str, Any]) -> Worker | None:
        """A new worker, looked at; None: it could not be asked, and is asked again."""
        worker = Worker(address, str(about.get("host", "")), int(about.get("resources", {}).get(RESOURCE, 0)))
        if not worker.places:
            worker.why_not = f"it offers no `{RESOURCE}` (start it with --resources {RESOURCE}=1)"
        else:
            facts = self._facts_of(address)
            if facts is None:
                return None
            worker.host, worker.root = str(facts["host"]), str(facts["project"])
            if differing := differences(self._own, facts):
                worker.why_not = f"its versions differ: {'; '.join(differing)}"
            if not facts["project"]:
                worker.why_not = f"it was started in {facts['folder']}, which is in no project"
        if worker.why_not:
            self.news.put(f"worker {address} on {worker.host} is not used: {worker.why_not}")
            return worker
        own = Project.at(self.project.root)
        runs_dir = str(self.project.runs) if self.project.runs != own.runs else ""
        words = (self.fleet, runs_dir)
        self.settled += self.call(address, worker_side.settle_earlier_here, *words, within_s=SETTLE_S) or []
        # The first task of a worker, and of a client, imports much: not while a case waits for it.
        with contextlib.suppress(Exception):  # it is busy, or gone
            self.client.submit(worker_side.warm_up, workers=[address], pure=False).result(timeout=WARM_UP_S)
        self.news.put(f"worker {address} on {worker.host} takes {worker.places} at a time")
        return worker

    def _facts_of(self, address: str) -> dict[str, Any] | None:
        # By value: a worker without Lucky Hit, or with another one, has to be able to answer.
        cloudpickle = importlib.import_module("cloudpickle")
        cloudpickle.register_pickle_by_value(host_facts_module)
        try:
            facts = self.call(address, host_facts)
        finally:
            cloudpickle.unregister_pickle_by_value(host_facts_module)
        return facts if is_object(facts) else None

    def _reconnect(self) -> None:
        """Wait for the scheduler, or for another one at its address. Its workers end with it, and roll back."""
        self.news.put(f"the scheduler at {self.address} is gone")
        with self._lock:
            self._workers.clear()
            self._none_since = self._none_since or time.monotonic()
        with contextlib.suppress(Exception):  # it is broken already
            self.client.close(timeout=2)
        self.on_lost(set())
        deadline = time.monotonic() + self.reconnect_s
        while not self.closed.wait(LOOK_S) and time.monotonic() < deadline:
            with contextlib.suppress(TargetError):
                self.client = self._connected(5.0)
                self.news.put(f"the scheduler at {self.address} is there again")
                return


def _distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError:
        raise ArgumentError(
            "--dask needs Dask distributed, which is not installed",
            hint="pip install 'luckyhit[fleet]'. Without it, --jobs runs cases on this machine.",
        ) from None
