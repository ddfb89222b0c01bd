"""`fleet.yml`: read strictly, with the line and the field of each problem."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from fleet_world import FleetWorld
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.errors import ArgumentError
from luckyhit.fleet.fleet_file import FleetCase, FleetFile, load_fleet_file, parse_window
from luckyhit.fleet.job import Job, jobs_of
from luckyhit.fleet.night import fleet_file_of
from luckyhit.project import Project

WHOLE = """
cases:
  - ann
  - {case: bob, environment: staging, exclusive: [db], window: 22:00-04:00, timeout: 20m}
  - c*
order: longest-first
observe: false
budget: {elapsed: 8h, case_time: 30h}
fail_on: [hurt, outside]
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "fleet.yml"
        path.write_text(text)
        return path

    return write


def test_a_whole_file(written: Callable[[str], Path], project: Project) -> None:
    fleet = load_fleet_file(written(WHOLE))
    jobs = {job.name: job for job in jobs_of(fleet, project)}
    assert set(jobs) == {"ann", "bob", "cay"}
    assert jobs["bob"].limit_s == 1200 and "db" in jobs["bob"].exclusive
    assert jobs["bob"].words == ("--environment", "staging") and jobs["bob"].outlives
    assert fleet.budget.elapsed == 8 * 3600 and fleet.fail_on == ["hurt", "outside"]


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("cases: [ann]\nordr: listed\n", 2, "ordr"),
        ("cases: [ann]\norder: longest\n", 2, "order"),
        ("cases: [ann]\nwindow: 22-04\n", 2, "window"),
        ("cases: [ann]\nbudget: {elapsed: 8}\n", 2, "budget.elapsed"),
        ("cases:\n  - ann\n  - {case: bob, enviroment: x}\n", 3, "cases[1].enviroment"),
        ("cases: []\n", 1, "cases"),
        ("observe: true\n", 1, "cases"),
        ("cases: [ann]\nfail_on: [outsid]\n", 2, "fail_on"),
        ("cases: [ann]\nattempts: 0\n", 2, "attempts"),
        ("- ann\n", 1, "(file)"),
        ("cases: [ann\n", 1, "(file)"),
    ],
)
def test_a_problem_has_its_line_and_its_field(text: str, line: int, field: str, written: Callable[[str], Path]) -> None:
    with pytest.raises(ArgumentError) as raised:
        load_fleet_file(written(text))
    assert any(f"{field}: " in problem for problem in raised.value.message.splitlines()[1:])
    assert raised.value.exit_code == 2
    if field != "(file)":
        assert f"fleet.yml:{line}: {field}: " in raised.value.message


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="fleet"):
        load_fleet_file(tmp_path / "fleet.yml")
    (tmp_path / "fleet.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(ArgumentError, match="fleet"):
        load_fleet_file(tmp_path / "fleet.yml")


@given(st.times(), st.times())
def test_every_window_of_two_times_is_read(first: dt.time, last: dt.time) -> None:
    text = f"{first:%H:%M}-{last:%H:%M}"
    if f"{first:%H:%M}" == f"{last:%H:%M}":
        with pytest.raises(ValueError, match="same"):
            parse_window(text)
    else:
        assert parse_window(text) == (first.replace(second=0, microsecond=0), last.replace(second=0, microsecond=0))


@given(st.text(max_size=20))
def test_no_text_breaks_the_window(text: str) -> None:
    try:
        first, last = parse_window(text)
    except ValueError:
        return
    assert first != last


def test_a_case_named_twice_is_refused(project: Project) -> None:
    with pytest.raises(ArgumentError, match="ann"):
        jobs_of(FleetFile(cases=[FleetCase(case="ann"), FleetCase(case="ann")]), project)
    jobs = jobs_of(FleetFile(cases=[FleetCase(case="ann", exclusive=["x"]), FleetCase(case="*")]), project)
    assert [job.name for job in jobs] == ["ann", "bob", "cay"] and "x" in jobs[0].exclusive


def test_an_unknown_case_names_the_nearest(project: Project) -> None:
    with pytest.raises(ArgumentError) as raised:
        jobs_of(FleetFile(cases=[FleetCase(case="anm")]), project)
    assert "ann" in raised.value.hint


def test_an_invalid_case_does_not_stop_the_others(fleet_world: FleetWorld, project: Project) -> None:
    (fleet_world.project / "data" / "cases" / "bob.yml").write_text("title: 3\n")
    jobs = jobs_of(FleetFile(cases=[FleetCase(case="*")]), project)
    assert [job.problem is None for job in jobs] == [True, False, True]


def test_two_cases_of_one_service_exclude_each_other(fleet_world: FleetWorld, job_of: Callable[..., Job]) -> None:
    fleet_world.write_case("dot", fleet_world.services["ann"].url)
    assert not job_of("ann").exclusive.isdisjoint(job_of("dot").exclusive)
    assert job_of("ann").exclusive.isdisjoint(job_of("bob").exclusive)


def test_orders(project: Project, fleet_world: FleetWorld) -> None:
    fleet_world.write_case("bob", fleet_world.services["bob"].url, plan={"baseline": "60s", "washout": "0s"})
    for name, run in (("ann", "20260102-000000-0000"), ("bob", "20260101-000000-0000")):
        (project.runs / name / run).mkdir(parents=True)
    by_order = {
        order: [job.name for job in jobs_of(FleetFile(cases=[FleetCase(case="*")], order=order), project)]
        for order in ("listed", "longest-first", "oldest-first")
    }
    assert by_order["listed"] == ["ann", "bob", "cay"]
    assert by_order["longest-first"][0] == "bob" and by_order["oldest-first"] == ["cay", "bob", "ann"]


def test_names_choose_entries_of_a_file(written: Callable[[str], Path], project: Project) -> None:
    path = written(WHOLE)
    assert [entry.case for entry in fleet_file_of(project, ["bob"], str(path)).cases] == ["bob"]
    assert fleet_file_of(project, ["bob"], "").cases[0].environment == ""
    with pytest.raises(ArgumentError, match="bib"):
        fleet_file_of(project, ["bib"], str(path))
