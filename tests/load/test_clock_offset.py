"""How far clocks are apart: the error that is stated holds, however the ways of question and answer differ."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.load.sharding.clock_offset import ClockOffset, clock_error_ns, measured_offset
from tier import examples

delays_ns = st.integers(0, 10**9)
offsets_ns = st.integers(-(10**17), 10**17)


class TwoClocks:
    """This host's clock, and another's that is ahead; each way takes as long as it says next."""

    def __init__(self, ahead_ns: int, ways: Iterator[tuple[int, int, int]]) -> None:
        self.now_ns, self.ahead_ns, self._ways = 10**15, ahead_ns, ways

    def clock(self) -> int:
        return self.now_ns

    def exchange(self) -> tuple[int, int]:
        there, busy, back = next(self._ways)
        self.now_ns += there
        received_ns = self.now_ns + self.ahead_ns
        self.now_ns += busy
        answered_ns = self.now_ns + self.ahead_ns
        self.now_ns += back
        return received_ns, answered_ns


@settings(max_examples=examples(300))
@given(offsets_ns, st.lists(st.tuples(delays_ns, delays_ns, delays_ns), min_size=1, max_size=20))
def test_the_true_offset_is_within_the_error(ahead_ns: int, ways: list[tuple[int, int, int]]) -> None:
    two = TwoClocks(ahead_ns, iter(ways))
    measured = measured_offset(two.exchange, two.clock, len(ways), 0)
    assert abs(measured.offset_ns - ahead_ns) <= measured.error_ns
    assert measured.error_ns <= min(there + back for there, _, back in ways) // 2 + 1


@settings(max_examples=examples(300))
@given(offsets_ns, st.integers(-(10**9), 10**9), st.lists(st.tuples(delays_ns, delays_ns, delays_ns), min_size=2))
def test_a_step_is_within_the_error(ahead_ns: int, step_ns: int, ways: list[tuple[int, int, int]]) -> None:
    """Whatever the clock did, it is as far off as it says, or less: no step hides."""
    two = TwoClocks(ahead_ns, iter(ways))
    before = measured_offset(two.exchange, two.clock, 1, 0)
    two.ahead_ns += step_ns
    after = measured_offset(two.exchange, two.clock, len(ways) - 1, 0)
    assert abs(ahead_ns + step_ns - before.offset_ns) <= clock_error_ns(before, after)


def test_a_busy_host_is_asked_until_it_answers_at_once() -> None:
    slow, fast = (50_000_000, 0, 50_000_000), (1_000_000, 0, 1_000_000)
    ways = iter([*[slow] * 40, fast, *[slow] * 100])
    two = TwoClocks(7, ways)
    assert measured_offset(two.exchange, two.clock).error_ns <= 1_000_001
    assert len(list(ways)) == 100  # and no longer
    always = TwoClocks(7, iter([slow] * 128))
    assert measured_offset(always.exchange, always.clock).error_ns >= 50_000_000


def test_the_same_clock_has_no_offset() -> None:
    assert ClockOffset.of(100, 150, 160, 210) == ClockOffset(0, 51)
