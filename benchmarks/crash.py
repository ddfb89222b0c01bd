"""A run killed at random moments, 200 times and more: is everything as it was after `luckyhit revert`?

    python benchmarks/crash.py [--kills 200] [--seed 1] [--first 0] [--workers 2]

Each run has a world of its own: somebody else's Valkey and shop, a switch in a file, a Git repository (tests/crash).
The kinds of change take turns; the moments are spread evenly over the length of an undisturbed run of that kind, each
drawn from its own part of it. In three of four runs all processes die at once, in the fourth the main one alone.
`--first` begins with a later one: a long series can be made in pieces.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "crash"))

from aftermath import problems_after
from crash_world import LOCKS_ENV, World
from scenarios import ALL, Scenario
from victim import Whom, start_run

BEHIND_THE_END = 1.05


class Kill(NamedTuple):
    number: int
    scenario: Scenario
    after_s: float
    whom: Whom


class Outcome(NamedTuple):
    kill: Kill
    problems: list[str]
    rows: int
    seconds: float


@contextmanager
def new_world(locks: Path) -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="crash-") as folder, World(Path(folder), locks) as world:
        yield world


def length_of(scenario: Scenario, locks: Path) -> float:
    """Seconds of an undisturbed run, from its start to its end."""
    with new_world(locks) as world:
        run = start_run(world, scenario)
        run.upto(None)
        if run.events[-1] != {"ended": True}:
            raise SystemExit(f"an undisturbed run ({scenario.name}) failed: {run.events[-1]}")
        return time.monotonic() - run.started


def planned(kills: int, seed: int, lengths: dict[str, float]) -> list[Kill]:
    scenarios = list(ALL.values())
    plan = []
    for number in range(kills):
        scenario, turn = scenarios[number % len(scenarios)], number // len(scenarios)
        turns = -(-kills // len(scenarios))
        rng = random.Random(f"{seed} {number}")
        share = (turn + rng.random()) / turns
        whom: Whom = "main" if number % 4 == 3 else "tree"
        plan.append(Kill(number, scenario, share * lengths[scenario.name] * BEHIND_THE_END, whom))
    return plan


def carried_out(kill: Kill, locks: Path) -> Outcome:
    with new_world(locks) as world:
        first = world.look()
        run = start_run(world, kill.scenario)
        run.live_for(kill.after_s)
        run.kill(kill.whom)
        started = time.monotonic()
        problems = problems_after(run, first, by_command=kill.number % 10 == 0)
        return Outcome(kill, problems, rows_of(run.run), time.monotonic() - started)


def outcomes_of(pool: Executor, locks: Path, given: argparse.Namespace) -> Iterator[Outcome]:
    """Of each kill, shown as they come."""
    lengths = dict(zip(ALL, pool.map(length_of, ALL.values(), [locks] * len(ALL)), strict=True))
    for name, seconds in lengths.items():
        print(f"an undisturbed run, {name}: {seconds:.1f} s")
    kills = planned(given.kills, given.seed, lengths)[given.first :]
    for number, outcome in enumerate(pool.map(carried_out, kills, [locks] * len(kills)), 1):
        kill = outcome.kill
        if number % 20 == 0:
            print(f"{number} of {len(kills)} dead and looked after", file=sys.stderr, flush=True)
        for problem in outcome.problems:
            print(f"{kill.number}: {kill.scenario.name}, {kill.whom} after {kill.after_s:.3f} s: {problem}", flush=True)
        yield outcome


def rows_of(run: Path | None) -> int:
    from luckyhit.case_run import CaseRun

    return len(CaseRun(run).requests()) if run is not None else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="crash-locks-") as folder:
        locks = Path(folder)
        os.environ[LOCKS_ENV] = folder  # for the processes below, which revert
        # Not threads: a process that one of them just forks would hold what the other has locked.
        with ProcessPoolExecutor(given.workers) as pool:
            outcomes = list(outcomes_of(pool, locks, given))
    good = Counter(outcome.kill.scenario.name for outcome in outcomes if not outcome.problems)
    asked = Counter(outcome.kill.scenario.name for outcome in outcomes)
    for name in asked:
        print(f"{name:<14} {good[name]} of {asked[name]} as before")
    print(f"all            {good.total()} of {asked.total()} as before")
    rows = sum(outcome.rows for outcome in outcomes)
    print(f"{rows:,} rows written before the deaths, all read; looking after a death took "
          f"{sum(outcome.seconds for outcome in outcomes) / max(1, len(outcomes)):.2f} s on average")  # fmt: skip
    return 0 if good.total() == asked.total() else 1


if __name__ == "__main__":
    sys.exit(main())
