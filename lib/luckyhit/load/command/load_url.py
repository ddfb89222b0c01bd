"""The load engine alone: one URL, one pace, exact percentiles of all requests."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from luckyhit.errors import ArgumentError
from luckyhit.load.block import BlockReport, Progress
from luckyhit.load.command.load_plan import LoadPlan, plan_load
from luckyhit.load.command.load_summary import (
    CLOSED_CAUTION,
    LoadSummary,
    RecordedLoad,
    read_records,
    shard_problems,
)
from luckyhit.load.command.options import LoadOptions
from luckyhit.load.inputs import gather
from luckyhit.load.sharding.engine_pool import run_engine
from luckyhit.load.sharding.shard_hosts import worker_count
from luckyhit.load.worker_pool import OnEvent
from luckyhit.records.manifest import ShardNotes
from luckyhit.scrub.redactor import Redactor
from luckyhit.scrub.secrets import is_secret_header
from luckyhit.scrub.sweep import sweep_records


def load(
    url: str,
    *,
    out: Path | None = None,
    on_progress: Progress | None = None,
    secrets: Collection[str] = (),
    **options: Any,
) -> LoadSummary:
    """Send requests to `url` from the engine's own process; keep one record for each in `out`, if given.

    `options`: the fields of LoadOptions. The loop is open, unless `closed` connections are given. Progress is shown on
    a terminal, unless `on_progress` takes it. `secrets`: values that are removed from everything that is kept or shown,
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
            stack.enter_context(_progress_bar(total_s))
            if on_progress is None
            else lambda event: on_progress(event["done"], total_s)
        )
        report = BlockReport.from_facts(run_engine(plan.config(directory, inputs), show, address=plan.hosts_at))
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
    shards = [ShardNotes.model_validate(facts) for facts in report.shards]
    problems = [text for shard in shards for text in shard_problems(shard)]
    trustworthy = report.engine.trustworthy and not problems
    warnings = problems if report.engine.trustworthy else [*problems, report.engine.detail]
    if not recorded.accounting.completed:
        warnings.append("No request completed, so there are no latencies.")
    if plan.closed:
        warnings.append(CLOSED_CAUTION)
    span_s = plan.seconds
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
        seconds=plan.seconds,
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
    )


def progress_text(event: Mapping[str, Any]) -> str:
    """What the engine has reported so far: `24,600 answered, 1,998/s, 12 errors (timeout 10, reset 2)`."""
    text = f"{event['answered']:,} answered, {event['answered'] / max(event['done'], 0.1):,.0f}/s"
    errors = {name: count for name, count in event["errors"].items() if count}
    total = sum(errors.values())
    if not total:
        return f"{text}, no error"
    kinds = ", ".join(f"{name} {count:,}" for name, count in sorted(errors.items(), key=lambda item: -item[1]))
    return f"{text}, {total:,} error{'s' if total != 1 else ''} ({kinds})"


@contextmanager
def _progress_bar(seconds: float) -> Iterator[OnEvent]:
    """A bar on a terminal, nothing elsewhere. Yields the function that takes the engine's progress."""
    from tqdm import tqdm

    with tqdm(
        total=seconds, unit="s", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False,
        dynamic_ncols=True, bar_format="{bar:20}| {n:.1f}/{total:.1f} s{postfix}",
    ) as bar:  # fmt: skip

        def show(event: Mapping[str, Any]) -> None:
            bar.set_postfix_str(progress_text(event), refresh=False)
            bar.update(min(event["done"], seconds) - bar.n)

        yield show
