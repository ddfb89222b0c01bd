"""Washing out on recorded answers: how long it goes on, and what it makes of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from luckyhit.case.docs.template import new_case
from luckyhit.case_run import CaseRun
from luckyhit.records import REQUESTS
from luckyhit.records.parquet import write_part
from luckyhit.workflow.warmups.washout import hits_of, wash_out, windows_of


@pytest.fixture
def run(tmp_path: Path) -> CaseRun:
    case = tmp_path / "slow.yml"
    case.write_text(new_case("slow"))
    return CaseRun.create(tmp_path / "runs", case, now=datetime(2026, 1, 2, tzinfo=UTC), manifest={})


@pytest.fixture
def served(run: CaseRun) -> Callable[..., Callable[[float], int]]:
    """`served(ratio_at, rate)`: a stretch answers `rate` requests a second, with the hit ratio of that second."""
    blocks = itertools.count()

    def make(ratio_at: Callable[[float], float | None], rate: int = 100) -> Callable[[float], int]:
        rng, state = np.random.default_rng(1), {"seconds": 0.0}

        def stretch(seconds: float) -> int:
            block, count = next(blocks), int(rate * seconds)
            at = state["seconds"] + np.arange(count) / rate
            ratios = [ratio_at(float(second)) for second in at]
            told = ["unknown" if ratio is None else "hit" if rng.random() < ratio else "miss" for ratio in ratios]
            columns: dict[str, object] = {name: [None] * count for name in REQUESTS.names}
            columns |= {
                "arm": ["before"] * count, "block": [block] * count, "slot": list(range(count)), "cache": told,
                "phase": ["warmup"] * count, "route": ["item"] * count, "due_ns": [int(x * 1e9) for x in at],
                "connection": [0] * count, "worker": [0] * count, "bytes": [0] * count,
            }  # fmt: skip
            arrays = []
            for field in REQUESTS:
                values = columns[field.name]
                if pa.types.is_dictionary(field.type):
                    arrays.append(pa.array(values, field.type.value_type).dictionary_encode().cast(field.type))
                else:
                    arrays.append(pa.array(values, field.type))
            table = pa.Table.from_arrays(arrays, schema=REQUESTS)
            write_part(run.path / "requests", f"block-{block:03d}-part-0000", table.slice(count // 2))
            write_part(run.path / "requests", f"block-{block:03d}-part-0001", table.slice(0, count // 2))
            state["seconds"] += seconds
            return block

        return stretch

    return make


def test_it_goes_on_until_the_cache_is_full(run: CaseRun, served: Callable[..., Callable[[float], int]]) -> None:
    filling = served(lambda second: min(0.8, second / 10))
    washed = wash_out(run, filling, stretch_s=2.0, longest_s=60.0)
    assert washed.settled is True and 8 <= washed.seconds <= 40
    assert washed.stretches * 2.0 == washed.seconds and washed.ratios[0] < 0.2 < washed.ratios[-1]
    json.dumps(washed.as_facts())


def test_it_ends_where_its_time_is_over(run: CaseRun, served: Callable[..., Callable[[float], int]]) -> None:
    never_full = served(lambda second: second / 20)
    washed = wash_out(run, never_full, stretch_s=3.0, longest_s=10.0)
    assert washed.settled is False and washed.seconds == 9.0


def test_where_nothing_is_told_one_stretch_has_to_do(
    run: CaseRun, served: Callable[..., Callable[[float], int]]
) -> None:
    washed = wash_out(run, served(lambda second: None), stretch_s=2.0, longest_s=30.0)
    assert (washed.settled, washed.stretches, washed.ratios) == (None, 1, ())


def test_windows_are_in_the_order_of_time(run: CaseRun, served: Callable[..., Callable[[float], int]]) -> None:
    block = served(lambda second: 0.0 if second < 3 else 1.0)(6.0)
    seen = windows_of(hits_of(run, block), 6.0)
    assert [hits for hits, _ in seen] == [0, 0, 0, 100, 100, 100] and {told for _, told in seen} == {100}


def test_two_seconds_are_too_short_to_stop(run: CaseRun, served: Callable[..., Callable[[float], int]]) -> None:
    filling = served(lambda second: 0.8 * (1 - np.exp(-second / 12)), rate=1000)
    washed = wash_out(run, filling, stretch_s=2.0, longest_s=16.0)
    assert (washed.settled, washed.seconds) == (False, 16.0)
    washed = wash_out(run, served(lambda second: 0.8, rate=1000), stretch_s=2.0, longest_s=16.0)
    assert washed.settled is True and 6.0 <= washed.seconds < 16.0


def test_too_few_requests_are_neither_still_nor_moving(
    run: CaseRun, served: Callable[..., Callable[[float], int]]
) -> None:
    washed = wash_out(run, served(lambda second: 0.5, rate=10), stretch_s=2.0, longest_s=6.0)
    assert (washed.settled, washed.seconds) == (None, 6.0)


@pytest.mark.parametrize(("fills_in_s", "most_early"), [(2.0, 0), (10.0, 3), (20.0, 4)])
def test_it_seldom_stops_far_below_the_final_level(
    fills_in_s: float, most_early: int, monkeypatch: pytest.MonkeyPatch, run: CaseRun
) -> None:
    """10 points below is far. 100 requests a second, 30 s, 40 caches that fill up; 2 of 40 are early at 20 s."""
    rng = np.random.default_rng(3)
    early = 0
    for _ in range(40):
        at = np.arange(3000) / 100
        hits = rng.random(3000) < 0.8 * (1 - np.exp(-at / fills_in_s))
        parts = iter(np.split(hits, 15))
        monkeypatch.setattr("luckyhit.workflow.warmups.washout.hits_of", lambda *_, parts=parts: next(parts).tolist())
        washed = wash_out(run, lambda _: 0, stretch_s=2.0, longest_s=30.0)
        early += washed.settled is True and np.exp(-washed.seconds / fills_in_s) * 0.8 > 0.1
    assert early <= most_early
