"""Measuring one block: starts the engine, passes its progress on, and returns what it reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from luckyhit.case import Case
from luckyhit.errors import LimitExceeded
from luckyhit.measure.crew import Crew, run_engine
from luckyhit.measure.engine_config import EngineConfig
from luckyhit.measure.head import Origin, head_lines
from luckyhit.measure.inputs import Inputs
from luckyhit.measure.plan import BlockPlan, BlockReport
from luckyhit.measure.signals import signals_of
from luckyhit.measure.watch import Limits
from luckyhit.run import Run

Progress = Callable[[float, float], None]
"""Called with the seconds done, and the seconds in all."""
INPUTS = "inputs"
"""Where a run directory has what the engine needs of key files and access logs."""


def measure_block(
    run: Run, plan: BlockPlan, *, on_progress: Progress | None = None, crew: Crew | None = None
) -> BlockReport:
    """Measure one block into the run directory; by `crew`, where it was started ahead.

    Raises ArgumentError for requests that can't be sent, ResponseUnexpected where the freshness probe can't work,
    NotEnoughData where the engine itself failed, and LimitExceeded where one of `plan.limits` was: the load has stopped
    then, every row is written, and the error has the report. An interruption stops the engine, which writes what it
    has, and is raised again.
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
        limits=Limits.of(plan.limits),
        directory=run.path,
        origin_ns=run.manifest.origin_ns,
        inputs=inputs if inputs.is_dir() else None,
        ca_file=plan.ca_file,
        originals={arm: dict(values) for arm, values in plan.originals.items()},
        start_values={arm: dict(values) for arm, values in plan.start_values.items()},
        databases=dict(plan.databases),
        freshness=case.freshness if plan.probed else None,
    )
    show = None if on_progress is None else lambda event: on_progress(event["done"], config.total_s)
    report = BlockReport.from_facts(run_engine(config, show, crew))
    if report.stopped is not None:
        raise LimitExceeded(
            report.stopped,
            hint="The load stopped at once; what was measured until then is in the run directory. Find out why the "
            "service failed or slowed down (its log), and lower workload.rate; raise target.limits only where its "
            "users can bear that.",
            report=report,
        )
    return report


def inputs_of(run: Run) -> Inputs | None:
    """What the run has of the files that its workload names; None where there are none."""
    directory = run.path / INPUTS
    return Inputs.load(directory, len(run.case.workload.routes)) if directory.is_dir() else None


def config_of(case: Case, **block: Any) -> EngineConfig:
    """What the engine needs of a case, with what is the block's own (fields of EngineConfig)."""
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
