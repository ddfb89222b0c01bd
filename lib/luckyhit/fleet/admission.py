"""Which job is begun next, and which can't be begun any more. Pure: the time is an argument.

The simulation of large fleets (benchmarks/fleet_simulation.py) decides with the same functions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from luckyhit.fleet.job import Job

Refusal = Literal["window", "budget", "interrupted", "case", "no-place"]
"""Why a job was not begun. window: its part of the day is over. budget: it would not fit in it. interrupted: the fleet
was stopped. case: its file has a problem. no-place: no machine was left to run it."""


@dataclass(frozen=True)
class BudgetLimits:
    """Seconds; None: no limit."""

    elapsed_s: float | None = None
    case_time_s: float | None = None


@dataclass(frozen=True)
class Moment:
    """`now`: local time. `elapsed_s`: since the fleet began. `case_time_s`: of all cases that ended, and the expected
    time of those that run."""

    now: dt.datetime
    elapsed_s: float = 0.0
    case_time_s: float = 0.0


def next_job(waiting: Sequence[Job], in_use: Collection[str], moment: Moment, limits: BudgetLimits) -> Job | None:
    """The first job that may begin now; None where all have to wait. `in_use`: names that running jobs have to
    themselves."""
    for job in waiting:
        if job.exclusive.isdisjoint(in_use) and opens_in_s(job, moment) == 0 and refusal(job, moment, limits) is None:
            return job
    return None


def refusal(job: Job, moment: Moment, limits: BudgetLimits) -> Refusal | None:
    """Why the job can't begin now or later; None if it can."""
    if limits.elapsed_s is not None and moment.elapsed_s + opens_in_s(job, moment) + job.expected_s > limits.elapsed_s:
        return "budget"
    if limits.case_time_s is not None and moment.case_time_s + job.expected_s > limits.case_time_s:
        return "budget"
    return None


def overdue(job: Job, began: dt.datetime, moment: Moment) -> bool:
    """Whether the window that was open when the fleet `began`, or opened first after it, is over: the job belongs to
    this night, and not to the next one."""
    if job.window is None:
        return False
    opened, closed = _first_window(job.window, began)
    return max(moment.now, opened) + dt.timedelta(seconds=job.expected_s) > closed


def opens_in_s(job: Job, moment: Moment) -> float:
    """Seconds until the job's window is open; 0 if it is."""
    if job.window is None:
        return 0.0
    opened, _ = _first_window(job.window, moment.now)
    return max(0.0, (opened - moment.now).total_seconds())


def _first_window(window: tuple[dt.time, dt.time], at: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The window that is open at this time, or the next one: its start and its end. Ends count as closed."""
    first, last = window
    for day in (-1, 0, 1):
        date = at.date() + dt.timedelta(days=day)
        opened = dt.datetime.combine(date, first, at.tzinfo)
        closed = dt.datetime.combine(date + dt.timedelta(days=int(last < first)), last, at.tzinfo)
        if at < closed:
            return opened, closed
    raise AssertionError("unreachable")
