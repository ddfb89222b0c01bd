"""What `luckyhit load` reports, as data and as a table for people.

It is computed from the records alone, one part file after the other, so that 10 million rows take little memory.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luckyhit.errors import NotEnoughData
from luckyhit.load.engine_config import EngineCheck
from luckyhit.records import Accounting, nearest_rank
from luckyhit.records.manifest import LARGEST_CLOCK_ERROR_MS, ShardNotes
from luckyhit.records.parquet import read_parts

QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
POINTS = 200
"""Points of a percentile curve, from p0 to the slowest request."""
_READ_COLUMNS = ["phase", "route", "due_ns", "done_ns", "status", "error", "cache", "db_calls", "layers"]
_CURVES = ("hit", "miss", "stale", "bypass")

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Latency by percentile: quantiles (from 0 up to below 1), and the latencies there in ms."""


@dataclass(frozen=True)
class LatencyGroup:
    """Requests of one cache status or route. `latency_ms`: p50 to p99.99, max and mean of the completed ones."""

    requests: int
    share: float
    latency_ms: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class RecordedLoad:
    """The measured rows of a load; `warmup` counts those before. `share`: of the completed requests.

    `latency_ms` is empty if nothing completed; `cache` and `routes` by name, the most frequent first; `db_calls`: per
    request, None if no response showed it; `layers`: requests by what the caches on the way did, such as
    `x-varnish=hit x-cache=miss` (nearest first); `curves`: latency by percentile, for a plot; `last_ns`: when the last
    response came, from the run's start.
    """

    accounting: Accounting
    warmup: int
    errors: dict[str, int]
    statuses: dict[str, int]
    latency_ms: dict[str, float]
    cache: dict[str, LatencyGroup]
    layers: dict[str, int]
    routes: dict[str, LatencyGroup]
    db_calls: float | None
    last_ns: int | None
    curves: dict[str, Curve] = field(repr=False, compare=False)


def read_records(directory: Path, expected_rows: int | None = None) -> RecordedLoad:
    """The part files in a directory. Raises NotEnoughData unless they have `expected_rows` rows."""
    rows, last_ns, calls = 0, None, [0, 0]
    phases: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    layers: Counter[str] = Counter()
    latencies: dict[tuple[str, str], list[NDArray[np.float64]]] = defaultdict(list)
    for part in read_parts(directory, "requests", _READ_COLUMNS):
        rows += part.num_rows
        if (latest := pc.max(part["done_ns"]).as_py()) is not None:
            last_ns = max(last_ns or 0, latest)
        phases += _counted(part["phase"])
        part = part.filter(pc.equal(part["phase"].cast(pa.string()), "measure"))
        errors += _counted(part["error"])
        statuses += _counted(part["status"])
        part = part.filter(pc.is_null(part["error"]))
        layers += _counted(part["layers"])
        calls[0] += pc.sum(part["db_calls"]).as_py() or 0
        calls[1] += pc.count(part["db_calls"]).as_py()
        timed = pa.table(
            {
                "route": part["route"].cast(pa.string()),
                "cache": part["cache"].cast(pa.string()),
                "took_ns": pc.subtract(part["done_ns"], part["due_ns"]),
            }
        )
        groups = timed.group_by(["route", "cache"]).aggregate([("took_ns", "list")])
        for route, cache, took_ns in zip(*(groups[name] for name in ("route", "cache", "took_ns_list")), strict=True):
            latencies[route.as_py(), cache.as_py()].append(took_ns.values.to_numpy() / 1e6)
    if expected_rows is not None and rows != expected_rows:
        raise NotEnoughData(
            f"the records have {rows:,} of {expected_rows:,} rows",
            hint="The disk may be full. Start again; if it happens again, report it.",
        )
    everything = _ordered(latencies, None, None)
    accounting = Accounting(
        scheduled=phases["measure"],
        completed=len(everything),
        failed=sum(count for name, count in errors.items() if name not in ("timeout", "dropped")),
        timed_out=errors["timeout"],
        dropped=errors["dropped"],
    )
    cached = {cache for _, cache in latencies}
    return RecordedLoad(
        accounting=accounting,
        warmup=phases["warmup"],
        errors=dict(errors.most_common()),
        statuses=dict(statuses.most_common()),
        latency_ms=_quantiles(everything),
        cache=_groups({cache: _ordered(latencies, None, cache) for cache in cached}, len(everything)),
        layers=dict(layers.most_common()),
        routes=_groups(
            {route: _ordered(latencies, route, None) for route in {route for route, _ in latencies}}, len(everything)
        ),
        db_calls=calls[0] / calls[1] if calls[1] else None,
        last_ns=last_ns,
        curves={
            **({"all": _curve(everything)} if len(everything) else {}),
            **{
                cache: _curve(_ordered(latencies, None, cache))
                for cache in _CURVES
                if cache in cached and len(cached) > 1
            },
        },
    )


