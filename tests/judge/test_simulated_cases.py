"""The cases of `benchmarks/deciding`: what they claim to be true is so in the records that they make."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "deciding"))

from deciding_cases import SOUND, Scenario, scenarios
from simulated_block import Noise, simulate
from simulated_service import MS, Behaviour, S, Service
from truth import effects, verdict
from whole_run import run

from tier import one_of_many

EVERY = list(scenarios())
ITEM = "/items/{key}"


def a_service(**knobs: object) -> Service:
    behaviour = replace(Behaviour(sigma=0.0, hit_ms=2.0, load_ms=10.0, write_ms=4.0), **knobs)  # type: ignore[arg-type]
    return Service(behaviour, (ITEM,), np.random.default_rng(1))


def test_there_are_forty_cases_of_different_names_and_truths() -> None:
    assert len({(each.fault, each.name) for each in EVERY}) == len(EVERY) == 40
    assert {each.truth for each in EVERY} == {"HELPED", "HURT", "EQUIVALENT"}


@pytest.mark.parametrize("scenario", [one_of_many(each, quick=number % 4 == 0) for number, each in enumerate(EVERY)])
def test_the_declared_truth_is_what_happens(scenario: Scenario) -> None:
    assert verdict(scenario.case(5), effects(scenario, 5)) == scenario.truth


def test_a_sound_service_shows_each_write_from_its_answer_on() -> None:
    service = a_service()
    assert service.read(0, ITEM, 7).version == 7
    done_ns, accepted = service.write(20 * MS, 7, 1000)
    assert accepted and service.read(20 * MS + MS, ITEM, 7).version == 7
    answer = service.read(done_ns + MS, ITEM, 7)
    assert (answer.version, answer.cache, answer.calls) == (1000, "miss", 2)
    assert service.read(done_ns + 20 * MS, ITEM, 7).cache == "hit"


@pytest.mark.parametrize(
    ("knobs", "old_until_ms"),
    [
        ({"invalidates": "never", "ttl_s": 1.0}, 1012),
        ({"lag_ms": 100.0, "ttl_s": 0.0}, 120),
        ({"early_ms": 100.0}, 120),
        ({"missed": 1.0, "ttl_s": 0.5}, 512),
    ],
)
def test_a_fault_shows_old_data_for_as_long_as_it_says(knobs: dict[str, object], old_until_ms: int) -> None:
    def shown(at_ms: int) -> int:
        service = a_service(**knobs)
        service.read(0, ITEM, 7)
        service.write(20 * MS, 7, 1000)
        return service.read(at_ms * MS, ITEM, 7).version

    assert shown(old_until_ms - 5) == 7
    assert shown(old_until_ms + 10) == 1000


def test_a_load_that_a_write_overtook_is_kept_without_a_guard_alone() -> None:
    def stored(guarded: bool) -> int:
        service = a_service(guarded=guarded, load_ms=30.0)
        service.read(0, ITEM, 7)
        service.write(10 * MS, 7, 1000)
        return service.read(1 * S, ITEM, 7).version

    assert (stored(guarded=False), stored(guarded=True)) == (7, 1000)


def test_readers_of_one_key_wait_for_its_load_or_load_it_again() -> None:
    def calls(single_flight: bool) -> int:
        service = a_service(single_flight=single_flight)
        return sum(service.read(at * MS, ITEM, 7).calls for at in range(5))

    assert (calls(single_flight=True), calls(single_flight=False)) == (2, 10)


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
