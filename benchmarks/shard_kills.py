"""Is the accounting exact whichever shard is killed, and whenever?

    python benchmarks/shard_kills.py [KILLS] [SHARDS] [SEED]

In each block of two arms some of the engine processes are killed (SIGKILL), each at a random instant of its own. Then
each slot of the schedule has to be there once in each arm, counted in one place, and what is `dropped` has to be of the
killed ones alone.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd
from harness.targets import ECHO, running

from luckyhit.case.workload import Workload
from luckyhit.errors import NotEnoughData
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.sharding.shard_hosts import LOCAL
from luckyhit.load.sharding.shard_pool import ShardPool
from luckyhit.records.parquet import part_files, read_table

SECONDS, RATE = 0.8, "400/s"
ARMS = ("before", "after")


class Killer(threading.Thread):
    """Kills each shard at its instant, in seconds from the first slot."""

    def __init__(self, pool: ShardPool, instants_s: dict[int, float]) -> None:
        super().__init__()
        self._pool, self._instants_s = pool, sorted(instants_s.items(), key=lambda pair: pair[1])
        self.begins = threading.Event()

    def run(self) -> None:
        self.begins.wait()
        began = time.monotonic()
        for shard, at_s in self._instants_s:
            time.sleep(max(0.0, began + at_s - time.monotonic()))
            facts = self._pool.shards[shard].facts
            for pid in facts["pids"] if facts is not None else []:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def one(url: str, shards: int, chance: random.Random) -> int:
    """One block; how many shards were killed in it. Raises AssertionError unless each slot is in its one place."""
    with tempfile.TemporaryDirectory() as kept:
        run = Path(kept) / "run"
        (run / "requests").mkdir(parents=True)
        routes = [{"name": "echo", "path": "/"}]
        workload = Workload.model_validate({"seed": 1, "rate": RATE, "hosts": shards, "routes": routes})
        config = EngineConfig(
            workload=workload, targets=dict.fromkeys(ARMS, url), seed=chance.randrange(10**6), warmup_s=0.1,
            measure_s=SECONDS, origin_ns=0, directory=run, selfcheck=False,
        )  # fmt: skip
        killed = chance.sample(range(shards), chance.choice([1, shards // 2, shards - 1, shards]))
        pool = ShardPool(workload, run, LOCAL)
        killer = Killer(pool, {shard: chance.uniform(0.0, config.total_s) for shard in killed})
        killer.start()
        facts = None
        try:
            facts = pool.run(config, lambda event: killer.begins.set())
        except NotEnoughData:
            assert len(killed) == shards
        finally:
            killer.begins.set()
            killer.join()
        rows = pd.concat(read_table(path).to_pandas() for path in part_files(run / "requests"))
    slots = len(rows) // 2
    for arm in ARMS:
        of_arm = rows[rows["arm"] == arm]
        assert sorted(of_arm["slot"]) == list(range(slots)), "a slot is missing, or there twice"
        if facts is not None:
            counts, errors = facts["accounting"][arm], of_arm["error"]
            assert counts["scheduled"] == slots == sum(counts.values()) - counts["scheduled"]
            assert counts["completed"] == errors.isna().sum() and counts["dropped"] == (errors == "dropped").sum()
    dropped = set(rows.loc[rows["error"] == "dropped", "slot"] % shards)
    assert dropped <= set(killed), "a slot of a living shard was dropped"
    if facts is None:
        return len(killed)
    noted = [shard["shard"] for shard in facts["shards"] if shard["lost"] is not None]
    assert set(noted) <= set(killed) and dropped <= set(noted)
    never_sent = sum(shard["never_sent"] for shard in facts["shards"])
    assert never_sent == rows.loc[(rows["error"] == "dropped") & (rows["arm"] == "before"), "slot"].nunique()
    return len(killed)


def main(kills: int, shards: int, seed: int) -> None:
    chance = random.Random(seed)
    done = blocks = 0
    with running(ECHO) as target:
        while done < kills:
            done += one(target.url, shards, chance)
            blocks += 1
            print(f"  {done} kills in {blocks} blocks of {shards} shards: accounting exact", flush=True)


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [20, 6, 1][len(given) :]))
