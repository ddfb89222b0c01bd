"""What `luckyhit load` reports: as data, and as a table for people.

What a load showed, computed from its records alone: part file by part file, so that 10 million rows stay small.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
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
from luckyhit.records.parquet import read_parts

QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
POINTS = 200
"""Points of a percentile curve, from p0 to the slowest request."""
_BATCH = 1 << 18
_READ_COLUMNS = ["phase", "route", "due_ns", "done_ns", "status", "error", "cache", "db_calls", "layers"]

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Latency by percentile: levels (shares, from 0 up to below 1) and the latencies there, in ms."""


@dataclass(frozen=True)
class Group:
    """Requests of one cache status or route. `latency_ms`: p50 to p99.99, max and mean of the completed ones."""

    requests: int
    share: float
    latency_ms: dict[str, float]


@dataclass
class RecordedLoad:
    """The measured rows of a load (those of the warm-up are only counted). Shares are of the completed requests.

    `latency_ms` is empty where nothing completed; `cache` and `routes` by name, the most requests first; `last_ns`:
    when the last answer came, from the run's start; `db_calls`: per request, None where none was told; `layers`:
    requests by what the caches on the way did, such as `x-varnish=hit x-cache=miss` (nearest first), the most first.
    """

    accounting: Accounting
    warmup: int
    errors: dict[str, int]
    statuses: dict[str, int]
    latency_ms: dict[str, float]
    cache: dict[str, Group]
    routes: dict[str, Group]
    db_calls: float | None
    last_ns: int | None
    layers: dict[str, int]
    curves: dict[str, Curve] = field(repr=False)


def read_records(directory: Path, expected_rows: int | None = None) -> RecordedLoad:
    """The part files in a directory. Raises NotEnoughData where they don't hold `expected_rows` rows."""
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    layers: Counter[str] = Counter()
    parts: dict[tuple[str, str], list[NDArray[np.int64]]] = defaultdict(list)
    calls, known_count, last_ns = 0, 0, None
    for batch in _batches(directory):
        counts["rows"] += batch.num_rows
        done_ns = batch["done_ns"]
        if (latest := pc.max(done_ns).as_py()) is not None:
            last_ns = max(last_ns or 0, latest)
        measured = _codes(batch["phase"], ("measure",)) == 0
        error, names = _words(batch["error"])
        counts["warmup"] += int((~measured).sum())
        for code, name in enumerate(names):
            errors[name] += int((measured & (error == code)).sum())
        status = batch["status"].fill_null(0).to_numpy(zero_copy_only=False)[measured]
        for value, count in zip(*np.unique(status, return_counts=True), strict=True):
            if value:
                statuses[str(value)] += int(count)
        completed = measured & (error < 0)
        counts["completed"] += int(completed.sum())
        latency_ns = done_ns.fill_null(0).to_numpy(zero_copy_only=False) - batch["due_ns"].to_numpy()
        known = completed & ~np.asarray(batch["db_calls"].is_null())
        calls += int(batch["db_calls"].fill_null(0).to_numpy(zero_copy_only=False)[known].sum(dtype=np.int64))
        known_count += int(known.sum())
        chain, chains = _words(batch["layers"])
        for code, count in zip(*np.unique(chain[completed & (chain >= 0)], return_counts=True), strict=True):
            layers[chains[code]] += int(count)
        _split(batch, completed, latency_ns, parts)
    if expected_rows is not None and counts["rows"] != expected_rows:
        raise NotEnoughData(
            f"the records hold {counts['rows']:,} of {expected_rows:,} rows",
            hint="The disk may be full. Start again; if it happens again, report it.",
        )
    return _recorded(counts, errors, statuses, layers, parts, calls / known_count if known_count else None, last_ns)


def _batches(directory: Path) -> Iterator[pa.RecordBatch]:
    for part in read_parts(directory, "requests", _READ_COLUMNS):
        yield from part.to_batches(max_chunksize=_BATCH)


