"""The baseline of a service whose fault is met before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faulty_service import Faulty
from ruamel.yaml import YAML
from test_checking import document

from luckyhit.case_run import CaseRun
from luckyhit.errors import ResponseUnexpected
from luckyhit.project import Project
from luckyhit.records import PREFLIGHT_MET_FAULT
from luckyhit.workflow.steps import measure_baseline
from luckyhit.workflow.unattended.run_case import new_run

WRONG_PAGE = {f"/list/{key}?page=2": (200, 1) for key in range(1, 4)}


@pytest.fixture
def baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CaseRun]:
    """`baseline(service, goal)`: the run of a case with two pages, measured for a second."""
    monkeypatch.setenv("LUCKYHIT_LOCKS", str(tmp_path / "locks"))
    project = Project(tmp_path, tmp_path / "data" / "runs", tmp_path / "reports")

    def measured(service: Faulty, goal: str) -> CaseRun:
        routes = [
            {
                "name": f"page-{page}", "path": f"/list/{{key}}?page={page}", "keys": {"first": 1, "last": 3},
                "response": {"values": {"$.number": 10 * page - 9}},
            }
            for page in (1, 2)
        ]  # fmt: skip
        parts: dict[str, Any] = {
            "target": {"url": service.url}, "change": {"kind": "none", "what": "Nothing."}, "design": "crossover",
            "workload": {"seed": 7, "rate": "40/s", "routes": routes}, "plan": {"baseline": "1s", "warmup": "0.5s"},
            "goals": {goal: {"want": "no-worse", "margin": "2 %"}},
        }  # fmt: skip
        case_file = tmp_path / "pages.yml"
        with case_file.open("w", encoding="utf-8") as file:
            YAML().dump(document(**parts), file)
        run = new_run(project, case_file)
        measure_baseline(run, project, lambda *_: None)
        return run

    return measured


def test_a_fault_that_a_goal_covers_is_noted_and_measured(baseline: Callable[..., CaseRun]) -> None:
    with Faulty(WRONG_PAGE) as service:
        run = baseline(service, "error_rate")
    noted = run.manifest.preflight
    assert (noted.id, noted.asked) == (PREFLIGHT_MET_FAULT, 2)
    (answer,) = noted.unexpected
    assert (answer.arm, answer.route, answer.request, answer.status) == ("before", "page-2", "GET /list/1?page=2", 200)
    assert '"number": 1' in answer.body and "t0psecret" not in answer.body
    assert [guard.ok for guard in run.manifest.guards if guard.id == "expected-response"] == [True]
    assert run.manifest.blocks[0].unexpected


def test_a_fault_that_no_goal_covers_ends_the_run(baseline: Callable[..., CaseRun]) -> None:
    with Faulty(WRONG_PAGE) as service, pytest.raises(ResponseUnexpected) as refused:
        baseline(service, "hit_ratio")
    assert refused.value.exit_code == 3
