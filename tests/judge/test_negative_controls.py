"""What the change can't touch: where it moves, the run proves nothing."""

from __future__ import annotations

import numpy as np
import pytest
from declared import a_case
from simulated_blocks import Records, a_run

from luckyhit.case import Case
from luckyhit.case.checks.cross_field import findings_in
from luckyhit.case.findings import field_name

GOALS = {"hit_ratio": {"want": "better", "margin": "5 %"}}
ID = "negative-controls-still"


def with_controls(controls: dict[str, str]) -> Case:
    data = a_case(GOALS, freshness=False, blocks=4).model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["workload"]["routes"].append({"name": "status", "path": "/status"})
    return Case.model_validate(data | {"controls": controls})


def with_status(slower: float = 1.0) -> Records:
    """Every third slot asks for the status, which has no cache, and takes `slower` times as long in the after arm."""
    run = a_run(1, before={"hit": 0.5}, after={"hit": 0.9}, probed=False)
    frame = run.requests
    status = (frame["slot"] % 3 == 0).to_numpy()
    frame.loc[status, ["route", "cache"]] = ["status", "unknown"]
    late_ms = 2.0 * np.exp(0.3 * np.random.default_rng([1, 7]).normal(size=len(frame)))
    late_ms = np.where(frame["arm"] == "after", late_ms * slower, late_ms)
    frame.loc[status, "done_ns"] = (frame["due_ns"] + 20_000 + late_ms * 1e6).astype(np.int64)[status]
    frame.loc[status, "first_byte_ns"] = frame.loc[status, "done_ns"] - 10_000
    return run


@pytest.mark.parametrize(
    ("controls", "slower", "ok"),
    [
        ({"status.latency_p50_ms": "20 %", "error_rate": "1 %"}, 1.0, True),
        ({"status.latency_p50_ms": "20 %"}, 0.6, False),
        ({"status.latency_p50_ms": "20 %"}, 1.6, False),
        ({"status.latency_p50_ms": "90 %"}, 1.6, True),  # inside its margin
        ({"status.hit_ratio": "5 %"}, 1.0, False),  # not visible
        ({}, 2.0, None),
    ],
)
def test_a_control_that_moves_makes_a_gain_invalid(controls: dict[str, str], slower: float, ok: bool | None) -> None:
    result = with_status(slower).judge(with_controls(controls))
    guard = next((guard for guard in result.guards if guard.id == ID), None)
    assert (guard.ok if guard else None) is ok
    assert result.verdict == ("INVALID" if ok is False else "HELPED")
    assert {guard.id for guard in result.guards if not guard.ok} == ({ID} if ok is False else set())
    assert result.metrics["hit_ratio"].verdict == "HELPED"


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
def test_an_invalid_control_is_refused(controls: dict[str, str], field: str) -> None:
    assert field in [field_name(finding.path) for finding in findings_in(with_controls(controls))]
