"""How likely a read is fresh, and how long staleness lasts."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from freshness_rows import MS, classified, frames, read, windows, write
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from luckyhit.judge.freshness.classify import freshness_curve
from luckyhit.judge.freshness.windows import kaplan_meier, window_quantiles
from tier import examples

ROUND_TRIP = 2 * MS


def probe_once(
    delays_ms: list[float], window_ms: float, *, arm: str = "before"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One key for each delay, on a service that shows the old value for `window_ms` after the write's commit."""
    reads, writes = [], []
    for number, delay_ms in enumerate(delays_ms):
        sent, version = number * 10_000 * MS, 1000 + number
        acked = sent + ROUND_TRIP
        asked = acked + round(delay_ms * MS)
        fresh = asked + 1 >= sent + 1 + round(window_ms * MS)
        writes.append(write(arm=arm, key=str(number), version=version, sent=sent, acked=acked))
        reads.append(
            read(
                arm=arm,
                key=str(number),
                sent=asked,
                done=asked + ROUND_TRIP,
                seen=version if fresh else 5,
                delay_ns=round(delay_ms * MS),
            )
        )
    return reads, writes


def test_the_curve_steps_from_stale_to_fresh_at_the_window() -> None:
    delays = np.geomspace(5, 2000, 60).tolist()
    curve = freshness_curve(*frames(*probe_once(delays, 300)), bins=6, within_s=0.3)
    before, after = curve[curve["to_ms"] <= 300], curve[curve["from_ms"] >= 300]
    assert len(before) and len(after) and len(before) + len(after) == len(curve)
    assert (before["share"] <= 0.2).all() and (after["share"] == 1).all()
    assert ((curve["low"] <= curve["share"]) & (curve["share"] <= curve["high"])).all()
    assert (after["low"] < 1).all(), "a handful of fresh reads is no proof"


def test_both_arms_share_their_bins_and_before_comes_first() -> None:
    reads_before, writes_before = probe_once([5, 50, 500], 100)
    reads_after, writes_after = probe_once([6, 60, 900], 0, arm="after")
    curve = freshness_curve(*frames(reads_before + reads_after, writes_before + writes_after), bins=3)
    assert curve["arm"].drop_duplicates().tolist() == ["before", "after"]
    edges = [set(zip(part["from_ms"], part["to_ms"], strict=True)) for _, part in curve.groupby("arm")]
    assert edges[0] == edges[1]
    assert curve[curve["arm"] == "after"]["share"].tolist() == [1, 1, 1]


@settings(max_examples=examples(150), deadline=None)
@given(
    delays=st.lists(st.floats(0.01, 5000), max_size=40),
    window=st.floats(0, 5000),
    bins=st.integers(1, 12),
    within=st.none() | st.floats(0, 6),
    lost=st.sets(st.integers(0, 39)),
)
def test_every_read_that_tells_is_in_exactly_one_bin(
    delays: list[float], window: float, bins: int, within: float | None, lost: set[int]
) -> None:
    reads, writes = probe_once(delays, window)
    for number in lost & set(range(len(reads))):
        reads[number]["seen_version"] = None
    curve = freshness_curve(*frames(reads, writes), bins=bins, within_s=within)
    outcomes = classified(reads, writes)["outcome"].value_counts()
    assert curve["reads"].sum() == outcomes.get("fresh", 0) + outcomes.get("stale", 0)
    assert curve["fresh"].sum() == outcomes.get("fresh", 0)
    assert (curve["reads"] > 0).all()
    assert ((curve["from_ms"] <= curve["delay_ms"]) & (curve["delay_ms"] <= curve["to_ms"])).all()
    if within is not None and len(curve):
        straddling = (curve["from_ms"] < within * 1e3) & (within * 1e3 < curve["to_ms"])
        assert not straddling.any(), "no bin mixes acceptable staleness with late"


def test_burst_reads_stay_out_of_the_curve() -> None:
    reads, writes = probe_once([5, 50], 0)
    reads[0]["mode"] = "burst"
    assert freshness_curve(*frames(reads, writes))["reads"].sum() == 1


