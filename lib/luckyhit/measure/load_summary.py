"""What a load showed, computed from its records alone: part file by part file, so that 10 million rows stay small."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luckyhit.errors import NotEnoughData
from luckyhit.records import Accounting
from luckyhit.records.parquet import read_parts

QUANTILES = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999, "p99.99": 0.9999}
POINTS = 200
"""Points of a percentile curve, from p0 to the slowest request."""
_BATCH = 1 << 18
_COLUMNS = ["phase", "route", "due_ns", "done_ns", "status", "error", "cache", "db_calls", "layers"]

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Latency by percentile: levels (shares, from 0 up to below 1) and the latencies there, in ms."""


@dataclass(frozen=True)
class Group:
    """Requests of one cache status or route. `latency_ms`: p50 to p99.99, max and mean of the completed ones."""

    requests: int
    share: float
    latency_ms: dict[str, float]


@dataclass
class Recorded:
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


def read_records(directory: Path, expected_rows: int | None = None) -> Recorded:
    """The part files in a directory. Raises NotEnoughData where they don't hold `expected_rows` rows."""
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    layers: Counter[str] = Counter()
    parts: dict[tuple[str, str], list[NDArray[np.int64]]] = defaultdict(list)
    calls, told, last_ns = 0, 0, None
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
        told += int(known.sum())
        chain, chains = _words(batch["layers"])
        for code, count in zip(*np.unique(chain[completed & (chain >= 0)], return_counts=True), strict=True):
            layers[chains[code]] += int(count)
        _split(batch, completed, latency_ns, parts)
    if expected_rows is not None and counts["rows"] != expected_rows:
        raise NotEnoughData(
            f"the records hold {counts['rows']:,} of {expected_rows:,} rows",
            hint="The disk may be full. Start again; if it happens again, report it.",
        )
    return _recorded(counts, errors, statuses, layers, parts, calls / told if told else None, last_ns)


def _batches(directory: Path) -> Iterator[pa.RecordBatch]:
    for part in read_parts(directory, "requests", _COLUMNS):
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
    codes, there = _words(column)
    places = np.array([words.index(word) if word in words else -1 for word in there] + [-1], dtype=np.int64)
    return places[codes]


def _recorded(
    counts: Mapping[str, int],
    errors: Mapping[str, int],
    statuses: Mapping[str, int],
    layers: Mapping[str, int],
    parts: Mapping[tuple[str, str], list[NDArray[np.int64]]],
    db_calls: float | None,
    last_ns: int | None,
) -> Recorded:
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
    return Recorded(
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
    found = {}
    for wanted in names:
        ordered = _sorted_ms([part for name, part in parts.items() if name[place] == wanted])
        found[wanted] = Group(len(ordered), len(ordered) / total, latencies(ordered))
    return dict(sorted(found.items(), key=lambda item: -item[1].requests))


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
    found = {name: float(ordered[_rank(share, len(ordered))]) for name, share in QUANTILES.items()}
    return found | {"max": float(ordered[-1]), "mean": float(ordered.mean())}


def _rank(share: float, count: int) -> int:
    """Place of the smallest value with at least `share` of all at or below it."""
    # Rounded first: 0.999 * 1000 is not to become the thousandth value for a bit's sake.
    return min(count, max(1, int(np.ceil(round(share * count, 6))))) - 1


def curve(ordered: NDArray[np.float64]) -> Curve:
    """Percentile curve with points evenly spaced in the number of nines."""
    count = len(ordered)
    levels = 1 - 10 ** -np.linspace(0, np.log10(count + 1), POINTS)  # the last one's rank is the slowest
    return levels, ordered[[_rank(float(level), count) for level in levels]]


def _by_count(counted: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in sorted(counted.items(), key=lambda item: -item[1]) if count}
