"""The load engine on its own: one URL, one pace, exact percentiles of every request."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from luckyhit.errors import ArgumentError
from luckyhit.measure.block import Progress
from luckyhit.measure.crew import run_engine
from luckyhit.measure.load_asked import Asked
from luckyhit.measure.load_order import LoadPlan, plan_load
from luckyhit.measure.load_progress import LoadBar
from luckyhit.measure.load_summary import Recorded, read_records
from luckyhit.measure.load_table import CLOSED_CAUTION, LoadSummary
from luckyhit.measure.plan import BlockReport
from luckyhit.scrub.redactor import Redactor
from luckyhit.scrub.secrets import is_secret_header
from luckyhit.scrub.sweep import sweep_records


def load(
    url: str,
    *,
    out: Path | None = None,
    on_progress: Progress | None = None,
    secrets: Collection[str] = (),
    **asked: Any,
) -> LoadSummary:
    """Send requests to `url` for a while, from the engine's own process; one record for each, in `out` if given.

    `asked`: see `Asked`. Open loop, unless `closed` connections are asked for. Progress is shown on a terminal, unless
    `on_progress` takes it. `secrets`: values that are in nothing that is kept or told, beside those of headers whose
    name says that they hold one. Raises ArgumentError for what can't be asked for.
    """
    plan = plan_load(url, Asked(**asked))
    with ExitStack() as stack:
        directory = _directory(out, stack)
        inputs, notes = _gather(plan, directory)
        total_s = plan.seconds + plan.warmup_s
        show = (
            stack.enter_context(LoadBar(total_s))
            if on_progress is None
            else lambda event: on_progress(event["done"], total_s)
        )
        report = BlockReport.from_facts(run_engine(plan.config(directory, inputs), show))
        scheduled = report.accounting["before"].scheduled
        recorded = read_records(directory / "requests", expected_rows=scheduled)
        known = {value for name, value in plan.headers.items() if is_secret_header(name)}
        redactor = Redactor(known | set(secrets), roots={directory.absolute(): directory.absolute().name})
        summary = _told(_summary(url, plan, report, recorded, notes, out), redactor)
        if out is not None:
            sweep_records(directory, redactor)
            text = json.dumps(redactor.document(summary.as_facts()), indent=2) + "\n"
            (directory / "summary.json").write_text(text, encoding="utf-8")
        return summary


def _told(summary: LoadSummary, redactor: Redactor) -> LoadSummary:
    """The summary without secrets: an answer that is not as expected may quote any."""
    told = redactor.secrets
    return replace(
        summary,
        url=told(summary.url),
        unexpected=told(summary.unexpected) if summary.unexpected is not None else None,
        notes=[told(note) for note in summary.notes],
        warnings=[told(warning) for warning in summary.warnings],
    )


def _gather(plan: LoadPlan, directory: Path) -> tuple[Path | None, list[str]]:
    """Read the declared files, if there are any, into a directory of the engine's inputs."""
    workload = plan.workload
    if getattr(workload, "replay", None) is None and not any(
        route.keys is not None and getattr(route.keys, "file", None) is not None for route in workload.routes
    ):
        return None, []
    from luckyhit.measure.inputs import gather

    inputs = directory / "inputs"
    inputs.mkdir(exist_ok=True)
    return inputs, gather(workload, plan.root, inputs)


def _directory(out: Path | None, stack: ExitStack) -> Path:
    if out is None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="luckyhit-load-")))
    else:
        directory = Path(out)
        if (directory / "requests").is_dir() and any((directory / "requests").iterdir()):
            raise ArgumentError(f"{directory} holds records already", hint="Name another directory for --out.")
    try:
        (directory / "requests").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory / "requests"):
            pass
    except OSError as error:
        raise ArgumentError(f"{directory} can't be written: {error.strerror}", hint="Name another --out.") from None
    return directory


def _summary(
    url: str, plan: LoadPlan, report: BlockReport, recorded: Recorded, notes: list[str], out: Path | None
) -> LoadSummary:
    warnings = [] if report.engine.trustworthy else [report.engine.detail]
    if not recorded.accounting.completed:
        warnings.append("No request completed: there is no latency to tell.")
    if plan.closed:
        warnings.append(f"C{CLOSED_CAUTION[1:]}.")
    span_s = plan.seconds
    if plan.closed and recorded.last_ns is not None:
        # A closed loop ends when its last answer came, or with the last of its slots.
        span_s = max(1e-9, (recorded.last_ns - report.measure_ns) / 1e9)
    return LoadSummary(
        url=url,
        trustworthy=report.engine.trustworthy,
        warnings=warnings,
        loop="closed" if plan.closed else "open",
        pace=plan.pace,
        rate=plan.rate,
        seconds=plan.seconds,
        warmup_s=plan.warmup_s,
        closed=plan.closed,
        seed=plan.seed,
        accounting=recorded.accounting,
        warmup=recorded.warmup,
        errors=recorded.errors,
        unexpected=report.unexpected,
        statuses=recorded.statuses,
        latency_ms=recorded.latency_ms,
        completed_per_s=recorded.accounting.completed / span_s,
        cache=recorded.cache,
        layers=recorded.layers,
        routes=recorded.routes,
        db_calls=recorded.db_calls,
        engine=report.engine,
        digest=report.digest,
        retried=report.retried,
        notes=notes,
        out=str(out) if out is not None else None,
        curves=recorded.curves,
    )
