"""Does the engine's memory stay flat? Resident memory of its processes over a long load.

    python benchmarks/memory.py [SECONDS] [RATE] [WORKERS]

Prints start, end and the most for each process, in MB; `start` is when it begins to send.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import psutil
from harness.targets import ECHO, running

from luckyhit.load.command.load_url import load

BOUND_MB = 300


class Watch:
    """Resident memory of the engine's processes, in MB, by process: sampled with each sign of progress."""

    def __init__(self, *others: int) -> None:
        self._others = set(others)
        self.samples: dict[int, list[float]] = {}

    def __call__(self, done: float, total: float) -> None:
        if done <= 0:
            return
        for process in psutil.Process().children(recursive=True):
            if process.pid in self._others:
                continue
            try:
                self.samples.setdefault(process.pid, []).append(process.memory_info().rss / 1e6)
            except psutil.Error:
                continue


def main(seconds: float, rate: float, workers: int) -> None:
    print(f"memory of the engine, open loop at {rate:g}/s for {seconds:g} s, {workers} worker(s)")
    with running(ECHO) as target, tempfile.TemporaryDirectory() as kept:
        watch = Watch(target.pid)
        asked = {"workers": workers} if workers > 1 else {}
        out = Path(kept) / "load"
        summary = load(target.url, rate=rate, seconds=seconds, out=out, on_progress=watch, **asked)
        size_mb = sum(part.stat().st_size for part in (out / "requests").iterdir()) / 1e6
        for pid, found in watch.samples.items():
            told = "" if max(found) <= BOUND_MB else f"   beyond its bound of {BOUND_MB} MB"
            print(f"  process {pid}: start {found[0]:.0f}, end {found[-1]:.0f}, most {max(found):.0f} MB{told}")
        account = summary.accounting
        print(f"  {account.completed:,} of {account.scheduled:,} completed, records {size_mb:.1f} MB")
        print(f"  most of this process, which reads the records: {psutil.Process().memory_info().rss / 1e6:.0f} MB")


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[1:]] + [60.0, 2000.0, 1.0][len(sys.argv) - 1 :]
    main(given[0], given[1], int(given[2]))
