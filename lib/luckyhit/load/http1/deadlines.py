"""Timeouts of requests under way: one timer for all that wait equally long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from luckyhit.load.http1.response import PendingRequest


class Deadlines:
    """Timeouts of many requests with one timer: all have `timeout_s` from their send, so they expire in that order.

    Whoever sends a request puts it into `under_way` with the instant (raw nanoseconds), and calls `arm` unless `armed`;
    whoever ends one removes it. No method calls for that: it happens for each request. `expire` is called for each
    request whose time is over, at most a millisecond or two late.
    """

    def __init__(self, timeout_s: float, expire: Callable[[PendingRequest], None]) -> None:
        self._timeout_ns = round(timeout_s * 1e9)
        self._expire = expire
        self.under_way: dict[PendingRequest, int] = {}
        self.armed = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def arm(self, in_ns: int | None = None) -> None:
        self.armed = True
        wait_ns = self._timeout_ns if in_ns is None else in_ns
        self._timer = self._loop.call_later(max(0.001, wait_ns / 1e9), self._check)

    def sent_before(self, at_ns: float) -> int:
        """Requests under way that were sent before `at_ns` (raw). Costs as much as there are."""
        count = 0
        for sent_ns in self.under_way.values():  # in this order
            if sent_ns >= at_ns:
                break
            count += 1
        return count

    def _check(self) -> None:
        self.armed = False
        now_ns = time.monotonic_ns()
        while self.under_way:
            pending = next(iter(self.under_way))
            left_ns = self.under_way[pending] + self._timeout_ns - now_ns
            if left_ns > 0:
                self.arm(left_ns)
                return
            del self.under_way[pending]
            self._expire(pending)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self.armed = False
