"""The load engine alone: one URL, one pace, exact percentiles of all requests."""

from __future__ import annotations

import json
import signal
import tempfile
import threading
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.load.block import BlockReport, Progress
from luckyhit.load.command.live_view import live_view
from luckyhit.load.command.load_plan import LoadPlan, plan_load
from luckyhit.load.command.load_summary import (
    CLOSED_CAUTION,
    LoadSummary,
    RecordedLoad,
    read_records,
    shard_problems,
)
from luckyhit.load.command.options import LoadOptions
from luckyhit.load.engine_config import EngineConfig
from luckyhit.load.inputs import gather
from luckyhit.load.sharding.engine_pool import pool_for, run_engine
from luckyhit.load.sharding.shard_hosts import worker_count
from luckyhit.load.worker_pool import OnEvent
from luckyhit.records.manifest import ShardNotes
from luckyhit.scrub.redactor import Redactor
from luckyhit.scrub.secrets import is_secret_header
from luckyhit.scrub.sweep import sweep_records

LEAST_ERROR_STATUS = 400


def load(
    url: str,
    *,
    out: Path | None = None,
    on_progress: Progress | None = None,
    quiet: bool = False,
    secrets: Collection[str] = (),
    **options: Any,
) -> LoadSummary:
    """Send requests to `url` from the engine's own process; keep one record for each in `out`, if given.

    `options`: the fields of LoadOptions. The loop is open, unless `closed` connections are given. Progress is shown on
    standard error, unless it should be `quiet` or `on_progress` takes it. The first Ctrl-C or SIGTERM ends the load
    early: the summary is of what was sent until then, and says so. Raises KeyboardInterrupt for the second, or before
    anything was sent. `secrets`: values that are removed from everything that is kept or shown,
    as are those of headers whose name says that they have one. Raises ArgumentError for invalid options.
    """
    chosen = LoadOptions(**options)
    if chosen.dask is not None and chosen.shards is None and (chosen.case is None or chosen.case.workload.hosts == 1):
        chosen = replace(chosen, shards=worker_count(chosen.dask))
    plan = plan_load(url, chosen)
    with ExitStack() as stack:
        directory = _directory(out, stack)
        inputs = directory / "inputs" if plan.names_files else None
        notes = gather(plan.workload, plan.root, inputs) if inputs is not None else []
        total_s = plan.seconds + plan.warmup_s
        show = (
            stack.enter_context(live_view(total_s, quiet=quiet))
            if on_progress is None
            else lambda event: on_progress(event["done"], total_s)
        )
        report = BlockReport.from_facts(_run(plan.config(directory, inputs), show, plan.hosts_at))
        scheduled = report.accounting["before"].scheduled
        recorded = read_records(directory / "requests", expected_rows=scheduled)
        known = {value for name, value in plan.headers.items() if is_secret_header(name)}
        redactor = Redactor(known | set(secrets), roots={directory.absolute(): directory.absolute().name})
        summary = _redacted(_summary(url, plan, report, recorded, notes, out), redactor)
        if out is not None:
            sweep_records(directory, redactor)
            text = json.dumps(redactor.document(summary.as_facts()), indent=2) + "\n"
            (directory / "summary.json").write_text(text, encoding="utf-8")
        return summary


def _run(config: EngineConfig, show: OnEvent, address: str) -> dict[str, Any]:
    """The facts of the engine; those so far if it is interrupted. `address`: of the hosts that send."""
    pool = pool_for(config.workload, config.directory, address)
    interrupted: list[int] = []

    def stop(signum: int, frame: object) -> None:
        interrupted.append(signum)
        for number, handler in previous.items():  # the next one ends it at once
            signal.signal(number, handler)
        pool.request_stop()

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in previous:
            signal.signal(number, stop)
    try:
        return run_engine(config, show, pool)
    except LuckyHitError:
        if interrupted:  # the engine had not begun
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _redacted(summary: LoadSummary, redactor: Redactor) -> LoadSummary:
    """The summary without secrets: an unexpected response may quote any."""
    scrubbed = redactor.secrets
    return replace(
        summary,
        url=scrubbed(summary.url),
        unexpected=scrubbed(summary.unexpected) if summary.unexpected is not None else None,
        notes=[scrubbed(note) for note in summary.notes],
        warnings=[scrubbed(warning) for warning in summary.warnings],
    )


