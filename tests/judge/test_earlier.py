"""A baseline compared with earlier ones: the rule, without files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.context.earlier_baselines import FEWEST, MOST, compare_with_earlier
from luckyhit.records import Beside
from tier import examples

NAME = "latency_p99_ms"
VALUES = st.floats(0, 1e6, allow_nan=False)


def compared(value: float, earlier: list[float]) -> Beside:
    return compare_with_earlier({NAME: value}, [{NAME: other} for other in earlier]).metrics[NAME]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(VALUES, min_size=FEWEST + 1, max_size=MOST + 1))
def test_identical_baselines_are_outside_at_most_twice(values: list[float]) -> None:
    """That is the stated chance: 2 in n + 1, exactly so where no two are equal."""
    metrics = [compared(value, [*values[:at], *values[at + 1 :]]) for at, value in enumerate(values)]
    outside = sum(bool(metric.outside) for metric in metrics)
    assert outside == 2 if len(set(values)) == len(values) else outside <= 2
    assert {metric.chance for metric in metrics} == {2 / len(values)}


@given(st.lists(VALUES, max_size=FEWEST - 1), VALUES)
def test_with_few_earlier_ones_none_is_outside(values: list[float], newest: float) -> None:
    metric = compared(newest, values)
    assert metric.outside is None and metric.chance is None
    assert metric.low == (min(values) if values else None)


@given(st.permutations(list(range(12))))
def test_the_order_of_the_earlier_ones_does_not_matter(values: list[float]) -> None:
    metric = compared(5.0, values)
    assert (metric.low, metric.median, metric.high, metric.outside) == (0, 5.5, 11, False)


def test_a_value_seen_before_is_not_outside() -> None:
    assert compared(0.0, [0.0] * 20).outside is False
    assert compared(0.001, [0.0] * 20).outside is True


def test_each_metric_counts_the_baselines_that_showed_it() -> None:
    earlier = [{"hit_ratio": 0.9} | ({"db_calls": 1.0} if n < 3 else {}) for n in range(15)]
    metrics = compare_with_earlier({"hit_ratio": 0.5, "db_calls": 9.0, "stale_reads": 0.1}, earlier).metrics
    assert (metrics["hit_ratio"].runs, metrics["db_calls"].runs, metrics["stale_reads"].runs) == (15, 3, 0)
    assert metrics["hit_ratio"].outside is True
    assert metrics["db_calls"].outside is None and metrics["stale_reads"].median is None


def test_better_and_worse_are_told_apart() -> None:
    earlier = [{"hit_ratio": 0.5, "latency_p99_ms": 20.0, "error_rate": 0.1}] * 20
    beside = compare_with_earlier({"hit_ratio": 0.9, "latency_p99_ms": 30.0, "error_rate": 0.1}, earlier)
    assert {name: of_it.side for name, of_it in beside.metrics.items()} == {
        "hit_ratio": "better", "latency_p99_ms": "worse", "error_rate": None,
    }  # fmt: skip
    assert beside.outside == ["hit_ratio", "latency_p99_ms"] and beside.worse == ["latency_p99_ms"]
    assert 0 < beside.sentence.index("worse: p99") < beside.sentence.index("better: hit ratio")


@pytest.mark.parametrize("word", ["HELPED", "HURT"])
def test_it_never_sounds_like_a_verdict(word: str) -> None:
    earlier = [{"hit_ratio": 0.9, "error_rate": 0.0}] * 20
    assert word not in compare_with_earlier({"hit_ratio": 0.1, "error_rate": 0.5}, earlier).sentence
