"""The cases of `benchmarks/deciding`: what they claim to be true is so in the records that they make."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "deciding"))

from deciding_cases import SOUND, Scenario, scenarios
from simulated_block import Noise, simulate
from truth import effects, verdict
from whole_run import run

from tier import one_of_many

EVERY = list(scenarios())


def test_there_are_forty_cases_of_different_names_and_truths() -> None:
    assert len({(scenario.fault, scenario.name) for scenario in EVERY}) == len(EVERY) == 40
    assert {scenario.truth for scenario in EVERY} == {"HELPED", "HURT", "EQUIVALENT"}


@pytest.mark.parametrize(
    "scenario", [one_of_many(scenario, quick=number % 8 == 0) for number, scenario in enumerate(EVERY)]
)
def test_the_declared_truth_is_what_happens(scenario: Scenario) -> None:
    assert verdict(scenario.case(5), effects(scenario, 5)) == scenario.truth


def test_both_arms_get_the_same_requests_and_probes() -> None:
    scenario = EVERY[0]
    written = scenario.case(3)
    assert written.freshness is not None
    case = written.model_copy(update={"freshness": written.freshness.model_copy(update={"rate": 4.0})})
    arms = {"before": scenario.before, "after": scenario.after}
    made = [
        simulate(case, arms, Noise(), number=2, stage="change", pair=1, seconds=6.0, start_ns=0, seed=3)
        for _ in range(2)
    ]
    assert made[0].requests.equals(made[1].requests) and made[0].reads.equals(made[1].reads)
    rows, writes = made[0].requests, made[0].writes
    of_arm = [rows[rows["arm"] == arm].reset_index(drop=True) for arm in arms]
    for name in ("slot", "route", "key", "due_ns", "phase"):
        assert of_arm[0][name].equals(of_arm[1][name])
    versions = [writes[writes["arm"] == arm]["version"].tolist() for arm in arms]
    assert len(versions[0]) > 5 and sorted(versions[0]) == sorted(versions[1])


def test_a_large_fault_comes_out_as_what_it_is() -> None:
    scenario = Scenario("", "", "HURT", SOUND, replace(SOUND, invalidates="never"), rate=60)
    result = run(scenario, 1)
    assert (result["verdict"], result["guards"]) == ("HURT", [])
    assert result["blocks"] < result["planned"]