def _directory(out: Path | None, stack: ExitStack) -> Path:
    if out is None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="luckyhit-load-")))
    else:
        directory = Path(out)
        if (directory / "requests").is_dir() and any((directory / "requests").iterdir()):
            raise ArgumentError(f"{directory} already has records", hint="Choose another directory for --out.")
    try:
        (directory / "requests").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory / "requests"):
            pass
    except OSError as error:
        raise ArgumentError(f"{directory} can't be written: {error.strerror}", hint="Choose another --out.") from None
    return directory


def _summary(
    url: str, plan: LoadPlan, report: BlockReport, recorded: RecordedLoad, notes: list[str], out: Path | None
) -> LoadSummary:
    seconds, interrupted = plan.seconds, report.stopped_ns is not None
    if report.stopped_ns is not None:
        seconds = min(max((report.stopped_ns - report.measure_ns) / 1e9, 0.0), plan.seconds)
    warnings = [f"Interrupted after {seconds:.1f} s of {plan.seconds:g} s."] if interrupted else []
    shards = [ShardNotes.model_validate(facts) for facts in report.shards]
    problems = [text for shard in shards for text in shard_problems(shard)]
    trustworthy = report.engine.trustworthy and not problems
    warnings += problems if report.engine.trustworthy else [*problems, report.engine.detail]
    if failure := failure_of(recorded, report, expects=plan.expected is not None):
        warnings.append(failure)
    if plan.closed:
        warnings.append(CLOSED_CAUTION)
    span_s = max(seconds, 1e-9)
    if plan.closed and recorded.last_ns is not None:
        # A closed loop ends with its last response.
        span_s = max(1e-9, (recorded.last_ns - report.measure_ns) / 1e9)
    return LoadSummary(
        **vars(recorded),
        url=url,
        trustworthy=trustworthy,
        warnings=warnings,
        loop="closed" if plan.closed else "open",
        pace=plan.pace,
        rate=plan.rate,
        seconds=seconds,
        warmup_s=plan.warmup_s,
        closed=plan.closed,
        seed=plan.workload.seed,
        unexpected=report.unexpected,
        completed_per_s=recorded.accounting.completed / span_s,
        engine=report.engine,
        digest=report.digest,
        shards=shards,
        retried=report.retried,
        notes=notes,
        out=str(out) if out is not None else None,
        failure=failure,
        interrupted=interrupted,
    )


WHY: dict[str, str] = {
    "timeout": "each request timed out",
    "reset": "the service closed each connection before it answered",
    "protocol": "each answer broke the protocol",
    "dropped": "no request could be sent",
}
"""By the most frequent error: why no request completed, where nothing more is known."""


def failure_of(recorded: RecordedLoad, report: BlockReport, *, expects: bool) -> str:
    """Why a load shows nothing of the service; empty if it shows something. `expects`: it was declared which answers
    are right; otherwise a load of nothing but error statuses has failed."""
    if not recorded.accounting.scheduled:
        return "" if report.stopped_ns is None else "No request was due in the measured part."
    if not recorded.accounting.completed:
        kind = next(iter(recorded.errors), "")
        reason = {"connect": report.first_failure or "no connection", "unexpected": report.unexpected}.get(kind)
        return f"No request completed: {reason or WHY.get(kind, kind)}."
    statuses = [int(status) for status in recorded.statuses]
    if not expects and statuses and min(statuses) >= LEAST_ERROR_STATUS:
        shown = ", ".join(f"{status} ({count:,})" for status, count in recorded.statuses.items())
        return f"No request succeeded: each answer had an error status: {shown}."
    return ""
