"""Whole diagnoses of real services: the class is named, every claim leads to rows, nothing is accused wrongly."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from luckyhit.case.load import load_case
from luckyhit.case.model import Case
from luckyhit.experiments import diagnosing
from luckyhit.experiments.diagnosing import Diagnosed, diagnose
from luckyhit.experiments.experiment_table import EXECUTED
from luckyhit.judge.diagnosis.elimination import is_executed
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.outcome import Decided, Observations
from sick import HEALTHY, HERE, SICK
from tier import one_of_many
from waiting import eventually

QUICK = ("uncacheable-key", "deploy-mismatch")
OUT_OF_REACH = {"outside"}
"""It needs values that a case knows."""
ENVIRON = {"TESTS": str(HERE.parent), "PYTHON": sys.executable}


def diagnosed(case: Case, **options: object) -> Diagnosed:
    made = diagnose(case, project=HERE.parents[1], environ={**os.environ, **ENVIRON}, **options)  # type: ignore[arg-type]
    mine = psutil.Process().children(recursive=True)
    assert not [child for child in mine if "sick." in " ".join(child.cmdline())]
    return made


def assert_grounded(made: Diagnosed) -> None:
    """From each class that is shown to the outcome of an experiment, and to rows of requests."""
    outcomes = {one.id: one for one in made.diagnosis.experiments if one.outcome is not None}
    for standing in made.diagnosis.classes:
        if standing.status != "shown" or standing.id == "none":
            continue
        assert standing.because
        for reason in standing.because:
            record = outcomes[reason.experiment]
            assert record.outcome == reason.outcome
            assert is_executed(Decided(record.id, reason.outcome, record.count, record.total))
        evidence = [row for reason in standing.because for row in reason.evidence]
        assert evidence or all(EXPERIMENTS[reason.experiment].look for reason in standing.because)
        for row in evidence:
            assert made.rows[row.row][0] in EXECUTED


@pytest.mark.parametrize(
    "fault_class", [one_of_many(name, quick=name in QUICK) for name in SICK if name not in OUT_OF_REACH]
)
def test_the_class_is_named_and_grounded(fault_class: str) -> None:
    case = load_case(SICK[fault_class] / "case.yml")
    made = diagnosed(case, outage=fault_class == "invalidation-breaks-write")
    assert made.diagnosis.having("shown") == [fault_class]
    assert made.diagnosis.conclusion == "shown"
    assert_grounded(made)


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_service_is_not_accused(name: str) -> None:
    made = diagnosed(load_case(HEALTHY[name] / "case.yml"))
    assert [one for one in made.diagnosis.having("shown") if one != "none"] == []
    assert made.diagnosis.conclusion == "none-found"


def test_a_short_budget_leaves_what_is_possible() -> None:
    made = diagnosed(load_case(SICK["missing-invalidation"] / "case.yml"), budget_s=6)
    assert made.diagnosis.ended == "over-budget" and made.diagnosis.next is not None
    assert made.diagnosis.having("shown") == []
    assert made.diagnosis.experiments and made.rows


def test_a_service_that_dies_keeps_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(bench: object, trials: int) -> list[object]:
        stack = bench.stack  # type: ignore[attr-defined]
        if stack.service_pid is not None:
            psutil.Process(stack.service_pid).kill()
            eventually(lambda: not stack.alive)
        return []

    monkeypatch.setattr(diagnosing, "EXECUTED", {**EXECUTED, "repeat-request": kill})
    made = diagnosed(load_case(SICK["uncacheable-key"] / "case.yml"))
    assert made.diagnosis.ended == "service-stopped"
    assert [one.id for one in made.diagnosis.experiments]


def test_an_interruption_keeps_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(bench: object, trials: int) -> list[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnosing, "EXECUTED", {**EXECUTED, "evicted-keys": interrupt})
    made = diagnosed(load_case(SICK["uncacheable-key"] / "case.yml"))
    assert made.diagnosis.ended == "interrupted" and made.diagnosis.experiments


def _observed(document: Path) -> Case:
    case = load_case(document)
    target = case.target.model_copy(update={"start": None, "url": "http://127.0.0.1:1"})
    return case.model_copy(update={"target": target})


def _of_somebody_else(document: Path) -> Case:
    case = load_case(document)
    return case.model_copy(update={"cache": case.cache.model_copy(update={"url_env": "CACHE_URL"})})


@pytest.mark.parametrize("change", [_observed, _of_somebody_else])
def test_what_others_use_is_left_alone(change: Callable[[Path], Case]) -> None:
    """No request is sent, and the record says what it would take."""
    made = diagnosed(change(SICK["uncacheable-key"] / "case.yml"))
    assert made.rows == [] and made.diagnosis.ended == "needs-missing"
    assert any("own-stack" in one.lacking for one in made.diagnosis.not_seen)


def test_records_of_a_run_are_looked_at_without_a_request() -> None:
    """Of a service of somebody else there is nothing more; and they alone show nothing."""
    recorded = [Observations("baseline-answers", {"server-errors": 300}), Observations("baseline-hits", {"hits": 300})]
    made = diagnosed(_observed(SICK["uncacheable-key"] / "case.yml"), baseline=recorded)
    assert [(one.id, one.outcome) for one in made.diagnosis.experiments] == [
        ("baseline-answers", "server-errors"),
        ("baseline-hits", "hits"),
    ]
    assert made.rows == [] and made.diagnosis.having("shown") == []
    assert "uncacheable-key" in made.diagnosis.having("excluded")
