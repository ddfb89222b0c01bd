"""What a case asks of the engine and of the probe each second: what is told, and that what is advised can be taken."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import world
from luckyhit.case import Case
from luckyhit.case.checks.workload_checks import measured_rate
from luckyhit.case.freshness import MOST_PROBES
from luckyhit.case.load import parse_case
from luckyhit.case.values.units import format_rate, parse_rate
from luckyhit.case.workload import MEASURED_PER_S
from luckyhit.errors import ArgumentError
from luckyhit.judge.findings.from_result import MOST_ADDED
from luckyhit.judge.power import requests_of_block
from luckyhit.probe.block_probe import VERSIONS_PER_BLOCK
from luckyhit.workflow.planning import ProbePlanner
from luckyhit.workflow.rates import rates_guard

PLAN = {"baseline": "5s", "warmup": "1s", "block": "8s", "blocks": 4, "after_rollback": "5s"}
PROBE: dict[str, Any] = {
    "write": {"method": "PUT", "path": "/products/{key}", "body": {"price": "{version}"}},
    "reads": [{"path": "/products/{key}", "version": "$.price"}],
    "keys": {"first": 1001, "last": 200_000},
    "within": "0s",
    "horizon": "1s",
}


def a_case(rate: str, *, probe: str | None = "", plan: dict[str, Any] = PLAN, **workload: Any) -> Case:
    """`probe`: the rate of the freshness probe, empty for one without a declared rate, None for no probe."""
    base = world.case()
    freshness = None if probe is None else PROBE | ({"rate": probe} if probe else {})
    document = world.case(
        workload={**base["workload"], "rate": rate, **workload},
        plan=plan,
        goals={"error_rate": {"want": "no-worse", "margin": "2 %"}},
        **({"freshness": freshness} if freshness else {}),
    )
    return parse_case(json.dumps(document))


def advised(text: str, field: str) -> str:
    """The rate that a note says to set."""
    (rate,) = re.findall(rf"(?i)\bset {re.escape(field)}: (\d+/[sm])", text)
    return str(rate)


@pytest.mark.parametrize(("rate", "workload"), [("150/s", {}), ("10000/s", {}), ("15000/s", {"workers": 2})])
def test_usual_rates_are_not_told(rate: str, workload: dict[str, Any]) -> None:
    assert rates_guard(a_case(rate, probe=None, **workload)) is None


@pytest.mark.parametrize(("rate", "workload"), [("10001/s", {}), ("45000/s", {}), ("90000/s", {"workers": 4})])
def test_more_than_the_engine_was_measured_to_send_is_a_note(rate: str, workload: dict[str, Any]) -> None:
    case = a_case(rate, probe=None, **workload)
    guard = rates_guard(case)
    assert guard is not None and guard.ok and guard.id == "rates"
    slower = advised(guard.detail, "workload.rate")
    assert parse_rate(slower) == measured_rate(case) <= MEASURED_PER_S * case.workload.senders
    assert rates_guard(a_case(slower, probe=None, **workload)) is None


def test_a_probe_that_is_most_of_the_load_is_a_note() -> None:
    guard = rates_guard(a_case("50/s", probe="300/s"))
    assert guard is not None and guard.ok
    slower = a_case("50/s", probe=advised(guard.detail, "freshness.rate"))
    assert rates_guard(slower) is None
    assert 0 < ProbePlanner()(slower).requests <= MOST_ADDED * (requests_of_block(slower) or 0)


def test_a_probe_without_room_is_a_note() -> None:
    guard = rates_guard(a_case("4/s"))
    assert guard is not None and guard.ok
    probed = a_case("4/s", probe=advised(guard.detail, "freshness.rate"))
    assert ProbePlanner()(probed).requests > 0 and rates_guard(probed) is None
    assert rates_guard(a_case("400/s")) is None


def test_a_horizon_without_room_for_a_probe_is_a_note() -> None:
    for rate in ("", "10/s"):
        short = a_case("400/s", probe=rate, plan=PLAN | {"block": "1200ms"})
        guard = rates_guard(short)
        assert ProbePlanner()(short).requests == 0 and guard is not None and guard.ok
        (longer,) = re.findall(r"Set plan\.block: (\d+s)", guard.detail)
        assert ProbePlanner()(a_case("400/s", probe="10/s", plan=PLAN | {"block": longer})).requests > 0


@pytest.mark.parametrize("rate", ["1/m", "5000/s"])
def test_a_sized_block_that_the_probe_does_not_fit_fails(rate: str) -> None:
    guard = rates_guard(a_case("100/s", probe=rate, plan={"auto": True}))
    assert guard is not None and not guard.ok and guard.remedy
    assert "freshness.rate" in guard.detail and rate in guard.detail


@pytest.mark.parametrize("rate", ["1/m", "0.001/m"])
def test_a_plan_too_short_for_a_low_rate_names_the_rate(rate: str) -> None:
    with pytest.raises(ArgumentError, match=r"workload\.rate") as refused:
        rates_guard(a_case(rate, probe=None, plan={"auto": True}))
    faster = re.findall(r"workload\.rate: (\d+/[sm])", refused.value.hint)
    assert rates_guard(a_case(*faster, probe=None, plan={"auto": True})) is None


def test_a_block_has_versions_for_all_its_probes() -> None:
    assert 2 * MOST_PROBES + 2 <= VERSIONS_PER_BLOCK, "and for the one that is tried before it"


@pytest.mark.parametrize(("rate", "text"), [(150.0, "150/s"), (1 / 60, "1/m"), (0.25, "0.25/s"), (7 / 60, "7/m")])
def test_a_rate_is_written_as_people_would(rate: float, text: str) -> None:
    assert format_rate(rate) == text and parse_rate(text) == rate
