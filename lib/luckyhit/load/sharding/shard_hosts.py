"""Where the hosts of a block's load come from. A new way to reach them is one file, and one row of TRANSPORTS."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from luckyhit.errors import ArgumentError
from luckyhit.load.sharding.dask_hosts import check_dask_hosts, count_dask_workers, dask_hosts
from luckyhit.load.sharding.engine_host import ShardHost
from luckyhit.load.sharding.local_hosts import check_local_hosts, count_local_hosts, local_hosts

LOCAL = "local"
"""Instead of an address: each shard is processes of this machine."""
ADDRESS_VARIABLE = "DASK_SCHEDULER_ADDRESS"
"""Dask's own name for it; a run and its notebooks read it."""

OpenHosts = Callable[[str, int, int, Path], AbstractContextManager[Sequence[ShardHost]]]
"""(address, shards, engine processes of each, run directory) -> the hosts, one for each shard, until the context ends.
Raises ArgumentError if they are not to be had."""


@dataclass(frozen=True)
class Transport:
    """`open`: start the hosts. `check`: raises ArgumentError where as many could not be started; starts nothing.
    `count`: how many could be."""

    open: OpenHosts
    check: Callable[[str, int], None]
    count: Callable[[str], int]


_DASK = Transport(dask_hosts, check_dask_hosts, count_dask_workers)
TRANSPORTS: dict[str, Transport] = {
    LOCAL: Transport(local_hosts, check_local_hosts, count_local_hosts),
    **dict.fromkeys(("tcp", "tls", "ws", "wss"), _DASK),
}
"""By the scheme of an address."""


def transport_of(address: str) -> Transport:
    """Raises ArgumentError for an address that names none."""
    scheme = address.partition("://")[0]
    transport = TRANSPORTS.get(scheme)
    if transport is None or (scheme != LOCAL and not address.partition("://")[2]):
        raise ArgumentError(
            f"{address[:80]!r} is not the address of a Dask scheduler",
            hint=f"For example tcp://10.0.0.5:8786; or {LOCAL} for processes of this machine.",
        )
    return transport


def worker_count(address: str) -> int:
    """How many shards the hosts at an address can send, one each. Raises ArgumentError where there are none."""
    count = transport_of(address).count(address)
    if not count:
        raise ArgumentError(
            f"the scheduler at {address[:80]} has no workers", hint=f"Start some: dask worker {address[:80]}"
        )
    return count


def named_address(hosts: int, environ: Mapping[str, str] = os.environ) -> str:
    """Where the environment says that the hosts of a run are. Raises ArgumentError where it doesn't."""
    address = environ.get(ADDRESS_VARIABLE, "")
    if not address:
        raise ArgumentError(
            f"workload.hosts is {hosts}, but no Dask scheduler is named",
            hint=f"Add --dask tcp://HOST:8786 (or set {ADDRESS_VARIABLE}); --dask {LOCAL} sends from {hosts} processes "
            "of this machine.",
        )
    return address


def name_hosts(address: str, hosts: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Say where the hosts of a run are, to this process and to those that it starts. Raises ArgumentError for no
    address, and for a run that has one host only."""
    transport_of(address)
    if hosts == 1:
        raise ArgumentError(
            "--dask has no effect, because the case sends from one host",
            hint="Set workload.hosts in the case, or leave --dask out.",
        )
    environ[ADDRESS_VARIABLE] = address


def check_hosts(hosts: int, environ: Mapping[str, str] = os.environ) -> None:
    """Before anything is started or changed: raises ArgumentError where a run could not have its hosts."""
    if hosts > 1:
        address = named_address(hosts, environ)
        transport_of(address).check(address, hosts)
