"""Elimination: more outcomes never bring a class back, their order does not matter, and each status has its reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.diagnosis.elimination import eliminate, explaining_sets, is_executed, is_faulty
from luckyhit.judge.diagnosis.experiment import NEEDS
from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.next_experiment import Means, proposals_of
from luckyhit.judge.diagnosis.outcome import Decided
from luckyhit.judge.diagnosis.table import FAULTS, NONE, OUTSIDE
from tier import examples

ALL_OUTCOMES = [
    Decided(experiment.id, outcome.id, 9, 10) for experiment in EXPERIMENTS.values() for outcome in experiment.outcomes
]
any_outcomes = st.lists(st.sampled_from(ALL_OUTCOMES), max_size=12)


def decided(**outcomes: str) -> list[Decided]:
    return [Decided(name.replace("_", "-"), outcome, 10, 10) for name, outcome in outcomes.items()]


@given(any_outcomes, any_outcomes)
@settings(max_examples=examples(300), deadline=None)
def test_more_outcomes_never_bring_a_class_back(some: list[Decided], more: list[Decided]) -> None:
    before, after = eliminate(some), eliminate([*some, *more])
    assert set(before.having("excluded")) <= set(after.having("excluded"))


@given(any_outcomes, st.randoms(use_true_random=False))
@settings(max_examples=examples(300), deadline=None)
def test_the_order_of_outcomes_does_not_matter(some: list[Decided], rng: object) -> None:
    shuffled = sorted(some, key=lambda _: rng.random())  # type: ignore[attr-defined]
    assert eliminate(some) == eliminate(shuffled) == eliminate([*some, *some])


@given(any_outcomes)
@settings(max_examples=examples(300), deadline=None)
def test_each_shown_or_excluded_class_has_its_reason(some: list[Decided]) -> None:
    result = eliminate(some)
    assert set(result.standings) == set(FAULTS)
    for standing in result.standings.values():
        assert all(one in some for one in standing.because)
        if standing.status == "excluded":
            assert standing.because
        if standing.status == "shown" and standing.fault not in (NONE, OUTSIDE):
            assert standing.because
            assert all(is_executed(one) and is_faulty(one) for one in standing.because)
    for classes in result.explaining_sets:
        assert not classes & {NONE, *result.having("excluded")}
        assert set(result.shown) <= classes


def test_nothing_at_all_leaves_everything_possible() -> None:
    result = eliminate([])
    assert result.conclusion == "open"
    assert set(result.having("possible")) == set(FAULTS)


def test_healthy_outcomes_alone_are_none_found() -> None:
    result = eliminate([Decided(one.id, min(one.healthy), 20, 20, 0.14) for one in EXPERIMENTS.values()])
    assert result.conclusion == "none-found"
    assert not result.shown
    assert result.standings[NONE].status != "excluded"


def test_a_delete_of_another_key_shows_the_mismatch() -> None:
    result = eliminate(
        decided(
            baseline_staleness="stale",
            write_then_read="stays-stale",
            keys_read_and_deleted="other-key",
            delete_the_read_key="fresh-after",
            repeat_request="hit",
            unrelated_write="still-hit",
            refresh_then_read="new",
        )
    )
    assert result.shown == ("key-mismatch",)
    assert result.standings["missing-invalidation"].status == "excluded"


def test_races_that_look_alike_stay_together() -> None:
    outcomes = decided(
        write_then_read="fresh",
        overlapping_reads="stale-after-overlap",
        keys_read_and_deleted="same-key",
        workers_in_use="one-process",
    )
    result = eliminate(outcomes)
    assert not result.shown
    assert {"invalidate-before-commit", "stale-set-race", "replica-lag"} <= result.open_classes


def test_two_faults_are_two() -> None:
    result = eliminate(
        decided(
            vary_one_dimension="answer-of-another",
            same_headers_for_two="shared-headers",
        )
    )
    assert result.shown == ("underspecified-key", "replayed-headers")
    assert result.explaining_sets == (frozenset({"underspecified-key", "replayed-headers"}),)


def test_a_severe_fault_does_not_exclude_a_masked_one() -> None:
    result = eliminate(decided(write_then_read="stays-stale"))
    assert result.standings["ack-before-commit"].status == "possible"
    assert eliminate(decided(write_then_read="fresh")).standings["ack-before-commit"].status == "excluded"


def test_what_no_class_explains_is_outside() -> None:
    result = eliminate(decided(answers_when_loaded="wrong-when-loaded"))
    assert result.conclusion == "outside"
    assert result.standings[OUTSIDE].status == "shown"
    assert not result.shown


def test_the_baseline_alone_shows_nothing() -> None:
    result = eliminate(
        decided(
            baseline_answers="wrong-answers",
            vary_one_dimension="own-answer",
            error_then_heal="heals",
            create_after_absent="appears",
            read_stored_entries="as-expected",
        )
    )
    assert not result.shown
    assert result.open_classes == {"clock-content"}
    assert result.conclusion == "open"


def test_explaining_sets_are_the_smallest() -> None:
    assert explaining_sets([frozenset("ab"), frozenset("bc")]) == (frozenset("b"), frozenset("ac"))


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(KeyError):
        eliminate([Decided("repeat-request", "sideways", 1, 1)])


@pytest.mark.parametrize(("databases", "shown"), [("several-databases", {"replica-lag"}), ("one-database", set[str]())])
def test_a_late_commit_and_a_late_replica_look_alike(databases: str, shown: set[str]) -> None:
    """Where no second database can be seen it is left open which of the two it is, and no delete is blamed."""
    made = [
        Decided("databases-in-use", databases, 1, 1),
        Decided("workers-in-use", "one-process", 1, 1),
        Decided("subscribers-in-use", "no-subscribers", 1, 1),
        Decided("layers-in-use", "one-layer", 1, 1),
        Decided("entry-lifetime", "undeclared", 6, 6),
        Decided("keys-read-and-deleted", "same-key", 6, 6),
        Decided("lifetime-runs-down", "runs-down", 6, 6),
        Decided("siblings-in-use", "no-siblings", 1, 1),
        Decided("refresh-then-read", "new", 8, 8),
        Decided("write-then-read", "stays-stale", 8, 8),
    ]
    elimination = eliminate(made)
    assert set(elimination.shown) == shown
    assert shown or {"ack-before-commit", "replica-lag"} <= elimination.open_classes
    assert "invalidate-before-commit" not in elimination.shown


def test_a_fault_that_two_classes_explain_is_looked_for() -> None:
    """A short overlap shows that something is wrong before it shows what."""
    unsettled = eliminate(
        [Decided("keys-read-and-deleted", "same-key", 6, 6), Decided("write-then-read", "fresh", 20, 20)]
    )
    proposals = {one.experiment: one for one in proposals_of(unsettled, Means(NEEDS))}
    assert "none" in proposals["overlapping-reads"].splits


def test_a_race_is_no_replica_that_nobody_saw() -> None:
    """A replica that is behind shows behind a write too, without an overlap."""
    made = [
        Decided(experiment, outcome, 30, 30)
        for experiment, outcome in (
            ("databases-in-use", "one-database"), ("workers-in-use", "one-process"), ("layers-in-use", "one-layer"),
            ("subscribers-in-use", "no-subscribers"), ("siblings-in-use", "no-siblings"),
            ("lifetime-runs-down", "runs-down"), ("entry-lifetime", "undeclared"), ("write-then-read", "fresh"),
            ("keys-read-and-deleted", "same-key"), ("delay-the-delete-reply", "never-stale"),
            ("overlapping-reads", "stale-after-overlap"),
        )
    ]  # fmt: skip
    assert eliminate(made).shown == ("stale-set-race",)
