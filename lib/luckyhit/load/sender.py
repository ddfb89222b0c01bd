"""Sending a schedule: each slot goes to every arm at nearly the same instant, whatever became of those before it.

Which arm comes first is drawn for each slot, so that neither always waits behind the other. The order of work when
several things could be done: send what is due, read what has come, settle answers while nothing is due soon.

Waking up on time. The event loop's own timers count whole milliseconds; a timer of the kernel is exact to some
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
from collections import deque
from collections.abc import Callable
from time import monotonic_ns as now

from luckyhit.load.block_context import Job, Request
from luckyhit.load.http1.response import HttpResponse, PendingRequest

PREPARED = 32
Settle = Callable[[int, int, HttpResponse], None]
"""What is done with a response to a slot, by arm."""
_ROOM_NS = 150_000
"""Answers are settled while the next slot is further away than this."""
_SETTLING_NS = 30_000
_MOST_WAITING = 16384
"""Beyond this many unsettled answers they are settled whatever is due: memory stays bounded."""
_REFUSED_S = 0.05


class _Sender:
    """What open and closed loop share: requests go out, answers are timed at once and settled later."""

    def __init__(self, job: Job, settle: Settle) -> None:
        self._loop = asyncio.get_running_loop()
        self._job, self._arms = job, len(job.arms)
        self._settle_response = settle
        self._clients, self._timeout_s = job.clients, job.timeout_s
        self._requests = job.requests()
        self._open = 0
        self._over = False
        self._ended = asyncio.Event()

    def halt(self) -> None:
        """Send no more, from this instant on."""
        self._over = True

    async def stop(self) -> None:
        """Send no more, and give up what is under way (`dropped`)."""
        self.halt()
        for client in self._clients:
            await client.close()
        self._end_if_done()

    def _end_if_done(self) -> None:
        if self._over and not self._open:
            self._ended.set()


class Worker(_Sender):
    """Open loop: every slot when it is due."""

    def __init__(self, job: Job, settle: Settle) -> None:
        super().__init__(job, settle)
        self._next_due_ns = 0
        self._waiting: deque[tuple[int, HttpResponse]] = deque()
        self._settling = False
        self._seen = 0  # answers that waited when it was last looked
        self._prepared: deque[tuple[Request, list[PendingRequest]]] = deque()

    async def run(self) -> None:
        """Send the whole schedule and wait for its last answer (or timeout), or until `stop`."""
        self._alarm = Alarm(self._loop, self._ring)
        try:
            self._prepare()
            self._over = self._over or not self._prepared
            self._ring()
            await self._ended.wait()
        finally:
            self._alarm.close()
            self._settle_all()

    async def stop(self) -> None:
        await super().stop()
        self._settle_all()

    def _ring(self) -> None:
        prepared, late_ns = self._prepared, self._job.rows.late_ns
        start_ns = self._job.start_ns
        while not self._over:
            if not prepared:
                self._prepare()
                if not prepared:
                    self._over = True
                    break
            (slot, _, _, _, due_ns, swapped), exchanges = prepared[0]
            due_ns = self._next_due_ns = start_ns + due_ns
            now_ns = now()
            if now_ns < due_ns:
                break
            prepared.popleft()
            late_ns[slot] = now_ns - due_ns + 1
            for arm in range(self._arms) if not swapped else range(self._arms - 1, -1, -1):
                self._open += 1
                self._clients[arm].send(exchanges[arm], self._timeout_s)
        if self._over:
            self._end_if_done()
        else:
            self._alarm.set(self._next_due_ns)
            if len(prepared) < PREPARED // 2:
                self._prepare()
        if self._waiting and not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _prepare(self) -> None:
        """Make the bytes of the next slots: a few at once where the next one is far away, else just one."""
        job, arms = self._job, range(self._arms)
        while len(self._prepared) < PREPARED and (request := next(self._requests, None)) is not None:
            tag = request[0] * self._arms
            self._prepared.append((request, [job.exchange(request, arm, tag + arm, self._answered) for arm in arms]))
            if not self._room():
                break

    def _answered(self, exchange: PendingRequest, answer: HttpResponse) -> None:
        self._open -= 1
        self._waiting.append((exchange.tag, answer))
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)
        self._end_if_done()

    def _room(self) -> bool:
        """Is there time for something else than sending?"""
        return self._next_due_ns - now() > _ROOM_NS

    def _settle(self) -> None:
        """Settle answers for a moment, then give the loop a turn: what arrives is timed without delay. While more keep
        arriving, nothing is settled: those who come back from a frozen service together must not wait for that."""
        pouring, self._seen = len(self._waiting) > self._seen, len(self._waiting)
        if pouring and not self._over and len(self._waiting) <= _MOST_WAITING:
            self._loop.call_soon(self._settle)
            return
        until_ns = now() + _SETTLING_NS
        while self._waiting and (self._room() or self._over or len(self._waiting) > _MOST_WAITING):
            tag, answer = self._waiting.popleft()
            self._settle_response(tag // self._arms, tag % self._arms, answer)
            if now() > until_ns:
                break
        self._seen = len(self._waiting)
        self._settling = bool(self._waiting) and (self._room() or self._over)
        if self._settling:
            self._loop.call_soon(self._settle)

    def _settle_all(self) -> None:
        settle, arms, waiting = self._settle_response, self._arms, self._waiting
        while waiting:
            tag, answer = waiting.popleft()
            settle(tag // arms, tag % arms, answer)


class ClosedWorker(_Sender):
    """Closed loop: each of `connections` sends its next request when the one before is answered. Its numbers are not
    those of independent users: a slow service is asked less often (coordinated omission)."""

    def __init__(self, job: Job, settle: Settle, *, end_ns: int, connections: int) -> None:
        super().__init__(job, settle)
        self._end_ns, self._connections = end_ns, connections
        # Bound once: this happens for each request, and a closed loop is as fast as its user lets it be.
        self._send_to, self._settle, self._on_answer = job.clients[0].send, settle, self._answered
        self._identify = job.identify if job.later else None
        self._fixed, self._templates, self._methods = job.fixed[0], job.templates[0], job.methods
        self.sent = 0

    async def run(self) -> None:
        """Send until `end_ns` (raw), or until `stop`; then wait for the answers still under way."""
        while (left_ns := self._job.start_ns - now()) > 0:
            await asyncio.sleep(left_ns / 1e9)
        for _ in range(self._connections):
            self._send(now())
        await self._ended.wait()

    def _send(self, due_ns: int, exchange: PendingRequest | None = None) -> None:
        """Send the next request, with an `exchange` that is over if there is one: making them takes time."""
        if self._over or due_ns >= self._end_ns:
            self._over = True
            self._end_if_done()
            return
        slot, route, key, number, _, _ = next(self._requests)
        payload = self._fixed[route] or self._templates[route].render(key, number)
        if self._identify is not None:
            payload = self._identify(payload, slot, 0)
        if exchange is None:
            exchange = PendingRequest(payload, self._on_answer, self._methods[route], slot)
        else:
            exchange.payload, exchange.method, exchange.tag = payload, self._methods[route], slot
            exchange.sent_ns, exchange.over = None, False
        exchange.due_ns = due_ns
        self.sent += 1
        self._open += 1
        self._send_to(exchange, self._timeout_s)

    def _answered(self, exchange: PendingRequest, answer: HttpResponse) -> None:
        self._open -= 1
        tag, answer.due_ns = exchange.tag, exchange.due_ns
        if answer.error is None and answer.done_ns is not None and not answer.retried:
            self._send(answer.done_ns, exchange)  # due when the one before it on its connection was answered
        elif answer.error in ("connect", "dropped"):
            # Refused at once: asking again at once would be a busy loop.
            self._loop.call_later(_REFUSED_S, lambda: self._send(now()))
        else:
            self._send(now())
        # The next request is on its way: there is time, and nothing is gained by waiting for more.
        self._settle(tag, 0, answer)


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
