"""The knee, the Pareto line, and how settings are written."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_in_memory import Behaviour, run_of

from luckyhit.errors import ArgumentError
from luckyhit.whatif.answering import WhatIfQuestion, ask
from luckyhit.whatif.knee_and_pareto import hot_keys, knee_of, pareto
from luckyhit.whatif.recorded.recorded_trace import recorded_trace
from luckyhit.whatif.settings_now import Variable, parse_size, parse_ttl, ttl_text
from luckyhit.whatif.surfaces import VALUE


def test_the_knee_is_where_a_curve_bends() -> None:
    sizes = [10, 20, 40, 80, 160, 320]
    knee = knee_of(sizes, np.array([0.1, 0.4, 0.7, 0.72, 0.74, 0.75]))
    assert knee is not None and (knee.at, knee.last) == (40, 320)
    assert knee_of(sizes, np.array([0.001, 0.002, 0.01, 0.06, 0.3, 0.99])) is None, "it rises ever more steeply"
    assert knee_of(sizes, np.linspace(0.1, 0.9, 6)) is None, "it rises evenly"
    assert knee_of(sizes, np.full(6, 0.5)) is None and knee_of(sizes[:2], np.array([0.1, 0.9])) is None


def test_no_point_beats_one_of_the_pareto_line(tmp_path) -> None:
    answer = ask(recorded_trace(run_of(tmp_path, Behaviour())), WhatIfQuestion(now_ttl_s=2.0, rule="none"))
    line = pareto(answer.surface)
    assert len(line) > 2
    stale, calls = answer.surface.stale[VALUE], answer.surface.calls[VALUE]
    for point in line:
        assert not ((stale < point.stale - 1e-9) & (calls <= point.cost)).any()
        assert not ((stale <= point.stale) & (calls < point.cost - 1e-9)).any()


def test_hot_keys_are_those_with_most_misses(tmp_path) -> None:
    recording = recorded_trace(run_of(tmp_path, Behaviour()))
    answer = ask(recording, WhatIfQuestion(now_ttl_s=2.0, rule="none"))
    keys = hot_keys(recording, answer.rule, answer.grid.sizes[-1], 2 * 10**9)
    assert [key.misses for key in keys] == sorted((key.misses for key in keys), reverse=True)
    assert keys[0].name.startswith("/items/") and sum(key.miss_share for key in keys) <= 1


@given(st.sampled_from([0.05, 0.25, 1, 1.5, 30, 60, 90, 3600, 86400, inf]))
def test_a_ttl_is_read_as_it_is_written(ttl_s) -> None:
    assert parse_ttl(ttl_text(ttl_s)) == pytest.approx(ttl_s)


@pytest.mark.parametrize("text", ["", "5", "-1s", "0s", "5 weeks", "1e9s", "fast"])
def test_a_ttl_without_its_unit_is_refused(text) -> None:
    with pytest.raises(ArgumentError):
        parse_ttl(text)


@pytest.mark.parametrize(("text", "size"), [("20000", 20_000), ("8MB", 8_000_000), ("1 KiB", 1024), ("1.5kB", 1500)])
def test_a_size_is_read_with_its_unit(text, size) -> None:
    assert parse_size(text, by_bytes=True) == size


@pytest.mark.parametrize(("text", "by_bytes"), [("8MB", False), ("", True), ("0", True), ("5 entries", False)])
def test_a_size_of_another_unit_is_refused(text, by_bytes) -> None:
    with pytest.raises(ArgumentError):
        parse_size(text, by_bytes=by_bytes)


def test_a_variable_holds_seconds_or_milliseconds() -> None:
    assert Variable("CACHE_TTL_MS", "1500").ttl_s == 1.5 and Variable("CACHE_TTL_MS", "").of_ttl(2.5) == "2500"
    assert Variable("CACHE_TTL", "90").ttl_s == 90 and Variable("CACHE_TTL", "often").ttl_s is None
