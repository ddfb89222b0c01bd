"""The loop of a fleet: each job has one end, whatever machines do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.errors import ArgumentError
from luckyhit.fleet.admission import BudgetLimits
from luckyhit.fleet.attempt import AttemptOutcome, Request
from luckyhit.fleet.dispatch import Dispatcher, JobEnd
from luckyhit.fleet.job import Job
from luckyhit.fleet.places import Ended, Place
from tier import examples

LOST = AttemptOutcome(130, stopped="lease", changed=False)
LOST_WITH_CHANGE = AttemptOutcome(130, stopped="lease", changed=True, run="r")
UNKNOWN = AttemptOutcome(5, stopped="not-reported")
ENDS = [AttemptOutcome(0), AttemptOutcome(4), LOST, LOST_WITH_CHANGE, UNKNOWN]


class Machines:
    """`count` places. What an attempt ends with is drawn. `twice`: it is told again and again. `slow`: it ends when it is stopped."""

    def __init__(
        self, count: int, draw: Callable[[Request], AttemptOutcome], *, twice: bool = False, slow: bool = False
    ) -> None:
        self.places = [Place(str(number), f"host-{number}") for number in range(count)]
        self.draw, self.twice, self.slow = draw, twice, slow
        self.running: dict[str, Request] = {}
        self.started: list[Request] = []
        self.most_at_once: list[set[str]] = []
        self.stops: list[bool] = []
        self.told: list[Ended] = []
        self.seconds = 0.0

    def free(self) -> list[Place]:
        return [place for place in self.places if place.id not in self.running]

    def start(self, place: Place, request: Request) -> None:
        assert place.id not in self.running
        self.running[place.id] = request
        self.started.append(request)
        self.most_at_once.append({request.name for request in self.running.values()})

    def ended(self, wait_s: float) -> list[Ended]:
        self.seconds += wait_s
        ended = list(self.told) if self.twice else []
        for place in [] if self.slow and not self.stops else list(self.running)[:1]:
            request = self.running.pop(place)
            ended.append(Ended(request, AttemptOutcome(130, stopped="asked") if self.stops else self.draw(request)))
            self.told.append(ended[-1])
        return ended

    def stop(self, *, kill: bool) -> None:
        self.stops.append(kill)

    def news(self) -> list[str]:
        return []

    def gone_s(self) -> float:
        return self.seconds if not self.places else 0.0


def job(name: str, **facts: Any) -> Job:
    return Job(**{"name": name, "case": name, "sha256": "", "expected_s": 10.0, **facts})


def request(job: Job, number: int) -> Request:
    return Request("fleet", job.name, number, job.name, "")


def ends_of(jobs: list[Job], machines: Machines, **more: Any) -> list[JobEnd]:
    now = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    dispatcher = Dispatcher(
        jobs, machines, request, now=lambda: now + dt.timedelta(seconds=machines.seconds),
        clock_s=lambda: machines.seconds, **more,
    )  # fmt: skip
    return dispatcher.run()


@settings(max_examples=examples(200))
@given(st.data(), st.integers(1, 8), st.integers(1, 4), st.booleans())
def test_each_job_has_exactly_one_end(data: st.DataObject, jobs: int, places: int, twice: bool) -> None:
    shared = st.frozensets(st.sampled_from("abc"), max_size=2)
    fleet = [job(str(number), exclusive=data.draw(shared)) for number in range(jobs)]
    machines = Machines(places, lambda _: data.draw(st.sampled_from(ENDS)), twice=twice)
    ends = ends_of(fleet, machines, attempts=3)
    assert [end.job for end in ends] == fleet and all(end.outcome is not None for end in ends)
    # Begun again only what was lost before anything was changed, and never beyond three attempts.
    begun = [(one.name, one.number) for one in machines.started]
    assert len(begun) == len(set(begun)) == sum(end.attempts for end in ends)
    for one in machines.told:
        again = (one.request.name, one.request.number + 1) in begun
        assert again == (one.outcome.may_repeat and one.request.number < 3)
    by_name = {one.name: one for one in fleet}
    for names in machines.most_at_once:
        used = [thing for name in names for thing in by_name[name].exclusive]
        assert len(used) == len(set(used)) and len(names) <= places


def test_what_was_lost_with_a_change_is_not_begun_again() -> None:
    machines = Machines(1, lambda _: LOST_WITH_CHANGE)
    (end,) = ends_of([job("ann")], machines)
    assert end.attempts == 1 and end.outcome == LOST_WITH_CHANGE


def test_an_interruption_stops_all_and_begins_nothing_more() -> None:
    machines = Machines(1, lambda _: AttemptOutcome(0), slow=True)
    ends = ends_of([job("ann"), job("bob"), job("cay")], machines, interrupted=lambda: len(machines.started))
    assert [end.refusal for end in ends] == [None, "interrupted", "interrupted"]
    assert ends[0].outcome is not None and ends[0].outcome.stopped == "asked" and machines.stops == [False]


def test_without_a_place_jobs_are_told_as_not_begun() -> None:
    ends = ends_of([job("ann")], Machines(0, lambda _: AttemptOutcome(0)), no_place_s=60.0)
    assert (ends[0].refusal, ends[0].attempts) == ("no-place", 0)


def test_a_case_whose_window_is_not_open_yet_waits_for_its_machine() -> None:
    """It is noon, and there is no machine; at night there might be one."""
    later = job("ann", window=(dt.time(12, 5), dt.time(13)))
    ends = ends_of([later, job("bob")], Machines(0, lambda _: AttemptOutcome(0)), no_place_s=60.0)
    assert [end.refusal for end in ends] == ["no-place", "no-place"]
    machines = Machines(0, lambda _: AttemptOutcome(0))
    dispatched = ends_of([later], machines, no_place_s=60.0)
    assert dispatched[0].refusal == "no-place" and machines.seconds >= 300


def test_a_case_with_a_problem_is_never_begun() -> None:
    machines = Machines(1, lambda _: AttemptOutcome(0))
    ends = ends_of([job("ann", problem=ArgumentError("no")), job("bob")], machines)
    assert [end.refusal for end in ends] == ["case", None] and [one.name for one in machines.started] == ["bob"]


def test_the_budget_of_all_cases_counts_what_they_took() -> None:
    machines = Machines(2, lambda _: AttemptOutcome(0, seconds=30.0))
    ends = ends_of([job(name) for name in "abcd"], machines, limits=BudgetLimits(case_time_s=65.0))
    assert [end.refusal for end in ends] == [None, None, None, "budget"]
