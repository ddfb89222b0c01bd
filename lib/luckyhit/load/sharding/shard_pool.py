"""The coordinator of a block that several hosts send.

All shards make the same schedule and get ready; the coordinator agrees one start with them, each by its own clock, and
follows them. A shard that is lost afterwards takes its slots with it, and no others: the rest of the block is measured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from luckyhit.case.workload import Workload
from luckyhit.errors import ArgumentError, NotEnoughData
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.sharding.engine_host import AUTHORITIES, EngineHost
from luckyhit.load.sharding.shard_facts import (
    raise_lost,
    refuse_loopback,
    refuse_other_schedules,
    refuse_other_versions,
    refuse_vague_clocks,
    shard_facts,
)
from luckyhit.load.sharding.shard_follower import ShardFollower
from luckyhit.load.sharding.shard_hosts import LOCAL, transport_of
from luckyhit.load.sharding.shard_rows import ShardRows
from luckyhit.load.worker_pool import (
    STOP_WITHIN_S,
    OnEvent,
    error_of,
    exceeded_limit,
    merged,
    merged_progress,
)

LEAD_S = 0.5
"""From the moment in which the last shard is ready to the first slot: the start has to reach all hosts before it."""
READY_WITHIN_S = 60.0
PROBE = -1
"""Instead of a shard: the process that has the freshness probe, on this host."""
_LOOK_S = 0.2


class ShardPool:
    """Shards for one block, which may come later; as `WorkerPool`, which it replaces where several hosts send."""

    def __init__(self, workload: Workload, directory: Path, address: str) -> None:
        """Start the hosts. `directory`: of the run. Raises ArgumentError where they are not to be had."""
        self._workload, self._directory, self._remote = workload, directory, address != LOCAL
        self._news = threading.Condition()
        self._stack = ExitStack()
        transport = transport_of(address)
        hosts = self._stack.enter_context(transport.open(address, workload.hosts, workload.workers, directory))
        self.shards = [ShardFollower(shard, host, self._changed) for shard, host in enumerate(hosts)]
        self._probe: ShardFollower | None = None
        self._own = EngineHost.describe_here()
        for shard in self.shards:
            shard.start()

    def __enter__(self) -> ShardPool:
        return self

    def request_stop(self) -> None:
        """Let the shards send nothing more, and report."""
        for follower in self._followers:
            follower.halt()

    def __exit__(self, *_: object) -> None:
        try:
            self.request_stop()
            deadline_s = time.monotonic() + 2 * STOP_WITHIN_S
            for follower in self._followers:
                follower.join(max(0.0, deadline_s - time.monotonic()))
        finally:
            self._stack.close()

    def run(self, config: EngineConfig, on_event: OnEvent | None = None) -> dict[str, Any]:
        """Run the one block; the facts, with those of each shard. Raises as `measure_block` does."""
        with self:
            start_ns = self._begin(config)
            stopped = self._measure(config, start_ns, on_event)
        for follower in self._followers:
            self._raise_failure(follower)
        facts = self._merged(config, start_ns)
        return facts if stopped is None else {**facts, "stopped": stopped}

    def _begin(self, config: EngineConfig) -> int:
        """Let all shards get ready for the block. Returns the agreed instant of the first slot."""
        if self._remote and config.logs:
            raise ArgumentError(
                "a service's log is on its own host alone, so load from several hosts can't use target.signals.log",
                hint="Let the responses tell the cache status (target.signals), or set workload.hosts to 1.",
            )
        if config.freshness is not None and config.measures:
            self._start_probe()
        self._wait(lambda: all(follower.before is not None for follower in self.shards))
        hosts = {follower.shard: follower.facts for follower in self.shards if follower.facts is not None}
        refuse_other_versions(self._own, hosts)
        refuse_loopback(config.targets.values(), self._own, hosts)
        refuse_vague_clocks(self.shards)
        files = _files_of(config)
        for follower in self.shards:
            follower.give(config, files)
        if self._probe is not None:
            self._probe.give(config.of_probe(), {})
        self._wait(lambda: all(follower.ready for follower in self._followers))
        schedules = {follower.shard: follower.states[0]["schedule"] for follower in self._followers}
        refuse_other_schedules(schedules, {PROBE: self._own, **hosts})
        self._slots = int(schedules[0]["slots"])
        start_ns = time.monotonic_ns() + round(LEAD_S * 1e9)
        for follower in self._followers:
            follower.start_at(start_ns)
        return start_ns

    def _measure(self, config: EngineConfig, start_ns: int, on_event: OnEvent | None) -> str | None:
        """Until all shards have ended, or one has failed. Returns the limit that stopped them, if any."""
        stopped: str | None = None
        while not all(follower.finished for follower in self._followers):
            with self._news:
                self._news.wait(_LOOK_S)
            states = [state for follower in self.shards for state in list(follower.states)]
            if any(follower.error or any(one["failure"] for one in follower.states) for follower in self._followers):
                return None
            if self._probe is not None and self._probe.finished and not self._probe.reported:
                return None
            if config.limits is not None and stopped is None:
                stopped = exceeded_limit(config.limits, [state["watched"] for state in states])
                if stopped is not None:
                    self.request_stop()
            at_work = [state["progress"] for state in states if not state["ended"]]
            if on_event is not None and at_work:
                on_event(merged_progress(at_work))
        return stopped

    def _merged(self, config: EngineConfig, start_ns: int) -> dict[str, Any]:
        """The facts of the block; rows that are missing are written first."""
        hosts = self._workload.hosts
        numbers = {shard: range(shard, self._workload.senders, hosts) for shard in range(hosts)}
        reported = {
            worker: state["facts"]
            for follower in self.shards
            for worker, state in zip(numbers[follower.shard], follower.states, strict=False)
            if state["facts"] is not None
        }
        rows = ShardRows(config, None if config.closed else self._slots)
        rows.start_ns = start_ns - config.origin_ns
        rows.check({worker: facts["accounting"] for worker, facts in reported.items()})
        own_rows = {shard: sum(rows.sent_by(worker) for worker in workers) for shard, workers in numbers.items()}
        lost = rows.add_never_sent(set(range(self._workload.senders)) - reported.keys())
        if not reported:
            self._raise_all_lost()
        rows.merge()
        probed = [state["facts"] for state in self._probe.reported] if self._probe is not None else []
        whole = merged([*(facts for facts in probed if facts is not None), *reported.values()])
        return {
            **whole,
            "accounting": {arm: counts.model_dump() for arm, counts in rows.accounting().items()},
            "shards": [
                shard_facts(follower, lost, numbers[follower.shard], own_rows[follower.shard])
                for follower in self.shards
            ],
        }

    def _start_probe(self) -> None:
        """The probe writes its log of undoing where `luckyhit revert` looks for it: on this host."""
        host = EngineHost(0, 1, directory=self._directory)
        self._stack.callback(host.close)
        self._probe = ShardFollower(PROBE, host, self._changed, timed=False)
        self._probe.start()

    @property
    def _followers(self) -> Sequence[ShardFollower]:
        return self.shards if self._probe is None else [self._probe, *self.shards]

    def _changed(self) -> None:
        with self._news:
            self._news.notify_all()

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Raises what keeps a shard from getting ready."""
        deadline_s = time.monotonic() + READY_WITHIN_S
        while not condition():
            for follower in self._followers:
                self._raise_failure(follower)
            raise_lost(self._followers)
            if time.monotonic() > deadline_s:
                late = [str(one.shard) for one in self._followers if not one.ready]
                raise NotEnoughData(
                    f"not ready within {READY_WITHIN_S:g} s: shard {', '.join(late)}",
                    hint="Nothing was sent. Look at these hosts, then start again.",
                )
            with self._news:
                self._news.wait(_LOOK_S)

    def _raise_failure(self, follower: ShardFollower) -> None:
        if follower.error is not None:
            raise follower.error
        for state in follower.states:
            if state["failure"] is not None:
                raise error_of(state["failure"])
        if follower is self._probe and follower.finished and not follower.reported:
            self._raise_all_lost()

    def _raise_all_lost(self) -> None:
        ended = [
            f"{'the probe' if one is self._probe else f'shard {one.shard}'}: "
            f"{one.lost or ', '.join(state['ended'] for state in one.states)}"
            for one in self._followers
            if not one.reported
        ]
        lines = [line for one in self._followers for state in one.states for line in state["last_lines"]]
        raise NotEnoughData(
            f"the load was lost: {'; '.join(ended)}" + "".join(f"\n    | {line}" for line in lines[-15:]),
            hint="What was recorded before is in the run directory. Start a new run; if it happens again, report it.",
        )


def _files_of(config: EngineConfig) -> dict[str, bytes]:
    """What the configuration names of this host's files, by name."""
    paths = sorted(config.inputs.iterdir()) if config.inputs is not None else []
    files = {path.name: path.read_bytes() for path in paths}
    return files if config.ca_file is None else {**files, AUTHORITIES: Path(config.ca_file).read_bytes()}
