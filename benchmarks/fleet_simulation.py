"""1,000 cases on 50 hosts, simulated: what breaks first?

    python benchmarks/fleet_simulation.py [--cases 1000] [--hosts 50] [--nights 5] [--seed 1]

A night is played in virtual time; what begins next is decided by the fleet's own functions (luckyhit.fleet.admission).
What a step costs the client is measured here, on this machine: choosing a job, reading the history of a case, looking
for a level that changed. How long cases take, how large their runs are, how often hosts die, and what cases share are
assumptions, each in one place: ASSUMED. Then one assumption after the other is made harder, until the night no longer
fits into its eight hours.
"""

from __future__ import annotations

import argparse
import datetime as dt
import heapq
import json
import math
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from luckyhit.fleet.admission import BudgetLimits, Moment, next_job
from luckyhit.fleet.digest.departures import departures
from luckyhit.fleet.digest.level_shifts import level_shifts
from luckyhit.fleet.job import Job
from luckyhit.report.trends import BaselinePoint
from luckyhit.run import runs

NIGHT_S = 8 * 3600.0
KEPT_RUNS = 2000
"""Run directories of which the reading is measured."""
EVENING = dt.datetime(2026, 3, 1, 22, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Assumed:
    """`median_s`, `spread`: of a case (log-normal). `shared`: the part of cases that share a thing with others, of
    `things` things, used as Zipf's law has it. `run_mb`: median of a run directory (log-normal, spread 1).
    `bring_mb_s`: through scheduler and client. `host_mtbf_h`: hours between failures of one host. `begin_s`: from a
    free place to the begin of its case. `start_scan_ms`: what a run takes for each run directory that its host has
    kept."""

    median_s: float = 240.0
    spread: float = 0.5
    shared: float = 0.3
    things: int = 100
    run_mb: float = 10.0
    bring_mb_s: float = 40.0
    host_mtbf_h: float = 1000.0
    begin_s: float = 0.5
    kept_nights: int = 60
    start_scan_ms: float = 0.1


ASSUMED = Assumed()


@dataclass(frozen=True)
class Played:
    """`seconds`: until the last result was there. `chain_s`: the longest sum of cases that share one thing, which no
    number of hosts makes shorter. `idle`: the part of host time in which a host waited though cases were left.
    `lost`: cases that were begun again or lost. `choosing_s`: real seconds of choosing jobs."""

    seconds: float
    least_s: float
    chain_s: float
    idle: float
    lost: int
    bring_wait_s: float
    choosing_s: float


def jobs_of(count: int, assumed: Assumed, rng: random.Random) -> tuple[list[Job], dict[str, float], dict[str, float]]:
    """Jobs, what each takes, and how large its run is."""
    weights = [1 / (rank + 1) for rank in range(assumed.things)]
    jobs, takes_s, size_mb = [], {}, {}
    for number in range(count):
        name = f"case-{number:04}"
        seconds = assumed.median_s * math.exp(assumed.spread * rng.gauss(0, 1))
        things = [str(rng.choices(range(assumed.things), weights)[0])] if rng.random() < assumed.shared else []
        jobs.append(Job(name, name, "", expected_s=seconds, exclusive=frozenset(things)))
        takes_s[name] = seconds
        size_mb[name] = assumed.run_mb * math.exp(rng.gauss(0, 1))
    return sorted(jobs, key=lambda job: -job.expected_s), takes_s, size_mb


def played(cases: int, hosts: int, assumed: Assumed, seed: int) -> Played:
    """One night, in virtual time."""
    rng = random.Random(seed)
    waiting, takes_s, size_mb = jobs_of(cases, assumed, rng)
    least_s = sum(takes_s.values()) / hosts
    chains: dict[str, float] = {}
    for job in waiting:
        for thing in job.exclusive:
            chains[thing] = chains.get(thing, 0.0) + takes_s[job.name]
    scan_s = assumed.start_scan_ms / 1000 * assumed.kept_nights * cases / hosts
    free, in_use, lost = hosts, set[str](), 0
    events: list[tuple[float, int, str, Job | None]] = []
    now, busy_s, choosing_s, bring_free = 0.0, 0.0, 0.0, [0.0, 0.0]
    waits: list[float] = []
    number, last_s, idle_s, since = 0, 0.0, 0.0, 0.0
    while waiting or events:
        bringing = sum(at > now for at in bring_free)
        while free and waiting and bringing <= 4:
            began = time.perf_counter()
            job = next_job(waiting, in_use, Moment(EVENING, now), BudgetLimits())
            choosing_s += time.perf_counter() - began
            if job is None:
                break
            waiting.remove(job)
            in_use |= job.exclusive
            free -= 1
            seconds = assumed.begin_s + scan_s + takes_s[job.name]
            dies_s = rng.expovariate(1 / (assumed.host_mtbf_h * 3600))
            number += 1
            if dies_s < seconds:
                heapq.heappush(events, (now + dies_s + 90.0, number, "died", job))
            else:
                heapq.heappush(events, (now + seconds, number, "ended", job))
            busy_s += seconds
        if not events:
            break
        since = now
        now, _, kind, ended = heapq.heappop(events)
        if waiting:
            idle_s += free * (now - since)
        if ended is None:
            continue
        free += 1
        in_use -= ended.exclusive
        if kind == "died":
            lost += 1
            if rng.random() < 0.5:  # before anything was changed
                waiting.insert(0, ended)
                continue
        lane = min(range(2), key=lambda index: bring_free[index])
        begins = max(now, bring_free[lane])
        waits.append(begins - now)
        bring_free[lane] = begins + size_mb[ended.name] / assumed.bring_mb_s * 2
        last_s = max(last_s, bring_free[lane])
    return Played(
        last_s, least_s, max(chains.values(), default=0.0), idle_s / max(busy_s + idle_s, 1.0), lost,
        max(waits, default=0.0), choosing_s,
    )  # fmt: skip


def costs_of_a_digest(cases: int) -> dict[str, float]:
    """Seconds on this machine: of all cases of a night, from a few that are measured."""
    rng = np.random.default_rng(1)
    some = 30
    histories = [rng.normal(10, 1, 60) for _ in range(some)]
    names = ("hit_ratio", "latency_p50_ms", "latency_p95_ms", "error_rate", "stale_reads")
    began = time.perf_counter()
    for values in histories:
        points = [
            BaselinePoint("a", f"2026-01-{1 + number % 28:02}T02:00", True, dict.fromkeys(names, float(value)))
            for number, value in enumerate(values)
        ]
        level_shifts(points)
    shifts_s = (time.perf_counter() - began) / some * cases
    began = time.perf_counter()
    for values in histories:
        departures(dict.fromkeys(names, values[0]), [dict.fromkeys(names, value) for value in values[1:40]])
    beside_s = (time.perf_counter() - began) / some * cases
    with tempfile.TemporaryDirectory() as folder:
        for number in range(KEPT_RUNS):
            run = Path(folder) / f"case-{number % 50}" / f"20260101-{number:06}-0000"
            run.mkdir(parents=True)
            (run / "manifest.json").write_text(json.dumps({"schema": 1, "case": "a", "run": run.name, "blocks": []}))
        began = time.perf_counter()
        for run_here in runs(Path(folder)):
            _ = run_here.manifest
        reading_s = (time.perf_counter() - began) / KEPT_RUNS * cases * 60
    return {"level shifts": shifts_s, "beside earlier nights": beside_s, "reading 60 nights": reading_s}


def alarms_by_chance(cases: int, metrics: int = 8, nights: int = 39) -> dict[str, float]:
    """How many alarms a night gives where nothing changed anywhere."""
    return {
        "outside (metrics)": cases * metrics * 2 / (nights + 1),
        "outside (cases)": cases * (1 - (1 - 2 / (nights + 1)) ** metrics),
        "lasting (metrics)": cases * metrics * 2 / math.comb(nights + 1, 2),
        "three in a row (metrics)": cases * metrics * 2 / math.comb(nights + 1, 3),
        "shifted (cases)": cases * 0.01,
    }


HARDER: list[tuple[str, str, tuple[float, ...]]] = [
    ("cases that share a thing", "shared", (0.3, 0.5, 0.7, 0.9)),
    ("size of a run, MB", "run_mb", (10, 100, 300, 1000)),
    ("hours between failures of a host", "host_mtbf_h", (1000, 100, 20, 5)),
    ("begin of a case, s", "begin_s", (0.5, 5, 30, 60)),
    ("scan of kept runs, ms each", "start_scan_ms", (0.1, 1, 5, 20)),
]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--nights", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()

    def median_night(assumed: Assumed) -> Played:
        nights = [played(given.cases, given.hosts, assumed, given.seed + number) for number in range(given.nights)]
        return sorted(nights, key=lambda night: night.seconds)[len(nights) // 2]

    usual = median_night(ASSUMED)
    print(f"{given.cases} cases on {given.hosts} hosts, as assumed: {usual.seconds / 3600:.2f} h; without anything in "
          f"the way {usual.least_s / 3600:.2f} h; the longest chain of one shared thing {usual.chain_s / 3600:.2f} h; "
          f"{usual.lost} lost to hosts; choosing jobs {usual.choosing_s:.2f} s in all")  # fmt: skip
    print("\nmade harder, one at a time (hours of the night; over eight it does not fit)")
    for words, name, values in HARDER:
        cells = []
        for value in values:
            night = median_night(replace(ASSUMED, **{name: value}))
            mark = "  DOES NOT FIT" if night.seconds > NIGHT_S else ""
            cells.append(f"{value:g}: {night.seconds / 3600:.2f}{mark}")
        print(f"  {words:<34} {' | '.join(cells)}")
    print("\nmore hosts do not help a chain:")
    for hosts in (50, 100, 200, 400):
        nights = [played(given.cases, hosts, ASSUMED, given.seed + number) for number in range(given.nights)]
        print(f"  {hosts} hosts: {statistics.median(night.seconds for night in nights) / 3600:.2f} h, "
              f"idle {statistics.median(night.idle for night in nights):.0%}")  # fmt: skip
    print("\nwhat the digest costs the client, once a night:")
    for words, seconds in costs_of_a_digest(given.cases).items():
        print(f"  {words:<24} {seconds:.1f} s")
    print("\nalarms on a night on which nothing changed:")
    for words, count in alarms_by_chance(given.cases).items():
        print(f"  {words:<26} {count:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
