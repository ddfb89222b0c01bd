"""The loop of a fleet: begins jobs on free places, tries lost ones again, stops all on request.

Of each job exactly one end is reported, whatever engines and machines do: an attempt that is told twice, or belongs to
a job that has ended, is ignored.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from luckyhit.fleet import admission
from luckyhit.fleet.admission import BudgetLimits, Moment, Refusal
from luckyhit.fleet.attempt import AttemptOutcome, Request
from luckyhit.fleet.job import Job
from luckyhit.fleet.places import Ended, Place, Places

TICK_S = 0.5
NO_PLACE_S = 120.0
"""So long a fleet waits for the first place, or for another one where all are gone."""


@dataclass(frozen=True)
class JobEnd:
    """`outcome`: of its last attempt; None: it was not begun, for the reason `refusal`. `lost`: a sentence for each
    attempt before the last. `began`: local time; None where it was not begun. `took_s`: its last attempt, from its
    start to its results."""

    job: Job
    outcome: AttemptOutcome | None
    refusal: Refusal | None = None
    attempts: int = 0
    lost: tuple[str, ...] = ()
    began: dt.datetime | None = None
    took_s: float = 0.0


@dataclass
class Running:
    """A job with an attempt in progress."""

    job: Job
    request: Request
    place: Place
    began: dt.datetime
    began_s: float
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class FleetStanding:
    """All jobs at one moment, for a display."""

    waiting: tuple[Job, ...]
    running: tuple[Running, ...]
    ends: tuple[JobEnd, ...]
    stopping: bool


@dataclass
class Dispatcher:
    """`make_request`: (job, number of the attempt) -> what is asked for. `interrupted`: how often somebody asked to
    stop. `show`: called at each turn. `now`, `clock_s`: local time, and seconds that only grow."""

    jobs: Sequence[Job]
    places: Places
    make_request: Callable[[Job, int], Request]
    limits: BudgetLimits = field(default_factory=BudgetLimits)
    attempts: int = 3
    interrupted: Callable[[], int] = lambda: 0
    show: Callable[[FleetStanding], None] = lambda standing: None
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now().astimezone()
    clock_s: Callable[[], float] = time.monotonic
    tick_s: float = TICK_S
    no_place_s: float = NO_PLACE_S

    _waiting: list[Job] = field(default_factory=list)
    _running: dict[str, Running] = field(default_factory=dict)
    _ends: dict[str, JobEnd] = field(default_factory=dict)
    _lost: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _stops: int = 0

    def run(self) -> list[JobEnd]:
        """Every job to its end; gives the ends in the order of `jobs`."""
        self._began, self._began_s = self.now(), self.clock_s()
        for job in self.jobs:
            if job.problem is not None:
                self._refuse(job, "case")
            else:
                self._waiting.append(job)
        while self._waiting or self._running:
            self._stop_if_asked()
            self._drop()
            self._begin()
            self.show(self.standing)
            for ended in self.places.ended(self.tick_s if self._running or self._waiting else 0.0):
                self._take(ended)
        self.show(self.standing)
        return [self._ends[job.name] for job in self.jobs]

    @property
    def standing(self) -> FleetStanding:
        return FleetStanding(
            tuple(self._waiting), tuple(self._running.values()), tuple(self._ends.values()), self._stops > 0
        )

    def _moment(self, *, with_running: bool) -> Moment:
        spent = sum(end.outcome.seconds for end in self._ends.values() if end.outcome is not None)
        spent += sum(running.job.expected_s for running in self._running.values()) if with_running else 0.0
        return Moment(self.now(), self.clock_s() - self._began_s, spent)

    def _stop_if_asked(self) -> None:
        asked = self.interrupted()
        if asked > self._stops:
            self._stops = asked
            self.places.stop(kill=asked > 1)
            while self._waiting:
                self._refuse(self._waiting.pop(0), "interrupted")

    def _drop(self) -> None:
        """What can't be begun any more, or never could."""
        moment = self._moment(with_running=False)
        no_place = not self._running and self.places.gone_s() > self.no_place_s
        for job in list(self._waiting):
            refusal = admission.refusal(job, moment, self.limits)
            if no_place and admission.opens_in_s(job, moment) == 0:
                refusal = "no-place"
            if refusal is None and admission.overdue(job, self._began, moment):
                refusal = "window"
            if refusal is not None:
                self._waiting.remove(job)
                self._refuse(job, refusal)

    def _begin(self) -> None:
        for place in self.places.free() if self._waiting else []:
            in_use = {name for running in self._running.values() for name in running.job.exclusive}
            job = admission.next_job(self._waiting, in_use, self._moment(with_running=True), self.limits)
            if job is None:
                return
            self._waiting.remove(job)
            lost = self._lost.get(job.name, ())
            request = self.make_request(job, len(lost) + 1)
            self._running[job.name] = Running(job, request, place, self.now(), self.clock_s(), lost)
            self.places.start(place, request)

    def _take(self, ended: Ended) -> None:
        running = self._running.get(ended.request.name)
        if running is None or running.request != ended.request:
            return  # told before
        del self._running[ended.request.name]
        outcome, number = ended.outcome, ended.request.number
        if outcome.may_repeat and number < self.attempts and not self._stops:
            words = f"attempt {number} on {running.place.host}: lost before anything was changed ({outcome.stopped})"
            self._lost[running.job.name] = (*running.lost, words)
            self._waiting.insert(0, running.job)
            return
        took_s = self.clock_s() - running.began_s
        self._ends[running.job.name] = JobEnd(running.job, outcome, None, number, running.lost, running.began, took_s)

    def _refuse(self, job: Job, refusal: Refusal) -> None:
        lost = self._lost.get(job.name, ())
        self._ends[job.name] = JobEnd(job, None, refusal, len(lost), lost)
