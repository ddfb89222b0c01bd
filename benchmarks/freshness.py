"""Does the freshness probe find what is known? Windows, the curve, false alarms, the stale-set race.

    python benchmarks/freshness.py            a shorter version, two minutes
    python benchmarks/freshness.py --full     100 repetitions of the curve, 20 healthy runs: about fifteen

Each service is a process of its own with an injected staleness. What is counted: intervals that hold the window; how
wide they are, in polling gaps and round trips; how often the exact 95 % interval of P(fresh at d) holds the true P;
stale reads that a healthy service is said to have given; how long until the race is met.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import uvloop
from harness.targets import VERSIONED, running

from luckyhit.case.freshness import Freshness
from luckyhit.judge.freshness.classify import classify_reads
from luckyhit.judge.freshness.windows import staleness_windows
from luckyhit.judge.stats.boundary import clopper_pearson
from luckyhit.probe.arm import ProbeArm
from luckyhit.probe.probe_plan import KeyRanges
from luckyhit.probe.probe_reads import ProbeReader
from luckyhit.probe.probe_run import FreshnessProbe

WINDOWS_S = (0.01, 0.1, 1.0, 5.0)
HEALTHY_READS = 10_000
KEYS = 20_000
RACE_S, RACE_BUDGET_S = 0.02, 30.0


def declared(**other: Any) -> Freshness:
    return Freshness.model_validate(
        {
            "write": {"path": "/{key}", "body": "{version}"},
            "reads": [{"path": "/{key}", "version": "$.v"}],
            "keys": {"first": 1, "last": KEYS},
            "within": "0s",
            **other,
        }
    )


def probed(url: str, spec: Freshness, seconds: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(reads, writes) of one block, on the engine's own event loop."""

    # Keys of its own: nothing of an earlier block is met.
    keys = spec.keys.model_copy(update={"first": seed * KEYS + 1, "last": (seed + 1) * KEYS})
    spec = spec.model_copy(update={"keys": keys})

    async def block() -> tuple[pd.DataFrame, pd.DataFrame]:
        originals = {str(key): 1 for key in KeyRanges.of(spec).cold}
        arm = ProbeArm(spec, ProbeReader(url, spec.reads, {}), headers={}, timeout_s=10.0, originals=originals)
        probe = FreshnessProbe(
            spec,
            {"before": arm},
            rng=random.Random(seed),
            first_version=spec.first_version,
            block=seed,
            origin_ns=0,
        )
        await probe.preflight()
        start_ns = time.monotonic_ns()
        await probe.run(start_ns, start_ns + round(seconds * 1e9))
        await arm.close()
        if probe.problems:
            print("   ", *(sentence for _, sentence in probe.problems))
        writes, reads = probe.tables()
        return reads.to_pandas(types_mapper=_whole), writes.to_pandas(types_mapper=_whole)

    return uvloop.run(block())


def _whole(kind: Any) -> Any:
    return {"int64": pd.Int64Dtype(), "int32": pd.Int32Dtype(), "int16": pd.Int16Dtype()}.get(str(kind))


def windows() -> Iterator[str]:
    """Every interval holds the window, and is two gaps and a round trip wide at most."""
    yield f"{'window':>8} {'intervals':>10} {'hold it':>8} {'stuck':>6} {'over 2 gaps + RTT':>18} {'median width':>13}"
    for window_s in WINDOWS_S:
        horizon_s = max(0.3, window_s * 1.4)
        spec = declared(modes=["burst"], prestates=["warm"], horizon=f"{horizon_s * 1e3:.0f}ms", rate="20/s")
        with running(VERSIONED, "fixed", str(window_s)) as target:
            reads, writes = probed(target.url, spec, 3 + horizon_s, 1)
        found = staleness_windows(classify_reads(reads, writes), writes)
        held = (found["low_ms"] <= window_s * 1e3) & (window_s * 1e3 <= found["high_ms"])
        widths = found["high_ms"] - found["low_ms"]
        wide = sum(width > _allowed_ms(reads, probe) for width, probe in zip(widths, found["version"], strict=True))
        yield (
            f"{window_s * 1e3:>6g}ms {len(found):>10} {int(held.sum()):>8} {int(found['censored'].sum()):>6} {wide:>18}"
            f" {widths.median():>10.1f} ms"
        )


def _allowed_ms(reads: pd.DataFrame, probe: int) -> float:
    """Two polling gaps (from send to send) and one round trip, at the first fresh read of this probe."""
    mine = reads[reads["probe"] == probe].sort_values("sent_ns").reset_index(drop=True)
    place = int((mine["seen_version"] >= probe).to_numpy().argmax())
    first, before = mine.iloc[place], mine.iloc[place - 1 if place else place + 1]
    gap_ns = abs(first["sent_ns"] - before["sent_ns"])
    return float(2 * gap_ns + first["done_ns"] - first["sent_ns"]) / 1e6


