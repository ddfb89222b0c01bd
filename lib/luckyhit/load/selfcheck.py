"""The engine measures itself before it measures a service: the same code, against an echo that does nothing.

The echo reports in Server-Timing how long it took by its own clock. What the engine saw beyond that, from the due
instant on, is what the engine (and the loopback) adds. The bounds are wide, since machines are noisy: they have to
catch an engine whose numbers would be its own instead of the service's. A hiccup of the machine is no such engine, so
a failed check is repeated, twice at most; the last try counts, and the detail names it.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from luckyhit.case.workload import Route, Workload
from luckyhit.load.block_context import BlockContext
from luckyhit.load.engine_config import EngineCheck
from luckyhit.load.schedule import schedule_for
from luckyhit.load.sender import Sender
from luckyhit.records import nearest_rank

SECONDS = 0.5
FEWEST_REQUESTS = 40
MOST_TRIES = 3
LARGEST_ADDED_P50_MS = 1.0
LARGEST_ADDED_P99_MS = 10.0
LARGEST_SCHEDULE_ERROR_P99_MS = 20.0
LARGEST_LAG_MS = 500.0
LARGEST_CPU_SHARE = 0.9


@dataclass(frozen=True)
class SelfCheck:
    """What the engine added at `rate` requests per second against the echo, in ms."""

    rate: float
    requests: int
    added_p50_ms: float
    added_p99_ms: float
    schedule_error_p99_ms: float
    tries: int = 1

    @property
    def problems(self) -> list[str]:
        """What exceeds its bound, as half sentences."""
        return [
            f"{value:.2f} ms {name} are more than {bound:g} ms"
            for value, name, bound in (
                (self.added_p50_ms, "added by the engine itself (median)", LARGEST_ADDED_P50_MS),
                (self.added_p99_ms, "added by the engine itself (p99)", LARGEST_ADDED_P99_MS),
                (self.schedule_error_p99_ms, "schedule error against the echo (p99)", LARGEST_SCHEDULE_ERROR_P99_MS),
            )
            if not value <= bound
        ]


@contextlib.asynccontextmanager
async def echo(*arguments: str) -> AsyncIterator[str]:
    """A running echo, in a process of its own; its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("echo.py")), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        port = await asyncio.to_thread(process.stdout.readline)
        yield f"http://127.0.0.1:{int(port)}"
    finally:
        process.stdin.close()
        process.stdout.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()
        process.wait()


async def self_check(rate: float, seconds: float = SECONDS) -> SelfCheck:
    """Measure the engine itself at `rate` for `seconds` (twice that at low rates), again if it fails."""
    async with echo() as url:
        for tries in range(1, MOST_TRIES + 1):
            seconds_needed = min(2 * seconds, max(seconds, FEWEST_REQUESTS / rate))
            checked = await added_latency(url, max(rate, FEWEST_REQUESTS / seconds_needed), seconds_needed, tries)
            if not checked.problems:
                break
    return checked


async def added_latency(url: str, rate: float, seconds: float, tries: int = 1) -> SelfCheck:
    """What the engine adds at `rate` to a service that reports its own duration (the echo, or one like it)."""
    workload = Workload(
        seed=tries, rate=f"{rate:.3f}/s", timeout="5s", routes=[Route(name="echo", path="/")]  # type: ignore[arg-type]
    )  # fmt: skip
    schedule = schedule_for(workload, seconds, tries)
    context = BlockContext(schedule, {"before": url}, timeout_s=5.0, limit=256)
    context.responses.service_ms = np.full(len(schedule), np.nan)
    await context.clients[0].warm(min(8, 1 + int(rate / 200)))
    context.begin(time.monotonic_ns() + 20_000_000)
    sender = Sender(context, context.responses)
    await sender.run()
    await sender.stop()
    context.recorder.end()
    added = context.recorder.latencies_ms()[:, 0] - context.responses.service_ms
    return SelfCheck(
        rate=rate,
        requests=len(added),
        added_p50_ms=quantile(added, 0.5),
        added_p99_ms=quantile(added, 0.99),
        schedule_error_p99_ms=quantile(context.recorder.late_ms(), 0.99),
        tries=tries,
    )


def engine_check(
    checked: SelfCheck | None,
    late_ms: NDArray[np.float64],
    cpu_share: float,
    priority: str = "",
    *,
    closed: bool = False,
) -> EngineCheck:
    """Whether the timings of a block can be trusted: from the check before it, and from its own figures. `priority`: in
    words, which one the engine had."""
    late = quantile(late_ms, 0.99) if len(late_ms) else None
    lag = float(late_ms.max()) if len(late_ms) else None
    problems = list(checked.problems) if checked else []
    if late is not None and late > LARGEST_SCHEDULE_ERROR_P99_MS:
        problems.append(f"it sent {late:.1f} ms late (p99), more than {LARGEST_SCHEDULE_ERROR_P99_MS:g} ms")
    if lag is not None and lag > LARGEST_LAG_MS:
        problems.append(f"its event loop stood still for {lag:.0f} ms, more than {LARGEST_LAG_MS:g} ms")
    if cpu_share >= LARGEST_CPU_SHARE:
        limit = (
            "a closed loop sends as fast as it can, so this is the engine's limit, not the service's"
            if closed
            else "it was at its limit; more workers share the load (workload.workers)"
        )
        problems.append(f"its process used {cpu_share:.0%} of a core: {limit}")
    sentences = []
    if checked:
        tries = f" (try {checked.tries})" if checked.tries > 1 else ""
        sentences.append(
            f"against its own echo at {checked.rate:.0f}/s it added {checked.added_p50_ms:.2f} ms (median) and "
            f"{checked.added_p99_ms:.2f} ms (p99){tries}"
        )
    if late is not None:
        sentences.append(f"in the block it sent {late:.2f} ms after the due instant (p99), {lag:.1f} ms at most")
    sentences.append(f"it used {cpu_share:.0%} of a core{', ' if priority else ''}{priority}")
    detail = "; ".join(sentences)
    return EngineCheck(
        added_p50_ms=_finite(checked.added_p50_ms) if checked else None,
        added_p99_ms=_finite(checked.added_p99_ms) if checked else None,
        schedule_error_p99_ms=late,
        trustworthy=not problems,
        detail=f"The timings can't be trusted: {'; '.join(problems)} ({detail})." if problems else f"{detail}.",
        loop_lag_ms=lag,
        cpu_share=round(cpu_share, 4),
    )


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return value if np.isfinite(value) else None


def quantile(values: NDArray[np.float64] | Sequence[float], q: float) -> float:
    """By nearest rank: the smallest value with at least a fraction `q` of all values at or below it.

    Missing values (NaN) count as the largest; infinite if the rank falls on one, or if there is no value.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    value = float(ordered[nearest_rank(q, len(ordered))]) if len(ordered) else np.nan
    return float("inf") if np.isnan(value) else value
