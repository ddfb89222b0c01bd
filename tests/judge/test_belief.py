"""Whether the cache status of an arm can be believed: each kind of lie, and the services that only look like one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cached_service import TRUTHFUL, serve, writing_case
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_blocks import Records, a_run

from luckyhit.judge.belief import Belief, believe
from luckyhit.judge.belief.doubt_checks import chance_of_longer
from luckyhit.judge.table.samples import CACHE, rows_of
from luckyhit.records import CountOf, DoubtId, Result
from tier import examples

WITH_CALLS: DoubtId = "hit-with-db-calls"
WITH_NEW_BODY: DoubtId = "hit-with-new-body"
GOALS = {"latency_p50_ms": {"want": "better", "margin": "10 %"}, "hit_ratio": {"want": "no-worse", "margin": "5 %"}}


def believed(frame: pd.DataFrame, case: Any, counted: pd.DataFrame | None = None) -> Belief:
    def load(columns: Sequence[str]) -> Iterator[pd.DataFrame]:
        yield frame[list(columns)]

    return believe(rows_of(frame), case, load, counted)


def ids(belief: Belief, arm: str) -> set[str]:
    return {doubt.id for doubt in belief.doubts.get(arm, [])}


def counters(frame: pd.DataFrame, hits: dict[str, int], misses: dict[str, int]) -> pd.DataFrame:
    """The cache's own, at the start and at the end of each block."""
    rows = []
    for (arm, block), part in frame.groupby(["arm", "block"]):
        for name, grown in (("keyspace_hits", hits[arm]), ("keyspace_misses", misses[arm])):
            for at, value in ((part["due_ns"].min(), 5.0), (part["due_ns"].max(), 5.0 + grown)):
                rows.append({"arm": arm, "block": block, "at_ns": at, "name": name, "value": value})
    return pd.DataFrame(rows)


# Services that tell the truth


@given(
    before=st.sampled_from(TRUTHFUL),
    after=st.sampled_from(TRUTHFUL),
    seed=st.integers(0, 10_000),
    calls=st.integers(1, 3),
    lifetime=st.sampled_from([40, 200, 2000]),
    writes=st.sampled_from([0.0, 0.05, 0.3]),
    keys=st.sampled_from([5, 60, 600]),
    query_ms=st.sampled_from([0.2, 4.0]),
)
@settings(max_examples=examples(30), deadline=None)
def test_a_truthful_service_is_never_accused(
    before: str, after: str, seed: int, calls: int, lifetime: int, writes: float, keys: int, query_ms: float
) -> None:
    knobs = {"calls": calls, "lifetime": lifetime, "query_ms": query_ms}
    arms = {"before": {"kind": before, **knobs}, "after": {"kind": after, **knobs}}
    frame = serve(seed, arms, count=600, writes=writes, keys=keys)
    belief = believed(frame, writing_case())
    assert belief.doubts == {}
    assert {arm for arm, kind in (("before", before), ("after", after)) if kind == "replayed"} >= set(belief.replayed)


@pytest.mark.parametrize("kind", TRUTHFUL)
def test_what_looks_like_a_lie_is_none(kind: str) -> None:
    frame = serve(3, {"before": {"kind": kind}, "after": {"kind": "whole-answer"}}, count=600, writes=0.1)
    assert believed(frame, writing_case()).doubts == {}


def test_both_arms_far_from_the_counters_is_no_sign() -> None:
    frame = serve(1, {"before": {}, "after": {}})
    own = counters(frame, {"before": 100, "after": 100}, {"before": 900, "after": 900})
    assert believed(frame, writing_case(), own).doubts == {}


# Lies


def test_hits_that_ran_the_view_decide_it_alone() -> None:
    frame = serve(1, {"before": {"lie": "reads"}, "after": {}}, writes=0.0)
    belief = believed(frame, a_case(freshness=False))
    (doubt,) = belief.doubts["before"]
    made = frame[(frame["arm"] == "before") & (frame["db_calls"] == 2)]
    assert (doubt.id, doubt.facts["miss_calls"]) == (WITH_CALLS, 2)
    # Those that tell the count of the answer before are left out: a stored one would, too.
    assert 0.7 * len(made) < doubt.count <= len(made) and doubt.of == len(frame) // 2
    assert set(belief.doubts) == {"before"}


