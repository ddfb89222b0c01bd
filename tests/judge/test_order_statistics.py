"""Order statistics, and columns in few bytes, are those of the plain arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.stats import order_statistics
from luckyhit.judge.stats.order_statistics import BinCounts, OrderStatistics
from luckyhit.judge.table import column_forms as forms
from luckyhit.judge.table.column_forms import Kept, counting, framed, part_of, picked, sparse
from tier import examples

whole = st.one_of(st.integers(-(2**31) + 1, 2**31 - 1), st.integers(-50_000, 50_000))
few_differ = st.lists(st.one_of(st.just(7), st.just(7), st.just(7), whole), max_size=80)
times = st.lists(st.one_of(st.integers(0, 10**6), st.integers(0, 2**53 - 1)), max_size=40)


@given(st.lists(st.lists(whole, max_size=40), min_size=1, max_size=4), st.floats(0.01, 0.99), st.randoms())
@settings(deadline=None, max_examples=examples(100))
def test_values_by_rank_are_those_of_sorting_all(parts, quantile: float, random) -> None:
    arrays = [np.array(part, dtype=np.int32) for part in parts]
    ranked = np.sort(np.concatenate(arrays))
    counts = BinCounts()
    for part in arrays:
        counts.add(part)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(order_statistics, "MANY", 0)
        values = OrderStatistics(lambda: iter(arrays), len(ranked), counts, [quantile] if len(ranked) else [])
    assert len(values) == len(ranked)
    for count in (1, 3, 20):
        ranks = np.array([random.randrange(len(ranked)) for _ in range(count if len(ranked) else 0)], dtype=np.int64)
        assert values[ranks].tolist() == ranked[ranks].tolist()


def assert_holds(kept: Kept, values: np.ndarray, random) -> None:
    first, stop = sorted(random.randrange(len(values) + 1) for _ in range(2))
    places = np.array([random.randrange(len(values)) for _ in values], dtype=np.int32)
    assert np.asarray(part_of(kept, 0, len(values))).tolist() == values.tolist()
    assert np.asarray(part_of(kept, first, stop)).tolist() == values[first:stop].tolist()
    assert np.asarray(picked(kept, places)).tolist() == values[places].tolist()


@given(few_differ, st.integers(0, 2**40), times, st.randoms())
@settings(deadline=None, max_examples=examples(100))
def test_columns_in_few_bytes_give_every_value_back(numbers, first: int, due, random) -> None:
    column = np.array(numbers, dtype=np.int32)
    assert_holds(sparse(column), column, random)
    slots = np.arange(first, first + len(numbers))
    assert_holds(counting(slots), slots, random)
    assert_holds(counting(column.astype(np.int64)), column.astype(np.int64), random)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(forms, "FRAME", 8)
        assert_holds(framed(np.array(due, dtype=np.int64)), np.array(due, dtype=np.float64), random)
