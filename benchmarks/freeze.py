"""A service that stops for 6 s at 500 requests/s: who tells what its users waited?

    python benchmarks/freeze.py

The answer is known: requests that come evenly in t s, of which the service is frozen for the last f, wait evenly
between 0 and f, so that the quantile q is f - (1 - q) t. A closed loop asks no more while it waits, and so leaves
nearly all of that waiting out (coordinated omission); wrk puts in afterwards what it believes to have left out. What
remains between the engine and the answer is the time that service and engine need for those who wait at the end.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness import peers
from harness.targets import TIMED_ECHO, Target, running

from luckyhit.load.command.load_summary import LoadSummary
from luckyhit.load.command.load_url import load

RATE, SECONDS, FROZEN_S = 500.0, 8.0, 6.0
LEVELS = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
CONNECTIONS = 16


@contextmanager
def frozen(target: Target) -> Iterator[None]:
    """Stop a service for a while from now on; it runs again at the end, whatever happens."""
    os.kill(target.pid, signal.SIGSTOP)
    thaw = threading.Timer(FROZEN_S, os.kill, (target.pid, signal.SIGCONT))
    thaw.start()
    try:
        yield
    finally:
        thaw.join()


def engine(target: Target, *, closed: int = 0) -> LoadSummary:
    """A load whose service is stopped in its measured part, and once before: so that the connections which the second
    time needs are there, and the service's speed at accepting three thousand of them is not measured as well."""
    due_s = [1.0, SECONDS + 1.0]

    def freeze(done: float, total: float) -> None:
        # Known to a fifth of a second; but how long it lasts is exact, and so is that all of it lies inside.
        if due_s and done >= due_s[0]:
            due_s.pop(0)
            os.kill(target.pid, signal.SIGSTOP)
            threading.Timer(FROZEN_S, os.kill, (target.pid, signal.SIGCONT)).start()

    pace = {"closed": closed} if closed else {"rate": RATE, "arrivals": "constant"}
    return load(target.url, seconds=SECONDS, warmup_s=SECONDS, timeout_s=20.0, on_progress=freeze, **pace)


def wrk(target: Target) -> dict[str, float]:
    found: dict[str, float] = {}

    def run() -> None:
        found.update(peers.wrk_latencies(target.url, SECONDS, CONNECTIONS))

    running_wrk = threading.Thread(target=run)
    running_wrk.start()
    threading.Event().wait(1.0)
    with frozen(target):
        pass
    running_wrk.join()
    return found


def main() -> None:
    print(f"a service frozen for {FROZEN_S:g} of {SECONDS:g} s, at {RATE:g}/s: latency in ms")
    with running(TIMED_ECHO) as target:
        open_loop = engine(target)
    with running(TIMED_ECHO) as target:
        closed_loop = engine(target, closed=CONNECTIONS)
    contrast: dict[str, Callable[[str], float | None]] = {f"our closed loop, {CONNECTIONS}": closed_loop.latency_ms.get}
    if "wrk" in peers.present("wrk"):
        with running(TIMED_ECHO) as target:
            contrast[f"wrk, {CONNECTIONS}"] = wrk(target).get
    answer = {name: (FROZEN_S - (1 - level) * SECONDS) * 1e3 for name, level in LEVELS.items()}
    print("  " + " " * 22 + "".join(f"{name:>10}" for name in LEVELS))
    print(f"  {'the answer':<22}" + "".join(f"{answer[name]:>10,.1f}" for name in LEVELS))
    print(f"  {'engine, open loop':<22}" + "".join(f"{open_loop.latency_ms[name]:>10,.1f}" for name in LEVELS))
    deviations = {name: open_loop.latency_ms[name] / answer[name] - 1 for name in LEVELS}
    print(f"  {'  beside the answer':<22}" + "".join(f"{deviations[name]:>+10.2%}" for name in LEVELS))
    for name, tell in contrast.items():
        values = [tell(level) for level in LEVELS]
        print(f"  {name:<22}" + "".join(f"{'-':>10}" if value is None else f"{value:>10,.1f}" for value in values))
    account = open_loop.accounting
    print(f"  open loop: {account.scheduled:,} scheduled, {account.completed:,} completed, exact: {account.exact}")
    worst = max(map(abs, deviations.values()))
    print(f"  the engine is within {worst:.2%} of the answer{'' if worst <= 0.02 else ' (wanted: 2 %)'}")


if __name__ == "__main__":
    main()
