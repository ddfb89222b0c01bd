"""How often `luckyhit bisect` finds the commit, and how many comparisons that takes, with a busy machine.

Each search is in a repository of its own with one bad commit at random: stale reads, lost hits, or 15 % more latency,
in turn. Three other revisions don't start. Two processes that compute all the time stand beside it.

A row for each kind of fault: searches, found, a wrong commit named, ended with a range that holds it, comparisons
(median and most), seconds (median).

    python benchmarks/revisions [--searches 20] [--revisions 64] [--busy 2] [--seed 1] [--at-most-minutes 120]
        [--python PATH]

`--python`: an interpreter with redis-py for the service. With the default, this one, nobody may edit the library
meanwhile: it is on that interpreter's path, and what changes there makes a comparison invalid.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "bisect")]

from repositories import History, repository, shop_case, write_case  # noqa: E402

FAULTS = ("stale read", "lost hit", "15 % slower")


@dataclass(frozen=True)
class Searched:
    """One search: its record (None: it ended without one), and the truth."""

    fault: str
    history: History
    record: dict[str, object] | None
    seconds: float

    @property
    def right(self) -> bool:
        return bool(self.record and self.record["first_with"] == self.history.culprit and self.named)

    @property
    def named(self) -> bool:
        return bool(self.record and self.record["conclusion"] == "found")

    @property
    def comparisons(self) -> int:
        steps = self.record["steps"] if self.record else []
        return sum(step["outcome"] in ("hurt", "not-hurt", "undecided") for step in steps)  # type: ignore[attr-defined]

    @property
    def in_range(self) -> bool:
        remaining = self.record["remaining"] if self.record else []
        return not self.named and self.history.culprit in remaining  # type: ignore[operator]


def _compute() -> None:
    value = 1
    while True:
        value = value * 31 % 1_000_003


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that compute all the time."""
    computing = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(processes)]
    for process in computing:
        process.start()
    try:
        yield
    finally:
        for process in computing:
            process.terminate()
            process.join()


def search(folder: Path, revisions: int, fault: str, rng: random.Random, python: str) -> Searched:
    (folder / "notebooks").mkdir()
    (folder / "notebooks" / "1-baseline.ipynb").write_text("{}")
    bad_at = rng.randrange(1, revisions)
    others = [number for number in range(1, revisions - 1) if number not in (bad_at, bad_at - 1)]
    history = repository(folder / "shop", revisions, bad_at, fault, rng.sample(others, 3))
    case = shop_case()
    case["target"]["start"]["python"] = python
    write_case(folder, case)
    command = [
        sys.executable,
        "-m",
        "luckyhit",
        "bisect",
        "old-prices",
        "--good",
        history.good,
        "--bad",
        "main",
        "--json",
    ]
    started = time.monotonic()
    env = {**os.environ, "LUCKYHIT_LOCKS": str(folder / "locks")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)
    try:
        record = json.loads(done.stdout)
    except ValueError:
        record = None
        print(done.stderr[-2000:], file=sys.stderr)
    return Searched(fault, history, record, time.monotonic() - started)


def row(fault: str, made: list[Searched]) -> str:
    counts = [one.comparisons for one in made]
    wrong = sum(one.named and not one.right for one in made)
    return (
        f"{fault:<12} {len(made):>8} {sum(one.right for one in made):>6} {wrong:>6} "
        f"{sum(one.in_range for one in made):>6} {statistics.median(counts):>7g} {max(counts):>5} "
        f"{statistics.median(one.seconds for one in made):>8.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--searches", type=int, default=20)
    parser.add_argument("--revisions", type=int, default=64)
    parser.add_argument("--busy", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--at-most-minutes", type=float, default=120.0)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    made: list[Searched] = []
    ends = time.monotonic() + 60 * given.at_most_minutes
    with busy(given.busy):
        for number in range(given.searches):
            if time.monotonic() > ends:
                break
            with tempfile.TemporaryDirectory(prefix="luckyhit-revisions-") as folder:
                one = search(Path(folder), given.revisions, FAULTS[number % len(FAULTS)], rng, given.python)
            made.append(one)
            state = "right" if one.right else "in the range" if one.in_range else "WRONG" if one.named else "none named"
            print(f"  {one.fault}: {state}, {one.comparisons} comparisons, {one.seconds:.0f} s", flush=True)
            if not one.right and one.record:
                for step in one.record["steps"]:  # type: ignore[attr-defined]
                    print(f"    {step['purpose']}, {step['outcome']}: {step['reason']}", flush=True)
    print(
        f"{'fault':<12} {'searches':>8} {'found':>6} {'wrong':>6} {'range':>6} {'median':>7} {'most':>5} {'seconds':>8}"
    )
    for fault in FAULTS:
        if of_fault := [one for one in made if one.fault == fault]:
            print(row(fault, of_fault))


if __name__ == "__main__":
    main()
