"""Which job begins next: exclusive things, windows, budget."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.fleet.admission import BudgetLimits, Moment, next_job, opens_in_s, overdue, refusal
from luckyhit.fleet.job import Job

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
NIGHT = (dt.time(22), dt.time(4))


def job(name: str = "ann", **facts: object) -> Job:
    return Job(**{"name": name, "case": name, "sha256": "", "expected_s": 600.0, **facts})  # type: ignore[arg-type]


def at(hour: int, minute: int = 0, day: int = 1) -> Moment:
    return Moment(dt.datetime(2026, 3, day, hour, minute, tzinfo=dt.UTC))


@given(
    st.lists(st.frozensets(st.sampled_from("abcd")), max_size=6),
    st.frozensets(st.sampled_from("abcd")),
)
def test_what_is_in_use_is_never_taken(needs: list[frozenset[str]], in_use: frozenset[str]) -> None:
    waiting = [job(str(number), exclusive=need) for number, need in enumerate(needs)]
    chosen = next_job(waiting, in_use, Moment(NOON), BudgetLimits())
    free = [one for one in waiting if not one.exclusive & in_use]
    assert chosen == (free[0] if free else None)


@pytest.mark.parametrize(
    ("moment", "opens_s"),
    [(at(12), 10 * 3600), (at(22), 0), (at(3, 59), 0), (at(4), 18 * 3600), (at(0, day=2), 0)],
)
def test_a_window_over_midnight(moment: Moment, opens_s: float) -> None:
    assert opens_in_s(job(window=NIGHT), moment) == opens_s
    assert (next_job([job(window=NIGHT)], [], moment, BudgetLimits()) is None) == (opens_s > 0)


def test_a_window_that_is_over_belongs_to_this_night() -> None:
    began = at(23).now
    assert not overdue(job(window=NIGHT), began, at(3, 30, day=2))
    assert overdue(job(window=NIGHT), began, at(3, 55, day=2))  # it would end after the window
    assert overdue(job(window=NIGHT), began, at(12, day=2))
    assert not overdue(job(), began, at(12, day=2))
    assert not overdue(job(window=NIGHT), NOON, Moment(NOON))


@given(st.times(), st.times(), st.datetimes(dt.datetime(2026, 1, 1), dt.datetime(2026, 12, 31)))
def test_a_window_opens_within_a_day(first: dt.time, last: dt.time, now: dt.datetime) -> None:
    if first == last:
        return
    wait_s = opens_in_s(job(window=(first, last)), Moment(now))
    assert 0 <= wait_s <= 86_400
    later = now + dt.timedelta(seconds=wait_s)
    inside = first <= later.time() < last if first < last else not last <= later.time() < first
    assert inside


def test_what_does_not_fit_into_the_budget_is_refused() -> None:
    assert refusal(job(), Moment(NOON, elapsed_s=0), BudgetLimits(elapsed_s=599)) == "budget"
    assert refusal(job(), Moment(NOON, elapsed_s=0), BudgetLimits(elapsed_s=600)) is None
    assert refusal(job(), Moment(NOON, case_time_s=500), BudgetLimits(case_time_s=1000)) == "budget"
    # The night's window opens too late for it.
    assert refusal(job(window=NIGHT), Moment(NOON), BudgetLimits(elapsed_s=3600)) == "budget"


def test_a_shorter_job_may_pass_one_that_does_not_fit() -> None:
    jobs = [job("long", expected_s=900.0), job("short", expected_s=60.0)]
    chosen = next_job(jobs, [], Moment(NOON), BudgetLimits(elapsed_s=300))
    assert chosen is not None and chosen.name == "short"
