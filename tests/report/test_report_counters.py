"""What the cache itself counted, beside what the answers told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_reader import Page

from luckyhit.records import COUNTERS
from luckyhit.records.parquet import write_part
from luckyhit.report.page import page_of
from luckyhit.report.recorded import Recorded, recorded
from luckyhit.report.tables.cache_counters import as_counted, counted


def sampled(block: int, arm: str, **series: list[float]) -> pd.DataFrame:
    """Samples of one block, a second apart."""
    rows = [
        (arm, block * 10**10 + at * 10**9, name, value) for name, of in series.items() for at, value in enumerate(of)
    ]
    return pd.DataFrame(rows, columns=["arm", "at_ns", "name", "value"]).assign(block=block)


def with_counters(found: Recorded, *frames: pd.DataFrame) -> Recorded:
    return replace(found, counters=pd.concat(frames, ignore_index=True))


@pytest.fixture(scope="module")
def found(judged_run) -> Recorded:
    return recorded(*judged_run)


def test_blocks_that_are_compared_add_up_from_their_first_sample_to_their_last(found) -> None:
    one, two = found.numbers("change")[:2]
    (baseline,) = found.numbers("baseline")
    shown = with_counters(
        found,
        sampled(one, "before", keyspace_hits=[100, 130, 180], keyspace_misses=[7, 8, 27], evicted_keys=[0, 0, 0]),
        sampled(two, "before", keyspace_hits=[5, 25], keyspace_misses=[0, 0], used_memory=[2e6, 3e6]),
        sampled(baseline, "before", keyspace_hits=[0, 10**6], keyspace_misses=[0, 0]),
    )
    told = counted(shown)
    assert list(told) == ["before"]
    assert told["before"].looked_up == 120 and told["before"].share == pytest.approx(100 / 120)
    table = as_counted(shown).table
    assert dict(table.rows)["look-ups that found their key"] == ["83 % of 120"]
    assert dict(table.rows)["memory, at most"] == ["3.0 MB"]
    assert dict(table.rows)["keys that expired"] == ["–"], "what was not told is not zero"


def test_hit_ratios_far_apart_are_told_with_what_may_be_behind_it(found) -> None:
    (block,) = found.numbers("change")[:1]
    arms = {"before": 0, "after": 1}
    shares = {
        arm: float(np.nanmean(found.hit[(found.rows.block == block) & (found.rows.arm == code)]))
        for arm, code in arms.items()
    }
    alike = [
        sampled(block, arm, keyspace_hits=[0, 1000 * share], keyspace_misses=[0, 1000 * (1 - share)])
        for arm, share in shares.items()
    ]
    assert "within 10 points" in " ".join(as_counted(with_counters(found, *alike)).sentences)
    other = sampled(block, "after", keyspace_hits=[0, 1], keyspace_misses=[0, 999])
    (said,) = as_counted(with_counters(found, alike[0], other)).sentences
    assert f"differ: after by {100 * (shares['after'] - 0.001):.0f} points" in said and "several keys" in said


def test_evictions_are_told(found) -> None:
    (block,) = found.numbers("change")[:1]
    shown = with_counters(found, sampled(block, "after", keyspace_hits=[0, 3], evicted_keys=[2, 45]))
    assert "evicted for want of room: 43 (after)" in " ".join(as_counted(shown).sentences)


def test_a_block_in_which_the_counters_fell_is_left_out_and_said(found) -> None:
    one, two = found.numbers("change")[:2]
    shown = with_counters(
        found,
        sampled(one, "after", keyspace_hits=[50, 90, 2], keyspace_misses=[0, 0, 0]),
        sampled(two, "after", keyspace_hits=[2, 12], keyspace_misses=[0, 0]),
    )
    assert counted(shown)["after"].looked_up == 10
    assert f"In block {one} the counters fell" in " ".join(as_counted(shown).sentences)


def test_without_counters_nothing_is_told(found) -> None:
    assert as_counted(with_counters(found, found.counters.iloc[:0])) is None


@given(steps=st.lists(st.integers(0, 10**9), min_size=1, max_size=6), first=st.integers(0, 10**12))
def test_what_was_counted_before_a_block_does_not_matter(found, steps: list[int], first: int) -> None:
    (block,) = found.numbers("change")[:1]
    hits = [float(first + sum(steps[:count])) for count in range(len(steps) + 1)]
    misses = [float(first)] * len(hits)
    told = counted(with_counters(found, sampled(block, "before", keyspace_hits=hits, keyspace_misses=misses)))
    assert told["before"].looked_up == sum(steps)


@pytest.mark.usefixtures("plain_figures")
def test_they_stand_behind_the_hit_ratio_on_the_page(new_run, judged_run, tmp_path) -> None:
    run = new_run(probes=0)
    (block, *_) = run.manifest.numbers("change")
    frame = sampled(block, "before", keyspace_hits=[0, 8], keyspace_misses=[0, 2]).drop(columns="block")
    write_part(run.path / "counters", f"block-{block:03d}", pa.Table.from_pandas(frame, COUNTERS, preserve_index=False))
    text = Page(page_of(run, recorded(run, judged_run[1]), tmp_path)).text
    assert "What the cache itself counted" in text and "80 % of 10" in text
