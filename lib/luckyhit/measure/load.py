"""The load engine on its own: one URL, one rate, exact percentiles of every request."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from luckyhit import records
from luckyhit.case.model import Route, Workload
from luckyhit.case.placeholders import escape
from luckyhit.case.units import HIGHEST_PER_S, LONGEST_S, format_duration, format_rate
from luckyhit.errors import ArgumentError
from luckyhit.measure.block import Progress, run_engine
from luckyhit.measure.head import Origin, checked_target, head_lines
from luckyhit.measure.plan import BlockReport, EngineCheck
from luckyhit.measure.quantiles import quantile
from luckyhit.records import Accounting

QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
MOST_CLOSED = 4096


@dataclass(frozen=True)
class LoadSummary:
    """What one load showed. Latencies in ms, of the completed requests, counted from the instant they were due.

    `closed`: connections of a closed loop, 0 in an open one; `completed_per_s` counts over `seconds`. `latency_ms` has
    p50 to p99.9, max and mean, or nothing where no request completed. `cache`: for each status that was seen, its
    requests and their p50. `db_calls`: per request, null where the service doesn't show them.
    """

    url: str
    rate: float | None
    seconds: float
    closed: int
    accounting: Accounting
    errors: dict[str, int]
    statuses: dict[str, int]
    latency_ms: dict[str, float]
    completed_per_s: float
    cache: dict[str, dict[str, float]]
    db_calls: float | None
    engine: EngineCheck
    retried: int
    out: str | None

    def as_facts(self) -> dict[str, Any]:
        """For `--json`."""
        return {**asdict(self), "accounting": self.accounting.model_dump()}

    def table(self) -> str:
        """For people."""
        account = self.accounting
        lines = [
            f"{self.url}",
            f"  {self._how()}",
            f"  requests   scheduled {account.scheduled:,} = completed {account.completed:,} + failed "
            f"{account.failed:,} + timed out {account.timed_out:,} + dropped {account.dropped:,}",
        ]
        if self.errors:
            lines.append("  errors     " + ", ".join(f"{name} {count:,}" for name, count in self.errors.items()))
        if self.statuses:
            lines.append("  status     " + ", ".join(f"{name}: {count:,}" for name, count in self.statuses.items()))
        lines.append(f"  completed  {self.completed_per_s:,.1f}/s")
        if self.latency_ms:
            lines.append(
                "  latency    " + "  ".join(f"{name} {value:.3f}" for name, value in self.latency_ms.items()) + "  ms"
            )
        seen = {status: facts for status, facts in self.cache.items() if status != "unknown"}
        if seen:
            total = sum(facts["requests"] for facts in self.cache.values())
            lines.append(
                "  cache      "
                + ", ".join(
                    f"{status} {facts['requests'] / total:.1%} (p50 {facts['p50_ms']:.3f} ms)"
                    for status, facts in seen.items()
                )
            )
        if self.db_calls is not None:
            lines.append(f"  database   {self.db_calls:.3f} calls/request")
        if self.retried:
            lines.append(f"  retried    {self.retried:,} (their kept-alive connection was closed under them)")
        lines.append(f"  engine     {self.engine.detail}")
        if self.out:
            lines.append(f"  records    {self.out}")
        return "\n".join(lines)

    def _how(self) -> str:
        if self.closed:
            return (
                f"CLOSED LOOP, {self.closed} connections for {self.seconds:g} s: a slow answer holds the next request "
                "back, so these latencies hide what independent users would wait"
            )
        return f"open loop, {self.rate:g}/s for {self.seconds:g} s"


def load(
    url: str,
    *,
    rate: float = 100.0,
    seconds: float = 10.0,
    closed: int = 0,
    out: Path | None = None,
    seed: int = 1,
    timeout_s: float = 5.0,
    headers: Mapping[str, str] | None = None,
    on_progress: Progress | None = None,
) -> LoadSummary:
    """GET `url` for a while, from the engine's own process; one record for each request, in `out` if given.

    Open loop at `rate` per second, or closed with `closed` connections. Progress is shown on a terminal, unless
    `on_progress` takes it. Raises ArgumentError for what can't be asked for.
    """
    base, workload = _workload(url, rate, seconds, closed, seed, timeout_s)
    head_lines(Origin.parse(base), headers or {})
    with ExitStack() as stack:
        directory = _directory(out, stack)
        order = {
            "block": 0,
            "seed": seed,
            "warmup_s": 0.0,
            "measure_s": float(seconds),
            "targets": {"before": base},
            "headers": dict(headers or {}),
            "selfcheck": True,
            "closed": closed,
            "directory": str(directory),
            "origin_ns": time.monotonic_ns(),
            "workload": workload.model_dump(mode="json"),
            "expected": None,
            "signals": {"header": None, "values": {}},
            "freshness": None,
        }
        report = BlockReport.from_facts(run_engine(order, on_progress or stack.enter_context(_Bar(seconds))))
        parts = sorted((directory / "requests").glob("block-*.parquet"))
        rows = pa.concat_tables([pq.read_table(part, schema=records.REQUESTS) for part in parts] or [_no_rows()])
        summary = _summary(url, None if closed else rate, seconds, closed, report, rows, out)
        if out is not None:
            text = json.dumps(summary.as_facts(), indent=2) + "\n"
            (directory / "summary.json").write_text(text, encoding="utf-8")
        return summary


def _workload(url: str, rate: float, seconds: float, closed: int, seed: int, timeout_s: float) -> tuple[str, Workload]:
    for what, value, most in (
        ("rate", rate, HIGHEST_PER_S),
        ("seconds", seconds, LONGEST_S),
        ("timeout", timeout_s, LONGEST_S),
    ):
        if not 0 < value <= most:
            raise ArgumentError(f"{what} is {value:g}", hint=f"A {what} above 0 and up to {most:g}.")
    if not 0 <= closed <= MOST_CLOSED:
        raise ArgumentError(f"closed is {closed}", hint=f"0 (open loop), or 1 to {MOST_CLOSED} connections.")
    Origin.parse(url.partition("?")[0].partition("#")[0])
    parts = urlsplit(url)
    path = checked_target((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    workload = Workload(
        seed=seed,
        rate=format_rate(rate),  # type: ignore[arg-type]
        timeout=format_duration(timeout_s),  # type: ignore[arg-type]
        routes=[Route(name="url", path=escape(path))],
    )
    return f"{parts.scheme}://{parts.netloc}", workload


def _directory(out: Path | None, stack: ExitStack) -> Path:
    if out is None:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="luckyhit-load-")))
    else:
        directory = Path(out)
        if (directory / "requests").is_dir() and any((directory / "requests").iterdir()):
            raise ArgumentError(f"{directory} holds records already", hint="Name another directory for --out.")
    try:
        (directory / "requests").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"{directory} can't be written: {error.strerror}", hint="Name another --out.") from None
    return directory


def _no_rows() -> pa.Table:
    return records.REQUESTS.empty_table()


def _summary(
    url: str, rate: float | None, seconds: float, closed: int, report: BlockReport, rows: pa.Table, out: Path | None
) -> LoadSummary:
    latency_ms = pc.divide(pc.subtract(rows["done_ns"], rows["due_ns"]).cast(pa.float64()), 1e6)
    completed = pc.is_null(rows["error"])
    values = pc.filter(latency_ms, completed).to_numpy()
    latencies = {name: quantile(values, share) for name, share in QUANTILES.items()} if len(values) else {}
    if len(values):
        latencies |= {"max": float(values.max()), "mean": float(values.mean())}
    statuses = pc.filter(rows["cache"].cast(pa.string()), completed).to_numpy(zero_copy_only=False)
    last_ns = pc.max(rows["done_ns"]).as_py()
    # A closed loop ends when its last answer came, or with the last of its slots.
    span_s = max(1e-9, (last_ns - report.start_ns) / 1e9) if closed and last_ns is not None else seconds
    calls = pc.mean(pc.filter(rows["db_calls"], completed)).as_py()
    return LoadSummary(
        url=url,
        rate=rate,
        seconds=seconds,
        closed=closed,
        accounting=report.accounting["before"],
        errors=_counts(rows["error"].cast(pa.string())),
        statuses=_counts(rows["status"]),
        latency_ms=latencies,
        completed_per_s=len(values) / span_s,
        cache={
            str(status): {
                "requests": int((statuses == status).sum()),
                "p50_ms": quantile(values[statuses == status], 0.5),
            }
            for status in np.unique(statuses)
        },
        db_calls=calls,
        engine=report.engine,
        retried=report.retried,
        out=str(out) if out is not None else None,
    )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    counted = pc.value_counts(column.drop_null()).to_pylist()
    return {str(item["values"]): item["counts"] for item in sorted(counted, key=lambda item: -item["counts"])}


class _Bar:
    """Progress on a terminal, nothing elsewhere."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> Callable[[float, float], None]:
        from tqdm import tqdm

        self._bar = tqdm(
            total=self._seconds, unit="s", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False,
            bar_format="{l_bar}{bar}| {n:.1f}/{total:.1f} s",
        )  # fmt: skip
        return lambda done, total: self._bar.update(min(done, total) - self._bar.n) and None

    def __exit__(self, *_: object) -> None:
        self._bar.close()
