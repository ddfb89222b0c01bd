"""The forecast on the bar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.workflow.time_left import SLOWEST, TimeLeft, left_text


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_what_starting_took_counts_once_the_pace_is_known() -> None:
    clock = Clock()
    left = TimeLeft(clock)
    assert left.seconds(0, 40) == 40
    clock.now_s += 5
    assert left.seconds(1, 40) == 39, "too early for a pace"
    clock.now_s += 25
    assert left.seconds(20, 40) == pytest.approx(20 * 30 / 20)


@given(st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), min_size=1, max_size=20), st.floats(1, 1000))
def test_it_is_never_negative_nor_wild(steps: list[tuple[float, float]], total_s: float) -> None:
    clock, done_s = Clock(), 0.0
    left = TimeLeft(clock)
    for waited_s, measured_s in steps:
        clock.now_s += waited_s
        done_s = min(done_s + measured_s, total_s)
        seconds = left.seconds(done_s, total_s)
        assert total_s - done_s <= seconds + 1e-9 and seconds <= SLOWEST * (total_s - done_s) + 1e-9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, ""), (4, "some seconds left"), (42, "about 40 s left"), (130, "about 2 min left"), (7200, "about 2.0 h left")],
)
def test_a_forecast_is_told_in_round_numbers(seconds: float, text: str) -> None:
    assert left_text(seconds) == text
