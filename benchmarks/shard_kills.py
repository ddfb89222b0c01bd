"""Is the accounting exact whichever shard is killed, and whenever?

    python benchmarks/shard_kills.py [KILLS] [SHARDS] [SEED]

Each time a block of two arms is measured, and one or more engine processes are killed (SIGKILL) at a random instant of
it. Then each slot of the schedule has to be there once in each arm, counted in one place, and what is `dropped` has to
be of the killed ones alone.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
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


def kill_at(pool: ShardPool, shards: list[int], at_s: float) -> Callable[[object], None]:
    left = list(shards)

    def show(event: object) -> None:
        if isinstance(event, dict) and event["done"] >= at_s:
            while left:
                facts = pool.shards[left.pop()].facts
                for pid in facts["pids"] if facts is not None else []:
                    os.kill(pid, signal.SIGKILL)

    return show


def one(url: str, shards: int, chance: random.Random) -> str:
    """One block; what became of it. Raises AssertionError if a slot is anywhere but in its one place."""
    with tempfile.TemporaryDirectory() as kept:
        run = Path(kept) / "run"
        (run / "requests").mkdir(parents=True)
        routes = [{"name": "echo", "path": "/"}]
        workload = Workload.model_validate({"seed": 1, "rate": RATE, "hosts": shards, "routes": routes})
        config = EngineConfig(
            workload=workload, targets=dict.fromkeys(ARMS, url), seed=chance.randrange(10**6), warmup_s=0.1,
            measure_s=SECONDS, origin_ns=0, directory=run, selfcheck=False,
        )  # fmt: skip
        killed = chance.sample(range(shards), chance.choice([1, 1, 1, 2, shards]))
        pool = ShardPool(workload, run, LOCAL)
        facts = None
        try:
            facts = pool.run(config, kill_at(pool, killed, chance.uniform(0.0, config.total_s)))
        except NotEnoughData:
            assert len(killed) == shards
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
        return "all were lost"
    noted = [shard["shard"] for shard in facts["shards"] if shard["lost"] is not None]
    assert set(noted) <= set(killed) and dropped <= set(noted)
    never_sent = sum(shard["never_sent"] for shard in facts["shards"])
    assert never_sent == rows.loc[(rows["error"] == "dropped") & (rows["arm"] == "before"), "slot"].nunique()
    return f"{len(noted)} lost"


def main(kills: int, shards: int, seed: int) -> None:
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with running(ECHO) as target:
        for _ in range(kills):
            outcomes[one(target.url, shards, chance)] += 1
    told = ", ".join(f"{outcome}: {count}" for outcome, count in sorted(outcomes.items()))
    print(f"{kills} blocks of {shards} shards, some killed at random: accounting exact in all of them ({told})")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    main(*(given + [20, 3, 1][len(given) :]))
