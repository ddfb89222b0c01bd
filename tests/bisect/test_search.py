"""The search itself: how many comparisons it makes, what it concludes, and that noise never names a wrong commit."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated import SimulatedComparison, new_record, revisions_of

from luckyhit.bisect.search import comparisons_needed, conclusion_of, next_question, position_of
from luckyhit.bisect.searching import search
from luckyhit.records.bisection import Bisection, BisectStep
from tier import examples

MANY = revisions_of(64)


def concluded(comparison: SimulatedComparison, at_most: int | None = None) -> Bisection:
    return search(new_record(comparison.revisions, at_most), comparison, lambda _: None)


@pytest.mark.parametrize("bad_at", range(1, 64))
def test_each_of_64_is_found_in_eight(bad_at: int) -> None:
    broken = random.Random(bad_at).sample([n for n in range(1, 63) if n not in (bad_at, bad_at - 1)], 3)
    record = concluded(SimulatedComparison(MANY, bad_at, broken=broken))
    assert (record.conclusion, record.first_with, record.confirmed) == ("found", MANY[bad_at], True)
    assert record.last_without == MANY[bad_at - 1]
    assert record.compared <= 8


def test_one_candidate_needs_one_comparison() -> None:
    record = concluded(SimulatedComparison(MANY[:2], 1))
    assert (record.conclusion, record.compared, record.confirmed) == ("found", 1, True)


@settings(max_examples=examples(300))
@given(st.integers(2, 80), st.data())
def test_what_cant_start_is_named_as_a_range(count: int, data: st.DataObject) -> None:
    """Whatever is broken: the range holds the commit, and all in it that were not compared are broken."""
    bad_at = data.draw(st.integers(1, count - 1))
    broken = data.draw(st.sets(st.integers(1, max(count - 2, 1)), max_size=count)) - {count - 1}
    comparison = SimulatedComparison(revisions_of(count), bad_at, broken=broken)
    record = concluded(comparison, at_most=200)
    numbers = [comparison.revisions.index(revision) for revision in record.remaining]
    assert bad_at in numbers or bad_at in broken
    starting = [number for number in range(count) if number not in broken]
    first = min(number for number in starting if number >= bad_at)
    last = max(number for number in starting if number < bad_at)
    assert numbers == list(range(last + 1, first + 1))
    assert record.conclusion == ("found" if first == last + 1 else "cannot-tell")
    assert record.compared <= comparisons_needed(count - 1)


def test_a_broken_stretch_is_not_tried_one_by_one() -> None:
    comparison = SimulatedComparison(MANY, bad_at=60, broken=range(15, 50))
    record = concluded(comparison)
    assert (record.conclusion, record.first_with) == ("found", MANY[60])
    assert sum(step.outcome == "not-started" for step in record.steps) <= 10


@settings(max_examples=examples(400))
@given(st.integers(0, 10**6), st.floats(0.02, 0.4), st.integers(1, 63), st.sets(st.integers(1, 62), max_size=3))
def test_noise_never_names_a_wrong_commit(seed: int, noise: float, bad_at: int, broken: set[int]) -> None:
    comparison = SimulatedComparison(MANY, bad_at, noise, broken=broken, rng=random.Random(seed))
    record = concluded(comparison)
    if record.conclusion == "found":
        assert record.first_with == MANY[bad_at]
    elif record.conclusion == "cannot-tell":
        assert MANY[bad_at] in record.remaining


def test_noise_lengthens_and_still_finds() -> None:
    ends: Counter[str | None] = Counter()
    lengthened = 0
    for seed in range(20):
        rng = random.Random(seed)
        broken = rng.sample([n for n in range(1, 63) if n not in (30, 31)], 3)
        record = concluded(SimulatedComparison(MANY, 31, 0.12, broken=broken, rng=rng))
        ends[record.conclusion] += 1
        lengthened += sum(step.attempts > 1 for step in record.steps)
        assert record.compared <= 8
    assert ends == {"found": 20} and lengthened > 20


def test_a_bad_revision_without_the_fault_ends_it() -> None:
    record = concluded(SimulatedComparison(MANY, bad_at=64))
    assert (record.conclusion, record.compared, record.remaining) == ("no-difference", 1, [])


def test_undecided_ends_are_said() -> None:
    record = concluded(SimulatedComparison(MANY, 20, noise=3.0))
    assert (record.conclusion, record.compared) == ("ends-undecided", 1)


def test_the_limit_leaves_a_range() -> None:
    record = concluded(SimulatedComparison(MANY, 20), at_most=4)
    assert (record.conclusion, record.compared) == ("cannot-tell", 4)
    assert MANY[20] in record.remaining and len(record.remaining) < 10


def test_without_room_to_confirm_it_is_said() -> None:
    record = concluded(SimulatedComparison(MANY, 20), at_most=7)
    assert (record.conclusion, record.first_with, record.confirmed) == ("found", MANY[20], None)


def test_a_commit_no_worse_than_its_parent_is_not_named() -> None:
    """A fault that grows over several commits has no culprit."""
    comparison = SimulatedComparison(MANY[:9], bad_at=5)
    record = new_record(MANY[:9])
    while (question := next_question(record)) is not None:
        answer = comparison.compare(question, record.margins)
        outcome = "not-hurt" if question.purpose == "confirmation" else answer.outcome
        step = BisectStep(number=1, outcome=outcome, **question.model_dump())
        record = record.with_step(step, margins={"stale_reads": "50 %"})
    conclusion = conclusion_of(record)
    assert conclusion is not None and (conclusion.id, conclusion.confirmed) == ("contradictory", False)


@pytest.mark.parametrize("saved", range(9))
def test_a_killed_search_goes_on_with_its_comparison(saved: int) -> None:
    """Wherever it is killed, it asks that again, and nothing that is answered."""

    class Killed(Exception):
        pass

    kept: list[Bisection] = []

    def save(record: Bisection) -> None:
        kept.append(record)
        if len(kept) == saved + 1:
            raise Killed

    comparison = SimulatedComparison(MANY[:9], 5, broken={4})
    with pytest.raises(Killed):
        search(new_record(MANY[:9]), comparison, save)
    ahead = kept[-1].ahead
    again = SimulatedComparison(MANY[:9], 5, broken={4})
    record = search(kept[-1], again, lambda _: None)
    assert ahead is None or again.asked[0] == ahead
    answered = {(step.before, step.after) for step in kept[-1].steps}
    assert not answered & {(question.before, question.after) for question in again.asked}
    assert (record.conclusion, record.remaining) == ("cannot-tell", [MANY[4], MANY[5]])
    assert record.ahead is None


def test_position_names_what_is_between() -> None:
    record = new_record(MANY[:9])
    position = position_of(record)
    assert (position.last_without, position.first_with, position.open) == (-1, 7, tuple(range(7)))
