"""The load engine on its own: one URL, one pace, exact percentiles of every request.

Progress of a load on a terminal: how far, how many answers and errors so far, at which rate.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from luckyhit.errors import ArgumentError
from luckyhit.load.block import BlockReport, Progress
from luckyhit.load.command.load_plan import LoadPlan, plan_load
from luckyhit.load.command.load_summary import CLOSED_CAUTION, LoadSummary, RecordedLoad, read_records
from luckyhit.load.command.options import Asked
from luckyhit.load.inputs import gather
from luckyhit.load.worker_pool import OnEvent, run_engine
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
    scrubbed = redactor.secrets
    return replace(
        summary,
        url=scrubbed(summary.url),
        unexpected=scrubbed(summary.unexpected) if summary.unexpected is not None else None,
        notes=[scrubbed(note) for note in summary.notes],
        warnings=[scrubbed(warning) for warning in summary.warnings],
    )


def _gather(plan: LoadPlan, directory: Path) -> tuple[Path | None, list[str]]:
    """Read the declared files, if there are any, into a directory of the engine's inputs."""
    workload = plan.workload
    if getattr(workload, "replay", None) is None and not any(
        route.keys is not None and getattr(route.keys, "file", None) is not None for route in workload.routes
    ):
        return None, []
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
    url: str, plan: LoadPlan, report: BlockReport, recorded: RecordedLoad, notes: list[str], out: Path | None
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


def sentence(event: Mapping[str, Any]) -> str:
    """What the engine has told so far: `24,600 answered, 1,998/s, 12 errors (timeout 10, reset 2)`."""
    text = f"{event['answered']:,} answered, {event['answered'] / max(event['done'], 0.1):,.0f}/s"
    errors = {name: count for name, count in event["errors"].items() if count}
    total = sum(errors.values())
    if not total:
        return f"{text}, no error"
    kinds = ", ".join(f"{name} {count:,}" for name, count in sorted(errors.items(), key=lambda item: -item[1]))
    return f"{text}, {total:,} error{'s' if total != 1 else ''} ({kinds})"


class LoadBar:
    """A bar on a terminal, nothing elsewhere. Gives the function that takes the engine's signs of progress."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> OnEvent:
        from tqdm import tqdm

        self._bar = tqdm(
            total=self._seconds, unit="s", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False,
            dynamic_ncols=True, bar_format="{bar:20}| {n:.1f}/{total:.1f} s{postfix}",
        )  # fmt: skip
        return self._show

    def _show(self, event: Mapping[str, Any]) -> None:
        self._bar.set_postfix_str(sentence(event), refresh=False)
        self._bar.update(min(event["done"], self._seconds) - self._bar.n)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.close()
