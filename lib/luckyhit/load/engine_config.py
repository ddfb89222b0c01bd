"""The load engine's configuration for one block, as its owner writes it and its processes read it; its self-check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from luckyhit.case.freshness import Freshness
from luckyhit.case.workload import Response, Workload
from luckyhit.load.limits import WatchedLimits
from luckyhit.load.signals import DeclaredSignals
from luckyhit.records.vocabulary import Arm

Http = Literal["auto", "1.1", "2"]


class EngineConfig(BaseModel):
    """One block. It reaches the engine's processes as one line of JSON through a pipe, because it may hold secrets.

    Attributes:
        targets: base URL of each arm.
        measure_s: 0 for a wash-out: all of the block is warm-up.
        origin_ns: the run's start; the instants of rows count from there.
        directory: of the run; `requests/`, `reads/` and `writes/` are in it.
        inputs: the directory with what `inputs.gather` wrote; None if the workload names no files.
        selfcheck: the engine measures itself first.
        closed: connections of a closed loop; 0 for an open one.
        ca_file: authorities to trust instead of the system's.
        freshness: the probe beside the load; None: no probe, and the next four are not needed.
        originals: by arm, the values of the probe's cold keys.
        start_values: by arm, the values that fill in `target.start.command`.
        databases: URLs, by the name of their variable.
        logs: by arm, in order, the log of `signals.log`.
        purges: whether the case declares calls that purge its cache.
        limits: when the load is stopped; None: never.
        live: its progress has the latencies so far, and a load that is stopped early ends there: what was not due yet
            does not count as scheduled.
        worker: the number of one process among those of the block, from 0; shard `i` of `n` has `i`, `i + n` and so on.
        merges: whether this process makes one file of the part files that it wrote, when the block is over.
        sends, probes: whether this process sends the load, and whether it has the probe.
        owner: the pid of the process that started it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    workload: Workload
    targets: dict[Arm, str]
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    block: int = 0
    seed: int
    warmup_s: float
    measure_s: float
    origin_ns: int
    directory: Path
    inputs: Path | None = None
    selfcheck: bool = True
    closed: int = 0
    http: Http = "auto"
    ca_file: str | None = None
    expected: Response | None = None
    signals: DeclaredSignals = Field(default_factory=DeclaredSignals)
    limits: WatchedLimits | None = None
    live: bool = False
    freshness: Freshness | None = None
    originals: dict[Arm, dict[str, int]] = {}
    start_values: dict[Arm, dict[str, Any]] = Field(default_factory=dict, repr=False)
    databases: dict[str, str] = Field(default_factory=dict, repr=False)
    worker_header: str | None = None
    logs: dict[Arm, Path] = {}
    purges: bool = False
    worker: int = 0
    sends: bool = True
    merges: bool = True
    probes: bool = True
    owner: int = 0

    @property
    def total_s(self) -> float:
        return self.warmup_s + self.measure_s

    @property
    def workers(self) -> int:
        """The processes that send the block's load, on all hosts."""
        return self.workload.senders

    @property
    def warmup_ns(self) -> int:
        return round(self.warmup_s * 1e9)

    @property
    def measures(self) -> bool:
        """Whether any of the block is measured; else all of it is warm-up."""
        return self.measure_s > 0

    def of_worker(self, worker: int, owner: int) -> EngineConfig:
        """The same for one process of the block."""
        return self.model_copy(update={"worker": worker, "owner": owner, "probes": worker == 0})

    def of_shard(self, shard: int, offset_ns: int) -> EngineConfig:
        """The same for a shard whose clock is `offset_ns` ahead of this one: it sends and does not probe."""
        origin_ns = self.origin_ns + offset_ns
        return self.model_copy(update={"worker": shard, "origin_ns": origin_ns, "probes": False, "merges": False})

    def of_probe(self) -> EngineConfig:
        """The same for a process that has only the probe."""
        return self.model_copy(update={"sends": False, "selfcheck": False})


@dataclass(frozen=True)
class EngineCheck:
    """The latency that the engine itself adds (None: not checked), and whether its timings can be trusted.

    `schedule_error_p99_ms`: how late it sent in the block; `loop_lag_ms`: the latest; `cpu_share`: fraction of a core.
    """

    added_p50_ms: float | None
    added_p99_ms: float | None
    schedule_error_p99_ms: float | None
    trustworthy: bool
    detail: str
    loop_lag_ms: float | None = None
    cpu_share: float | None = None
