"""From a run to an answer: what is in the trace, whether the model fits the service, and what it says then."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_in_memory import ROUTES, Behaviour, run_of

from luckyhit.errors import NotEnoughData
from luckyhit.whatif.answering import WhatIfQuestion, ask
from luckyhit.whatif.recorded.recorded_trace import recorded_trace, resource_of
from luckyhit.whatif.surfaces import VALUE
from luckyhit.whatif.today import inside, measured

PLAIN = Behaviour()


def asked(folder, behaviour=PLAIN, now_ttl_s=2.0, **knobs):
    return ask(recorded_trace(run_of(folder, behaviour, **knobs)), WhatIfQuestion(now_ttl_s=now_ttl_s))


@pytest.mark.parametrize(("deletes", "rule"), [(False, "none"), (True, "on-write")])
def test_a_plain_cache_is_predicted_as_measured(tmp_path, deletes, rule) -> None:
    answer = asked(tmp_path, Behaviour(deletes=deletes))
    assert answer.fit is not None and answer.fit.is_fit and answer.rule.id == rule and answer.fit.is_decided
    fact = answer.fact
    assert fact.hit_ratio is not None and fact.stale is not None
    assert answer.fit.hit_ratio == pytest.approx(fact.hit_ratio[1], abs=0.01)
    assert answer.fit.stale == pytest.approx(fact.stale[1], abs=0.01)


def test_another_ttl_is_what_such_a_service_shows(tmp_path) -> None:
    answer = asked(tmp_path, Behaviour())
    for ttl_s in (0.5, 1.0, 5.0):
        folder = tmp_path / f"{ttl_s}"
        folder.mkdir()
        real = measured(recorded_trace(run_of(folder, Behaviour(ttl_s=ttl_s))))
        predicted = answer.surface.at(answer.grid.sizes[-1], ttl_s)
        assert real.hit_ratio is not None
        assert predicted["hit_ratio"][1] == pytest.approx(real.hit_ratio[1], abs=0.01)
        assert predicted["calls"][1] == pytest.approx((1 - real.hit_ratio[1]) * 3, abs=0.03)
        assert inside(predicted["stale"][1], real.stale)


def test_renewed_entries_make_the_model_unfit(tmp_path) -> None:
    fit = asked(tmp_path, Behaviour(renews=True, ttl_s=1.0), now_ttl_s=1.0).fit
    assert fit is not None and not fit.is_fit and fit.why[0][0] == "hit-when-expired"


def test_unexplained_deletions_make_the_model_unfit(tmp_path) -> None:
    fit = asked(tmp_path, Behaviour(sweeps=0.5)).fit
    assert fit is not None and not fit.is_fit and fit.why[0][0] == "miss-when-stored"


def test_without_a_cache_status_nothing_is_checked(tmp_path) -> None:
    answer = asked(tmp_path, Behaviour(told=False))
    assert answer.fit is None and answer.fact.hit_ratio is None
    assert np.isnan(answer.surface.calls[VALUE]).all() and answer.surface.hit_ratio[VALUE].max() > 0.5


def test_without_sizes_entries_are_counted(tmp_path) -> None:
    recording = recorded_trace(run_of(tmp_path, Behaviour(sized=False)))
    assert not recording.trace.by_bytes and set(recording.trace.weight.tolist()) == {1}


def test_latency_and_memory_follow_the_hits(tmp_path) -> None:
    surface = asked(tmp_path).surface
    hits, mean = surface.hit_ratio[VALUE, -1], surface.mean_ms[VALUE, -1]
    assert (np.diff(hits) >= 0).all() and (np.diff(mean) <= 1e-9).all()
    assert mean == pytest.approx(2 * hits + 12 * (1 - hits))
    assert (np.diff(surface.memory[-1]) >= -1e-9).all() and surface.memory[-1].max() <= surface.grid.sizes[-1]


BAD = {
    "one key": ({"keys": 1, "writes": 0.0}, "entry"),
    "no repeats": ({"reads": 60, "keys": 10**9, "writes": 0.0}, "twice"),
    "all writes": ({"writes": 1.0}, "writes"),
    "another arm": ({"arm": "after"}, "--arm"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_recording_without_a_curve_is_refused(tmp_path, name) -> None:
    knobs, word = BAD[name]
    with pytest.raises(NotEnoughData) as refused:
        asked(tmp_path, **knobs)
    assert word in str(refused.value) and refused.value.hint


def test_a_random_path_counts_as_uncached(tmp_path) -> None:
    routes = [*ROUTES, {"name": "search", "path": "/search?q={number}"}]
    run = run_of(tmp_path, parts={"workload": {"seed": 7, "rate": "50/s", "routes": routes}})
    recording = recorded_trace(run)
    assert recording.trace.classes == ("item",) and any("search" in note for note in recording.notes)


@given(st.sampled_from(["/a/{key}", "/a/{key}/b", "/a?id={key}", "/a/?x={key}&y=1"]), st.text("abc1", min_size=1))
def test_paths_of_one_key_are_one_resource(path, key) -> None:
    assert resource_of(path, key) == f"/a/{key}" != resource_of("/c/{key}", key)


def test_a_ttl_of_none_is_the_longest_of_all(tmp_path) -> None:
    recording = recorded_trace(run_of(tmp_path))
    answer = ask(recording, WhatIfQuestion(ttls_s=(0.5, inf), now_ttl_s=2.0))
    assert answer.grid.ttls_s == (0.5, 2.0, inf)
    assert answer.surface.hit_ratio[VALUE, -1].argmax() == 2
    small = ask(replace(recording, trace=recording.trace.by_number()), WhatIfQuestion(sizes=(1, 5, 40), now_ttl_s=2.0))
    assert (np.diff(small.surface.hit_ratio[VALUE], axis=0) >= 0).all()
