"""Waking up on time. The event loop's own timers count whole milliseconds; a timer of the kernel is exact to some
tens of microseconds, and costs no spinning (which the services under test would pay for, on the same cores).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import struct
import sys
import time
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_SOONEST_NS = 1_000_000


class Alarm:
    """Calls `ring` at an instant of the monotonic clock (raw nanoseconds), never before it. One instant at a time.

    A timerfd on Linux; elsewhere the loop's timers, with turns of the loop for the last part of a millisecond.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._handle: asyncio.Handle | None = None
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd >= 0:
            loop.add_reader(self._fd, self._fired)

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns`, and not at what was set before."""
        if self._fd >= 0:
            # All zero would disarm it.
            spec = struct.pack("qqqq", 0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000 or 1)
            self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, spec, None)
            return
        self._cancel()
        self._wait(at_ns)

    def close(self) -> None:
        """Never ring again."""
        self._cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _fired(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set anew between firing and now
            os.read(self._fd, 8)
            self._ring()

    def _wait(self, at_ns: int) -> None:
        left_ns = at_ns - time.monotonic_ns()
        if left_ns <= 0:
            self._handle = self._loop.call_soon(self._ring)
        elif left_ns > _SOONEST_NS:
            self._handle = self._loop.call_later((left_ns - _SOONEST_NS) / 1e9, self._wait, at_ns)
        else:
            self._handle = self._loop.call_soon(self._wait, at_ns)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
