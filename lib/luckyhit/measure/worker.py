"""Sending a schedule: each slot goes to every arm at nearly the same instant, whatever became of those before it.

Which arm comes first is drawn for each slot, so that neither always waits behind the other. The order of work when
several things could be done: send what is due, read what has come, settle answers while nothing is due soon.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

from luckyhit.measure.alarm import Alarm
from luckyhit.measure.connection import Answer, Exchange
from luckyhit.measure.job import Job

PREPARED = 32
_ROOM_NS = 150_000
"""Answers are settled while the next slot is further away than this."""
_MOST_WAITING = 4096
"""Beyond this many unsettled answers they are settled whatever is due: memory stays bounded."""


class _Sender:
    """What open and closed loop share: requests go out, answers are timed at once and settled later."""

    def __init__(self, job: Job) -> None:
        self._loop = asyncio.get_running_loop()
        self._job, self._schedule, self._arms = job, job.schedule, len(job.arms)
        self._waiting: deque[tuple[int, Answer]] = deque()
        self._settling = False
        self._open = 0
        self._over = False
        self._ended = asyncio.Event()

    async def stop(self) -> None:
        """Send no more, and give up what is under way (`dropped`)."""
        self._over = True
        for client in self._job.clients:
            await client.close()
        self._end_if_done()
        self._settle_all()

    def _render(self, slot: int, arm: int) -> bytes:
        schedule = self._schedule
        template = self._job.templates[arm][schedule.route[slot]]
        return template.render(int(schedule.key[slot]), int(schedule.number[slot]))

    def _send(self, slot: int, arm: int, payload: bytes) -> None:
        method = self._job.templates[arm][self._schedule.route[slot]].method
        self._open += 1
        self._job.clients[arm].send(
            Exchange(payload, self._answered, method=method, tag=slot * self._arms + arm), self._job.timeout_s
        )

    def _answered(self, exchange: Exchange, answer: Answer) -> None:
        self._open -= 1
        slot, arm = divmod(exchange.tag, self._arms)
        self._job.rows.times(slot, arm, answer, self._job.origin_ns)
        self._waiting.append((exchange.tag, answer))
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)
        self._end_if_done()

    def _room(self) -> bool:
        """Is there time to settle an answer?"""
        return True

    def _settle(self) -> None:
        """Settle one answer (more where many wait), then give the loop a turn: what arrives is timed without delay."""
        for _ in range(1 + len(self._waiting) // 16):
            if not self._waiting or not (self._room() or self._over or len(self._waiting) > _MOST_WAITING):
                break
            tag, answer = self._waiting.popleft()
            self._job.answers.settle(*divmod(tag, self._arms), answer)
        self._settling = bool(self._waiting) and (self._room() or self._over)
        if self._settling:
            self._loop.call_soon(self._settle)

    def _settle_all(self) -> None:
        while self._waiting:
            tag, answer = self._waiting.popleft()
            self._job.answers.settle(*divmod(tag, self._arms), answer)

    def _end_if_done(self) -> None:
        if self._over and not self._open:
            self._ended.set()


class Worker(_Sender):
    """Open loop: every slot when it is due."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._next = 0
        self._next_due_ns = 0
        self._prepared: deque[list[bytes]] = deque()

    async def run(self) -> None:
        """Send the whole schedule and wait for its last answer (or timeout), or until `stop`."""
        self._alarm = Alarm(self._loop, self._ring)
        try:
            if len(self._schedule) and not self._over:
                self._next_due_ns = self._job.start_ns + int(self._schedule.due_ns[0])
                self._prepare()
                self._alarm.set(self._next_due_ns)
            else:
                self._over = True
                self._end_if_done()
            await self._ended.wait()
        finally:
            self._alarm.close()
            self._settle_all()

    def _ring(self) -> None:
        schedule, count = self._schedule, len(self._schedule)
        while not self._over:
            slot, due_ns = self._next, self._next_due_ns
            now_ns = time.monotonic_ns()
            if now_ns < due_ns:
                break
            if not self._prepared:
                self._prepare()
            payloads = self._prepared.popleft()
            self._job.rows.late_ns[slot] = now_ns - due_ns + 1
            order = range(self._arms) if not schedule.swapped[slot] else range(self._arms - 1, -1, -1)
            for arm in order:
                self._send(slot, arm, payloads[arm])
            self._next = slot + 1
            if self._next == count:
                self._over = True
            else:
                self._next_due_ns = self._job.start_ns + int(schedule.due_ns[self._next])
        if self._over:
            self._end_if_done()
        else:
            self._alarm.set(self._next_due_ns)
            if len(self._prepared) < PREPARED // 2:
                self._prepare()
        if self._waiting and not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _prepare(self) -> None:
        """Make the bytes of the next slots: a few at once where the next one is far away, else just one."""
        upto = min(len(self._schedule), self._next + PREPARED)
        while (slot := self._next + len(self._prepared)) < upto:
            self._prepared.append([self._render(slot, arm) for arm in range(self._arms)])
            if not self._room():
                break

    def _room(self) -> bool:
        return self._next_due_ns - time.monotonic_ns() > _ROOM_NS


class ClosedWorker(_Sender):
    """Closed loop: each of `connections` sends its next request when the one before is answered. Its numbers are not
    those of independent users: a slow service is asked less often (coordinated omission)."""

    def __init__(self, job: Job, *, end_ns: int, connections: int) -> None:
        super().__init__(job)
        self._end_ns, self._connections = end_ns, connections
        self.used = 0

    async def run(self) -> None:
        """Send until `end_ns` (raw), or until `stop`; then wait for the answers still under way."""
        await self._job.clients[0].warm(self._connections)
        while (left_ns := self._job.start_ns - time.monotonic_ns()) > 0:
            await asyncio.sleep(left_ns / 1e9)
        for _ in range(self._connections):
            self._send_next()
        try:
            await self._ended.wait()
        finally:
            self._settle_all()

    def _send_next(self) -> None:
        now_ns = time.monotonic_ns()
        if self._over or now_ns >= self._end_ns or self.used == len(self._schedule):
            self._over = True
            self._end_if_done()
            return
        slot, self.used = self.used, self.used + 1
        self._schedule.due_ns[slot] = now_ns - self._job.start_ns
        self._job.rows.late_ns[slot] = 1
        self._send(slot, 0, self._render(slot, 0))

    def _answered(self, exchange: Exchange, answer: Answer) -> None:
        super()._answered(exchange, answer)
        if answer.error in ("connect", "dropped"):
            # Refused at once: asking again at once would be a busy loop.
            self._loop.call_later(0.05, self._send_next)
        else:
            self._send_next()