def burst(
    window_ms: float, *, horizon_ms: float = 2000, gap_ms: float = 25, key: str = "7", rng: random.Random | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Poll a service that shows the old value for `window_ms` after the acknowledgement, until fresh three times in a row."""
    rng = rng or random.Random(0)
    sent = round(rng.uniform(0, 100) * MS)
    acked = sent + 2 * MS
    reads, at, fresh = [], acked + 1, 0
    while fresh < 3 and (at <= acked + horizon_ms * MS or fresh):
        served = at + round(rng.uniform(0, 1) * MS)
        seen = 1000 if served - acked >= window_ms * MS else 5
        fresh = fresh + 1 if seen == 1000 else 0
        reads.append(read(key=key, mode="burst", sent=at, done=at + 2 * MS, seen=seen))
        at += round(gap_ms * MS)
    return reads, [write(key=key, mode="burst", version=1000, sent=sent, acked=acked)]


@settings(max_examples=examples(200), deadline=None)
@given(window=st.floats(0, 1900), seed=st.integers(0, 2**32))
def test_the_interval_holds_what_a_reader_lives_through(window: float, seed: int) -> None:
    """From the acknowledgement on: what was stale before it is nobody's business."""
    row = windows(*burst(window, rng=random.Random(seed))).iloc[0]
    assert not row["censored"] and not row["stuck"]
    assert row["low_ms"] <= window <= row["high_ms"]
    assert row["high_ms"] - row["low_ms"] <= 2 * 25 + 2 * 2


def test_a_key_that_never_gets_fresh_is_censored() -> None:
    row = windows(*burst(math.inf, horizon_ms=500)).iloc[0]
    assert row["censored"] and math.isnan(row["high_ms"]) and row["low_ms"] > 450


def polled(sequence: list[int]) -> pd.Series:
    """The window of one write, polled each 10 ms; the write was acknowledged at 2 ms."""
    reads = [
        read(mode="burst", probe=1000, sent=(10 + 10 * n) * MS, done=(11 + 10 * n) * MS, seen=seen)
        for n, seen in enumerate(sequence)
    ]
    return windows(reads, [write(version=1000, sent=0, acked=2 * MS)]).iloc[0]


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ([5, 1000, 1000, 5, *[1000] * 10], {"flaps": 1, "stale": 2, "reads": 14, "low_ms": 38, "high_ms": 49}),
        ([5, 1000, 1000, 5, *[1000] * 9], {"censored": True}),  # after a flap, three fresh reads are luck
        ([5, 5, 5, 5, *[1000] * 3], {"censored": False}),
        ([5, 1000, 1000], {"censored": True, "stuck": False}),  # two are not lasting
        ([5, 1000], {"censored": True, "stuck": False}),  # slow reads: too few to show that it lasts
        ([1000, 5], {"censored": True, "stuck": True}),
    ],
)
def test_a_window_ends_with_lastingly_fresh_reads(sequence: list[int], expected: dict[str, Any]) -> None:
    assert polled(sequence)[list(expected)].to_dict() == expected


def test_a_healthy_service_has_windows_that_start_at_zero() -> None:
    healthy = windows(*burst(0))
    assert healthy["low_ms"].tolist() == [0] and healthy["stale"].tolist() == [0]


def test_without_burst_reads_there_are_no_windows() -> None:
    none = windows(*probe_once([5, 50], 0))
    assert none.empty and "censored" in none
    assert window_quantiles(none) == {0.5: None, 0.95: None, 0.99: None}


def test_quantiles_end_where_too_many_windows_are_stuck() -> None:
    rng = random.Random(3)
    reads, writes = [], []
    for number in range(40):
        more_reads, more_writes = burst(
            math.inf if number < 4 else 10 * number, horizon_ms=600, key=str(number), rng=rng
        )
        reads, writes = reads + more_reads, writes + more_writes
    quantiles = window_quantiles(windows(reads, writes))
    assert quantiles[0.5] is not None
    low, high = quantiles[0.5]
    assert low <= 230 <= high
    assert quantiles[0.95] is None and quantiles[0.99] is None


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.booleans()), min_size=1, max_size=40).filter(
        lambda cases: any(observed for _, observed in cases)
    )
)
def test_kaplan_meier_agrees_with_scipy(cases: list[tuple[int, bool]]) -> None:
    times, observed = [float(time) for time, _ in cases], [ended for _, ended in cases]
    data = stats.CensoredData.right_censored(times, [not ended for ended in observed])
    at, survival = kaplan_meier(times, observed)
    assert survival == pytest.approx(stats.ecdf(data).sf.evaluate(at))
