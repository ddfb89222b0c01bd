"""A baseline beside earlier ones: the rule, without files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.context.earlier import FEWEST, MOST, beside
from tier import examples

VALUES = st.floats(0, 1e6, allow_nan=False)


def of(values: list[float]) -> list[dict]:
    return [{"latency_p99_ms": value} for value in values]


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(VALUES, min_size=FEWEST + 1, max_size=MOST + 1))
def test_of_baselines_that_are_all_alike_each_may_be_the_newest_and_two_of_them_at_most_lie_outside(values) -> None:
    """That is the chance that is said: 2 in n + 1, exactly so where no two are equal."""
    told = [
        beside({"latency_p99_ms": value}, of([*values[:at], *values[at + 1 :]])).metrics["latency_p99_ms"]
        for at, value in enumerate(values)
    ]
    outside = sum(bool(each.outside) for each in told)
    assert outside == 2 if len(set(values)) == len(values) else outside <= 2
    assert {each.chance for each in told} == {2 / len(values)}


@given(st.lists(VALUES, max_size=FEWEST - 1), VALUES)
def test_with_few_earlier_ones_nothing_is_said_to_lie_outside(values, newest) -> None:
    told = beside({"latency_p99_ms": newest}, of(values))
    assert told.metrics["latency_p99_ms"].outside is None and told.metrics["latency_p99_ms"].chance is None
    assert "nothing can be said to lie outside" in told.sentence
    if values:
        assert told.metrics["latency_p99_ms"].low == min(values)


@given(st.permutations(list(range(12))))
def test_the_order_of_the_earlier_ones_does_not_matter(values) -> None:
    told = beside({"latency_p99_ms": 5.0}, of(values)).metrics["latency_p99_ms"]
    assert (told.low, told.median, told.high, told.outside) == (0, 5.5, 11, False)


def test_a_value_that_was_seen_before_is_not_outside_and_the_first_beyond_it_is() -> None:
    earlier = [{"error_rate": 0.0} for _ in range(20)]
    assert beside({"error_rate": 0.0}, earlier).metrics["error_rate"].outside is False
    assert beside({"error_rate": 0.001}, earlier).metrics["error_rate"].outside is True


def test_the_sentence_names_what_lies_outside_and_how_much_of_that_is_chance() -> None:
    earlier = [{"hit_ratio": 0.90 + n / 1000, "latency_p50_ms": 2.0 + n / 10} for n in range(19)]
    told = beside({"hit_ratio": 0.6, "latency_p50_ms": 2.5}, earlier)
    assert told.sentence == (
        "Outside of what 19 earlier baselines showed: hit ratio, 60 % (90 % to 92 % before). "
        "By chance alone 0.2 of 2 metrics would, on average."
    )
    inside = beside({"hit_ratio": 0.91, "latency_p50_ms": 2.5}, earlier)
    assert inside.sentence == "All 2 metrics lie inside what 19 earlier baselines showed."


def test_each_metric_counts_the_baselines_that_showed_it() -> None:
    earlier = [{"hit_ratio": 0.9} | ({"db_calls": 1.0} if n < 3 else {}) for n in range(15)]
    told = beside({"hit_ratio": 0.5, "db_calls": 9.0, "stale_reads": 0.1}, earlier).metrics
    assert (told["hit_ratio"].runs, told["db_calls"].runs, told["stale_reads"].runs) == (15, 3, 0)
    assert told["hit_ratio"].outside is True
    assert told["db_calls"].outside is None and told["stale_reads"].median is None


@pytest.mark.parametrize("word", ["HELPED", "HURT", "better", "worse"])
def test_it_never_sounds_like_a_verdict(word) -> None:
    earlier = [{"hit_ratio": 0.9, "error_rate": 0.0}] * 20
    assert word not in beside({"hit_ratio": 0.1, "error_rate": 0.5}, earlier).sentence
