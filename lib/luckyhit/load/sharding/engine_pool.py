"""The engine processes of one block: those of this host, or those of shards on several hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luckyhit.case.workload import Workload
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.sharding.shard_hosts import named_address
from luckyhit.load.sharding.shard_pool import ShardPool
from luckyhit.load.worker_pool import OnEvent, WorkerPool

EnginePool = WorkerPool | ShardPool


def pool_for(workload: Workload, directory: Path, address: str = "") -> EnginePool:
    """The processes that `workload.hosts` and `workload.workers` ask for, started ahead of the block. `address`: of the
    hosts; empty: the environment has it, if it is needed. Raises ArgumentError where they are not to be had."""
    if workload.hosts == 1 and not address:
        return WorkerPool(workload.workers, directory)
    return ShardPool(workload, directory, address or named_address(workload.hosts))


def run_engine(
    config: EngineConfig, on_event: OnEvent | None = None, pool: EnginePool | None = None, address: str = ""
) -> dict[str, Any]:
    """Run one block in engine processes (those of `pool`, if they were started ahead); their facts. Raises as
    `measure_block` does."""
    with pool or pool_for(config.workload, config.directory, address) as ready:
        return ready.run(config, on_event)
