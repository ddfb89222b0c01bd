"""Places on this machine: as many cases at a time as asked for, each a process of its own."""

from __future__ import annotations

import queue
import socket
import threading

from luckyhit.fleet import carrying
from luckyhit.fleet.attempt import AttemptOutcome, Request
from luckyhit.fleet.on_dask.bringing import keep
from luckyhit.fleet.places import Ended, Place
from luckyhit.project import Project


class LocalPlaces:
    """`--jobs N`."""

    def __init__(self, project: Project, jobs: int) -> None:
        self._project = project
        self._free = [Place(f"local-{number}", socket.gethostname()) for number in range(jobs)]
        self._fleets: set[str] = set()
        self._ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def free(self) -> list[Place]:
        with self._lock:
            return list(self._free)

    def start(self, place: Place, request: Request) -> None:
        with self._lock:
            self._free.remove(place)
        self._fleets.add(request.fleet)
        threading.Thread(target=self._carry, args=(place, request), name=f"case {request.id}", daemon=True).start()

    def _carry(self, place: Place, request: Request) -> None:
        try:
            outcome = keep(request, carrying.carry_out(request, self._project), self._project)
        except Exception as error:  # a defect in one attempt must not leave the fleet waiting for it
            outcome = AttemptOutcome(1, reason=f"{type(error).__name__}: {error}")
        with self._lock:
            self._free.append(place)
        self._ended.put(Ended(request, outcome))

    def ended(self, wait_s: float) -> list[Ended]:
        ended: list[Ended] = []
        try:
            ended.append(self._ended.get(timeout=max(wait_s, 0.001)))
            while True:
                ended.append(self._ended.get_nowait())
        except queue.Empty:
            return ended

    def stop(self, *, kill: bool) -> None:
        for fleet in self._fleets:
            carrying.stop(fleet, kill=kill)

    def news(self) -> list[str]:
        return []

    def gone_s(self) -> float:
        return 0.0