def _counted(column: pa.ChunkedArray) -> Counter[str]:
    """How often each value occurs; nulls are left out."""
    counts = pc.value_counts(column.cast(pa.string()).drop_null())
    return Counter({pair["values"]: pair["counts"] for pair in counts.to_pylist()})


def _ordered(
    latencies: Mapping[tuple[str, str], Sequence[NDArray[np.float64]]], route: str | None, cache: str | None
) -> NDArray[np.float64]:
    """Latencies in ms of a route and a cache status (None: all), in order."""
    chunks = [
        chunk
        for names, part in latencies.items()
        for chunk in part
        if route in (None, names[0]) and cache in (None, names[1])
    ]
    return np.sort(np.concatenate(chunks)) if chunks else np.empty(0)


def _groups(ordered: Mapping[str, NDArray[np.float64]], total: int) -> dict[str, LatencyGroup]:
    groups = {name: LatencyGroup(len(ms), len(ms) / total, _quantiles(ms)) for name, ms in ordered.items()}
    return dict(sorted(groups.items(), key=lambda item: -item[1].requests))


def _quantiles(ordered: NDArray[np.float64]) -> dict[str, float]:
    """Quantiles by nearest rank (each is a latency that occurred), max and mean; empty if there is none."""
    if not len(ordered):
        return {}
    quantiles = {name: float(ordered[nearest_rank(q, len(ordered))]) for name, q in QUANTILES.items()}
    return quantiles | {"max": float(ordered[-1]), "mean": float(ordered.mean())}


def _curve(ordered: NDArray[np.float64]) -> Curve:
    """Points evenly spaced in the number of nines; the last one is the slowest request."""
    quantiles = 1 - 10 ** -np.linspace(0, np.log10(len(ordered) + 1), POINTS)
    return quantiles, ordered[[nearest_rank(float(q), len(ordered)) for q in quantiles]]


CLOSED_CAUTION = (
    "Closed loop: a slow response delays the next request, so these latencies hide what independent users would wait."
)
_COLUMNS = [*QUANTILES, "max"]
_NOT_FACTS = ("curves", "last_ns")


@dataclass(frozen=True, kw_only=True)
class LoadSummary(RecordedLoad):
    """What one load showed. Latencies in ms, of the completed requests, from the instant they were due.

    `failure`: why the load shows nothing of the service, empty if it does; `interrupted`: it ended early, and `seconds`
    are those that were measured. `warnings`: why the numbers need care, the gravest first. `closed`: connections of a
    closed loop, 0 in an open one; `rate`: None if something else sets the pace. The warm-up is left out of all numbers.
    """

    url: str
    trustworthy: bool
    warnings: list[str]
    loop: str
    pace: str
    rate: float | None
    seconds: float
    warmup_s: float
    closed: int
    seed: int
    unexpected: str | None
    completed_per_s: float
    engine: EngineCheck
    digest: str
    shards: list[ShardNotes]
    retried: int
    notes: list[str]
    out: str | None
    failure: str = ""
    interrupted: bool = False

    def as_facts(self) -> dict[str, Any]:
        """For `--json`."""
        facts = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _NOT_FACTS}
        groups = {name: {key: asdict(group) for key, group in facts[name].items()} for name in ("cache", "routes")}
        shards = [shard.model_dump() for shard in self.shards]
        return {
            **facts,
            **groups,
            "shards": shards,
            "accounting": self.accounting.model_dump(),
            "engine": asdict(self.engine),
        }

    def table(self) -> str:
        """For people: many lines, warnings first."""
        return _table_of(self)

    def title(self) -> str:
        """Of a plot: the URL without its query, the pace, and whether the numbers can be trusted."""
        url = self.url.partition("?")[0]
        flags = (" · CLOSED LOOP" if self.closed else "") + ("" if self.trustworthy else " · timings NOT trustworthy")
        return f"{url[:70]} · {self.pace[:70]}, {self.seconds:.4g} s{flags}"


def _table_of(summary: LoadSummary) -> str:
    account = summary.accounting
    warmed = f" after {summary.warmup_s:g} s of warm-up" if summary.warmup_s else ""
    lines = [f"CAUTION    {warning}" for warning in summary.warnings]
    lines += [
        summary.url,
        f"  {summary.pace}, {summary.seconds:.4g} s{warmed}",
        f"  requests   scheduled {account.scheduled:,} = completed {account.completed:,} + failed {account.failed:,} "
        f"+ timed out {account.timed_out:,} + dropped {account.dropped:,}"
        + (f" ({summary.warmup:,} more in the warm-up)" if summary.warmup else ""),
    ]
    if summary.errors:
        lines.append("  errors     " + ", ".join(f"{name} {count:,}" for name, count in summary.errors.items()))
    if summary.unexpected:
        lines.append(f"  unexpected {summary.unexpected}")
    if summary.statuses:
        lines.append("  status     " + ", ".join(f"{name}: {count:,}" for name, count in summary.statuses.items()))
    lines.append(f"  completed  {summary.completed_per_s:,.1f}/s{' (closed loop)' if summary.closed else ''}")
    if summary.latency_ms:
        lines.append(f"  cache      {CACHE_LINES[cache_visibility(summary)](summary)}")
    lines += _latency_lines(summary)
    if summary.db_calls is not None:
        lines.append(f"  database   {summary.db_calls:.3f} calls/request")
    if summary.retried:
        lines.append(f"  retried    {summary.retried:,} (their kept-alive connection was closed)")
    lines += [f"  shard {shard.shard:<5}{_shard_line(shard)}" for shard in summary.shards]
    lines += [f"  note       {note}" for note in summary.notes]
    lines.append(f"  engine     {summary.engine.detail if summary.trustworthy else 'see the first line'}")
    if summary.out:
        lines.append(f"  records    {summary.out}")
    return "\n".join(lines)