def test_without_a_miss_anywhere_two_kinds_are_enough() -> None:
    frame = serve(1, {"before": {"lie": "all"}, "after": {"lie": "all"}})
    belief = believed(frame, writing_case())
    assert ids(belief, "before") == ids(belief, "after") == {WITH_CALLS, "hit-on-write"}


def test_writes_that_say_hit_are_counted() -> None:
    frame = serve(1, {"before": {"lie": "all"}, "after": {}})
    doubts = {doubt.id: doubt for doubt in believed(frame, writing_case()).doubts["before"]}
    writes = int(np.count_nonzero((frame["arm"] == "before") & (frame["route"] == "update")))
    assert (doubts["hit-on-write"].count, doubts["hit-on-write"].of) == (writes, writes)


def test_new_bodies_on_slow_hits_are_a_sign_without_calls() -> None:
    lying = {"kind": "stamped", "lie": "all", "lifetime": 600}
    frame = serve(1, {"before": lying, "after": {}}, count=4000, keys=30, writes=0.01)
    frame["db_calls"] = None
    assert ids(believed(frame, writing_case()), "before") >= {WITH_NEW_BODY, "hit-on-write"}


def test_the_arm_that_leaves_the_counters_is_the_one_in_doubt() -> None:
    frame = serve(1, {"before": {"lie": "all", "lifetime": 100}, "after": {"lifetime": 100}})
    truth = frame[(frame["arm"] == "after") & (frame["route"] == "detail")]
    hits, misses = (int(np.count_nonzero(truth["cache"] == status)) // 2 for status in ("hit", "miss"))
    own = counters(frame, {"before": hits, "after": hits}, {"before": misses, "after": misses})
    belief = believed(frame, writing_case(), own)
    doubts = {doubt.id: doubt for doubt in belief.doubts["before"]}
    assert set(belief.doubts) == {"before"}
    assert doubts["counters-disagree"].facts["by_answers"] == 1.0
    assert doubts["counters-disagree"].facts["by_counters"] == pytest.approx(hits / (hits + misses))


# What becomes of it


@pytest.fixture(scope="module")
def in_doubt() -> Result:
    """The same cache in both arms; one says hit on each answer. The other does not always tell its calls."""
    run = a_run(3)
    run.requests.loc[run.requests["arm"] == "before", "cache"] = "hit"
    run.requests.loc[(run.requests["arm"] == "after") & (run.requests["slot"] % 10 == 0), "db_calls"] = np.nan
    return run.judge(a_case(GOALS))


def test_an_arm_in_doubt_has_no_hit_ratio_anywhere(in_doubt: Result) -> None:
    metric = in_doubt.metrics["hit_ratio"]
    assert (metric.before, metric.effect, metric.low, metric.high) == (None, None, None, None)
    assert metric.after == pytest.approx(0.8, abs=0.05)
    assert in_doubt.naive.hit_ratio_before is None and "hit_ratio" not in in_doubt.noise_floor
    assert not any(event.metric == "hit_ratio" and "before" in event.arms for event in in_doubt.events)
    assert (in_doubt.miss_calls, in_doubt.unseen_status) == ({}, ("before",))


def test_a_goal_on_it_is_open_and_the_run_is_never_hurt(in_doubt: Result) -> None:
    assert in_doubt.metrics["hit_ratio"].verdict == "INCONCLUSIVE"
    assert in_doubt.verdict == "INCONCLUSIVE" and all(guard.ok for guard in in_doubt.guards)
    assert [doubt.count > 0 for doubt in in_doubt.doubts["before"]] == [True]


@pytest.mark.parametrize("liar", ["before", "after"])
def test_database_calls_tell_the_hit_ratio_of_a_liar(liar: str) -> None:
    truth = a_run(3).judge(a_case(GOALS)).metrics["hit_ratio"]
    run = a_run(3)
    run.requests.loc[run.requests["arm"] == liar, "cache"] = "hit"
    result = run.judge(a_case(GOALS))
    assert list(result.doubts) == [liar] and result.unseen_status == ()
    counted = result.metrics["hit_ratio"]
    assert (counted.before, counted.after, counted.verdict) == (truth.before, truth.after, "EQUIVALENT")
    assert set(result.miss_calls.values()) == {2}


@given(seed=st.integers(0, 10_000), calls=st.integers(1, 3), liar=st.sampled_from(["before", "after"]))
@settings(max_examples=examples(10), deadline=None)
def test_calls_that_do_not_tell_the_status_are_not_asked(seed: int, calls: int, liar: str) -> None:
    """What is cached is not what the database gives: hits make as many calls as misses."""
    other = "after" if liar == "before" else "before"
    arms = {liar: {"lie": "all", "calls": calls}, other: {"kind": "computed", "calls": calls}}
    belief = believed(serve(seed, arms, count=600, writes=0.1), writing_case())
    assert belief.miss_calls == {}


@given(seed=st.integers(0, 10_000), calls=st.integers(1, 3), lifetime=st.sampled_from([40, 200]))
@settings(max_examples=examples(10), deadline=None)
def test_the_status_by_calls_is_the_true_one(seed: int, calls: int, lifetime: int) -> None:
    arms = {"before": {"lie": "all"}, "after": {}}
    knobs = {"calls": calls, "lifetime": lifetime}
    frame = serve(seed, {arm: {**own, **knobs} for arm, own in arms.items()}, writes=0.1)
    honest = rows_of(serve(seed, dict.fromkeys(arms, knobs), writes=0.1))
    belief, rows = believed(frame, writing_case()), rows_of(frame)
    if not belief.miss_calls:
        return
    counted, reads = belief.applied(rows), rows.route == rows.routes.index("detail")
    assert np.array_equal(counted.cache[reads], honest.cache[reads])
    assert set(counted.cache[~reads].tolist()) == {CACHE.index("unknown")}, "of writes, in neither arm"


# Counts that are replayed


def replaying(**knobs: Any) -> Records:
    """Hits of both arms tell the two calls of their fill."""
    run = a_run(5, before=knobs, after=knobs, blocks=3, probed=False)
    run.requests["db_calls"] = 2
    run.requests["body_hash"] = run.requests["key"].astype(np.int64)
    return run


def test_the_count_of_the_fill_is_not_that_of_the_hit() -> None:
    run = replaying()
    result = run.judge(a_case({"db_calls": {"want": "no-worse", "margin": "10 %"}}, freshness=False))
    missed = 1 - result.metrics["hit_ratio"].before
    assert result.metrics["db_calls"].before == pytest.approx(2 * missed, abs=0.01)
    counts = result.replayed["before"]["detail"]
    assert counts == CountOf(count=counts.of, of=counts.of) and counts.of > 500 and result.doubts == {}


@pytest.mark.parametrize("broken", ["slow hits", "new bodies", "other counts", "no bodies"])
def test_hits_that_may_have_run_them_keep_their_calls(broken: str) -> None:
    run = replaying(**({"hit_ms": 11.0} if broken == "slow hits" else {}))
    frame = run.requests
    if broken == "new bodies":
        frame["body_hash"] = np.arange(len(frame))
    elif broken == "other counts":
        frame.loc[frame["cache"] == "hit", "db_calls"] = 1
    elif broken == "no bodies":
        frame["body_hash"] = None
    result = run.judge(a_case({"db_calls": {"want": "no-worse", "margin": "10 %"}}, freshness=False))
    assert result.replayed == {} and result.doubts == {}
    assert result.metrics["db_calls"].before >= 1


# The measure


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=examples(50), deadline=None)
def test_chance_of_longer_counts_pairs_of_a_window(rows: list[tuple[int, int, bool]]) -> None:
    value, window, one = (np.array(column) for column in zip(*rows, strict=True))
    pairs = [
        (first > second) + 0.5 * (first == second)
        for first, place, which in rows
        for second, other_place, other in rows
        if which and not other and place == other_place
    ]
    chance, deviations = chance_of_longer(value.astype(float), window, one, ~one)
    assert chance == pytest.approx(np.mean(pairs) if pairs else 0.5)
    assert np.sign(deviations) == np.sign(round(chance - 0.5, 9))
