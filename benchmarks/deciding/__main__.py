"""How many first runs are decided, and how many wrongly: 40 simulated cases whose truth is known.

Each is a whole run with the goals and the plan of `luckyhit new`, from the baseline to the verdict. Another checkout
beside it, where one is given: the same services, requests and noise, with its own template, plan, probe and judge.

    python benchmarks/deciding [OTHER_CHECKOUT] [--cases 0 7 8] [--seed 1] [--why]

*Decided* is HELPED, HURT or EQUIVALENT; *false* is decided and not what is true. A case is a row of
`deciding_cases.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from deciding_cases import scenarios

THIS = Path(__file__).parents[2]
DECIDED = ("HELPED", "HURT", "EQUIVALENT")
ONE = Path(__file__).with_name("one_build.py")


def started(checkout: Path, seed: int, chosen: list[int]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(checkout / "lib")}
    command = [sys.executable, str(ONE), str(seed), *map(str, chosen)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def told(result: dict[str, Any], truth: str) -> str:
    verdict = result["verdict"]
    mark = " " if verdict == truth else "!" if verdict in DECIDED else "?"
    return f"{mark} {verdict:<13}{result['blocks']:>3} of{result['planned']:>3}{result['pairs']:>8,}"


def why(name: str, result: dict[str, Any]) -> None:
    print(f"      {name}: {result['reason']}")
    for goal, metric in result["goals"].items():
        bounds = ", ".join("none" if each is None else f"{each:.4g}" for each in (metric["low"], metric["high"]))
        effect = "none" if metric["effect"] is None else f"{metric['effect']:.4g}"
        given = f"{effect} ({bounds}), margin {metric['margin']:.4g}" if metric["margin"] else "not visible"
        print(f"        {goal}: {metric['verdict']}, {given}, {metric['pairs']:,} pairs")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("other", nargs="?", type=Path, help="another checkout of this project")
    arguments.add_argument("--cases", type=int, nargs="+", default=[], help="numbers of cases; all of them, left out")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--why", action="store_true", help="of what is undecided or false: the sentence, the goals")
    given = arguments.parse_args()
    builds = {"this build": THIS} | ({"the other": given.other.resolve()} if given.other else {})
    rows = [(number, each) for number, each in enumerate(scenarios()) if not given.cases or number in given.cases]
    begun = time.monotonic()
    running = {name: started(checkout, given.seed, given.cases) for name, checkout in builds.items()}
    print(f"{len(rows)} cases, seed {given.seed}; verdict, blocks of the most, requests sent to the after arm.")
    print("? undecided, ! false\n")
    print(f"{'':>3} {'fault class':<24}{'case':<44}{'truth':<12}" + "".join(f"{name:<34}" for name in builds))
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in builds}
    for number, scenario in rows:
        for name, process in running.items():
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                print(f"{name} ended with exit code {process.wait()} in case {number}", file=sys.stderr)
                return 1
            results[name].append(json.loads(line))
        last = {name: of[-1] for name, of in results.items()}
        cells = "".join(f"{told(result, scenario.truth):<34}" for result in last.values())
        print(f"{number:>3} {scenario.fault:<24}{scenario.name:<44}{scenario.truth:<12}{cells}", flush=True)
        if given.why:
            for name, result in last.items():
                if result["verdict"] != scenario.truth:
                    why(name, result)
    print()
    for name, of in results.items():
        process = running[name]
        process.wait()
        verdicts = [(result["verdict"], scenario.truth) for result, (_, scenario) in zip(of, rows, strict=True)]
        decided = sum(verdict in DECIDED for verdict, _ in verdicts)
        false = sum(verdict in DECIDED and verdict != truth for verdict, truth in verdicts)
        invalid = sum(verdict == "INVALID" for verdict, _ in verdicts)
        load_s = sum(result["load_s"] for result in of)
        print(
            f"{name}: {decided} of {len(of)} decided, {false} false, {invalid} INVALID; "
            f"{load_s / len(of):.0f} s of load a run, at most {max(result['load_s'] for result in of):.0f} s"
        )
    print(f"{time.monotonic() - begun:.0f} s, {len(builds)} processes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
