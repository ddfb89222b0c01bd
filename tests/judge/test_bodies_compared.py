"""Bodies held against each other: each fault has its finding with exact counts, and healthy services have none."""

from __future__ import annotations

import pytest
from cached_answers import Cached, Workload, evidence
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from luckyhit.judge.bodies.chance import fisher
from luckyhit.judge.findings import arms_differ, same_bytes_other_url
from luckyhit.judge.findings.old_data import changed_without_write
from luckyhit.judge.findings.same_bytes_other_url import find as find_wrong_pages
from tier import examples

FINDERS = (same_bytes_other_url.find, changed_without_write.find, arms_differ.find)
HEALTHY = Cached()
EVERYTHING = Workload(pages=2, things=2, empties=2, clocks=2)


def test_pages_that_share_an_entry_are_other_urls_bytes() -> None:
    found = find_wrong_pages(evidence(Cached(forgets_page=True), HEALTHY))
    assert found is not None and found.before is not None and found.after is not None
    assert found.before.count > 100 and found.after.count == 0
    assert found.facts["misses_wrong"] == 0 and found.facts["hits_wrong"] == found.before.count
    assert {found.facts["route"], found.facts["other_route"]} == {"page-0", "page-1"}
    assert found.examples[0]["arm"] == "before" and found.examples[0]["url"] != found.examples[0]["other_url"]


def test_wrong_pages_are_seen_without_a_cache_status() -> None:
    found = find_wrong_pages(evidence(Cached(forgets_page=True, told=False), Cached(told=False)))
    assert found is not None and found.before is not None and found.after is not None
    assert found.before.count > 100 and found.after.count == 0
    assert found.facts["compared"] == "arms"


def test_only_the_routes_that_are_wrong_are_named() -> None:
    found = find_wrong_pages(evidence(Cached(forgets_page=True), HEALTHY, EVERYTHING))
    assert found is not None and {found.facts["route"], found.facts["other_route"]} == {"page-0", "page-1"}
    assert found.facts["routes"] == 2


def test_one_slot_with_two_bodies_is_told_with_its_control() -> None:
    found = arms_differ.find(evidence(Cached(forgets_page=True), HEALTHY))
    assert found is not None
    assert found.facts["made_differ"] == 0 and found.facts["differ_unwritten"] >= arms_differ.FEWEST
    split = ("both_hit", "before_hit", "after_hit", "neither_hit")
    for column in ("slots", "differ"):
        assert sum(int(found.facts.get(f"{cache}_{column}") or 0) for cache in split) == found.facts[column]


@pytest.mark.parametrize("told", [True, False])
def test_a_body_that_comes_back_without_a_write_flaps(told: bool) -> None:
    sick = Cached(copies=3, told=told, lives=2000)
    found = changed_without_write.find(evidence(sick, Cached(told=told), Workload(pages=1, writes=0.02)))
    assert found is not None and found.before is not None and found.after is not None
    assert found.before.count >= changed_without_write.FEWEST and found.after.count == 0
    assert found.examples[0]["arm"] == "before"
    assert found.examples[0]["turns"] >= found.examples[0]["bodies"] > 1


@given(
    st.integers(0, 2**32),
    st.booleans(),
    st.sampled_from([40, 300, 5000]),
    st.sampled_from([Workload(), EVERYTHING, Workload(pages=0, things=2), Workload(writes=0.0), Workload(writes=0.3)]),
    st.sampled_from(["side-by-side", "crossover"]),
)
@settings(max_examples=examples(20), deadline=None)
def test_a_healthy_service_is_accused_of_nothing(
    seed: int, told: bool, lives: int, workload: Workload, design: str
) -> None:
    looked_at = evidence(
        Cached(told=told, lives=lives), Cached(told=told, lives=2 * lives), workload, seed=seed, design=design
    )
    assert [find(looked_at) for find in FINDERS] == [None] * 3


@given(
    st.integers(0, 2**32),
    st.sampled_from([EVERYTHING, Workload(pages=0, things=2), Workload(things=3, writes=0.3, slots=1000)]),
    st.sampled_from([300, 1000, 5000]),
)
@settings(max_examples=examples(12), deadline=None)
def test_old_data_is_not_called_another_urls(seed: int, workload: Workload, lives: int) -> None:
    stale = Cached(keeps_old=True, lives=3000)
    looked_at = evidence(stale, Cached(lives=lives), workload, seed=seed)
    assert [find(looked_at) for find in FINDERS] == [None] * 3


@given(st.integers(0, 2**32), st.booleans(), st.floats(0, 0.3))
@settings(max_examples=examples(8), deadline=None)
def test_each_hit_compared_is_in_exactly_one_class(seed: int, told: bool, writes: float) -> None:
    looked_at = evidence(Cached(forgets_page=True, told=told), Cached(told=told), Workload(writes=writes), seed=seed)
    found, answers = find_wrong_pages(looked_at), looked_at.answers
    assert answers is not None
    if found is None or found.before is None or found.after is None:
        return
    ((hits, misses, whole),) = answers.rows(
        "SELECT count(*) FILTER (hit), count(*) FILTER (own), count(*) FROM answers WHERE measured"
    )
    assert 0 <= found.after.count <= found.before.count <= found.before.of
    if told:
        assert found.before.of + found.after.of == found.facts["hits"] <= hits
        assert found.facts["misses"] == misses and hits + misses == whole
    else:
        assert found.before.of + found.after.of == whole


@given(st.tuples(*[st.integers(0, 60)] * 4))
@settings(max_examples=examples(200), deadline=None)
def test_the_exact_test_agrees_with_scipy(counts: tuple[int, int, int, int]) -> None:
    count, rest, other, other_rest = counts
    expected = fisher_exact([[count, rest], [other, other_rest]], alternative="greater").pvalue
    whole, other_whole = count + rest, other + other_rest
    found = fisher(count, whole, other, other_whole)
    assert found == pytest.approx(expected if whole and other_whole else 1.0, rel=1e-7, abs=1e-12)
