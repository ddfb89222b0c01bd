"""The record of a night, its exit code, and its three files."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fleet_world import FleetWorld
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.errors import ArgumentError
from luckyhit.fleet.attempt import AttemptOutcome
from luckyhit.fleet.digest import night_record
from luckyhit.fleet.digest.departures import departures
from luckyhit.fleet.digest.night_page import group_of, redactor_of, write_digest
from luckyhit.fleet.digest.night_record import exit_code_of, night_of
from luckyhit.fleet.digest.nightly import ALARMS, Departure, LevelShift, Night, NightCase
from luckyhit.fleet.dispatch import JobEnd
from luckyhit.fleet.job import Job
from luckyhit.project import Project
from luckyhit.records import Result
from tier import examples

STARTED = datetime(2026, 3, 1, 2, tzinfo=UTC)


def case(state: str, **facts: Any) -> NightCase:
    return NightCase(case="ann", state=state, **facts)


@pytest.mark.parametrize(
    ("states", "chosen", "interrupted", "code"),
    [
        (["finished"], [], False, 0),
        (["finished", "not-rolled-back", "interrupted"], [], True, 5),
        (["finished", "interrupted"], ["hurt"], True, 130),
        (["finished", "guarded"], ["hurt"], False, 1),
        (["finished", "guarded"], ["invalid"], False, 3),
        (["case-invalid", "not-enough-data", "guarded"], [], False, 4),
        (["case-invalid", "finished"], [], False, 2),
        (["lost", "finished"], [], False, 4),
        (["failed", "lost"], [], False, 1),
    ],
)
def test_the_weightiest_end_is_the_exit_code(
    states: list[Any], chosen: list[Any], interrupted: bool, code: int
) -> None:
    cases = [case(state, alarms=["hurt"] if state == "finished" else []) for state in states]
    assert exit_code_of(cases, chosen, interrupted=interrupted) == code


@pytest.mark.parametrize(
    ("refusal", "code"), [("window", 4), ("budget", 4), ("no-place", 3), ("interrupted", 0), ("case", 2)]
)
def test_a_case_that_was_not_begun_is_no_success(refusal: str, code: int) -> None:
    assert exit_code_of([case("finished"), case("not-begun", refusal=refusal)], []) == code


def ends_of(jobs: dict[str, Job]) -> list[JobEnd]:
    return [
        JobEnd(
            jobs["ann"],
            AttemptOutcome(0, run="20260301-020000-0000", seconds=10.0, host="east"),
            None,
            1,
            (),
            STARTED,
            10.5,
        ),
        JobEnd(
            jobs["bob"],
            AttemptOutcome(5, reason="the switch is stuck", hint="luckyhit revert"),
            None,
            2,
            ("attempt 1",),
        ),
        JobEnd(jobs["cay"], None, "window"),
    ]


@pytest.fixture
def jobs(job_of: Callable[..., Job]) -> dict[str, Job]:
    return {name: job_of(name) for name in ("ann", "bob", "cay")}


def test_every_case_is_in_the_record_once(jobs: dict[str, Job], project: Project) -> None:
    night = night_of("f", ends_of(jobs), project, started=STARTED, chosen=["not-run"])
    assert [(one.case, one.state) for one in night.cases] == [
        ("ann", "finished"), ("bob", "not-rolled-back"), ("cay", "not-begun"),
    ]  # fmt: skip
    assert night.exit_code == 5 and night.cases[0].overhead_s == pytest.approx(0.5)
    assert night.cases[1].lost == ["attempt 1"] and night.cases[2].refusal == "window"
    assert ["not-run" in one.alarms for one in night.cases] == [False, True, True]


def test_an_invalid_case_file_is_told_with_its_problems(job_of: Callable[..., Job], project: Project) -> None:
    job = Job("ann", "ann", "", problem=ArgumentError("line 3 is odd", hint="look there"))
    (one,) = night_of("f", [JobEnd(job, None, "case")], project, started=STARTED).cases
    assert (one.state, one.exit_code, one.reason, one.hint) == ("case-invalid", 2, "line 3 is odd", "look there")


@pytest.mark.parametrize(
    ("value", "alarms"),
    [(0.5, {"outside", "worse"}), (0.99, {"outside"}), (0.9, set())],
    ids=["worse", "better", "as before"],
)
def test_a_baseline_beyond_earlier_ones_is_an_alarm(
    value: float, alarms: set[str], jobs: dict[str, Job], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier: list[Any] = [{"hit_ratio": 0.9 + (-1) ** number * number / 1000} for number in range(20)]
    monkeypatch.setattr(night_record, "compared", lambda *_: departures({"hit_ratio": value}, earlier))
    folder = project.runs / "ann" / "20260301-020000-0000"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    result = Result(case="ann", run=folder.name, date="2026-03-01", design="crossover", verdict="OBSERVED", reason="")
    outcome = AttemptOutcome(0, run=folder.name, result=result.model_dump(mode="json", by_alias=True))
    (one,) = night_of("f", [JobEnd(jobs["ann"], outcome)], project, started=STARTED).cases
    assert set(one.alarms) == alarms


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.states: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        facts = dict(attrs)
        if "data-case" in facts:
            self.states[facts["data-case"] or ""] = facts["data-state"] or ""


def written(night: Night, project: Project) -> tuple[Texts, str, dict[str, Any]]:
    page = write_digest(night, project, redactor_of(project, list(project.case_files())))
    texts = Texts()
    texts.feed(page.read_text())
    record = json.loads((project.reports / "nightly.json").read_text())
    return texts, (project.reports / "nightly.md").read_text(), record


def test_all_three_files_have_every_case(jobs: dict[str, Job], project: Project) -> None:
    night = night_of("f", ends_of(jobs), project, started=STARTED)
    texts, markdown, record = written(night, project)
    assert texts.states == {"ann": "finished", "bob": "not-rolled-back", "cay": "not-begun"}
    assert all(f"**{name}**" in markdown for name in jobs)
    assert [one["case"] for one in record["cases"]] == list(jobs) and Night.model_validate(record) == night


@pytest.mark.parametrize(
    ("facts", "group"),
    [
        ({"verdict": "OBSERVED", "observed": True, "metrics": 9}, "quiet"),
        ({"verdict": "OBSERVED", "observed": True, "earlier": 3}, "incomparable"),
        ({"verdict": "EQUIVALENT"}, "decided"),
        ({"verdict": "INCONCLUSIVE"}, "undecided"),
        ({"verdict": "INVALID", "observed": True}, "invalid"),
        ({"verdict": "HELPED", "before": "HURT"}, "changed"),
    ],
)
def test_only_what_was_compared_is_as_in_nights_before(facts: dict[str, Any], group: str) -> None:
    assert group_of(NightCase(case="ann", state="finished", **facts)) == group


@settings(max_examples=examples(25))
@given(st.text(max_size=60), st.sampled_from(ALARMS))
def test_hostile_texts_stay_texts(tmp_path_factory: pytest.TempPathFactory, text: str, alarm: Any) -> None:
    project = Project.at(tmp_path_factory.mktemp("night"))
    hostile = f"<script>{text}</script>"
    departure = Departure(metric="hit_ratio", value=0.1, earlier=12, direction="worse", chance=0.1)
    shift = LevelShift(metric="hit_ratio", date=text[:10], was=0.9, became=0.1, direction="worse", nights=1, new=True)
    cases = [
        NightCase(case=hostile, state="finished", reason=hostile, hint=hostile, host=hostile, lost=[hostile],
                  alarms=[alarm], outside=[departure], shifts=[shift], kept=hostile),
    ]  # fmt: skip
    night = Night(fleet=hostile, started=hostile, cases=cases, news=[hostile], settled=[hostile], chosen=[alarm])
    texts, markdown, _ = written(night, project)
    assert "script" not in texts.tags and "<script>" not in markdown


def test_secrets_and_paths_of_the_machine_are_scrubbed(
    fleet_world: FleetWorld, project: Project, jobs: dict[str, Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "tell-nobody-4711")
    target = {"url": "http://127.0.0.1:1", "headers_env": {"Authorization": "SHOP_TOKEN"}}
    fleet_world.write_case("bob", "http://127.0.0.1:1", target=target)
    reason = f"it answered tell-nobody-4711 in {Path.home()}/shop and {project.root}/data"
    end = JobEnd(jobs["bob"], AttemptOutcome(5, reason=reason), None, 1)
    night = night_of("f", [end], project, started=STARTED, news=[reason])
    write_digest(night, project, redactor_of(project, list(project.case_files())))
    for name in ("nightly.html", "nightly.md", "nightly.json"):
        text = (project.reports / name).read_text()
        assert "4711" not in text and str(project.root) not in text
