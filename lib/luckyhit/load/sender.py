"""Sending a schedule: each slot goes to every arm at nearly the same instant, whatever became of earlier slots.

Which arm goes first is drawn for each slot, so that neither always waits for the other. Priorities: send what is due,
read what has arrived, record responses while nothing is due soon.

The event loop's own timers count whole milliseconds. A kernel timer is exact to some tens of microseconds, and costs
no busy waiting, which the services under test would pay for on the same cores.
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
from typing import Protocol

from luckyhit.load.block_context import BlockContext, Request
from luckyhit.load.http1.response import HttpResponse, KnownAnswer, PendingRequest, PlainConnection

PREPARED = 32
_FREE_NS = 150_000
"""Responses are recorded while the next slot is further away than this."""
_RECORDING_NS = 30_000
_MOST_WAITING = 16384
"""Beyond this many unrecorded responses, recording comes before sending: memory stays bounded."""
_RETRY_REFUSED_S = 0.05


class OutcomeRecorder(Protocol):
    """Who keeps the outcomes: a ResponseHandler, or who watches one."""

    def record(self, slot: int, arm: int, response: HttpResponse) -> None:
        """Keep one response."""

    def record_known(
        self,
        slot: int,
        arm: int,
        due_ns: int | None,
        sent_ns: int | None,
        done_ns: int,
        connection: int,
        answer: KnownAnswer,
    ) -> None:
        """Keep an answer that came before, with the instants (raw) of this time."""


_Known = tuple[int, int | None, int, int, KnownAnswer]
"""Tag, when it was sent and done (raw ns), connection, answer."""


class _SenderBase:
    """What open and closed loop share: requests go out, responses are timed at once and recorded later."""

    def __init__(self, context: BlockContext, recording: OutcomeRecorder) -> None:
        self._loop = asyncio.get_running_loop()
        self._context, self._arms = context, len(context.arms)
        self._record, self._record_known = recording.record, recording.record_known
        self._clients, self._timeout_s = context.clients, context.timeout_s
        self._requests = context.requests()
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


class Sender(_SenderBase):
    """Open loop: every slot when it is due."""

    def __init__(self, context: BlockContext, recording: OutcomeRecorder) -> None:
        super().__init__(context, recording)
        self._next_due_ns = 0
        self._waiting: deque[tuple[int, HttpResponse] | _Known] = deque()
        self._recording_scheduled = False
        self._waited_before = 0  # responses that waited at the last turn
        self._prepared: deque[tuple[Request, list[PendingRequest]]] = deque()

    async def run(self) -> None:
        """Send the whole schedule and wait for its last response (or timeout), or until `stop`."""
        self._timer = PreciseTimer(self._loop, self._send_due)
        try:
            self._prepare()
            self._over = self._over or not self._prepared
            self._send_due()
            await self._ended.wait()
        finally:
            self._timer.close()
            self._record_all()

    async def stop(self) -> None:
        await super().stop()
        self._record_all()

    def _send_due(self) -> None:
        prepared, late_ns = self._prepared, self._context.recorder.late_ns
        start_ns = self._context.start_ns
        while not self._over:
            if not prepared:
                self._prepare()
                if not prepared:
                    self._over = True
                    break
            (slot, _, _, _, due_ns, swapped), requests = prepared[0]
            due_ns = self._next_due_ns = start_ns + due_ns
            now_ns = now()
            if now_ns < due_ns:
                break
            prepared.popleft()
            late_ns[slot] = now_ns - due_ns + 1
            for arm in range(self._arms) if not swapped else range(self._arms - 1, -1, -1):
                self._open += 1
                self._clients[arm].send(requests[arm], self._timeout_s)
        if self._over:
            self._end_if_done()
        else:
            self._timer.set(self._next_due_ns)
            if len(prepared) < PREPARED // 2:
                self._prepare()
        if self._waiting:
            self._schedule_recording()

    def _prepare(self) -> None:
        """Make the bytes of the next slots: several at once while the next slot is far away, else one."""
        context, arms = self._context, range(self._arms)
        done, known = self._on_response, self._on_known
        while len(self._prepared) < PREPARED and (request := next(self._requests, None)) is not None:
            tag = request[0] * self._arms
            self._prepared.append(
                (request, [context.pending_request(request, arm, tag + arm, done, known) for arm in arms])
            )
            if not self._has_time():
                break

    def _on_response(self, pending: PendingRequest, response: HttpResponse) -> None:
        self._open -= 1
        self._waiting.append((pending.tag, response))
        self._schedule_recording()
        self._end_if_done()

    def _on_known(
        self, pending: PendingRequest, connection: PlainConnection, done_ns: int, answer: KnownAnswer
    ) -> None:
        connection.finish_known(pending)
        self._open -= 1
        self._waiting.append((pending.tag, pending.sent_ns, done_ns, connection.number, answer))
        self._schedule_recording()
        self._end_if_done()

    def _has_time(self) -> bool:
        """Whether there is time for anything but sending."""
        return self._next_due_ns - now() > _FREE_NS

    def _schedule_recording(self) -> None:
        if not self._recording_scheduled:
            self._recording_scheduled = True
            self._loop.call_soon(self._record_waiting)

    def _record_waiting(self) -> None:
        """Record responses for a moment, then give the loop a turn, so that what arrives is timed without delay. While
        more keep arriving, nothing is recorded: responses of a service that was frozen come all at once."""
        arriving, self._waited_before = len(self._waiting) > self._waited_before, len(self._waiting)
        if arriving and not self._over and len(self._waiting) <= _MOST_WAITING:
            self._loop.call_soon(self._record_waiting)
            return
        until_ns = now() + _RECORDING_NS
        while self._waiting and (self._has_time() or self._over or len(self._waiting) > _MOST_WAITING):
            self._record_next()
            if now() > until_ns:
                break
        self._waited_before = len(self._waiting)
        self._recording_scheduled = bool(self._waiting) and (self._has_time() or self._over)
        if self._recording_scheduled:
            self._loop.call_soon(self._record_waiting)

    def _record_all(self) -> None:
        while self._waiting:
            self._record_next()

    def _record_next(self) -> None:
        outcome = self._waiting.popleft()
        slot, arm = divmod(outcome[0], self._arms)
        if len(outcome) == 2:
            self._record(slot, arm, outcome[1])
        else:
            _, sent_ns, done_ns, connection, answer = outcome
            self._record_known(slot, arm, None, sent_ns, done_ns, connection, answer)


class ClosedLoopSender(_SenderBase):
    """Closed loop: each of `connections` sends its next request when its last one is answered. Its latencies are not
    those of independent users: a slow service is asked less often (coordinated omission)."""

    def __init__(self, context: BlockContext, recording: OutcomeRecorder, *, end_ns: int, connections: int) -> None:
        super().__init__(context, recording)
        self._end_ns, self._connections = end_ns, connections
        # Bound once: this happens for each request, and sets the loop's speed.
        self._send_to, self._on_done = context.clients[0].send, self._on_response
        self._keeps_open = context.clients[0].keep_open
        self._when_known, self._known = self._on_known, context.responses.known[0]
        self._identify = context.identify if context.later else None
        self._fixed, self._templates, self._methods = context.fixed[0], context.templates[0], context.methods
        self.sent = 0

    async def run(self) -> None:
        """Send until `end_ns` (raw), or until `stop`; then wait for the responses still under way."""
        while (left_ns := self._context.start_ns - now()) > 0:
            await asyncio.sleep(left_ns / 1e9)
        for _ in range(self._connections):
            self._send(now())
        await self._ended.wait()

    def _send(self, due_ns: int, pending: PendingRequest | None = None) -> None:
        """Send the next request, in the finished `pending` if there is one: making a new one takes time."""
        if self._over or due_ns >= self._end_ns:
            self._over = True
            self._end_if_done()
            return
        if pending is None:
            pending = PendingRequest(b"", self._on_done)
        pending.sent_ns, pending.over = None, False
        self._fill(pending, due_ns)
        self._open += 1
        self._send_to(pending, self._timeout_s)

    def _fill(self, pending: PendingRequest, due_ns: int) -> None:
        """Make it the next request."""
        slot, route, key, number, _, _ = next(self._requests)
        payload = self._fixed[route] or self._templates[route].render(key, number)
        if self._identify is not None:
            payload = self._identify(payload, slot, 0)
        pending.payload, pending.tag, pending.due_ns = payload, slot, due_ns
        self.sent += 1
        if pending.route != route:
            pending.route, pending.method = route, self._methods[route]
            known = self._known[route]
            pending.known = known.by_bytes if known is not None else None
            pending.learns, pending.on_known = known is not None and known.learns, self._when_known

    def _on_response(self, pending: PendingRequest, response: HttpResponse) -> None:
        self._open -= 1
        tag, response.due_ns = pending.tag, pending.due_ns
        if response.error is None and response.done_ns is not None and not response.retried:
            self._send(response.done_ns, pending)  # due when the connection's last request was answered
        elif response.error in ("connect", "dropped"):
            # Refused at once: asking again at once would be a busy loop.
            self._loop.call_later(_RETRY_REFUSED_S, lambda: self._send(now()))
        else:
            self._send(now())
        # The next request is under way, so there is time to record this one.
        self._record(tag, 0, response)

    def _on_known(
        self, pending: PendingRequest, connection: PlainConnection, done_ns: int, answer: KnownAnswer
    ) -> None:
        tag, due_ns, sent_ns = pending.tag, pending.due_ns, pending.sent_ns
        if self._over or done_ns >= self._end_ns or not self._keeps_open:
            connection.finish_known(pending)
            self._open -= 1
            self._send(done_ns, pending)
        else:
            self._fill(pending, done_ns)
            connection.follow(pending)
        self._record_known(tag, 0, due_ns, sent_ns, done_ns, connection.number, answer)


_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_SHORTEST_NS = 1_000_000


class PreciseTimer:
    """Calls `on_time` at an instant of the monotonic clock (raw nanoseconds), never before it. One instant at a time.

    A timerfd on Linux; elsewhere the loop's timers, with turns of the loop for the last millisecond.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, on_time: Callable[[], None]) -> None:
        self._loop, self._on_time = loop, on_time
        self._handle: asyncio.Handle | None = None
        self._fd = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd >= 0:
            loop.add_reader(self._fd, self._expired)

    def set(self, at_ns: int) -> None:
        """Fire at `at_ns` instead of any instant set before."""
        if self._fd >= 0:
            # All zero would disarm it.
            spec = struct.pack("qqqq", 0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000 or 1)
            self._libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, spec, None)
            return
        self._cancel()
        self._wait(at_ns)

    def close(self) -> None:
        """Never fire again."""
        self._cancel()
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _expired(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set anew between firing and now
            os.read(self._fd, 8)
            self._on_time()

    def _wait(self, at_ns: int) -> None:
        left_ns = at_ns - time.monotonic_ns()
        if left_ns <= 0:
            self._handle = self._loop.call_soon(self._on_time)
        elif left_ns > _SHORTEST_NS:
            self._handle = self._loop.call_later((left_ns - _SHORTEST_NS) / 1e9, self._wait, at_ns)
        else:
            self._handle = self._loop.call_soon(self._wait, at_ns)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
