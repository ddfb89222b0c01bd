"""A diagnosis of simulated services: the right class, never a wrong one, and few experiments."""

from __future__ import annotations

from itertools import combinations
from statistics import median

import pytest
from simulated_faults import compatible, diagnosed

from luckyhit.judge.diagnosis.experiment import NEEDS
from luckyhit.judge.diagnosis.fault_forms import Fault
from luckyhit.judge.diagnosis.table import FAULTS, NONE
from tier import ALL, seeds

SICK = [fault for fault in FAULTS.values() if fault.forms and fault.id != NONE]
RARE_NEEDS = {
    "database-relay",
    "front-layer",
    "origin-fault",
    "replica-setting",
}
USUAL = set(NEEDS) - RARE_NEEDS
READS_ALONE = {"baseline", "cache-status", "db-calls", "variants"}
FORMS = [(fault.id, form) for fault in SICK for form in fault.forms]


@pytest.mark.parametrize("needs", [set(NEEDS), USUAL, READS_ALONE], ids=["all", "usual", "reads"])
@pytest.mark.parametrize("fault", SICK, ids=lambda fault: fault.id)
def test_a_single_fault_is_shown_or_left_possible(fault: Fault, needs: set[str]) -> None:
    for seed in seeds(20):
        result = diagnosed([fault.forms[seed % len(fault.forms)]], seed, needs).elimination
        assert set(result.shown) <= {fault.id}
        assert fault.id in {*result.shown, *result.having("possible")}
        assert not result.unexplained


def test_with_all_means_few_experiments_show_nearly_each() -> None:
    results = [
        (fault.id, diagnosed([fault.forms[seed % len(fault.forms)]], seed)) for fault in SICK for seed in seeds(20)
    ]
    right = sum(name in result.elimination.shown for name, result in results)
    experiments = median(len(result.experiments) for _, result in results)
    seconds = median(result.seconds for _, result in results)
    print(f"shown {right} of {len(results)}; median {experiments} experiments, {seconds:.0f} s")
    assert right / len(results) > 0.85
    assert experiments <= 4
    assert seconds <= 90


@pytest.mark.parametrize("thorough", [False, True])
def test_two_faults_at_once_are_never_a_third(thorough: bool) -> None:
    pairs = [
        (one, other)
        for (name, one), (another, other) in combinations(FORMS, 2)
        if name != another and compatible(one, other)
    ][:: 1 if ALL else 8]
    names = {id(form): name for name, form in FORMS}
    both = 0
    for index, (one, other) in enumerate(pairs):
        result = diagnosed([one, other], index, thorough=thorough).elimination
        truth = {names[id(one)], names[id(other)]}
        assert set(result.shown) <= truth, (truth, result.shown)
        assert truth <= {*result.shown, *result.having("possible")}
        both += truth == set(result.shown)
    print(f"both shown in {both} of {len(pairs)} pairs, thorough={thorough}")


@pytest.mark.parametrize("needs", [set(NEEDS), USUAL, READS_ALONE, set()], ids=["all", "usual", "reads", "no-means"])
def test_a_healthy_service_is_never_accused(needs: set[str]) -> None:
    for seed in seeds(60):
        result = diagnosed(FAULTS[NONE].forms, seed, needs).elimination
        assert not result.shown
        assert not result.faulty
        assert result.conclusion == ("none-found" if result.outcomes else "open")


def test_the_same_seed_gives_the_same_experiments() -> None:
    form = FAULTS["stale-set-race"].forms[0]
    assert diagnosed([form], 7).experiments == diagnosed([form], 7).experiments
