"""Bytes of a row on disk, and what writing rows adds to the latencies of the requests beside it.

    python benchmarks/rows_on_disk.py [SECONDS] [ROUNDS] [RATE]                 this build
    python benchmarks/rows_on_disk.py [SECONDS] [ROUNDS] [RATE] --base DIR      beside another checkout
    python benchmarks/rows_on_disk.py ... --base DIR --json                     as rows of the table (`make bench`)

Rows as a case's block has them: two arms side by side, independent arrivals, 2,000 pages by Zipf's law, a body for
each, hits and misses, ages. 250 s at 2,000/s are a million rows; in fewer the texts and hashes of pages weigh more.
Latency: what each build adds to a timed service at 2,000/s, while it writes what it records.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from harness.rounds import in_rounds
from harness.targets import SHOP_ECHO, TIMED_ECHO, running
from harness.telling import skip, tell

THIS = Path(__file__).parents[1]
MOST_BYTES = 12.0
RATE = 2000.0
_ONE = Path(__file__).parent / "builds" / "one.py"

Figures = dict[str, float]


def turn(checkout: Path, way: str, urls: str, seconds: float, number: int) -> Figures:
    """One load by the build in a checkout."""
    command = [sys.executable, str(_ONE), way, urls, str(seconds), str(number)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "lib")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the load by {checkout.name} failed:\n{done.stderr[-2000:]}")
    figures: Figures = json.loads(done.stdout)
    return figures


def measured(builds: dict[str, Path], seconds: float, rounds: int, rate: float) -> dict[str, dict[str, list[Figures]]]:
    """By what was measured and build, the figures of each round."""
    with running(SHOP_ECHO, "5") as before, running(SHOP_ECHO, "3") as after:
        urls = f"{before.url} {after.url}"
        turns: dict[str, Callable[[int], Figures]] = {
            name: partial(turn, tree, f"rows {rate}", urls, seconds) for name, tree in builds.items()
        }
        on_disk = in_rounds(turns, 1)
    with running(TIMED_ECHO, "5") as target:
        turns = {name: partial(turn, tree, f"{RATE}", target.url, min(4.0, seconds)) for name, tree in builds.items()}
        latency = in_rounds(turns, rounds)
    return {"disk": on_disk, "latency": latency}


def rows(figures: dict[str, dict[str, list[Figures]]]) -> None:
    """`rows-on-disk`: bytes a row, as a part of what is wanted. `rows-latency`: p99 against the other build."""
    disk = figures["disk"]
    note = ", ".join(f"{name}: {one['bytes_per_row']:.1f} bytes" for name, (one,) in disk.items())
    tell("rows-on-disk", [one["bytes_per_row"] / MOST_BYTES for one in disk["this"]], note)
    latency = figures["latency"]
    if "base" not in latency:
        skip("rows-latency", "there is no other build to be compared with (--base)")
        return
    note = ", ".join(f"{name}: {median(one['p99_ms'] for one in rounds):.2f} ms" for name, rounds in latency.items())
    pairs = zip(latency["this"], latency["base"], strict=True)
    tell("rows-latency", [this["p99_ms"] / base["p99_ms"] for this, base in pairs], note)


def show(figures: dict[str, dict[str, list[Figures]]]) -> None:
    for name, rounds in figures["disk"].items():
        (one,) = rounds
        told = "" if one["bytes_per_row"] <= MOST_BYTES or name != "this" else f"   (wanted: {MOST_BYTES:g})"
        size = f"{one['bytes_per_row']:.2f} bytes a row, {one['files']:.0f} files"
        print(f"  {name}: {one['rows']:,.0f} rows, {size}{told}")
    for name, rounds in figures["latency"].items():
        p50, p99 = (median(one[level] for one in rounds) for level in ("p50_ms", "p99_ms"))
        print(f"  {name}: adds {p50:.3f} ms (p50), {p99:.3f} ms (p99) at {RATE:g}/s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Bytes of a row on disk.")
    parser.add_argument("seconds", type=float, nargs="?", default=20.0)
    parser.add_argument("rounds", type=int, nargs="?", default=3)
    parser.add_argument("rate", type=float, nargs="?", default=RATE)
    parser.add_argument("--base", type=Path, help="another checkout")
    parser.add_argument("--json", action="store_true", help="rows of the table, one JSON object a line")
    given = parser.parse_args()
    builds = {"this": THIS} if given.base is None else {"this": THIS, "base": given.base.resolve()}
    (rows if given.json else show)(measured(builds, given.seconds, given.rounds, given.rate))
