"""Measuring one block: what it is to measure (BlockPlan), and what the engine reports of it (BlockReport)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.errors import LimitExceeded
from luckyhit.load.engine_config import EngineCheck, EngineConfig
from luckyhit.load.http1.request_head import Origin, head_lines
from luckyhit.load.inputs import Inputs
from luckyhit.load.limits import WatchedLimits
from luckyhit.load.sharding.engine_pool import EnginePool, run_engine
from luckyhit.load.signals import signals_of
from luckyhit.records import Accounting, Arm, Stage
from luckyhit.run import INPUTS

Progress = Callable[[float, float], None]
"""Called with the seconds done, and the seconds in all."""


def measure_block(
    run: CaseRun, plan: BlockPlan, *, on_progress: Progress | None = None, pool: EnginePool | None = None
) -> BlockReport:
    """Measure one block into the run directory; by `pool`, if it was started ahead.

    Raises ArgumentError for requests that can't be sent, ResponseUnexpected if the freshness probe can't work,
    NotEnoughData if the engine failed, and LimitExceeded for one of `plan.limits`: then the load has stopped, every row
    is written, and the error has the report. An interruption stops the engine, which writes what it has, and is raised
    again.
    """
    case, inputs = run.case, run.path / INPUTS
    for url in plan.targets.values():
        head_lines(Origin.parse(url), plan.headers)
    config = config_of(
        case,
        block=plan.block,
        seed=plan.seed,
        warmup_s=plan.warmup_s,
        measure_s=plan.measure_s,
        targets=dict(plan.targets),
        headers=dict(plan.headers),
        selfcheck=plan.selfcheck,
        limits=WatchedLimits.of(plan.limits),
        directory=run.path,
        origin_ns=run.manifest.origin_ns,
        inputs=inputs if inputs.is_dir() else None,
        ca_file=plan.ca_file,
        originals={arm: dict(values) for arm, values in plan.originals.items()},
        start_values={arm: dict(values) for arm, values in plan.start_values.items()},
        databases=dict(plan.databases),
        logs=dict(plan.logs),
        freshness=case.freshness if plan.probed else None,
    )
    show = None if on_progress is None else lambda event: on_progress(event["done"], config.total_s)
    report = BlockReport.from_facts(run_engine(config, show, pool))
    if report.stopped is not None:
        raise LimitExceeded(
            report.stopped,
            hint="The load stopped at once; what was measured until then is in the run directory. Find out why the "
            "service failed or slowed down (its log), and lower workload.rate; raise target.limits only if its users "
            "can bear that.",
            report=report,
        )
    return report


def inputs_of(run: CaseRun) -> Inputs | None:
    """What the run kept of the files that its workload names; None if it names none."""
    directory = run.path / INPUTS
    return Inputs.load(directory, len(run.case.workload.routes)) if directory.is_dir() else None


def config_of(case: Case, **block: Any) -> EngineConfig:
    """What the engine needs of a case, with the block's own fields of EngineConfig."""
    parts = {
        "workload": case.workload,
        "expected": case.expected.response,
        "signals": signals_of(case.target),
        "http": case.target.http,
        "worker_header": case.target.worker_header,
        "freshness": case.freshness,
        "purges": bool(case.cache.purge),
    }
    return EngineConfig(**{**parts, **block})


@dataclass(frozen=True)
class BlockPlan:
    """One block: one base URL for each arm (one or two), its seed, its length in seconds.

    `headers` are sent with each request and may hold secrets: they reach the engine through a pipe, never a file or an
    argument. `selfcheck`: let the engine measure itself first (half a second). `limits`: the fields of WatchedLimits;
    an `error_rate` or `p99_ms` that is missing is not limited. `measure_s` may be 0: a wash-out, all of it warm-up,
    without a probe or a self-check. `probed`: run the case's freshness probe beside the load; a block without it is a
    control, which shows what the load alone does. The other fields are those of EngineConfig.
    """

    block: int
    stage: Stage
    targets: Mapping[Arm, str]
    warmup_s: float
    measure_s: float
    seed: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    selfcheck: bool = True
    limits: Mapping[str, float | None] | None = None
    originals: Mapping[Arm, Mapping[str, int]] = field(default_factory=dict)
    start_values: Mapping[Arm, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    databases: Mapping[str, str] = field(default_factory=dict, repr=False)
    logs: Mapping[Arm, Path] = field(default_factory=dict)
    probed: bool = True


@dataclass(frozen=True)
class BlockReport:
    """How a block went.

    `unexpected`: the first unexpected response, in one sentence. `probe`: empty without a freshness probe; else probes,
    rows of writes and of reads, requests in the measured part and their fraction of the load's there (over all arms),
    requests beside it (preflight, putting back), keys put back and not put back (by arm), problems. `start_ns`,
    `measure_ns`, `end_ns`: start, end of the warm-up and end, from the run's start. `digest` identifies the schedule;
    `retried`: requests sent again because their kept-alive connection was closed; `unchecked`: responses too large to
    be checked; `unlogged`: requests without a line in the log of `target.log`; `examples`: see
    luckyhit.load.bodies.examples. `stopped`: the limit that was exceeded, in one sentence with figures; what was not
    sent or answered by then is `dropped`, and the measured part ended before `end_ns`. `stopped_ns`: when the engine
    was told to stop early; `first_failure`: why the first connection could not be opened. `shards`: see ShardNotes of
    luckyhit.records.manifest; empty unless several hosts sent.
    """

    accounting: dict[Arm, Accounting]
    engine: EngineCheck
    unexpected: str | None
    probe: dict[str, Any]
    start_ns: int
    measure_ns: int
    end_ns: int
    distinct_keys: int
    digest: str = ""
    retried: int = 0
    unchecked: int = 0
    unlogged: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)
    stopped: str | None = None
    stopped_ns: int | None = None
    first_failure: str = ""
    shards: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> BlockReport:
        """The report in the engine's last line."""
        return cls(
            **{
                **facts,
                "accounting": {arm: Accounting(**counts) for arm, counts in facts["accounting"].items()},
                "engine": EngineCheck(**facts["engine"]),
            }
        )

    def as_facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {**asdict(self), "accounting": {arm: counts.model_dump() for arm, counts in self.accounting.items()}}
