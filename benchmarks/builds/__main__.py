"""This build of the load engine beside another one, in turns: closed loop, added latency, bytes a row.

    python benchmarks/builds OTHER_CHECKOUT [SECONDS] [ROUNDS]

Ratios of the rounds' medians: this build over the other one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.rounds import in_rounds
from harness.targets import ECHO, TELLING_ECHO, TIMED_ECHO, running

THIS = Path(__file__).parents[2]
RATES = (200, 1000, 2000)
_ONE = Path(__file__).with_name("one.py")


def turn(checkout: Path, way: str, url: str, seconds: float, number: int) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(checkout / "lib")}
    command = [sys.executable, str(_ONE), way, url, str(seconds), str(number)]
    return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)


def compared(
    title: str, script: Path, arguments: tuple[str, ...], way: str, other: Path, seconds: float, rounds: int
) -> None:
    with running(script, *arguments) as target:
        turns = {
            name: partial(turn, tree, way, target.url, seconds) for name, tree in (("this", THIS), ("other", other))
        }
        measured = in_rounds(turns, rounds)
    for name in measured["this"][0]:
        ours, theirs = (median(one[name] for one in measured[build]) for build in ("this", "other"))
        pairs = sorted(one[name] / peer[name] for one, peer in zip(measured["this"], measured["other"], strict=True))
        spread = f"({pairs[0]:.2f} to {pairs[-1]:.2f})"
        print(f"  {title:<34}{name:<14}{ours:>12,.3f}{theirs:>12,.3f}   ratio {ours / theirs:.3f} {spread}", flush=True)


def main(other: Path, seconds: float, rounds: int) -> None:
    print(f"this build, the other one, their ratio (and the rounds' least and most); {rounds} rounds of {seconds:g} s")
    for name, script in (("echo", ECHO), ("telling echo", TELLING_ECHO)):
        compared(f"closed loop, {name}", script, (), "closed", other, seconds, rounds)
    for rate in RATES:
        for name, script in (("timed echo", TIMED_ECHO), ("telling echo", TELLING_ECHO)):
            compared(f"{rate}/s, {name}", script, ("5",), str(rate), other, seconds, rounds)


if __name__ == "__main__":
    main(
        Path(sys.argv[1]).resolve(),
        float(sys.argv[2]) if len(sys.argv) > 2 else 3.0,
        int(sys.argv[3]) if len(sys.argv) > 3 else 9,
    )
