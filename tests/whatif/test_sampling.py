"""A sample of the entries says what the whole trace says."""

from __future__ import annotations

import numpy as np
import pytest
from plain_replay import one_trace

from luckyhit.whatif.counting.cache_trace import CacheTrace, Segment, WriteRule
from luckyhit.whatif.counting.exact_grid import Grid, exact_counts
from luckyhit.whatif.counting.sampling import rate_for, sample_of

RULE = WriteRule("on-write", True)


def long_trace(rows: int = 120_000, entries: int = 20_000) -> CacheTrace:
    rng = np.random.default_rng(3)
    share = np.cumsum(1 / np.arange(1, entries + 1) ** 0.8)
    entry = np.searchsorted(share / share[-1], rng.random(rows)).astype(np.int32)
    kind = (rng.random(rows) < 0.05).astype(np.uint8)
    block = np.where(kind == 1, -1, 0).astype(np.int16)
    segment = Segment.by_time(np.arange(rows, dtype=np.int64) * 1000, entry, kind, block)
    names = [str(number) for number in range(entries)]
    return CacheTrace((segment,), names, np.zeros(entries, np.int16), np.ones(entries, np.int64), ("all",), 1)


def test_a_sample_is_near_the_whole() -> None:
    trace = long_trace()
    grid = Grid((200, 1000, 5000, 20_000), (0.003, 0.03, 1.0))
    load = np.zeros(1, np.int64)
    exact = exact_counts(trace, grid, RULE, load)
    sample = sample_of(trace, 4, certain=1000)
    drawn = sample.whole(exact_counts(sample.trace, grid, RULE, np.zeros(2, np.int64), checked=True))
    assert sample.trace.rows < trace.rows and drawn.reads.sum() == pytest.approx(exact.reads.sum())
    shares = [counts.hits.sum((0, 1)) / counts.reads.sum() for counts in (exact, drawn)]
    assert np.abs(shares[0] - shares[1]).max() < 0.01


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_of_everything_is_the_whole(seed) -> None:
    trace = one_trace(seed, bytes_=False)
    grid, load = Grid((2, 5, 50), (40e-9, 1.0)), np.array([0, 7])
    exact = exact_counts(trace, grid, RULE, load)
    sample = sample_of(trace, 3, certain=10**6)
    whole = sample.whole(exact_counts(sample.trace, grid, RULE, np.tile(load, 2), checked=True))
    for one, other in ((exact.hits, whole.hits), (exact.stale, whole.stale), (exact.reads, whole.reads)):
        assert np.allclose(one, other)


def test_short_traces_are_not_sampled() -> None:
    trace = long_trace(2000, 100)
    assert rate_for(trace, 2000) == 1 and rate_for(trace, 500) == 4
