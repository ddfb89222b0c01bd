"""What the load engine adds to a service's latency, beside aiohttp, httpx and wrk, in an open loop.

    python benchmarks/added_latency.py [SECONDS] [ROUNDS]           all rates, all peers
    python benchmarks/added_latency.py [SECONDS] [ROUNDS] --json    5,000 to 20,000/s: rows of the table (`make bench`)

The target holds each answer back for about 5 ms and tells for how long by its own clock; what a client sees above
that, from the instant a request was due on, is what the client (and the loopback) adds. The engine runs as shipped:
its own process, at the priority it gives itself, the service's limits watched, every record written; its numbers come
from those records. At the highest rates the service answers at once, since on two cores it would be the bottleneck.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from harness import peers
from harness.rounds import in_rounds
from harness.targets import TIMED_ECHO, running
from harness.telling import run_or_tell, tell

from luckyhit.load.command.load_plan import plan_load
from luckyhit.load.command.options import LoadOptions
from luckyhit.load.limits import WatchedLimits
from luckyhit.load.selfcheck import quantile
from luckyhit.load.sharding.engine_pool import run_engine
from luckyhit.records.parquet import read_parts

HOLDS_MS, SIGMA = 5.0, 0.5
RATES = {200: HOLDS_MS, 500: HOLDS_MS, 1000: HOLDS_MS, 2000: HOLDS_MS, 5000: HOLDS_MS, 10_000: 0.0, 20_000: 0.0}
"""Requests per second, and for how many ms the service holds an answer back."""
HIGH = (5000, 10_000, 20_000)
HIGHEST = {"aiohttp": 10_000, "httpx": 200, "wrk": 5000}
"""Beyond this a client can't keep up at all (or, of wrk, knows no rate without a service that has one)."""
BOUNDS = {rate: (0.4, 2.0) if rate < 500 else (0.4, 1.0) if rate not in HIGH else (0.2, 1.0) for rate in RATES}

LIMITS = WatchedLimits(error_rate=0.1, p99_ms=2000.0, window_s=5.0, fewest=50)
"""Those of a service that runs already, unless its case says otherwise."""

Added = dict[str, float]


def engine(url: str, seconds: float, rate: float, number: int) -> Added:
    """From the records of one load: added latency and schedule error, in ms."""
    with tempfile.TemporaryDirectory() as kept:
        (Path(kept) / "requests").mkdir()
        config = plan_load(url, LoadOptions(rate=rate, seconds=seconds, seed=number)).config(Path(kept), None)
        facts = run_engine(config.model_copy(update={"limits": LIMITS}))
        columns = ["due_ns", "sent_ns", "done_ns", "db_calls"]
        rows = [part.drop_null() for part in read_parts(Path(kept) / "requests", "requests", columns)]
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


def rows(seconds: float, rounds: int) -> None:
    """`added-latency-p50` and `added-latency-p99`: parts of what is wanted, at the rate where it is most."""
    worst: dict[str, tuple[list[float], str]] = {}
    for rate in HIGH:
        with running(TIMED_ECHO, f"{RATES[rate]}") as target:
            figures = in_rounds({"engine": partial(engine, target.url, seconds, rate)}, rounds)["engine"]
        for name, bound_ms in zip(("p50_ms", "p99_ms"), BOUNDS[rate], strict=True):
            ratios = [one[name] / bound_ms for one in figures]
            if name not in worst or median(ratios) > median(worst[name][0]):
                worst[name] = ratios, f"{median(ratios) * bound_ms:.2f} ms at {rate:,}/s"
    for name, (ratios, note) in worst.items():
        tell(f"added-latency-{name.removesuffix('_ms')}", ratios, note)


def main(seconds: float, rounds: int) -> None:
    print(f"added latency in ms, open loop, {rounds} rounds of {seconds:g} s each, medians of the rounds")
    others = peers.present("aiohttp", "httpx", "wrk")
    print(f"  {'rate':>7}  {'client':<8}{'p50':>9}{'p99':>9}{'late p99':>10}   times ours (p50, p99)")
    for rate, holds_ms in RATES.items():
        with running(TIMED_ECHO, f"{holds_ms}") as target:
            turns: dict[str, Callable[[int], Added]] = {"engine": partial(engine, target.url, seconds, rate)}
            for peer in others:
                if rate <= HIGHEST[peer]:
                    turns[peer] = partial(_peer, peer, target.url, seconds, rate)
            _show(rate, in_rounds(turns, rounds))


def _peer(peer: str, url: str, seconds: float, rate: float, number: int) -> Added:
    if peer == "wrk":
        return peers.wrk_added(url, seconds, rate, HOLDS_MS, SIGMA)
    return peers.open_loop(peer, url, seconds, rate, number)


def _show(rate: int, measured: dict[str, list[Added]]) -> None:
    ours: Added = {}
    for client, figures in measured.items():
        p50, p99, late = (median(one[name] for one in figures) for name in ("p50_ms", "p99_ms", "late_p99_ms"))
        if client == "engine":
            ours = {"p50_ms": p50, "p99_ms": p99}
            told = "" if p50 <= BOUNDS[rate][0] and p99 <= BOUNDS[rate][1] else "   beyond its bound"
        else:
            told = f"   {p50 / ours['p50_ms']:.1f} x, {p99 / ours['p99_ms']:.1f} x"
        failed = sum(one["failed"] for one in figures)
        print(
            f"  {rate:>5}/s  {client:<8}{p50:>9.3f}{p99:>9.3f}{late:>10.3f}{told}"
            + (f"   {failed:.0f} failed" if failed else ""),
            flush=True,
        )


if __name__ == "__main__":
    run_or_tell("What the load engine adds to a service's latency.", 4.0, main, rows)
