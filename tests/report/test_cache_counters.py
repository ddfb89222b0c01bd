"""What the cache itself counted, beside the hit ratio of the responses."""

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
from luckyhit.report.tables.cache_counters import Counted, as_counted, counted
from luckyhit.text.numbers import DASH


def sampled(block: int, arm: str, **series: list[float]) -> pd.DataFrame:
    """Samples of one block, a second apart."""
    rows = [
        (arm, block * 10**10 + second * 10**9, name, value)
        for name, values in series.items()
        for second, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["arm", "at_ns", "name", "value"]).assign(block=block)


def counts(run: Recorded, *frames: pd.DataFrame) -> dict[str, Counted]:
    return counted(replace(run, counters=pd.concat(frames, ignore_index=True)))


def story(run: Recorded, *frames: pd.DataFrame) -> tuple[str, dict[str, list[str]]]:
    """(sentences, cells by row)."""
    told = as_counted(replace(run, counters=pd.concat(frames, ignore_index=True)))
    assert told is not None
    return " ".join(told.sentences), dict(told.table.rows)


def test_compared_blocks_add_up_from_first_to_last_sample(recorded_run) -> None:
    one, two = recorded_run.numbers("change")[:2]
    frames = [
        sampled(one, "before", keyspace_hits=[100, 130, 180], keyspace_misses=[7, 8, 27], evicted_keys=[0, 0, 0]),
        sampled(two, "before", keyspace_hits=[5, 25], keyspace_misses=[0, 0], used_memory=[2e6, 3e6]),
        sampled(recorded_run.numbers("baseline")[0], "before", keyspace_hits=[0, 10**6], keyspace_misses=[0, 0]),
    ]
    by_arm = counts(recorded_run, *frames)
    assert list(by_arm) == ["before"]
    assert by_arm["before"].looked_up == 120 and by_arm["before"].share == pytest.approx(100 / 120)
    _, rows = story(recorded_run, *frames)
    assert rows["look-ups that found their key"] == ["83 % of 120"]
    assert rows["memory, at most"] == ["3.0 MB"]
    assert rows["keys that expired"] == [DASH], "what was not counted is not zero"


def test_only_hit_ratios_far_apart_are_said_to_differ(recorded_run) -> None:
    block, codes = recorded_run.numbers("change")[0], {"before": 0, "after": 1}
    rows, hit = recorded_run.rows, recorded_run.rows.hit
    shares = {arm: float(np.nanmean(hit[(rows.block == block) & (rows.arm == code)])) for arm, code in codes.items()}
    alike = [
        sampled(block, arm, keyspace_hits=[0, 1000 * share], keyspace_misses=[0, 1000 * (1 - share)])
        for arm, share in shares.items()
    ]
    assert "differ" not in story(recorded_run, *alike)[0]
    other = sampled(block, "after", keyspace_hits=[0, 1], keyspace_misses=[0, 999])
    assert f"differ: after by {100 * (shares['after'] - 0.001):.0f} points" in story(recorded_run, alike[0], other)[0]


def test_evictions_are_counted(recorded_run) -> None:
    block = recorded_run.numbers("change")[0]
    sentences, _ = story(recorded_run, sampled(block, "after", keyspace_hits=[0, 3], evicted_keys=[2, 45]))
    assert "43 (after)" in sentences


def test_a_block_in_which_the_counters_fell_is_left_out(recorded_run) -> None:
    one, two = recorded_run.numbers("change")[:2]
    frames = [
        sampled(one, "after", keyspace_hits=[50, 90, 2], keyspace_misses=[0, 0, 0]),
        sampled(two, "after", keyspace_hits=[2, 12], keyspace_misses=[0, 0]),
    ]
    after = counts(recorded_run, *frames)["after"]
    assert (after.looked_up, after.backwards) == (10, (one,))
    assert f"In block {one} " in story(recorded_run, *frames)[0]


def test_without_counters_there_is_no_table(recorded_run) -> None:
    assert as_counted(replace(recorded_run, counters=recorded_run.counters.iloc[:0])) is None


@given(steps=st.lists(st.integers(0, 10**9), min_size=1, max_size=6), first=st.integers(0, 10**12))
def test_counts_from_before_a_block_do_not_matter(recorded_run, steps: list[int], first: int) -> None:
    block = recorded_run.numbers("change")[0]
    hits = [float(first + sum(steps[:count])) for count in range(len(steps) + 1)]
    frame = sampled(block, "before", keyspace_hits=hits, keyspace_misses=[float(first)] * len(hits))
    assert counts(recorded_run, frame)["before"].looked_up == sum(steps)


@pytest.mark.usefixtures("plain_figures")
def test_they_stand_on_the_page(copied, tmp_path) -> None:
    run, result = copied
    block = run.manifest.numbers("change")[0]
    frame = sampled(block, "before", keyspace_hits=[0, 8], keyspace_misses=[0, 2]).drop(columns="block")
    write_part(run.path / "counters", f"block-{block:03d}", pa.Table.from_pandas(frame, COUNTERS, preserve_index=False))
    page = Page(page_of(run, recorded(run, result), tmp_path))
    assert page.ids.index("figure-hit-ratio") < page.ids.index("counters") and "80 % of 10" in page.text
