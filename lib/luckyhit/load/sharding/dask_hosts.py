"""Shards on the workers of a Dask scheduler: an actor on each, whose engines are processes of their own.

Actors are called through the scheduler, so the workers need not be reachable from here (see the documentation of
`distributed.Actor`). Each call has a time limit: a worker that was lost answers nothing.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from luckyhit import __version__
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.load.sharding.engine_host import LEASE_S, EngineHost, HostFacts, HostLost, HostState, ShardHost

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10.0
"""To the scheduler, and until it has enough workers."""
CALL_S = 30.0
"""For one call of a host; a part file has to get through in it."""
LOOK_S = 1.0
"""How long a call may take before it is asked whether the worker is still there."""


class DaskHost:
    """An EngineHost on a worker of a scheduler."""

    def __init__(self, client: Client, actor: Any, address: str) -> None:
        self._client, self._actor, self._address = client, actor, address

    def describe(self) -> HostFacts:
        return cast(HostFacts, self._call("describe"))

    def clock(self) -> tuple[int, int]:
        received_ns, answered_ns = self._call("clock")
        return received_ns, answered_ns

    def begin(self, config: str, files: Mapping[str, bytes]) -> None:
        self._call("begin", config, dict(files))

    def start(self, start_ns: int) -> None:
        self._call("start", start_ns)

    def stop(self) -> None:
        self._call("stop")

    def poll(self, wait_s: float) -> HostState:
        return cast(HostState, self._call("poll", wait_s))

    def close(self) -> None:
        with suppress(HostLost):
            self._call("close")

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            return self._result(getattr(self._actor, name)(*arguments))
        except (LuckyHitError, HostLost):
            raise
        except Exception as error:
            # Which error a lost worker shows depends on when it was lost, and on the version of Dask.
            raise HostLost(f"the Dask worker {self._address} was lost ({type(error).__name__}: {error})") from None

    def _result(self, future: Any) -> Any:
        """What a call answers. Dask waits for ever for an actor whose worker is gone, in the hope of a new one."""
        deadline_s = time.monotonic() + CALL_S
        while True:
            try:
                return future.result(timeout=LOOK_S)
            except TimeoutError:
                if self._client.status != "running":
                    raise HostLost("the Dask scheduler was lost") from None
                if self._address not in self._client.scheduler_info(n_workers=-1)["workers"]:
                    raise HostLost(f"the Dask worker {self._address} was lost") from None
                if time.monotonic() > deadline_s:
                    raise HostLost(f"the Dask worker {self._address} did not answer for {CALL_S:g} s") from None


@contextmanager
def dask_hosts(address: str, shards: int, workers: int, directory: Path) -> Iterator[Sequence[ShardHost]]:
    """A shard on each of `shards` workers, on different machines as far as there are any. Raises ArgumentError."""
    with connected(address) as client:
        chosen = chosen_workers(client, address, shards)
        name = f"luckyhit-shard-{secrets.token_hex(6)}"
        futures = [
            client.submit(
                EngineHost, shard, workers, run=directory.absolute().name, scratch=scratch, lease_s=LEASE_S,
                key=f"{name}-{shard}", workers=[worker], allow_other_workers=False, actor=True, pure=False,
            )
            for shard, (worker, scratch) in enumerate(chosen)
        ]  # fmt: skip
        hosts: list[ShardHost] = []
        try:
            for future, (worker, _) in zip(futures, chosen, strict=True):
                hosts.append(DaskHost(client, _actor(future, worker), worker))
            yield hosts
        finally:
            for host in hosts:
                host.close()


def check_dask_hosts(address: str, shards: int) -> None:
    """Raises ArgumentError unless the scheduler answers, and has `shards` workers."""
    with connected(address) as client:
        chosen_workers(client, address, shards)


def count_dask_workers(address: str) -> int:
    """The workers that a scheduler has now. Raises ArgumentError where there is no scheduler."""
    with connected(address) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """A client of the scheduler. Raises ArgumentError where it can't be reached, or Dask is not installed."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ArgumentError(
            f"load from several hosts needs Dask, which is not installed ({error})",
            hint="Install it here and on each host: pip install 'luckyhit[fleet]'.",
        ) from None
    try:
        client = Client(address, timeout=CONNECT_S, asynchronous=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ArgumentError(
            f"no Dask scheduler answers at {address[:80]}: {error}",
            hint="Start one with `dask scheduler`, and give the address that it shows.",
        ) from None
    try:
        yield client
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.close(timeout=CONNECT_S)


def chosen_workers(client: Client, address: str, shards: int) -> list[tuple[str, str]]:
    """Addresses of `shards` workers, each with its folder for scratch files: first one of each machine."""
    with suppress(TimeoutError):
        client.wait_for_workers(shards, timeout=CONNECT_S)
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if len(workers) < shards:
        raise ArgumentError(
            f"{shards} hosts are to send, but the scheduler at {address[:80]} has {len(workers)} workers",
            hint=f"Start more (`dask worker {address[:80]}` on each host), or lower workload.hosts (or --shards).",
        )
    earlier: Counter[str] = Counter()
    ranks = []
    for worker, facts in sorted(workers.items()):
        ranks.append((earlier[facts["host"]], worker, facts["local_directory"]))
        earlier[facts["host"]] += 1
    return [(worker, scratch) for _, worker, scratch in sorted(ranks)[:shards]]


def _actor(future: Any, worker: str) -> Any:
    try:
        return future.result(timeout=CALL_S)
    except Exception as error:
        raise ArgumentError(
            f"the Dask worker {worker} can't start a shard: {type(error).__name__}: {str(error)[:200]}",
            hint=f"It needs luckyhit {__version__} with its extra `fleet`, as this machine has.",
        ) from None
