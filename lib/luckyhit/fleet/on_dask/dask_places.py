"""The workers of a Dask cluster as places.

Each worker with the resource `target` takes as many cases at a time as it has of it. An attempt is submitted to one
worker only, by address, once that worker is free: so nothing waits at the scheduler, and Dask never moves an attempt to
another machine by itself. Where a worker is lost, or the scheduler, the attempt is settled first, by whoever can see
its folder (see `luckyhit.fleet.settling`), and told only then.

Threads: the cluster's, which looks; one per lost attempt, which settles it; two that bring results.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

from luckyhit.errors import LuckyHitError
from luckyhit.fleet.attempt import INTERRUPTED, NOT_CONFIRMED, REQUEST, AttemptOutcome, Request
from luckyhit.fleet.on_dask import worker_side
from luckyhit.fleet.on_dask.bringing import bring, to_bring
from luckyhit.fleet.on_dask.cluster import CALL_S, LOOK_S, RESOURCE, SETTLE_S, Cluster, Worker
from luckyhit.fleet.places import Ended, Place
from luckyhit.fleet.settling import never_begun, settle
from luckyhit.project import Project

LOST_WITHIN_S = 90.0
"""Beyond the grace of a stopped run: how long a lost machine is waited for, until its attempt is given up."""
SILENT_S = 300.0
"""Beyond limit and graces of an attempt: a worker that has not told its end by then is lost, whatever it says."""
MOST_TO_BRING = 4
"""With more results on their way, no place is free."""


@dataclass
class _Attempt:
    request: Request
    place: Place
    worker: str
    root: str
    began_s: float
    future: Any = None
    state: Literal["running", "settling", "bringing", "told"] = "running"


class DaskPlaces:
    """`--dask tcp://…`. Raises as Cluster does."""

    def __init__(self, address: str, project: Project, fleet: str, *, lost_within_s: float = LOST_WITHIN_S) -> None:
        self.cluster = Cluster(address, project, fleet, on_lost=self._look_at)
        self._project, self._fleet, self._lost_within_s = project, fleet, lost_within_s
        self._attempts: dict[str, _Attempt] = {}
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._bringing = ThreadPoolExecutor(2, thread_name_prefix="bring")
        self.cluster.watch()

    def close(self) -> None:
        self.cluster.close()
        self._bringing.shutdown(wait=True)

    def free(self) -> list[Place]:
        with self._lock:
            if len(self._in("bringing")) > MOST_TO_BRING:
                return []
            taken = {attempt.place.id for attempt in self._in("running")}
        places = [place for worker in self.cluster.accepted for place in _places_of(worker)]
        return [place for place in places if place.id not in taken]

    def start(self, place: Place, request: Request) -> None:
        address = place.id.rpartition("#")[0]
        root = next((worker.root for worker in self.cluster.accepted if worker.address == address), "")
        attempt = _Attempt(request, place, address, root, time.monotonic())
        with self._lock:
            self._attempts[request.id] = attempt
        try:
            attempt.future = self.cluster.client.submit(
                worker_side.carry_out,
                request.document(),
                key=f"luckyhit-{request.fleet}-{request.id}",
                workers=[attempt.worker],
                allow_other_workers=False,
                resources={RESOURCE: 1},
                retries=0,
                pure=False,
            )
        except Exception:  # the scheduler went just now
            self._lose(attempt)
            return
        attempt.future.add_done_callback(lambda future: self._done(attempt, future))

    def ended(self, wait_s: float) -> list[Ended]:
        ended: list[Ended] = []
        with contextlib.suppress(queue.Empty):
            ended.append(self._ended.get(timeout=max(wait_s, 0.001)))
            while True:
                ended.append(self._ended.get_nowait())
        return ended

    def stop(self, *, kill: bool) -> None:
        with self._lock:
            addresses = {attempt.worker for attempt in self._in("running")}
        for worker in self.cluster.accepted:
            if worker.address in addresses:
                self.cluster.call(worker.address, worker_side.stop_here, self._fleet, kill)

    def news(self) -> list[str]:
        news: list[str] = []
        with contextlib.suppress(queue.Empty):
            while True:
                news.append(self.cluster.news.get_nowait())
        return news

    def gone_s(self) -> float:
        return self.cluster.gone_s

    def _in(self, state: str) -> list[_Attempt]:
        return [attempt for attempt in self._attempts.values() if attempt.state == state]

    def _look_at(self, addresses: set[str]) -> None:
        """The workers that there are: attempts on others are lost, and so are those that should have ended long ago."""
        now = time.monotonic()
        with self._lock:
            running = self._in("running")
        for attempt in running:
            request = attempt.request
            longest_s = (request.timeout_s or 0.0) + 2 * request.grace_s + SILENT_S
            if attempt.worker not in addresses:
                self._lose(attempt)
            elif request.timeout_s and now - attempt.began_s > longest_s:
                self.cluster.news.put(f"{request.id} on {attempt.place.host} is silent beyond its time limit")
                self._lose(attempt)

    def _done(self, attempt: _Attempt, future: Any) -> None:
        if future.status != "finished":
            if future.status == "error":
                self.cluster.news.put(f"{attempt.request.id} on {attempt.place.host}: {_error_of(future)}")
            self._lose(attempt)
            return
        try:
            outcome = AttemptOutcome.of(future.result(timeout=CALL_S))
        except Exception:  # the worker went between its end and its answer
            self._lose(attempt)
            return
        if outcome.exit_code is None:  # it can't say how the case ended
            self._lose(attempt)
        else:
            self._take(attempt, outcome, "running")

    def _lose(self, attempt: _Attempt) -> None:
        with self._lock:
            if attempt.state != "running":
                return
            attempt.state = "settling"
        if attempt.future is not None:
            with contextlib.suppress(Exception):  # the scheduler is gone, and the task with it
                attempt.future.cancel(force=True)
        threading.Thread(target=self._settle, args=(attempt,), name=f"settle {attempt.request.id}", daemon=True).start()

    def _settle(self, attempt: _Attempt) -> None:
        """Ask whoever may see the attempt's folder, this machine included, until one knows how it ended."""
        request, closed = attempt.request, self.cluster.closed
        deadline = time.monotonic() + request.grace_s + self._lost_within_s
        while time.monotonic() < deadline and not closed.is_set():
            outcome = self._settled_here(attempt)
            for worker in sorted(self.cluster.accepted, key=lambda worker: worker.host != attempt.place.host):
                if outcome is not None:
                    break
                words = (request.document(), attempt.place.host, attempt.root, LOOK_S)
                document = self.cluster.call(worker.address, worker_side.settle_here, *words, within_s=SETTLE_S)
                outcome = AttemptOutcome.of(document) if document else None
            if outcome is not None:
                self._take(attempt, outcome, "settling")
                return
            closed.wait(LOOK_S)
        self._take(attempt, _given_up(attempt), "settling")

    def _settled_here(self, attempt: _Attempt) -> AttemptOutcome | None:
        """The same by this machine, which may be the worker's."""
        request = attempt.request
        folder = request.folder(self._project.runs)
        with contextlib.suppress(LuckyHitError, OSError):
            if (folder / REQUEST).is_file():
                return settle(folder)
            own = (socket.gethostname(), str(self._project.root.resolve()))
            if (attempt.place.host, attempt.root) == own and not folder.exists():
                return never_begun(request, folder)
        return None

    def _take(self, attempt: _Attempt, outcome: AttemptOutcome, state: str) -> None:
        with self._lock:
            if attempt.state != state:
                return
            attempt.state = "bringing"
        self._bringing.submit(self._bring, attempt, outcome)

    def _bring(self, attempt: _Attempt, outcome: AttemptOutcome) -> None:
        try:
            if outcome.run and not self._is_here(attempt.request, outcome):
                outcome = self._brought(attempt, outcome)
        finally:
            with self._lock:
                attempt.state = "told"
                attempt.future = None
            self._ended.put(Ended(attempt.request, outcome))

    def _is_here(self, request: Request, outcome: AttemptOutcome) -> bool:
        return (self._project.runs / request.name / outcome.run / "manifest.json").is_file()

    def _brought(self, attempt: _Attempt, outcome: AttemptOutcome) -> AttemptOutcome:
        """With its run directory here; where it can't be brought, with a note that says where it is."""
        request, host = attempt.request, outcome.host or attempt.place.host
        problem = "no worker on that machine is left"
        for worker in sorted(self.cluster.accepted, key=lambda worker: worker.address != attempt.worker):
            if worker.host != host:
                continue
            words = (request.document(), outcome.run, outcome.report)
            files = self.cluster.call(worker.address, worker_side.files_here, *words)

            def read(name: str, offset: int, size: int, address: str = worker.address, words: Any = words) -> bytes:
                return self.cluster.call(address, worker_side.piece_here, *words, name, offset, size) or b""

            try:
                if files:
                    bring(request, outcome, self._project, to_bring(files, outcome), read)
                    return outcome
            except (LuckyHitError, OSError) as error:
                problem = str(error)
        note = f"the run directory of {request.name} stays on {host}: {problem}"
        self.cluster.news.put(note)
        return replace(outcome, notes=(*outcome.notes, note))


def _places_of(worker: Worker) -> list[Place]:
    return [Place(f"{worker.address}#{number}", worker.host) for number in range(worker.places)]


def _given_up(attempt: _Attempt) -> AttemptOutcome:
    """Nobody that can be asked knows how the attempt ended."""
    request, host = attempt.request, attempt.place.host
    if not request.outlives:  # a change in processes of its own is gone with its machine
        reason = f"{host} is gone, and with it the service that the case had started"
        return AttemptOutcome(INTERRUPTED, reason=reason, stopped="not-reported", changed=False, host=host)
    return AttemptOutcome(
        NOT_CONFIRMED,
        reason=f"{host} is gone; whether {request.name} was rolled back there is not known",
        hint=f"When {host} is back: a fleet with a worker there rolls back first, and so does `luckyhit revert "
        f"latest:{request.name}` there. If it stays away, undo the change by hand (rollback.note of the case).",
        stopped="not-reported",
        host=host,
    )


def _error_of(future: Any) -> str:
    try:
        error = future.exception(timeout=5)
    except Exception as raised:  # the scheduler went meanwhile
        error = raised
    return f"{type(error).__name__}: {error}"[:300]
