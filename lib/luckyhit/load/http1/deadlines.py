"""Timeouts of many requests at once: one timer for all of them, not one for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from luckyhit.load.http1.response import PendingRequest


class Deadlines:
    """Exchanges that all have `timeout_s` from the moment on in which they were sent, so the first one to come is the
    first one to go. `expired` is called for each whose time is over, at most a millisecond or two late.

    Whoever sends an exchange puts it into `under_way` with the moment (raw nanoseconds), and calls `arm` where
    `armed` is false; whoever ends one takes it out. No calls for that: it happens for each request.
    """

    def __init__(self, timeout_s: float, expired: Callable[[PendingRequest], None]) -> None:
        self._timeout_ns = round(timeout_s * 1e9)
        self._expired = expired
        self.under_way: dict[PendingRequest, int] = {}
        self.armed = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def arm(self, in_ns: int | None = None) -> None:
        """Look after the first one when its time is over."""
        self.armed = True
        wait_ns = self._timeout_ns if in_ns is None else in_ns
        self._timer = self._loop.call_later(max(0.001, wait_ns / 1e9), self._ring)

    def sent_before(self, at_ns: float) -> int:
        """How many under way were sent before `at_ns` (raw). Costs as much as there are."""
        count = 0
        for sent_ns in self.under_way.values():  # in this order
            if sent_ns >= at_ns:
                break
            count += 1
        return count

    def _ring(self) -> None:
        self.armed = False
        now_ns = time.monotonic_ns()
        while self.under_way:
            exchange = next(iter(self.under_way))
            left_ns = self.under_way[exchange] + self._timeout_ns - now_ns
            if left_ns > 0:
                self.arm(left_ns)
                return
            del self.under_way[exchange]
            self._expired(exchange)

    def close(self) -> None:
        """Expire nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self.armed = False
