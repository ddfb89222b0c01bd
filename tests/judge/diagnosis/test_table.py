"""The table of fault classes is complete: no unknown id, no class without words, no two classes that nothing separates."""

from __future__ import annotations

from itertools import combinations

import pytest

from luckyhit.judge.diagnosis.experiment import NEEDS
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.fault_forms import Fault
from luckyhit.judge.diagnosis.table import FAULTS, NONE, NOT_SEPARABLE, OUTSIDE, OUTSIDE_ONLY, predicted

CLASSES = [fault for fault in FAULTS.values() if fault.id != OUTSIDE]


def separated(one: Fault, other: Fault) -> bool:
    """Whether each form of one class has an experiment in which it shares no outcome with each form of the other."""
    return all(
        any(not predicted(form, name) & predicted(another, name) for name in EXPERIMENTS)
        for form in one.forms
        for another in other.forms
    )


@pytest.mark.parametrize("fault", CLASSES, ids=lambda fault: fault.id)
def test_each_cell_names_outcomes_of_its_experiment(fault: Fault) -> None:
    assert len({form.id for form in fault.forms}) == len(fault.forms) > 0
    for form in fault.forms:
        for name, outcomes in form.predicts.items():
            assert outcomes
            assert outcomes <= {outcome.id for outcome in EXPERIMENTS[name].outcomes}, (form.id, name)


def test_each_two_classes_are_separable_or_listed() -> None:
    together = {frozenset({one.id, other.id}) for one, other in combinations(CLASSES, 2) if not separated(one, other)}
    assert together == set(NOT_SEPARABLE)
    assert all(NOT_SEPARABLE.values())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_a_healthy_outcome_and_known_needs(name: str) -> None:
    experiment = EXPERIMENTS[name]
    assert experiment.healthy == predicted(FAULTS[NONE].forms[0], name)
    assert experiment.healthy
    if experiment.within:
        assert not EXPERIMENTS[experiment.within].within
    assert set(experiment.needs) <= set(NEEDS)
    assert len({outcome.id for outcome in experiment.outcomes}) == len(experiment.outcomes) >= 2


def test_each_need_is_one_of_an_experiment() -> None:
    assert {need for experiment in EXPERIMENTS.values() for need in experiment.needs} == set(NEEDS)


def test_each_faulty_outcome_is_predicted_or_outside() -> None:
    unexplained = {
        (experiment.id, outcome.id)
        for experiment in EXPERIMENTS.values()
        for outcome in experiment.outcomes
        if not outcome.healthy
        and not any(outcome.id in form.predicts.get(experiment.id, ()) for fault in CLASSES for form in fault.forms)
    }
    assert unexplained == OUTSIDE_ONLY


@pytest.mark.parametrize("fault", [fault for fault in CLASSES if fault.id != NONE], ids=lambda fault: fault.id)
def test_each_fault_has_an_outcome_that_no_healthy_one_has(fault: Fault) -> None:
    for form in fault.forms:
        assert any(outcomes - EXPERIMENTS[name].healthy for name, outcomes in form.predicts.items()), form.id
