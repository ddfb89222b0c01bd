"""What a run may do to the users of its target, watched during the load (`target.limits` in a case).

In each arm, warm-up included, those requests count that ended within the last `window_s`:

    failed    ended in an error (connect, timeout, reset, protocol, unexpected)
    slow      timed out, or ended more than `p99_ms` after they were due

and those that are still unanswered `p99_ms` after they were sent, since a frozen service ends nothing. A limit is
exceeded if more than `error_rate` failed, or if more than 1 % (and at least two) were not answered in time, once the
window holds `fewest` requests.

What the engine itself did does not count against the service: requests that it dropped (out of connections, stopped),
and responses that are late only because their request was sent late. Responses that are checked when the block is over
(large JSON) count as right. The freshness probe's few requests are not watched: its `problems` report their failures.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic_ns as now
from typing import TYPE_CHECKING, NamedTuple

from luckyhit.case.values.units import format_share

if TYPE_CHECKING:
    from luckyhit.load.block_context import BlockContext
    from luckyhit.load.http1.response import HttpResponse, KnownAnswer
    from luckyhit.records import Arm

MOST_STEPS, SHORTEST_STEP_S = 50, 0.02
USUAL_WINDOW_S, USUAL_FEWEST = 5.0, 50
SLOW_SHARE = 0.01
FEWEST_SLOW = 2
_ROUNDING = 1e-9
_TURNS = 3
"""Turns of the event loop that it takes to read everything that has arrived."""


class Counts(NamedTuple):
    """Requests of one arm that ended within the window, how many of these failed or were slow, and how many have been
    `waiting` for too long."""

    ended: int = 0
    failed: int = 0
    slow: int = 0
    waiting: int = 0

    @classmethod
    def sum(cls, counts: Iterable[Iterable[int]]) -> Counts:
        """The counts of an arm whose requests are sent by several workers."""
        return cls(*(sum(column) for column in zip(*counts, strict=True)))


@dataclass(frozen=True, slots=True)
class WatchedLimits:
    """`error_rate` is a fraction. None: not limited."""

    error_rate: float | None = None
    p99_ms: float | None = None
    window_s: float = USUAL_WINDOW_S
    fewest: float = USUAL_FEWEST

    @classmethod
    def of(cls, facts: Mapping[str, float | None] | None) -> WatchedLimits | None:
        """From `BlockPlan.limits`; None if nothing is limited."""
        given = {name: value for name, value in (facts or {}).items() if value is not None}
        return cls(**given) if "error_rate" in given or "p99_ms" in given else None

    @property
    def steps(self) -> int:
        """How many steps the window has."""
        return max(1, min(MOST_STEPS, int(self.window_s / SHORTEST_STEP_S)))

    def exceeded(self, arm: str, counts: Counts) -> str | None:
        """One sentence with figures if an arm exceeds a limit."""
        within = f"in the last {_duration(self.window_s)}"
        ended, failed = counts.ended, counts.failed
        if self.error_rate is not None and ended >= self.fewest and failed - self.error_rate * ended > _ROUNDING:
            rate = f"{_percent(failed, ended)}; limit {format_share(self.error_rate)}"
            return f"{arm} arm: {failed} of {ended} requests failed {within} ({rate})"
        late, requests = counts.slow + counts.waiting, ended + counts.waiting
        if self.p99_ms is None or requests < self.fewest or late < FEWEST_SLOW:
            return None
        if late - SLOW_SHARE * requests <= _ROUNDING:
            return None
        limit = _duration(self.p99_ms / 1000)
        waiting = f", {counts.waiting} of them still waiting" if counts.waiting else ""
        return (
            f"{arm} arm: {late} of {requests} requests were not answered within {limit} {within} "
            f"({_percent(late, requests)}{waiting}; limit {format_share(SLOW_SHARE)}, that is a p99 of {limit})"
        )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %"


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms"


class Window:
    """Counts over the last `steps` steps, the current one included. `ended`, `failed` and `slow` are counted up as
    requests end, and never go down: what the window holds is their growth."""

    __slots__ = ("_marks", "ended", "failed", "slow")

    def __init__(self, steps: int) -> None:
        self.ended = self.failed = self.slow = 0
        self._marks = deque([(0, 0, 0)], maxlen=steps)  # where each of the steps began

    def move(self, steps: int = 1) -> None:
        """`steps` more are over."""
        mark = (self.ended, self.failed, self.slow)
        self._marks.extend([mark] * min(steps, self._marks.maxlen or 1))

    def counts(self, waiting: int = 0) -> Counts:
        ended, failed, slow = self._marks[0]
        return Counts(self.ended - ended, self.failed - failed, self.slow - slow, waiting)


class LimitWatch:
    """Watches the requests of one block: call its `record` instead of the response handler's, `start` inside the event
    loop, `close` when all is recorded.

    `on_exceeded` gets the sentence, once, at any moment. `on_counts`: if other workers send requests to the same arms,
    gets this worker's counts at every step, and nothing is judged here.
    """

    def __init__(
        self,
        limits: WatchedLimits,
        context: BlockContext,
        *,
        on_exceeded: Callable[[str], None],
        on_counts: Callable[[dict[Arm, Counts]], None] | None = None,
    ) -> None:
        self._limits, self._context, self._on_exceeded, self._on_counts = limits, context, on_exceeded, on_counts
        self._record_row, self._record_known = context.responses.record, context.responses.record_known
        self._windows = [Window(limits.steps) for _ in context.arms]
        self._slow_ns = float("inf") if limits.p99_ms is None else limits.p99_ms * 1e6
        self._step_ns = round(limits.window_s * 1e9 / limits.steps)
        self._handle: asyncio.Handle | None = None
        self._exceeded = False

    def record(self, slot: int, arm: int, response: HttpResponse) -> None:
        """Record one response, and count it. Costs the same however much the window holds."""
        self._record_row(slot, arm, response)
        error = response.error  # complete only after the response was checked
        if error == "dropped":
            return
        window, slow = self._windows[arm], error == "timeout" or self._slow(slot, response.due_ns, response.done_ns)
        window.ended += 1
        if error is not None or slow:
            window.failed += error is not None
            window.slow += slow
            self._judge(arm, window.counts())

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
        """The same of an answer that is known: it is right."""
        self._record_known(slot, arm, due_ns, sent_ns, done_ns, connection, answer)
        window = self._windows[arm]
        window.ended += 1
        if self._slow(slot, due_ns, done_ns):
            window.slow += 1
            self._judge(arm, window.counts())

    def start(self) -> None:
        """Begin to move the window."""
        self._loop = asyncio.get_running_loop()
        self._began_ns, self._moved = now(), 0
        self._next()

    def close(self) -> None:
        """Everything is recorded: judge once more, then never again."""
        if self._handle is not None:
            self._handle.cancel()
        self._judge_all()

    def _slow(self, slot: int, due_ns: int | None, done_ns: int | None) -> bool:
        context = self._context
        if due_ns is None:
            due_ns = context.start_ns + int(context.schedule.due_ns[slot])
        took_ns = (done_ns or now()) - due_ns
        if took_ns <= self._slow_ns:
            return False
        late_ns = context.recorder.late_ns  # plus 1; empty in a closed loop, which is never late
        return not len(late_ns) or took_ns - int(late_ns[slot]) + 1 > self._slow_ns

    def _next(self) -> None:
        at_ns = self._began_ns + (self._moved + 1) * self._step_ns
        self._handle = self._loop.call_later(max(0, at_ns - now()) / 1e9, self._step, _TURNS)

    def _step(self, turns: int) -> None:
        """After a standstill of this process there are unread responses: they are read before anything is judged."""
        if turns:
            self._handle = self._loop.call_soon(self._step, turns - 1)
            return
        self._judge_all()
        steps = (now() - self._began_ns) // self._step_ns - self._moved
        for window in self._windows:
            window.move(steps)
        self._moved += steps
        self._next()

    def _judge_all(self) -> None:
        since_ns = now() - self._slow_ns
        counts = [
            window.counts(client.unanswered(since_ns))
            for window, client in zip(self._windows, self._context.clients, strict=True)
        ]
        if self._on_counts is not None:
            self._on_counts(dict(zip(self._context.arms, counts, strict=True)))
        for arm, of_arm in enumerate(counts):
            self._judge(arm, of_arm)

    def _judge(self, arm: int, counts: Counts) -> None:
        if self._exceeded or self._on_counts is not None:
            return
        sentence = self._limits.exceeded(self._context.arms[arm], counts)
        if sentence is not None:
            self._exceeded = True
            self._on_exceeded(sentence)