def shard_problems(shard: ShardNotes) -> Iterator[str]:
    """Why the numbers of a load need care because of one of its hosts, the gravest first."""
    where = f"Shard {shard.shard} on {shard.host or 'an unknown host'}"
    if shard.lost is not None:
        slots = (
            f"slots {shard.first_never_sent} to {shard.last_never_sent}" if shard.never_sent else "none of its slots"
        )
        yield f"{where} was lost ({shard.lost}): {shard.never_sent:,} never sent ({slots}, counted as dropped)."
    elif shard.clock_error_ns is not None and shard.clock_error_ns / 1e6 > LARGEST_CLOCK_ERROR_MS:
        error_ms = shard.clock_error_ns / 1e6
        yield f"{where}: its clock may be off by {error_ms:.3g} ms, more than {LARGEST_CLOCK_ERROR_MS:g} ms."


def _shard_line(shard: ShardNotes) -> str:
    clock_ms, late_ms = shard.clock_error_ns, shard.schedule_error_p99_ms
    clock = "clock not compared at the end" if clock_ms is None else f"clock within {clock_ms / 1e6:.3g} ms"
    late = "" if late_ms is None else f", sent {late_ms:.2f} ms late (p99)"
    return f"{shard.host}: {shard.rows:,} recorded, {clock}{late}"


LONE_LAYERS = {
    "age": "Age",
    "date": "a repeated Date",
    "expires": "a repeated Expires",
    "replay": "repeated values of an earlier response",
}
"""Layers without a header of their own, and what shows them."""
CACHE_LINES: dict[str, Callable[[LoadSummary], str]] = {
    "headers": lambda summary: _shares(summary),
    "by-itself": lambda summary: f"{_shares(summary)} (no header reports it; inferred from {_lone(summary)})",
    "no-part": lambda summary: "not visible: the responses only report that a cache took no part (bypass)",
    "nothing": lambda summary: "not visible: no header of the responses reports a cache status",
}


def cache_visibility(summary: LoadSummary) -> str:
    """How the responses showed the cache: an id of CACHE_LINES."""
    statuses = set(summary.cache) - {"unknown"}
    if not statuses:
        return "nothing"
    if statuses == {"bypass"}:
        return "no-part"
    nearest = {chain.partition("=")[0] for chain in summary.layers}
    return "by-itself" if nearest and nearest <= LONE_LAYERS.keys() else "headers"


def _shares(summary: LoadSummary) -> str:
    return ", ".join(f"{name} {group.share:.1%}" for name, group in summary.cache.items())


def _lone(summary: LoadSummary) -> str:
    return " and ".join(LONE_LAYERS[name] for name in sorted({chain.partition("=")[0] for chain in summary.layers}))


def _latency_lines(summary: LoadSummary) -> list[str]:
    """One for all requests, for each cache status, and for each of several routes."""
    if not summary.latency_ms:
        return ["  latency    none: no request completed"]
    rows: list[tuple[str, str, Mapping[str, float]]] = [("all", "", summary.latency_ms)]
    if set(summary.cache) != {"unknown"}:
        rows += [(name, f"{group.share:.1%}", group.latency_ms) for name, group in summary.cache.items()]
    if len(summary.routes) > 1:
        rows += [(f"/{name}"[:20], f"{group.share:.1%}", group.latency_ms) for name, group in summary.routes.items()]
    width = max(len(name) for name, _, _ in rows)
    kind = "latency ms (closed loop)" if summary.closed else "latency ms"
    lines = [f"  {kind}", "    " + " " * (width + 8) + "".join(f"{name:>10}" for name in _COLUMNS)]
    for name, share, values in rows:
        lines.append(f"    {name:<{width}}{share:>8}" + "".join(f"{values[column]:>10.3f}" for column in _COLUMNS))
    count = summary.accounting.completed
    few = [name for name, q in QUANTILES.items() if count * (1 - q) < 1 - 1e-9]
    if few:
        lines.append(f"    {' and '.join(few[-2:])}: the slowest of only {count:,} requests")
    return lines
