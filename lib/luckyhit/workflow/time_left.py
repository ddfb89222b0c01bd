"""How long a step still takes, for the bar."""

from __future__ import annotations

import time
from collections.abc import Callable

SURE_FROM = 0.1
"""Share of the step from which on its pace so far counts; before, services are still starting."""
SLOWEST = 3.0


class TimeLeft:
    """Forecasts from the seconds that are measured, and from how much longer than those the step took so far (starting
    services, clearing, warming up)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s: float | None = None
        self._from_s = 0.0

    def seconds(self, done_s: float, total_s: float) -> float:
        """Seconds left when `done_s` of `total_s` are measured. A step that is decided early takes less."""
        now_s = self._clock()
        if self._began_s is None:
            self._began_s, self._from_s = now_s, done_s
        measured_s, left_s = done_s - self._from_s, max(total_s - done_s, 0.0)
        if measured_s <= 0 or measured_s < SURE_FROM * (total_s - self._from_s):
            return left_s
        pace = (now_s - self._began_s) / measured_s
        return left_s * min(max(pace, 1.0), SLOWEST)

    def text(self, done_s: float, total_s: float) -> str:
        """`about 40 s left`; empty at the end."""
        return left_text(self.seconds(done_s, total_s))


def left_text(seconds: float) -> str:
    """A forecast in round numbers: nobody can know it to the second."""
    if seconds < 0.5:
        return ""
    if seconds < 10:
        return "some seconds left"
    if seconds < 90:
        return f"about {5 * round(seconds / 5)} s left"
    return f"about {round(seconds / 60)} min left" if seconds < 5400 else f"about {seconds / 3600:.1f} h left"
