"""Shards as processes of this machine: more senders without a second host, and how everything else is tried out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from luckyhit.load.sharding.engine_host import EngineHost, ShardHost


@contextmanager
def local_hosts(address: str, shards: int, workers: int, directory: Path) -> Iterator[Sequence[ShardHost]]:
    """Their processes write into the run directory themselves."""
    with ExitStack() as stack:
        hosts = [EngineHost(shard, workers, directory=directory) for shard in range(shards)]
        for host in hosts:
            stack.callback(host.close)
        yield hosts


def check_local_hosts(address: str, shards: int) -> None:
    """This machine is always there."""


def count_local_hosts(address: str) -> int:
    """One shard for each core."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
