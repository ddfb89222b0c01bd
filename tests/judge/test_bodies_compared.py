"""Bodies compared by their hashes: each fault is found with exact counts, and a healthy service is not accused."""

from __future__ import annotations

import pytest
from cached_answers import Cached, Workload, evidence
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_evidence import find, the_finding
from scipy.stats import fisher_exact

from luckyhit.judge.findings.answer_bodies import FEWEST_DIFFERENT, FEWEST_FLAPPING, fisher
from tier import examples

WRONG_PAGES, FLAPS, ARMS = "same-bytes-other-url", "changed-without-write", "arms-differ"
HEALTHY = Cached()
EVERYTHING = Workload(pages=2, things=2, empties=2, clocks=2)


@pytest.mark.parametrize("shows_status", [True, False])
def test_pages_that_share_an_entry_are_other_urls_bytes(shows_status: bool) -> None:
    sick, healthy = Cached(forgets_page=True, shows_status=shows_status), Cached(shows_status=shows_status)
    finding = the_finding(WRONG_PAGES, evidence(sick, healthy))
    assert finding.before is not None and finding.after is not None
    assert finding.before.count > 100 and finding.after.count == 0
    assert finding.facts["compared"] == ("misses" if shows_status else "arms")
    if shows_status:
        assert finding.facts["misses_wrong"] == 0 and finding.facts["hits_wrong"] == finding.before.count
        assert finding.examples[0]["arm"] == "before"
        assert finding.examples[0]["url"] != finding.examples[0]["other_url"]


def test_only_the_wrong_routes_are_named() -> None:
    facts = the_finding(WRONG_PAGES, evidence(Cached(forgets_page=True), HEALTHY, EVERYTHING)).facts
    assert {facts["route"], facts["other_route"], facts["routes"]} == {"page-0", "page-1", 2}


def test_differing_slots_add_up_over_cache_statuses() -> None:
    facts = the_finding(ARMS, evidence(Cached(forgets_page=True), HEALTHY)).facts
    assert int(facts["differ_unwritten"] or 0) >= FEWEST_DIFFERENT
    split = ("both_hit", "before_hit", "after_hit", "neither_hit")
    for column in ("slots", "differ"):
        assert sum(int(facts.get(f"{cache}_{column}") or 0) for cache in split) == facts[column]


@pytest.mark.parametrize("shows_status", [True, False])
def test_a_body_that_comes_back_without_a_write_flaps(shows_status: bool) -> None:
    sick = Cached(copies=3, shows_status=shows_status, lives=2000)
    workload = Workload(pages=1, writes=0.02)
    finding = the_finding(FLAPS, evidence(sick, Cached(shows_status=shows_status), workload))
    assert finding.before is not None and finding.after is not None
    assert finding.before.count >= FEWEST_FLAPPING and finding.after.count == 0
    (example, *_) = finding.examples
    assert example["arm"] == "before" and example["turns"] >= example["bodies"] > 1  # type: ignore[operator]


@given(
    st.integers(0, 2**32),
    st.booleans(),
    st.sampled_from([40, 300, 5000]),
    st.sampled_from([Workload(), EVERYTHING, Workload(pages=0, things=2), Workload(writes=0.0), Workload(writes=0.3)]),
    st.sampled_from(["side-by-side", "crossover"]),
)
@settings(max_examples=examples(20), deadline=None)
def test_a_healthy_service_is_accused_of_nothing(
    seed: int, shows_status: bool, lives: int, workload: Workload, design: str
) -> None:
    arms = Cached(shows_status=shows_status, lives=lives), Cached(shows_status=shows_status, lives=2 * lives)
    records = evidence(*arms, workload, seed=seed, design=design)
    assert [find(id_, records) for id_ in (WRONG_PAGES, FLAPS, ARMS)] == [None] * 3


@given(
    st.integers(0, 2**32),
    st.sampled_from([EVERYTHING, Workload(pages=0, things=2), Workload(things=3, writes=0.3, slots=1000)]),
    st.sampled_from([300, 1000, 5000]),
)
@settings(max_examples=examples(12), deadline=None)
def test_old_data_is_not_another_urls(seed: int, workload: Workload, lives: int) -> None:
    records = evidence(Cached(keeps_old=True, lives=3000), Cached(lives=lives), workload, seed=seed)
    assert [find(id_, records) for id_ in (WRONG_PAGES, FLAPS, ARMS)] == [None] * 3


@given(st.integers(0, 2**32), st.booleans(), st.floats(0, 0.3))
@settings(max_examples=examples(8), deadline=None)
def test_each_hit_compared_is_in_exactly_one_class(seed: int, shows_status: bool, writes: float) -> None:
    sick, healthy = Cached(forgets_page=True, shows_status=shows_status), Cached(shows_status=shows_status)
    records = evidence(sick, healthy, Workload(writes=writes), seed=seed)
    finding, answers = find(WRONG_PAGES, records), records.answers
    assert answers is not None
    if finding is None or finding.before is None or finding.after is None:
        return
    ((hits, misses, whole),) = answers.rows(
        "SELECT count(*) FILTER (hit), count(*) FILTER (own), count(*) FROM answers WHERE measured"
    )
    assert 0 <= finding.after.count <= finding.before.count <= finding.before.of
    if shows_status:
        assert finding.before.of + finding.after.of == finding.facts["hits"] <= hits
        assert finding.facts["misses"] == misses and hits + misses == whole
    else:
        assert finding.before.of + finding.after.of == whole


@given(st.tuples(*[st.integers(0, 60)] * 4))
@settings(max_examples=examples(200), deadline=None)
def test_the_exact_test_agrees_with_scipy(counts: tuple[int, int, int, int]) -> None:
    count, rest, other, other_rest = counts
    expected = fisher_exact([[count, rest], [other, other_rest]], alternative="greater").pvalue
    chance = fisher(count, count + rest, other, other + other_rest)
    assert chance == pytest.approx(expected if count + rest and other + other_rest else 1.0, rel=1e-7, abs=1e-12)