def _split(
    batch: pa.RecordBatch,
    completed: NDArray[np.bool_],
    latency_ns: NDArray[np.int64],
    parts: dict[tuple[str, str], list[NDArray[np.int64]]],
) -> None:
    """Latencies by route and cache status."""
    (route, routes), (cache, statuses) = _words(batch["route"]), _words(batch["cache"])
    kind = route * len(statuses) + cache
    for value in np.unique(kind[completed]):
        name = routes[value // len(statuses)], statuses[value % len(statuses)]
        parts[name].append(latency_ns[completed & (kind == value)])


def _words(column: pa.Array) -> tuple[NDArray[np.int64], list[str]]:
    """Codes (-1: null) and what they stand for."""
    if not isinstance(column, pa.DictionaryArray):
        column = column.dictionary_encode()
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, [str(word) for word in column.dictionary.to_pylist()]


def _codes(column: pa.Array, words: tuple[str, ...]) -> NDArray[np.int64]:
    """Codes as places in `words` (-1: none of them)."""
    codes, present = _words(column)
    places = np.array([words.index(word) if word in words else -1 for word in present] + [-1], dtype=np.int64)
    return places[codes]


def _recorded(
    counts: Mapping[str, int],
    errors: Mapping[str, int],
    statuses: Mapping[str, int],
    layers: Mapping[str, int],
    parts: Mapping[tuple[str, str], list[NDArray[np.int64]]],
    db_calls: float | None,
    last_ns: int | None,
) -> RecordedLoad:
    failed = {name: count for name, count in errors.items() if name not in ("timeout", "dropped")}
    accounting = Accounting(
        scheduled=counts["rows"] - counts["warmup"],
        completed=counts["completed"],
        failed=sum(failed.values()),
        timed_out=errors.get("timeout", 0),
        dropped=errors.get("dropped", 0),
    )
    routes = {route for route, _ in parts}
    caches = {cache for _, cache in parts}
    everything = _sorted_ms(list(parts.values()))
    curves = {"all": curve(everything)} if len(everything) else {}
    for cache in [cache for cache in ("hit", "miss", "stale", "bypass") if cache in caches and len(caches) > 1]:
        curves[cache] = curve(_sorted_ms([part for name, part in parts.items() if name[1] == cache]))
    return RecordedLoad(
        accounting=accounting,
        warmup=counts["warmup"],
        errors=_by_count(errors),
        statuses=_by_count(statuses),
        latency_ms=latencies(everything),
        cache=_groups(parts, 1, caches, len(everything)),
        routes=_groups(parts, 0, routes, len(everything)),
        db_calls=db_calls,
        last_ns=last_ns,
        layers=_by_count(layers),
        curves=curves,
    )


def _groups(
    parts: Mapping[tuple[str, str], list[NDArray[np.int64]]], place: int, names: set[str], total: int
) -> dict[str, Group]:
    groups = {}
    for wanted in names:
        ordered = _sorted_ms([part for name, part in parts.items() if name[place] == wanted])
        groups[wanted] = Group(len(ordered), len(ordered) / total, latencies(ordered))
    return dict(sorted(groups.items(), key=lambda item: -item[1].requests))


def _sorted_ms(parts: list[list[NDArray[np.int64]]]) -> NDArray[np.float64]:
    chunks = [chunk for part in parts for chunk in part]
    values = np.empty(sum(map(len, chunks)), dtype=np.float64)
    at = 0
    for chunk in chunks:
        np.divide(chunk, 1e6, out=values[at : at + len(chunk)])
        at += len(chunk)
    values.sort()
    return values


def latencies(ordered: NDArray[np.float64]) -> dict[str, float]:
    """Quantiles by nearest rank (each is a latency that happened), max and mean; empty where there is none."""
    if not len(ordered):
        return {}
    quantiles = {name: float(ordered[nearest_rank(share, len(ordered))]) for name, share in QUANTILES.items()}
    return quantiles | {"max": float(ordered[-1]), "mean": float(ordered.mean())}


def curve(ordered: NDArray[np.float64]) -> Curve:
    """Percentile curve with points evenly spaced in the number of nines."""
    count = len(ordered)
    levels = 1 - 10 ** -np.linspace(0, np.log10(count + 1), POINTS)  # the last one's rank is the slowest
    return levels, ordered[[nearest_rank(float(level), count) for level in levels]]


def _by_count(counted: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in sorted(counted.items(), key=lambda item: -item[1]) if count}


CLOSED_CAUTION = (
    "closed loop: a slow answer holds the next request back, so these latencies hide what independent users would wait"
)
_COLUMNS = [*QUANTILES, "max"]


@dataclass(frozen=True)
class LoadSummary:
    """What one load showed. Latencies in ms, of the completed requests, counted from the instant they were due.

    `warnings`: why the numbers are to be read with care, the gravest first. `closed`: connections of a closed loop, 0
    in an open one; `rate`: None where something else sets the pace. `accounting` and all numbers leave the warm-up
    out, which had `warmup` requests. `latency_ms` has p50 to p99.99, max and mean, or nothing where no request
    completed; `cache` and `routes` the same for each cache status and route, `layers` requests by what each cache on
    the way did; `db_calls`: per request, None where the service doesn't show them. `curves`: latency by percentile, for
    a plot.
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
    accounting: Accounting
    warmup: int
    errors: dict[str, int]
    unexpected: str | None
    statuses: dict[str, int]
    latency_ms: dict[str, float]
    completed_per_s: float
    cache: dict[str, Group]
    layers: dict[str, int]
    routes: dict[str, Group]
    db_calls: float | None
    engine: EngineCheck
    digest: str
    retried: int
    notes: list[str]
    out: str | None
    curves: dict[str, Curve] = field(repr=False, compare=False)

    def as_facts(self) -> dict[str, Any]:
        """For `--json`."""
        names = [name for name in self.__dataclass_fields__ if name not in ("curves", "accounting", "engine")]
        facts = {name: getattr(self, name) for name in names}
        groups = {name: {key: asdict(group) for key, group in facts[name].items()} for name in ("cache", "routes")}
        return {**facts, **groups, "accounting": self.accounting.model_dump(), "engine": asdict(self.engine)}

    def table(self) -> str:
        """For people."""
        return _table_of(self)

    def title(self) -> str:
        """Of a plot: the URL without its query, the pace, and whether the numbers can be trusted."""
        url = self.url.partition("?")[0]
        flags = (" · CLOSED LOOP" if self.closed else "") + ("" if self.trustworthy else " · timings NOT trustworthy")
        return f"{url[:70]} · {self.pace[:70]}, {self.seconds:g} s{flags}"


def _table_of(summary: LoadSummary) -> str:
    """Many lines. The first one tells where the engine's timings can't be trusted, and where nothing was measured."""
    account = summary.accounting
    warmed = f" after {summary.warmup_s:g} s of warm-up" if summary.warmup_s else ""
    lines = [f"CAUTION    {warning}" for warning in summary.warnings]
    lines += [
        summary.url,
        f"  {summary.pace}, {summary.seconds:g} s{warmed}",
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
        lines.append(f"  cache      {CACHE_LINES[cache_told(summary)](summary)}")
    lines += _latencies(summary)
    if summary.db_calls is not None:
        lines.append(f"  database   {summary.db_calls:.3f} calls/request")
    if summary.retried:
        lines.append(f"  retried    {summary.retried:,} (their kept-alive connection was closed under them)")
    lines += [f"  note       {note}" for note in summary.notes]
    lines.append(f"  engine     {summary.engine.detail if summary.trustworthy else 'see the first line'}")
    if summary.out:
        lines.append(f"  records    {summary.out}")
    return "\n".join(lines)


def cache_told(summary: LoadSummary) -> str:
    """What the answers told of the cache: an id of CACHE_LINES."""
    statuses = set(summary.cache) - {"unknown"}
    if not statuses:
        return "nothing"
    if statuses == {"bypass"}:
        return "no-part"
    nearest = {chain.partition("=")[0] for chain in summary.layers}
    return "by-itself" if nearest <= LONE_LAYERS and nearest else "headers"


def _shares(summary: LoadSummary) -> str:
    return ", ".join(f"{name} {group.share:.1%}" for name, group in summary.cache.items())


LONE_LAYERS = frozenset({"age", "date", "expires", "replay"})
"""Layers that no header of their own tells."""
CACHE_LINES: dict[str, Callable[[LoadSummary], str]] = {
    "headers": _shares,
    "by-itself": lambda summary: f"{_shares(summary)} (no header tells it; told from {_lone(summary)})",
    "no-part": lambda summary: "not visible, because the answers only tell that a cache took no part (bypass)",
    "nothing": lambda summary: "not visible, because no header of the answers tells a cache status",
}


def _lone(summary: LoadSummary) -> str:
    words = {
        "age": "Age",
        "date": "a Date that stands still",
        "expires": "an Expires that stands still",
        "replay": "what comes again of an earlier answer",
    }
    return " and ".join(words[name] for name in sorted({chain.partition("=")[0] for chain in summary.layers}))


def _latencies(summary: LoadSummary) -> list[str]:
    """A line for all, for each cache status, and for each route where there are several."""
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
    few = [name for name, share in QUANTILES.items() if count * (1 - share) < 1 - 1e-9]
    if few:
        lines.append(f"    {' and '.join(few[-2:])}: the slowest of only {count:,} requests")
    return lines
