"""docs/faults.md is that of the table, and each id has its words and its diagram."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge.diagnosis.experiment import NEEDS
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.fault_reference import FAULTS_FILE, faults_markdown
from luckyhit.judge.diagnosis.table import FAULTS, OUTSIDE
from luckyhit.text.experiment_words import NEED_WORDS, OUTCOME_WORDS, QUESTIONS
from luckyhit.text.fault_steps import FAULT_STEPS, FaultStep
from luckyhit.text.fault_words import FAULT_WORDS
from luckyhit.text.sequence_diagram import sequence_diagram

PARTIES = st.sampled_from(["writer", "service", "cache", "elsewhere"])


def test_the_committed_page_is_up_to_date() -> None:
    renew = "out of date: run `make docs`, which is `python -m luckyhit.judge.diagnosis.fault_reference`"
    assert FAULTS_FILE.read_text(encoding="utf-8") == faults_markdown(), renew


def test_each_id_has_words_and_no_words_are_left_over() -> None:
    assert set(FAULT_WORDS) == set(FAULT_STEPS) == set(FAULTS)
    assert set(QUESTIONS) == set(EXPERIMENTS)
    assert set(NEED_WORDS) == set(NEEDS)
    assert set(OUTCOME_WORDS) == {one.id for experiment in EXPERIMENTS.values() for one in experiment.outcomes}


@pytest.mark.parametrize("name", [name for name in FAULTS if name != OUTSIDE])
def test_each_class_has_a_diagram_that_fits(name: str) -> None:
    lines = sequence_diagram(FAULT_STEPS[name]).splitlines()
    assert len(lines) == len(FAULT_STEPS[name]) + 2
    assert all(len(line) <= 110 for line in lines)
    for step, line in zip(FAULT_STEPS[name], lines[2:], strict=True):
        assert step.label in line


@given(st.lists(st.builds(FaultStep, PARTIES, PARTIES, st.text("abc xyz", min_size=1, max_size=30)), max_size=6))
def test_a_diagram_has_each_label_whole(steps: list[FaultStep]) -> None:
    lines = sequence_diagram(steps).splitlines()
    assert len(lines) == (len(steps) + 2 if steps else 0)
    for step, line in zip(steps, lines[2:], strict=True):
        assert step.label.strip() in line
        assert ("▶" in line or "◀" in line) == (step.sender != step.receiver)
