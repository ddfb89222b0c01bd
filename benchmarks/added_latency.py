"""What the load engine adds to a service's latency, beside aiohttp and httpx, in an open loop.

    python benchmarks/added_latency.py [SECONDS] [ROUNDS]

The target holds each answer back for about 5 ms and tells for how long by its own clock; what a client sees above
that, from the instant a request was due on, is what the client (and the loopback) adds. The engine runs as shipped:
its own process, at the priority it gives itself, the service's limits watched, every record written; its numbers come
from those records.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.parquet as pq
from harness import peers
from harness.rounds import in_rounds
from harness.targets import TIMED_ECHO, running

from luckyhit.load.command.load_plan import plan_load
from luckyhit.load.command.options import LoadOptions
from luckyhit.load.limits import WatchedLimits
from luckyhit.load.selfcheck import quantile
from luckyhit.load.sharding.engine_pool import run_engine

RATES = (200, 500, 1000, 2000)
HIGHEST = {"aiohttp": 2000, "httpx": 200}
"""Beyond this a client can't keep up at all."""
BOUNDS = {200: (0.4, 2.0), 500: (0.4, 1.0), 1000: (0.4, 1.0), 2000: (0.4, 1.0)}

LIMITS = WatchedLimits(error_rate=0.1, p99_ms=2000.0, window_s=5.0, fewest=50)
"""Those of a service that runs already, unless its case says otherwise."""

Added = dict[str, float]


def engine(url: str, seconds: float, rate: float, number: int) -> Added:
    """From the records of one load: added latency and schedule error, in ms."""
    with tempfile.TemporaryDirectory() as kept:
        (Path(kept) / "requests").mkdir()
        config = plan_load(url, LoadOptions(rate=rate, seconds=seconds, seed=number)).config(Path(kept), None)
        facts = run_engine(config.model_copy(update={"limits": LIMITS}))
        parts = sorted((Path(kept) / "requests").glob("*.parquet"))
        columns = ["due_ns", "sent_ns", "done_ns", "db_calls"]
        rows = [pq.read_table(part, columns=columns).drop_null() for part in parts]
    due, sent, done, service = (np.concatenate([part[name].to_numpy() for part in rows]) for name in columns)
    counts = facts["accounting"]["before"]
    assert len(due) == counts["completed"] == counts["scheduled"] and facts["stopped"] is None
    added = (done - due - service) / 1e6
    return {
        "p50_ms": quantile(added, 0.5),
        "p99_ms": quantile(added, 0.99),
        "late_p99_ms": quantile((sent - due) / 1e6, 0.99),
        "failed": counts["scheduled"] - len(due),
    }


def main(seconds: float, rounds: int) -> None:
    print(f"added latency in ms, open loop, {rounds} rounds of {seconds:g} s each, medians of the rounds")
    others = peers.present("aiohttp", "httpx")
    print(f"  {'rate':>7}  {'client':<8}{'p50':>9}{'p99':>9}{'late p99':>10}   times ours (p50, p99)")
    with running(TIMED_ECHO, "5") as target:
        for rate in RATES:
            turns: dict[str, Callable[[int], Added]] = {"engine": partial(engine, target.url, seconds, rate)}
            for peer in others:
                if rate <= HIGHEST[peer]:
                    turns[peer] = partial(peers.open_loop, peer, target.url, seconds, rate)
            _show(rate, in_rounds(turns, rounds))


def _show(rate: int, measured: dict[str, list[Added]]) -> None:
    ours: Added = {}
    for client, found in measured.items():
        p50, p99, late = (median(one[name] for one in found) for name in ("p50_ms", "p99_ms", "late_p99_ms"))
        if client == "engine":
            ours = {"p50_ms": p50, "p99_ms": p99}
            told = "" if p50 <= BOUNDS[rate][0] and p99 <= BOUNDS[rate][1] else "   beyond its bound"
        else:
            told = f"   {p50 / ours['p50_ms']:.1f} x, {p99 / ours['p99_ms']:.1f} x"
        failed = sum(one["failed"] for one in found)
        print(
            f"  {rate:>5}/s  {client:<8}{p50:>9.3f}{p99:>9.3f}{late:>10.3f}{told}"
            + (f"   {failed:.0f} failed" if failed else ""),
            flush=True,
        )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0, int(sys.argv[2]) if len(sys.argv) > 2 else 3)
