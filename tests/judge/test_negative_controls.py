"""What the change can't touch: where it moves, the run proves nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from luckyhit.case import Case
from luckyhit.case.checks.cross_field import findings_in
from luckyhit.case.findings import field_name
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.untouched_route_moved import find
from luckyhit.records import Guard, Metric

GOALS = {"hit_ratio": {"want": "better", "margin": "5 %"}}
ROUTES = [
    {"name": "detail", "path": "/products/{key}", "keys": {"first": 1, "last": 400}},
    {"name": "status", "path": "/status"},
    {"name": "order", "method": "POST", "path": "/orders/{key}", "keys": {"first": 1, "last": 400}, "body": {}},
]


def a_case_with(case_with: Any, controls: dict[str, str]) -> Case:
    data = case_with(GOALS, freshness=False, blocks=4).model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["workload"]["routes"] = ROUTES
    data["controls"] = controls
    return Case.model_validate(data)


def a_run_of(simulate: Any, seed: int, slower: float = 1.0) -> Any:
    """Every third slot asks for the status, which has no cache, and takes `slower` times as long in the after arm."""
    run = simulate(seed, before={"hit": 0.5}, after={"hit": 0.9}, probed=False)
    frame = run.requests
    status = (frame["slot"] % 3 == 0).to_numpy()
    frame.loc[status, ["route", "cache"]] = ["status", "unknown"]
    late_ms = 2.0 * np.exp(0.3 * np.random.default_rng([seed, 7]).normal(size=len(frame)))
    late_ms = np.where(frame["arm"] == "after", late_ms * slower, late_ms)
    frame.loc[status, "done_ns"] = (frame["due_ns"] + 20_000 + late_ms * 1e6).astype(np.int64)[status]
    frame.loc[status, "first_byte_ns"] = frame.loc[status, "done_ns"] - 10_000
    return run


def still(run: Any, case: Case) -> Guard | None:
    return next((guard for guard in run.judge(case).guards if guard.id == "negative-controls-still"), None)


def test_a_control_that_is_still_passes_with_its_interval(simulate: Any, case_with: Any) -> None:
    case = a_case_with(case_with, {"status.latency_p50_ms": "20 %", "error_rate": "1 %"})
    result = a_run_of(simulate, 1).judge(case)
    (guard,) = [guard for guard in result.guards if guard.id == "negative-controls-still"]
    assert guard.ok and result.verdict == "HELPED"


@pytest.mark.parametrize("slower", [0.6, 1.6])
def test_a_control_that_moves_makes_a_gain_invalid(slower: float, simulate: Any, case_with: Any) -> None:
    result = a_run_of(simulate, 1, slower).judge(a_case_with(case_with, {"status.latency_p50_ms": "20 %"}))
    failed = [guard.id for guard in result.guards if not guard.ok]
    assert (result.verdict, failed) == ("INVALID", ["negative-controls-still"])
    assert result.metrics["hit_ratio"].verdict == "HELPED"


def test_a_move_inside_the_margin_is_none(simulate: Any, case_with: Any) -> None:
    guard = still(a_run_of(simulate, 1, 1.6), a_case_with(case_with, {"status.latency_p50_ms": "90 %"}))
    assert guard is not None and guard.ok


def test_a_control_that_nobody_saw_is_no_pass(simulate: Any, case_with: Any) -> None:
    guard = still(a_run_of(simulate, 1), a_case_with(case_with, {"status.hit_ratio": "5 %"}))
    assert guard is not None and not guard.ok and guard.remedy


def test_without_controls_there_is_no_such_guard(simulate: Any, case_with: Any) -> None:
    assert still(a_run_of(simulate, 1, 2.0), a_case_with(case_with, {})) is None


@pytest.mark.parametrize(
    ("controls", "field"),
    [
        ({"hit_ratio": "5 %"}, "controls.hit_ratio"),  # a goal
        ({"stale_reads": "5 %"}, "controls.stale_reads"),  # the probe's
        ({"stauts.latency_p50_ms": "5 %"}, "controls.stauts.latency_p50_ms"),
        ({"status.error_rate": "5ms"}, "controls.status.error_rate"),
        ({"status.latency_p50_ms": "0 %"}, "controls.status.latency_p50_ms"),
    ],
)
def test_a_control_that_makes_no_sense_is_refused(controls: dict[str, str], field: str, case_with: Any) -> None:
    wrong = a_case_with(case_with, controls)
    assert field in [field_name(finding.path) for finding in findings_in(wrong)]


def routes(status: tuple[float, float], order: tuple[float, float]) -> dict[str, dict[str, Metric]]:
    told = Metric(unit="share", before=0.8, after=0.9)
    silent = Metric(unit="share")
    return {
        "detail": {"hit_ratio": told, "latency_p50_ms": Metric(unit="ms", before=2.0, after=9.0, low=5.0, high=8.0)},
        "status": {
            "hit_ratio": silent,
            "latency_p50_ms": Metric(unit="ms", before=2.0, after=2.0, low=status[0], high=status[1]),
        },
        "order": {
            "hit_ratio": silent,
            "latency_p50_ms": Metric(unit="ms", before=2.0, after=2.0, low=order[0], high=order[1]),
        },
    }


@pytest.mark.parametrize(
    ("status", "order", "moved"),
    [
        ((-0.2, 0.2), (-0.1, 0.3), []),
        ((0.1, 0.3), (0.1, 0.9), []),  # sure, and no more than a fifth
        ((0.5, 0.9), (-0.1, 0.3), [("status", "uncached")]),
        ((-0.2, 0.2), (5.0, 9.0), [("order", "write")]),
        ((-0.9, -0.5), (5.0, 9.0), [("status", "uncached"), ("order", "write")]),
    ],
)
def test_routes_that_no_goal_is_about(
    status: tuple[float, float], order: tuple[float, float], moved: list[tuple[str, str]], case_with: Any
) -> None:
    case = a_case_with(case_with, {})
    finding = find(Evidence(case, [], lambda columns: None, routes=routes(status, order)))  # type: ignore[arg-type, return-value]
    assert [(row["route"], row["kind"]) for row in (finding.examples if finding else [])] == moved


def test_where_no_route_tells_a_status_only_writes_are_looked_at(case_with: Any) -> None:
    told = {name: {**metrics, "hit_ratio": Metric(unit="share")} for name, metrics in routes((5, 9), (5, 9)).items()}
    finding = find(Evidence(a_case_with(case_with, {}), [], lambda columns: None, routes=told))  # type: ignore[arg-type, return-value]
    assert finding is not None and [row["route"] for row in finding.examples] == ["order"]


def test_a_declared_control_is_no_finding(case_with: Any) -> None:
    case = a_case_with(case_with, {"status.latency_p50_ms": "20 %"})
    assert find(Evidence(case, [], lambda columns: None, routes=routes((5, 9), (-0.1, 0.1)))) is None  # type: ignore[arg-type, return-value]
