"""What a run may do to the users of its target, watched while it does it (`target.limits` in a case).

Of each arm, warm-up or not, the requests count whose end became known within the last `window_s`:

    failed    ended in an error (connect, timeout, reset, protocol, unexpected)
    slow      timed out, or the end came more than `p99_ms` behind the instant they were due

and those that are still unanswered `p99_ms` after they were sent: a frozen service ends nothing. More than
`error_rate` failed, or more than 1 % (and at least two: one alone is no percentile) not answered in time, is too much,
once the window holds `fewest` requests.

Nothing that the engine did counts against the service: neither what it dropped (out of connections, stopped) nor an
answer that is late only since its request was sent late. Answers that are looked into when the block is over (large
JSON) count as right. The freshness probe's few requests are not watched: what fails of them is in its `problems`.
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
    from luckyhit.load.block_context import Job
    from luckyhit.load.http1.response import HttpResponse
    from luckyhit.records import Arm

MOST_STEPS, SHORTEST_STEP_S = 50, 0.02
USUAL_WINDOW_S, USUAL_FEWEST = 5.0, 50
SLOW_SHARE = 0.01
FEWEST_SLOW = 2
_ROUNDING = 1e-9
_TURNS = 3
"""Turns of the event loop in which everything that has arrived is read."""


class Counts(NamedTuple):
    """Requests of one arm that ended within the window, how many of these failed or were slow; and how many have been
    `waiting` for too long now."""

    ended: int = 0
    failed: int = 0
    slow: int = 0
    waiting: int = 0

    @classmethod
    def together(cls, counts: Iterable[Iterable[int]]) -> Counts:
        """Those of an arm whose requests are sent by several workers."""
        return cls(*(sum(column) for column in zip(*counts, strict=True)))


@dataclass(frozen=True, slots=True)
class WatchedLimits:
    """`error_rate` is a share; None: not limited."""

    error_rate: float | None = None
    p99_ms: float | None = None
    window_s: float = USUAL_WINDOW_S
    fewest: float = USUAL_FEWEST

    @classmethod
    def of(cls, facts: Mapping[str, float | None] | None) -> WatchedLimits | None:
        """From `BlockPlan.limits`; None where nothing is limited."""
        given = {name: value for name, value in (facts or {}).items() if value is not None}
        return cls(**given) if "error_rate" in given or "p99_ms" in given else None

    @property
    def steps(self) -> int:
        """In how many steps the window moves on."""
        return max(1, min(MOST_STEPS, int(self.window_s / SHORTEST_STEP_S)))

    def exceeded(self, arm: str, counts: Counts) -> str | None:
        """One sentence with figures where an arm is beyond a limit."""
        within = f"in the last {_lasting(self.window_s)}"
        ended, failed = counts.ended, counts.failed
        if self.error_rate is not None and ended >= self.fewest and failed - self.error_rate * ended > _ROUNDING:
            share = f"{_percent(failed, ended)}; limit {format_share(self.error_rate)}"
            return f"{arm} arm: {failed} of {ended} requests failed {within} ({share})"
        late, requests = counts.slow + counts.waiting, ended + counts.waiting
        if self.p99_ms is None or requests < self.fewest or late < FEWEST_SLOW:
            return None
        if late - SLOW_SHARE * requests <= _ROUNDING:
            return None
        limit = _lasting(self.p99_ms / 1000)
        waiting = f", {counts.waiting} of them still waiting" if counts.waiting else ""
        return (
            f"{arm} arm: {late} of {requests} requests were not answered within {limit} {within} "
            f"({_percent(late, requests)}{waiting}; limit {format_share(SLOW_SHARE)}, which is a p99 of {limit})"
        )


def _percent(some: int, all_of_them: int) -> str:
    return f"{100 * some / all_of_them:.3g} %"


def _lasting(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms"


class Window:
    """Counts over the last `steps` steps, the one under way included. `ended`, `failed` and `slow` are counted up by
    whoever sees a request end, and never go down: what the window holds is their growth."""

    __slots__ = ("_marks", "ended", "failed", "slow")

    def __init__(self, steps: int) -> None:
        self.ended = self.failed = self.slow = 0
        self._marks = deque([(0, 0, 0)], maxlen=steps)  # where each of the steps began

    def move(self, steps: int = 1) -> None:
        """So many steps are over."""
        mark = (self.ended, self.failed, self.slow)
        self._marks.extend([mark] * min(steps, self._marks.maxlen or 1))

    def counts(self, waiting: int = 0) -> Counts:
        ended, failed, slow = self._marks[0]
        return Counts(self.ended - ended, self.failed - failed, self.slow - slow, waiting)


class Watch:
    """Watches the requests of one job: call `settle` in the place of that of its answers, `start` inside the event
    loop, `close` when all is settled.

    `on_exceeded` gets the sentence, once, in the middle of whatever is going on. `on_counts`: where other workers send
    requests to the same arms, gets this worker's counts at every step, and nothing is judged here.
    """

    def __init__(
        self,
        limits: WatchedLimits,
        job: Job,
        *,
        on_exceeded: Callable[[str], None],
        on_counts: Callable[[dict[Arm, Counts]], None] | None = None,
    ) -> None:
        self._limits, self._job, self._on_exceeded, self._on_counts = limits, job, on_exceeded, on_counts
        self._settle_row = job.answers.settle
        self._windows = [Window(limits.steps) for _ in job.arms]
        self._slow_ns = float("inf") if limits.p99_ms is None else limits.p99_ms * 1e6
        self._step_ns = round(limits.window_s * 1e9 / limits.steps)
        self._handle: asyncio.Handle | None = None
        self._exceeded = False

    def settle(self, slot: int, arm: int, answer: HttpResponse) -> None:
        """One answer, into its row, and into what is watched. Costs the same however much the window holds."""
        self._settle_row(slot, arm, answer)
        error = answer.error  # only now it is known whether it was as expected
        if error == "dropped":
            return
        window, slow = self._windows[arm], error == "timeout" or self._slow(slot, answer)
        window.ended += 1
        if error is not None or slow:
            window.failed += error is not None
            window.slow += slow
            self._judge(arm, window.counts())

    def start(self) -> None:
        """From now on the window moves."""
        self._loop = asyncio.get_running_loop()
        self._began_ns, self._moved = now(), 0
        self._next()

    def close(self) -> None:
        """Everything is settled: a last look, then no more."""
        if self._handle is not None:
            self._handle.cancel()
        self._look()

    def _slow(self, slot: int, answer: HttpResponse) -> bool:
        job = self._job
        due_ns = answer.due_ns
        if due_ns is None:
            due_ns = job.start_ns + int(job.schedule.due_ns[slot])
        took_ns = (answer.done_ns or now()) - due_ns
        if took_ns <= self._slow_ns:
            return False
        late_ns = job.rows.late_ns  # of the engine itself, and one higher; a closed loop is never late
        return not len(late_ns) or took_ns - int(late_ns[slot]) + 1 > self._slow_ns

    def _next(self) -> None:
        at_ns = self._began_ns + (self._moved + 1) * self._step_ns
        self._handle = self._loop.call_later(max(0, at_ns - now()) / 1e9, self._step, _TURNS)

    def _step(self, turns: int) -> None:
        """After a standstill of this process the answers lie unread: they are read before anything is judged."""
        if turns:
            self._handle = self._loop.call_soon(self._step, turns - 1)
            return
        self._look()
        steps = (now() - self._began_ns) // self._step_ns - self._moved
        for window in self._windows:
            window.move(steps)
        self._moved += steps
        self._next()

    def _look(self) -> None:
        since_ns = now() - self._slow_ns
        counts = [
            window.counts(client.unanswered(since_ns))
            for window, client in zip(self._windows, self._job.clients, strict=True)
        ]
        if self._on_counts is not None:
            self._on_counts(dict(zip(self._job.arms, counts, strict=True)))
        for arm, of_arm in enumerate(counts):
            self._judge(arm, of_arm)

    def _judge(self, arm: int, counts: Counts) -> None:
        if self._exceeded or self._on_counts is not None:
            return
        sentence = self._limits.exceeded(self._job.arms[arm], counts)
        if sentence is not None:
            self._exceeded = True
            self._on_exceeded(sentence)
