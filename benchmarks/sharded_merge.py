"""How long it takes to merge the rows of four shards, and how much memory: each slot is looked at, none is rewritten.

    python benchmarks/sharded_merge.py [MILLIONS OF ROWS]

Twice: with all shards, and with one that was lost halfway, whose missing slots are added. The merge has a process of
its own, whose largest memory counts, Python and libraries included.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from luckyhit.case.workload import Workload
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.recorder import _RECORD, NO_VERSION, RequestRecorder
from luckyhit.load.schedule import Schedule, schedule_for
from luckyhit.load.sharding.shard_rows import ShardRows
from luckyhit.records.parquet import write_part

SHARDS, SECONDS = 4, 600.0
BOUND_S, BOUND_MB = 3.0, 500.0
PART_ROWS = 100_000


def config_of(directory: Path, millions: float) -> EngineConfig:
    rate = f"{millions * 1e6 / SECONDS:.3f}/s"
    routes = [{"name": "item", "path": "/i/{key}", "keys": {"first": 1, "last": 5000}}]
    workload = Workload.model_validate(
        {"seed": 1, "rate": rate, "arrivals": "constant", "hosts": SHARDS, "routes": routes}
    )
    return EngineConfig(
        workload=workload, targets={"before": "http://a"}, seed=1, warmup_s=0.0, measure_s=SECONDS, origin_ns=0,
        directory=directory,
    )  # fmt: skip


def write_shard(config: EngineConfig, schedule: Schedule, shard: int, share: float) -> int:
    """The part files of one shard, of the first `share` of its slots; how many rows."""
    recorder = RequestRecorder(schedule, ["before"], worker=shard, workers=SHARDS)
    slots = np.arange(shard, len(schedule), SHARDS)
    slots = slots[: int(len(slots) * share)]
    random = np.random.default_rng(shard)
    for number, start in enumerate(range(0, len(slots), PART_ROWS)):
        part = slots[start : start + PART_ROWS]
        rows = np.zeros(len(part), _RECORD)
        due_ns = schedule.due_ns[part]
        rows["tag"], rows["due_ns"], rows["sent_ns"] = part, due_ns, due_ns + 1000
        rows["done_ns"] = due_ns + random.integers(10**6, 10**7, len(part))
        rows["version"], rows["status"], rows["connection"], rows["bytes"] = NO_VERSION, 200, shard, 99
        rows["body_hash"] = random.integers(0, 2**62, len(part))
        write_part(
            config.directory / "requests", f"block-000-worker-{shard:02d}-part-{number:04d}", recorder.table([rows])
        )
    return len(slots)


def merge(directory: Path, millions: float, slots: int, lost: list[int]) -> None:
    """In a process of its own: print the time, the memory, and the counts."""
    config = config_of(directory, millions)
    began, began_cpu = time.perf_counter(), time.process_time()
    rows = ShardRows(config, slots)
    never_sent = rows.add_never_sent(lost)
    counts = rows.accounting()["before"]
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
    added = sum(one.slots for one in never_sent.values())
    assert counts.exact and counts.scheduled == slots and counts.dropped == added
    # What getrusage says would count what this process was forked from.
    most_kb = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert most_kb is not None
    print(took_s, cpu_s, int(most_kb[1]) / 1024, added)


def main(millions: float) -> None:
    with tempfile.TemporaryDirectory() as kept:
        directory = Path(kept) / "run"
        (directory / "requests").mkdir(parents=True)
        config = config_of(directory, millions)
        schedule = schedule_for(config.workload, config.total_s, config.seed)
        sent = [write_shard(config, schedule, shard, 1.0) for shard in range(SHARDS)]
        size_mb = sum(path.stat().st_size for path in (directory / "requests").iterdir()) / 1e6
        print(f"merging {sum(sent):,} rows of {SHARDS} shards ({size_mb:.0f} MB of part files)")
        for name, lost in (("all shards", []), ("one lost halfway", [3])):
            if lost:
                for path in (directory / "requests").glob("*worker-03-part*"):
                    path.unlink()
                write_shard(config, schedule, 3, 0.5)
            command = [
                sys.executable,
                __file__,
                "merge",
                str(directory),
                str(millions),
                str(len(schedule)),
                *map(str, lost),
            ]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            took_s, cpu_s, most_mb, added = map(float, done.stdout.split())
            within = took_s <= BOUND_S and most_mb <= BOUND_MB
            beyond = "" if within else f"   beyond its bounds of {BOUND_S:g} s and {BOUND_MB:g} MB"
            cost = f"{took_s:5.2f} s ({cpu_s:.2f} s of a core), {most_mb:.0f} MB"
            print(f"  {name:<17}{cost}, {added:,.0f} never sent{beyond}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["merge"]:
        merge(Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), [int(lost) for lost in sys.argv[5:]])
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
