"""A fleet on real Dask workers: its exit codes, what it costs a case, and what is left when a worker is killed.

    python benchmarks/fleet.py [--cases 24] [--workers 2] [--bad]     one night
    python benchmarks/fleet.py --kills 20 [--cases 4] [--seed 1]      a worker killed in each of 20 nights

Scheduler and workers are started by the commands of docs/fleet.md. Every case changes a service that runs on, with one
switch: at the end of a night no switch may be on, and each case has exactly one end. In kills, the worker alone dies
(SIGKILL, with its nanny; two of three), or it dies with its keeper, its run and everything below them at once, as where
a machine's memory is used up; then it is started again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fleet"))

from fleet_cluster import Cluster, free_port
from fleet_world import ENVIRONMENT, FleetWorld

WITHIN_S = 3600.0


@contextmanager
def new_world(cases: int, workers: int, *, bad: bool = False) -> Iterator[tuple[FleetWorld, Cluster]]:
    """`bad`: some cases end otherwise (an invalid file, a service that is down, another environment, a time limit),
    and every second of the others only observes."""
    names = [f"case-{number:02}" for number in range(cases)]
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        env = {**os.environ, "LUCKYHIT_LOCKS": str(Path(folder) / "locks"), "DASK_LOGGING__DISTRIBUTED": "warning"}
        with FleetWorld(Path(folder) / "project", names) as world:
            entries: list[Any] = [{"case": name, "environment": ENVIRONMENT} for name in names]
            if bad:
                (world.project / "data" / "cases" / f"{names[0]}.yml").write_text("title: Nothing else\n")
                world.write_case(names[1], f"http://127.0.0.1:{free_port()}")
                entries[2]["environment"] = "another"
                entries[3]["timeout"] = "6s"
                entries[4:] = [{**entry, "observe": number % 2 == 0} for number, entry in enumerate(entries[4:])]
            fleet = {"cases": entries, "grace": "60s"}
            (world.project / "fleet.yml").write_text(json.dumps(fleet))
            cluster = Cluster(world.project, env)
            try:
                cluster.start_scheduler()
                for _ in range(workers):
                    cluster.start_worker()
                yield world, cluster
            finally:
                cluster.close()


def night(world: FleetWorld, cluster: Cluster, meanwhile: threading.Thread | None = None) -> dict[str, Any]:
    """One fleet from the command line; its record, with the command's own exit code as `command`."""
    words = [sys.executable, "-m", "luckyhit", "fleet", "--dask", cluster.address, "--json"]
    with (world.project / "fleet.log").open("ab") as log:
        fleet = subprocess.Popen(words, cwd=world.project, env=cluster.env, stdout=subprocess.PIPE, stderr=log)
        if meanwhile is not None:
            meanwhile.start()
        output, _ = fleet.communicate(timeout=WITHIN_S)
    if not output:
        raise SystemExit((world.project / "fleet.log").read_text()[-3000:])
    return {**json.loads(output), "command": fleet.returncode}


def problems_of(record: dict[str, Any], world: FleetWorld) -> list[str]:
    """What must not be after any night."""
    problems = [f"{name} is left changed" for name in world.left_changed]
    told = Counter(case["case"] for case in record["cases"])
    problems += [f"{name} is told {told[name]} times" for name in world.services if told[name] != 1]
    problems += [f"{case['case']} is not rolled back" for case in record["cases"] if case["state"] == "not-rolled-back"]
    if record["command"] != record["exit_code"]:
        problems.append(f"the command ended with {record['command']}, its record says {record['exit_code']}")
    ids = [case["run"] for case in record["cases"] if case["run"]]
    problems += [f"the run {run} is not here" for run in ids if not list(world.project.glob(f"data/runs/*/{run}"))]
    return problems


def one_night(given: argparse.Namespace) -> int:
    with new_world(given.cases, given.workers, bad=given.bad) as (world, cluster):
        record = night(world, cluster)
        problems = problems_of(record, world)
        digest = json.loads((world.project / "reports" / "nightly.json").read_text())
        problems += [] if len(digest["cases"]) == given.cases else ["the digest is not complete"]
        for name in ("nightly.html", "nightly.md"):
            page = (world.project / "reports" / name).read_text()
            problems += [f"{case} is not in {name}" for case in world.services if case not in page]
        for case in record["cases"]:
            print(f"{case['case']}: {case['state']}, exit code {case['exit_code']}, {case['verdict']}, "
                  f"{case['seconds']:.1f} s + {case['overhead_s']:.2f} s on {case['host']}")  # fmt: skip
        overheads = sorted(case["overhead_s"] for case in record["cases"] if case["attempts"])
        print(f"states: {dict(Counter(case['state'] for case in record['cases']))}; exit code {record['exit_code']}")
        print(f"{len(record['cases'])} cases in {record['seconds']:.0f} s; overhead of a case: "
              f"median {overheads[len(overheads) // 2]:.2f} s, most {overheads[-1]:.2f} s")  # fmt: skip
        for problem in problems:
            print(f"PROBLEM: {problem}")
        return 1 if problems else 0


def kill_meanwhile(world: FleetWorld, cluster: Cluster, number: int, after_s: float, tree: bool) -> None:
    """Kill a worker, so long after the first case began; then start another one."""
    while not list(world.project.glob("data/runs/.fleet/*/*/started.json")):
        time.sleep(0.05)
    time.sleep(after_s)
    cluster.kill_worker(number, tree=tree)
    cluster.start_worker()


def kills(given: argparse.Namespace) -> int:
    bad = 0
    states: Counter[str] = Counter()
    for number in range(given.first, given.kills):
        rng = random.Random(f"{given.seed} {number}")
        tree, after_s = number % 3 == 2, rng.uniform(4.0, given.latest)
        with new_world(given.cases, given.workers) as (world, cluster):
            words = (world, cluster, rng.randrange(given.workers), after_s, tree)
            record = night(world, cluster, threading.Thread(target=kill_meanwhile, args=words, daemon=True))
            problems = problems_of(record, world)
            states.update(case["state"] for case in record["cases"])
            again = sum(case["attempts"] > 1 for case in record["cases"])
            lost = [case for case in record["cases"] if case["state"] == "lost" or case["lost"]]
            about = "; ".join(f"{case['case']}: {(case['lost'] or [case['reason']])[0][:90]}" for case in lost)
            print(f"night {number}: {'everything' if tree else 'the worker'} killed after {after_s:.1f} s: "
                  f"{dict(Counter(case['state'] for case in record['cases']))}, "
                  f"{again} begun again; {about or 'none lost'}"
                  f"{''.join(' PROBLEM: ' + problem for problem in problems)}", flush=True)  # fmt: skip
            bad += bool(problems)
            if problems and given.keep:
                shutil.copytree(world.project, Path(given.keep) / f"night-{number}")
    nights = given.kills - given.first
    print(f"{nights - bad} of {nights} nights without a problem; ends: {dict(states)}")
    return 1 if bad else 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bad", action="store_true", help="some cases end otherwise")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latest", type=float, default=45.0, help="the last moment of a kill, in seconds")
    parser.add_argument("--keep", default="", help="folder for projects of nights with a problem")
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    given.cases = given.cases or (4 if given.kills else 24)
    return kills(given) if given.kills else one_night(given)


if __name__ == "__main__":
    sys.exit(main())
