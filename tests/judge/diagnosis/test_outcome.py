"""An outcome is one beyond chance, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge.diagnosis.experiment import Experiment
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.outcome import MOST_TRIALS, Decided, Observations, RowReference, Undecided, outcome_of


def outcome(name: str, **trials: int) -> Decided | Undecided:
    counted = {outcome_id.replace("_", "-"): count for outcome_id, count in trials.items()}
    return outcome_of(EXPERIMENTS[name], Observations(name, counted))


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda experiment: experiment.id)
def test_the_first_trials_decide_where_all_agree(experiment: Experiment) -> None:
    for possible in experiment.outcomes:
        result = outcome_of(experiment, Observations(experiment.id, {possible.id: experiment.trials}))
        assert isinstance(result, Decided)
        assert result.outcome == possible.id


def test_one_old_value_of_twenty_is_neither_fresh_nor_stale() -> None:
    result = outcome("write-then-read", fresh=19, stays_stale=1)
    assert isinstance(result, Undecided)
    assert result.more_trials == 20
    more = outcome("write-then-read", fresh=36, stays_stale=4)
    assert isinstance(more, Decided)
    assert more.outcome == "stays-stale"


def test_a_fresh_service_says_what_would_have_been_visible() -> None:
    result = outcome("write-then-read", fresh=100)
    assert isinstance(result, Decided)
    assert result.outcome == "fresh"
    assert 0.02 < result.visible_from < 0.04


def test_a_declared_window_is_healthy_beside_fresh_reads() -> None:
    result = outcome("write-then-read", fresh=10, within_bound=12)
    assert isinstance(result, Decided)
    assert result.outcome in EXPERIMENTS["write-then-read"].healthy


def test_halves_of_facts_are_undecided() -> None:
    assert isinstance(outcome("one-worker", fresh_with_one=5, stale_with_one=5), Undecided)


def test_with_the_most_trials_it_stays_undecided() -> None:
    result = outcome("one-worker", fresh_with_one=MOST_TRIALS // 2, stale_with_one=MOST_TRIALS // 2)
    assert result == Undecided("one-worker", 0)


def test_no_trials_ask_for_the_first() -> None:
    assert outcome("repeat-request") == Undecided("repeat-request", EXPERIMENTS["repeat-request"].trials)


def test_a_missing_need_is_named() -> None:
    result = outcome_of(EXPERIMENTS["quiet-wait"], Observations("quiet-wait", {"quiet": 9}, lacking=("cache-access",)))
    assert result == Undecided("quiet-wait", 0, ("cache-access",))


def test_rows_and_facts_come_along() -> None:
    rows = (RowReference("reads", 7),)
    result = outcome_of(EXPERIMENTS["quiet-wait"], Observations("quiet-wait", {"quiet": 9}, rows, {"waited_s": 20}))
    assert isinstance(result, Decided)
    assert (result.rows, result.facts) == (rows, {"waited_s": 20})


@pytest.mark.parametrize(
    "observations",
    [
        Observations("write-then-read", {"fresh": 1}),
        Observations("quiet-wait", {"loud": 1}),
        Observations("quiet-wait", {"quiet": -1}),
    ],
    ids=["another-experiment", "unknown-outcome", "negative"],
)
def test_bad_observations_are_refused(observations: Observations) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        outcome_of(EXPERIMENTS["quiet-wait"], observations)


@given(st.data(), st.sampled_from(list(EXPERIMENTS.values())))
def test_an_outcome_was_observed_or_more_is_asked(data: st.DataObject, experiment: Experiment) -> None:
    trials = {one.id: data.draw(st.integers(0, 60)) for one in experiment.outcomes}
    result = outcome_of(experiment, Observations(experiment.id, trials))
    if isinstance(result, Decided):
        assert result.total == sum(trials.values())
        assert 0 <= result.visible_from <= 1
    else:
        assert sum(trials.values()) + result.more_trials <= max(MOST_TRIALS, sum(trials.values()))
