"""Counted in one pass, or replayed by the library: the same as a replay that a page could hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_replay import one_trace, plain_counts

from luckyhit.errors import ArgumentError
from luckyhit.whatif.counting.cache_trace import WriteRule
from luckyhit.whatif.counting.exact_grid import Grid, exact_counts
from luckyhit.whatif.counting.replays import replayed_counts
from tier import examples

TTLS_S = (5e-9, 40e-9, 300e-9, float("inf"))
LOADS = [np.array([0, 0]), np.array([0, 7])]
RULES = [WriteRule("none", False), WriteRule("on-write", True), WriteRule("delayed", True, 60)]


def totals(counts, size: int = 0, ttl: int = 0) -> tuple[int, ...]:
    return (
        int(counts.reads.sum()),
        *(int(part[:, :, size, ttl].sum()) for part in (counts.hits, counts.stale, counts.loads)),
    )


@settings(max_examples=examples(200))
@given(
    st.integers(0, 2**32),
    st.booleans(),
    st.sampled_from(RULES),
    st.sampled_from(LOADS),
)
def test_each_grid_point_is_that_of_a_replay(seed, bytes_, rule, loads) -> None:
    trace = one_trace(seed, bytes_=bytes_)
    least = int(trace.weight.max())
    grid = Grid((least, least + 3, least + 9, least + 40, least + 1000), TTLS_S)
    counts = exact_counts(trace, grid, rule, loads)
    for place, size in enumerate(grid.sizes):
        for ttl, ttl_ns in enumerate(grid.ttl_ns):
            plain = plain_counts(trace.segments, rule, "lru", size, ttl_ns, trace.weight, loads[trace.class_of])
            assert totals(counts, place, ttl) == (plain.reads, plain.hits, plain.stale, plain.loads)


@settings(max_examples=examples(60))
@given(
    st.integers(0, 2**32),
    st.sampled_from([("lru", "lru", "kept"), ("lru-swept", "lru", "swept"), ("lfu", "lfu", "kept"), ("fifo", "fifo", "kept")]),
    st.sampled_from(RULES),
    st.sampled_from(LOADS),
)  # fmt: skip
def test_each_policy_is_that_of_a_replay(seed, policy, rule, loads) -> None:
    name, plain_name, expired = policy
    trace = one_trace(seed, bytes_=bool(seed % 2))
    # Swept entries leave in the order in which they were stored: one class, one load.
    loads = loads[:1].repeat(2) if name == "lru-swept" else loads
    for size in (int(trace.weight.max()), 12, 60):
        if size < trace.weight.max():
            continue
        for ttl_ns in Grid((1,), TTLS_S).ttl_ns:
            counts = replayed_counts(name, trace, rule, loads, size, int(ttl_ns))
            plain = plain_counts(
                trace.segments, rule, plain_name, size, ttl_ns, trace.weight, loads[trace.class_of], expired=expired
            )  # fmt: skip
            assert totals(counts) == (plain.reads, plain.hits, plain.stale, plain.loads)


def test_a_size_below_the_largest_answer_is_refused() -> None:
    trace = one_trace(3, bytes_=True)
    with pytest.raises(ArgumentError) as refused:
        exact_counts(trace, Grid((int(trace.weight.max()) - 1,), (1.0,)), RULES[0], LOADS[0])
    assert "--by entries" in refused.value.hint
