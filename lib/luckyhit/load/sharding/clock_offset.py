"""How far the monotonic clock of another host is ahead of this one, and how well that is known.

One exchange has four instants: asked (here), received and answered (there), back (here). The offset is

    ((received - asked) + (answered - back)) / 2        delay = (back - asked) - (answered - received)

and since neither way can take less than no time, it is wrong by at most half the delay (Cristian, 1989; the formulas
are those of NTP, RFC 5905, section 8). Of several exchanges that with the shortest delay says most (the clock filter of
section 10).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

EXCHANGES, MOST_EXCHANGES = 16, 128
ENOUGH_NS = 5_000_000
"""With an error above this there are more exchanges: on a busy host most of them wait, and one will not."""

Clock = Callable[[], int]
"""An instant in nanoseconds."""
Exchange = Callable[[], tuple[int, int]]
"""Ask the other host: when it received the question, and when it answered, by its own clock, in nanoseconds."""


@dataclass(frozen=True)
class ClockOffset:
    """The other clock is `offset_ns` ahead, give or take `error_ns`."""

    offset_ns: int
    error_ns: int

    @classmethod
    def of(cls, asked_ns: int, received_ns: int, answered_ns: int, back_ns: int) -> ClockOffset:
        """From one exchange. The error is never below 1 ns: half of an odd number was rounded."""
        offset_ns = ((received_ns - asked_ns) + (answered_ns - back_ns)) // 2
        delay_ns = (back_ns - asked_ns) - (answered_ns - received_ns)
        return cls(offset_ns, max(0, delay_ns) // 2 + 1)


def measured_offset(
    exchange: Exchange, clock: Clock, exchanges: int = EXCHANGES, most: int = MOST_EXCHANGES
) -> ClockOffset:
    """The best of `exchanges`, or of up to `most` if it is not good enough. What `exchange` raises passes through."""
    best: ClockOffset | None = None
    for number in range(max(exchanges, most)):
        if best is not None and number >= exchanges and best.error_ns <= ENOUGH_NS:
            break
        asked_ns = clock()
        received_ns, answered_ns = exchange()
        offset = ClockOffset.of(asked_ns, received_ns, answered_ns, clock())
        if best is None or offset.error_ns < best.error_ns:
            best = offset
    assert best is not None  # there is one exchange at least
    return best


def clock_error_ns(before: ClockOffset, after: ClockOffset) -> int:
    """How far the clock may have been from where the coordinator took it to be, between two measurements: what neither
    of them could see, and how far they are apart (a drift, or a step)."""
    return max(before.error_ns, after.error_ns) + abs(after.offset_ns - before.offset_ns)
