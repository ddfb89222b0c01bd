"""Does the engine's memory stay flat? Resident memory of its processes over a long load.

    python benchmarks/memory.py [SECONDS] [RATE] [WORKERS]     a real load
    python benchmarks/memory.py --simulated [MINUTES] [RATE]   what one process keeps and writes, as fast as it can
    python benchmarks/memory.py --simulated ... --json         as a row of the table (`make bench`)

Prints start, end and the most for each process, in MB; `start` is when it begins to send. The simulated clock leaves
out the network alone: each slot of the schedule is recorded, each second written, and at the end all is merged.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
from harness.targets import ECHO, running
from harness.telling import tell

from luckyhit.case.workload import Workload
from luckyhit.load.block_context import BlockContext
from luckyhit.load.command.load_url import load
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.schedule import Schedule, schedule_for
from luckyhit.load.signals import ResponseSignals

BOUND_MB = 300
FLAT, FROM_MINUTE = 1.05, 5
PAGES = [{"name": "page", "path": "/p/{key}", "keys": {"first": 1, "last": 2000, "popularity": "zipf"}}]
NO_VERSION = -(2**63)
_LOOK_S = 0.01


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


def real(seconds: float, rate: float, workers: int) -> None:
    print(f"memory of the engine, open loop at {rate:g}/s for {seconds:g} s, {workers} worker(s)")
    with running(ECHO) as target, tempfile.TemporaryDirectory() as kept:
        watch = Watch(target.pid)
        asked = {"workers": workers} if workers > 1 else {}
        out = Path(kept) / "load"
        summary = load(target.url, rate=rate, seconds=seconds, out=out, on_progress=watch, **asked)
        size_mb = sum(part.stat().st_size for part in (out / "requests").iterdir()) / 1e6
        for pid, samples in watch.samples.items():
            told = "" if max(samples) <= BOUND_MB else f"   beyond its bound of {BOUND_MB} MB"
            print(f"  process {pid}: start {samples[0]:.0f}, end {samples[-1]:.0f}, most {max(samples):.0f} MB{told}")
        account = summary.accounting
        print(f"  {account.completed:,} of {account.scheduled:,} completed, records {size_mb:.1f} MB")
        print(f"  most of this process, which reads the records: {own_mb():.0f} MB")


def own_mb() -> float:
    return float(psutil.Process().memory_info().rss / 1e6)


@contextmanager
def watched() -> Iterator[list[float]]:
    """This process's memory, in MB, all the time."""
    samples, over = [own_mb()], threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK_S):
            samples.append(own_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        over.set()
        watcher.join()
        samples.append(own_mb())


async def simulated(minutes: float, rate: float) -> dict[str, list[float]]:
    """By phase, memory in MB: at each full minute, and while everything is merged."""
    pa.set_memory_pool(pa.system_memory_pool())  # as the engine does it
    workload = Workload.model_validate({"seed": 1, "rate": f"{rate}/s", "routes": PAGES})
    schedule = schedule_for(workload, minutes * 60, 1)
    with tempfile.TemporaryDirectory() as kept:
        folder = Path(kept) / "requests"
        folder.mkdir()
        context = BlockContext(schedule, {"before": "http://127.0.0.1:1"}, timeout_s=5, limit=64, directory=folder)
        recorder = context.recorder
        recorder.rehearse()
        recorder.watch_latencies()
        gc.collect()
        gc.freeze()
        gc.disable()
        context.begin(time.monotonic_ns())
        by_minute = []
        for second, slots in enumerate(_seconds(schedule), 1):
            _record(context, slots)
            recorder.progress()
            recorder.flush()
            if second % 60 == 0:
                by_minute.append(own_mb())
        recorder.end()
        recorder.flush()
        recorder.late_ms()
        with watched() as samples:
            recorder.merge(lambda: False)
    return {"minutes": by_minute, "merging": samples}


def _seconds(schedule: Schedule) -> Iterator[range]:
    """The slots of each second."""
    start, second = 0, 1
    while start < len(schedule):
        end = int(schedule.due_ns.searchsorted(second * 1_000_000_000))
        yield range(start, end)
        start, second = end, second + 1


def _record(context: BlockContext, slots: range) -> None:
    recorder, signals = context.recorder, ResponseSignals()
    for slot in slots:
        sent_ns = context.start_ns + int(context.schedule.due_ns[slot]) + 50_000
        done_ns = sent_ns + 5_000_000 + slot * 7919 % 1_000_000
        recorder.late_ns[slot] = 50_001
        response = HttpResponse(sent_ns, done_ns, done_ns, 200, None, [], b"", slot % 16 + 1, 100 + slot % 50)
        recorder.record(slot, 0, response, signals, NO_VERSION, slot * 7919 % 4001)


def growth(memory: dict[str, list[float]]) -> tuple[float, str]:
    """The most from minute 5 on, against minute 5; and in words."""
    minutes = memory["minutes"]
    first = minutes[min(FROM_MINUTE, len(minutes)) - 1]
    most = max(*minutes[FROM_MINUTE - 1 :], *memory["merging"])
    return most / first, f"{first:.0f} MB after {FROM_MINUTE} minutes, {most:.0f} at most, of {len(minutes)} minutes"


def show(minutes: float, rate: float) -> None:
    print(f"memory of one process at {rate:g}/s, {minutes:g} simulated minutes")
    memory = asyncio.run(simulated(minutes, rate))
    ratio, words = growth(memory)
    print(
        f"  by minute: {', '.join(f'{mb:.0f}' for mb in memory['minutes'])} MB; merging: {max(memory['merging']):.0f}"
    )
    print(f"  {words}: {ratio:.3f} x" + ("" if ratio <= FLAT else f"   (wanted: {FLAT:g} x)"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Memory of a long load.")
    parser.add_argument("numbers", type=float, nargs="*", help="SECONDS RATE WORKERS, or MINUTES RATE")
    parser.add_argument("--simulated", action="store_true", help="without a network, as fast as it goes")
    parser.add_argument("--json", action="store_true", help="simulated, as a row of the table")
    given = parser.parse_args()
    if given.json or given.simulated:
        minutes, rate = [*given.numbers, 60.0, 2000.0][:2] if len(given.numbers) != 1 else [given.numbers[0], 2000.0]
        if given.json:
            ratio, note = growth(asyncio.run(simulated(minutes, rate)))
            tell("memory-hour", [ratio], note)
        else:
            show(minutes, rate)
    else:
        seconds, rate, workers = [*given.numbers, *[60.0, 2000.0, 1.0][len(given.numbers) :]]
        real(seconds, rate, int(workers))
