"""What the engine adds to a service's latency where several shards send, beside a single engine at the same total rate.

    python benchmarks/sharded_load.py [SECONDS] [ROUNDS] [SHARDS] [RATE...]

The turns of the two are interleaved. The target tells by its own clock how long it held each answer back; what is
beyond that, from the instant a request was due on, was added. All shards are processes of this machine, which is the
hardest case: they share its cores. A busy machine may let requests time out; the completed ones are compared.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from harness.rounds import in_rounds
from harness.targets import TIMED_ECHO, running

from luckyhit.load.command.load_plan import plan_load
from luckyhit.load.command.options import LoadOptions
from luckyhit.load.selfcheck import quantile
from luckyhit.load.sharding.engine_pool import run_engine
from luckyhit.records.parquet import read_parts

RATES = (500.0, 2000.0)
BOUND = 1.1
SINGLE, SHARDED = "one engine", "sharded"

Added = tuple[float, float, float]
"""p50 and p99 of what was added, p99 of how late it was sent, in ms."""


def added(url: str, seconds: float, rate: float, shards: int | None, number: int) -> Added:
    with tempfile.TemporaryDirectory() as kept:
        requests = Path(kept) / "requests"
        requests.mkdir()
        plan = plan_load(url, LoadOptions(rate=rate, seconds=seconds, seed=number, shards=shards))
        facts = run_engine(plan.config(Path(kept), None), address=plan.hosts_at)
        columns = ["due_ns", "sent_ns", "done_ns", "db_calls"]
        rows = [part.drop_null() for part in read_parts(requests, "requests", columns)]
    due, sent, done, service = (np.concatenate([part[name].to_numpy() for part in rows]) for name in columns)
    assert len(due) and facts["accounting"]["before"]["scheduled"] >= len(due)
    extra_ms, late_ms = (done - due - service) / 1e6, (sent - due) / 1e6
    return quantile(extra_ms, 0.5), quantile(extra_ms, 0.99), quantile(late_ms, 0.99)


def main(seconds: float, rounds: int, shards: int, rates: list[float]) -> None:
    print(f"added latency in ms, {shards} shards beside one engine, {rounds} rounds of {seconds:g} s each, medians")
    with running(TIMED_ECHO, "5") as target:
        for rate in rates:
            turns = {
                SINGLE: partial(added, target.url, seconds, rate, None),
                SHARDED: partial(added, target.url, seconds, rate, shards),
            }
            measured = {
                name: [median(column) for column in zip(*values, strict=True)]
                for name, values in in_rounds(turns, rounds).items()
            }
            for name, (p50, p99, late) in measured.items():
                print(f"  {rate:>6g}/s  {name:<11} p50 {p50:.3f}  p99 {p99:.3f}  late p99 {late:.3f}", flush=True)
            ratios = [sharded / single for sharded, single in zip(measured[SHARDED], measured[SINGLE], strict=True)]
            beyond = "" if max(ratios[:2]) <= BOUND else f"   beyond its bound of {BOUND:g}"
            print(f"  {rate:>6g}/s  ratio       p50 {ratios[0]:.2f}   p99 {ratios[1]:.2f}{beyond}", flush=True)


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]]
    chosen = given[:3] + [4.0, 5.0, 2.0][len(given[:3]) :]
    main(chosen[0], int(chosen[1]), int(chosen[2]), given[3:] or list(RATES))
