"""The next experiment splits what is left, within needs and budget; else it is said why there is none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.diagnosis.elimination import eliminate
from luckyhit.judge.diagnosis.experiment import NEEDS
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.next_experiment import End, Means, Proposal, looks, next_experiment, proposals_of
from luckyhit.judge.diagnosis.outcome import Decided
from tier import examples

ALL_OUTCOMES = [
    Decided(experiment.id, outcome.id, 9, 10) for experiment in EXPERIMENTS.values() for outcome in experiment.outcomes
]
STALE = [Decided("write-then-read", "stays-stale", 10, 10)]


@given(
    st.lists(st.sampled_from(ALL_OUTCOMES), max_size=8),
    st.sets(st.sampled_from(NEEDS)),
    st.floats(0, 60),
    st.integers(0, 99),
)
@settings(max_examples=examples(150), deadline=None)
def test_it_is_new_affordable_and_has_what_it_needs(
    outcomes: list[Decided], needs: set[str], budget_s: float, seed: int
) -> None:
    elimination, means = eliminate(outcomes), Means(needs, budget_s, seed=seed)
    step = next_experiment(elimination, means)
    assert step == next_experiment(elimination, means)
    if isinstance(step, Proposal):
        assert step.experiment not in {one.experiment for one in outcomes}
        assert set(EXPERIMENTS[step.experiment].needs) <= needs
        assert step.seconds <= budget_s
        assert step.splits


def test_without_means_the_best_one_and_its_needs_are_named() -> None:
    step = next_experiment(eliminate(STALE), Means(()))
    assert isinstance(step, Proposal) or step.proposal
    end = next_experiment(eliminate(STALE), Means((), tried=("layers-in-use",)))
    assert isinstance(end, End)
    assert end.reason == "needs-missing"
    assert end.proposal
    assert end.proposal.lacking


def test_a_budget_of_nothing_ends_with_what_would_come() -> None:
    tried = tuple(look.id for look in looks(Means(NEEDS)))
    end = next_experiment(eliminate(STALE), Means(NEEDS, 0.0, tried=tried))
    assert isinstance(end, End)
    assert end.reason == "over-budget"
    assert end.proposal


def test_what_is_shown_ends_it_unless_thorough() -> None:
    shown = eliminate([Decided("vary-one-dimension", "answer-of-another", 10, 10)])
    assert next_experiment(shown, Means(NEEDS)) == End("explained")
    assert isinstance(next_experiment(shown, Means(NEEDS), thorough=True), Proposal)


def test_a_longer_ttl_makes_its_experiment_come_later() -> None:
    elimination = eliminate(STALE)
    order = [one.experiment for one in proposals_of(elimination, Means(NEEDS))]
    slow = [one.experiment for one in proposals_of(elimination, Means(NEEDS, seconds={order[0]: 9000.0}))]
    assert slow.index(order[0]) == len(slow) - 1


def test_looks_send_nothing_and_need_only_what_is_at_hand() -> None:
    assert {look.id for look in looks(Means(("baseline",)))} >= {"baseline-staleness", "baseline-hits"}
    assert all(look.look for look in looks(Means(NEEDS)))
    assert "evicted-keys" not in {look.id for look in looks(Means(("baseline",)))}
