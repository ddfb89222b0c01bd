"""One trial has the outcome that its observations say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge.diagnosis.experiment_rows import EXPERIMENTS
from luckyhit.judge.diagnosis.trials import (
    ReadAfterWrite,
    after_write,
    burst,
    growth,
    indicator,
    lifetime,
    repeated,
    stale_window,
    stored_keys,
    touched_keys,
    with_delay,
)

OLD, NEW = 1, 2


def reads(*versions: int | None, every_s: float = 1.0) -> list[ReadAfterWrite]:
    return [ReadAfterWrite(index * every_s, version) for index, version in enumerate(versions)]


@pytest.mark.parametrize(
    ("versions", "bound_s", "ttl_s", "outcome"),
    [
        ([NEW, NEW], 0.0, None, "fresh"),
        ([OLD, OLD, OLD], 0.0, None, "stays-stale"),
        ([OLD, NEW, NEW], 0.0, None, "first-read-stale"),
        ([OLD, OLD, NEW], 0.0, 2.0, "stays-stale"),
        ([OLD, NEW, OLD], 0.0, None, "flapping"),
        ([NEW, OLD], 0.0, None, "flapping"),
        ([OLD, OLD, NEW], 1.0, None, "within-bound"),
        ([OLD, OLD], 5.0, None, None),
        ([None, None], 0.0, None, None),
        ([], 0.0, None, None),
    ],
)
def test_reads_after_a_write(
    versions: list[int | None], bound_s: float, ttl_s: float | None, outcome: str | None
) -> None:
    assert after_write(reads(*versions), NEW, bound_s, ttl_s) == outcome


@given(
    st.lists(st.builds(ReadAfterWrite, st.floats(0, 60), st.none() | st.integers(0, 3), st.integers(0, 3)), max_size=8),
    st.floats(0, 60),
)
def test_any_reads_have_an_outcome_of_the_table(some: list[ReadAfterWrite], bound_s: float) -> None:
    outcome = after_write(some, NEW, bound_s)
    assert outcome is None or EXPERIMENTS["write-then-read"].outcome(outcome)
    assert after_write(list(reversed(some)), NEW, bound_s) == outcome
    if all(read.version is not None and read.version >= NEW for read in some) and some:
        assert outcome == "fresh"


def test_repeats() -> None:
    assert repeated([False, False]) == "hit"
    assert repeated([True, False]) == "some-misses"
    assert repeated([True, True]) == "always-miss"
    assert repeated([]) is None


@pytest.mark.parametrize(
    ("stored", "outcome"),
    [
        ([{"k"}, (), ()], "one-key"),
        ([(), (), ()], "nothing-stored"),
        ([{"k"}, {"k"}, {"k"}], "stored-again"),
        ([{"k"}, {"k"}, ()], "stored-again"),
        ([{"a"}, {"b"}, {"c"}], "new-key-each-time"),
        ([{"a", "index"}, {"b", "index"}], "new-key-each-time"),
        ([{"a"}], None),
    ],
)
def test_keys_of_a_repeat(stored: list[set[str]], outcome: str | None) -> None:
    assert stored_keys(stored) == outcome


def test_keys_of_a_write() -> None:
    assert touched_keys({"k"}, {"k", "index"}) == "same-key"
    assert touched_keys({"k"}, {"v1:k"}) == "other-key"
    assert touched_keys({"k"}, ()) == "nothing-touched"
    assert touched_keys({"k"}, (), flushed=True) == "many-keys"
    assert touched_keys({"k"}, {f"item:{number}" for number in range(100)}) == "many-keys"
    assert touched_keys((), {"k"}) is None


def test_bursts() -> None:
    assert burst(20, 1, 1, 500.0, 50.0) == "one-load"
    assert burst(20, 2, 2, 500.0, 50.0) == "one-per-worker"
    assert burst(20, 20, 1, 500.0, 50.0) == "many-loads"
    assert burst(20, 20, 1, 55.0, 50.0) == "many-without-harm"
    assert burst(12, 12, 1, 126.0, 42.7) is None
    assert burst(12, 4, 1, 126.0, 42.7) == "many-without-harm"
    assert burst(20, 0, 1, 55.0, 50.0) is None


@pytest.mark.parametrize(
    ("left_s", "outcome"),
    [(60.0, "as-declared"), (59.0, "as-declared"), (None, "no-ttl"), (600, "longer"), (5, "shorter")],
)
def test_lifetimes(left_s: float | None, outcome: str) -> None:
    assert lifetime(left_s, 60.0) == outcome
    assert lifetime(left_s, 60.0, exists=False) == "gone-at-once"


def test_windows_of_staleness() -> None:
    assert stale_window(None, 90.0, 60.0) == "not-stale"
    assert stale_window(59.0, 90.0, 60.0) == "ends-at-ttl"
    assert stale_window(85.0, 90.0, 60.0) == "outlives-ttl"
    assert stale_window(59.0, 90.0, 60.0, bound_s=60.0) == "within-bound"
    assert stale_window(59.0, 59.0, 60.0) is None


def test_delays_growth_and_indicators() -> None:
    assert [with_delay(True, True), with_delay(False, True), with_delay(False, False)] == [
        "stale-as-before",
        "stale-with-delay",
        "never-stale",
    ]
    assert [growth(10.0, 20.0), growth(10.0, 11.0), growth(0.0, 1.0)] == ["grows", "flat", None]
    assert indicator(True, 0) == "agrees"
    assert indicator(True, 2) == "contradicts"
    assert indicator(True, None, body_is_new=True) == "contradicts"
    assert indicator(False, 0) == "contradicts"
    assert indicator(False, 3) == "agrees"
    assert indicator(None, 3) is None
    assert indicator(True, None) is None