def curve(repetitions: int) -> Iterator[str]:
    """A service whose windows are uniform between 0 and 100 ms: P(fresh at d) is d / 100 ms."""
    longest_s = 0.1
    spec = declared(modes=["once"], prestates=["warm"], horizon="200ms", rate="400/s")
    inside: dict[float, list[bool]] = {}
    edges = np.array([5.0, 12, 25, 50, 75, 100, 200])
    with running(VERSIONED, "spread", str(longest_s)) as target:
        for seed in range(1, repetitions + 1):
            reads, writes = probed(target.url, spec, 1.2, seed)
            told = classify_reads(reads, writes).merge(
                writes[["probe", "sent_ns"]], on="probe", suffixes=("", "_write")
            )
            for low, high, low_p, high_p in _bins(reads, writes, edges):
                mine = told[(told["since_ack_ns"] / 1e6 > low) & (told["since_ack_ns"] / 1e6 <= high)]
                # The service looks between the read's send and its end: that long after the commit, which is between
                # the write's send and its acknowledgement.
                since_ms = ((mine["sent_ns"] + mine["done_ns"]) / 2 - mine["sent_ns_write"]).astype(float) / 1e6
                true = float(np.clip(since_ms / (longest_s * 1e3), 0, 1).mean())
                inside.setdefault(high, []).append(low_p <= true <= high_p)
    yield f"P(fresh at d) inside its 95 % interval, {repetitions} repetitions, by delay:"
    for high, held in sorted(inside.items()):
        yield f"  to {high:>5g} ms: {sum(held):>3} of {len(held)}"


def _bins(reads: pd.DataFrame, writes: pd.DataFrame, edges: np.ndarray) -> Iterator[tuple[float, float, float, float]]:
    told = classify_reads(reads, writes)
    told = told[told["outcome"].isin(["fresh", "stale"])]
    since_ms = told["since_ack_ns"].astype(float) / 1e6
    for low, high in itertools.pairwise(edges):
        mine = told[(since_ms > low) & (since_ms <= high)]
        if len(mine):
            yield float(low), float(high), *clopper_pearson(int((mine["outcome"] == "fresh").sum()), len(mine))


def healthy(runs: int) -> Iterator[str]:
    """Not one stale read may be reported."""
    spec = declared(horizon="300ms", rate="400/s")
    alarms = []
    with running(VERSIONED, "fixed", "0") as target:
        for run in range(runs):
            counted = stale = 0
            seed = run * 100
            while counted < HEALTHY_READS:
                seed += 1
                reads, writes = probed(target.url, spec, 5.0, seed)
                outcomes = classify_reads(reads, writes)["outcome"].value_counts()
                counted += int(outcomes.get("fresh", 0) + outcomes.get("stale", 0))
                stale += int(outcomes.get("stale", 0) + outcomes.get("never-committed", 0))
            alarms.append(stale)
            yield f"  run {run + 1}: {stale} stale of {counted:,} reads"
    yield f"healthy: {sum(alarm == 0 for alarm in alarms)} of {runs} runs without a false alarm"


def race(runs: int) -> Iterator[str]:
    """A window of 20 ms; how long until it is met, and in how many of the probes that go for it."""
    for name, settings in (
        ("as declared by default, at 8/s", {"rate": "8/s"}),
        ("in-flight only, at 2/s", {"rate": "2/s", "prestates": ["in-flight"], "modes": ["once"]}),
    ):
        for seed in range(1, runs + 1):
            spec = declared(horizon="500ms", **settings)
            with running(VERSIONED, "race", str(RACE_S)) as target:
                reads, writes = probed(target.url, spec, RACE_BUDGET_S, seed)
            told = classify_reads(reads, writes)
            told = told[(told["prestate"] == "in-flight") & (told["delay_ns"] > 0)]
            stale = told[told["outcome"] == "stale"]
            first_s = (stale["sent_ns"].min() - writes["sent_ns"].min()) / 1e9 if len(stale) else float("nan")
            yield f"  {name}: {len(stale)} of {len(told)} in-flight probes met it, the first after {first_s:.1f} s"


def main() -> None:
    full = "--full" in sys.argv[1:]
    for title, lines in (
        ("an injected window of staleness", windows()),
        ("the freshness curve", curve(100 if full else 10)),
        ("a service without staleness", healthy(20 if full else 1)),
        ("the stale-set race, 20 ms wide, within 30 s", race(3 if full else 1)),
    ):
        print(title, flush=True)
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main()
