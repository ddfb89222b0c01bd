"""A run as a trace: the reads of one arm that a cache may answer, and the writes that outdate them.

An entry is a path with its key. A write outdates the entries whose paths have the same text before the same key: `PUT
/products/7/price` those of `/products/7` and `/products/7/reviews`. Reads are sent when they are sent, writes are in
force when they are acknowledged. The freshness probe's reads and writes are in the trace as well, since they fill and
outdate the same cache, but its reads don't count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from luckyhit.case import Case
from luckyhit.case.values.placeholders import placeholder_names
from luckyhit.case.workload import Route
from luckyhit.case_run import CaseRun
from luckyhit.errors import NotEnoughData
from luckyhit.judge.stale.background import ANSWER_COLUMNS, background_reads
from luckyhit.records import Arm
from luckyhit.whatif.counting.cache_trace import CacheTrace
from luckyhit.whatif.recorded.cache_recording import (
    HIT,
    MISS,
    NOT_TOLD,
    Names,
    Recording,
    Rows,
    recording_of,
    stretch_length_ns,
)
from luckyhit.whatif.recorded.read_costs import ClassCosts

_COLUMNS = (
    "arm",
    "block",
    "phase",
    "route",
    "key",
    "due_ns",
    "sent_ns",
    "done_ns",
    "error",
    "cache",
    "db_calls",
    "bytes",
)
_READS = ("GET", "HEAD")


@dataclass(frozen=True)
class _Routes:
    """The routes of a case by name. `reads`: those that a cache may answer; `group`: the text before the key."""

    path: Mapping[str, str]
    reads: frozenset[str]
    writes: frozenset[str]

    @classmethod
    def of(cls, case: Case) -> _Routes:
        routes = list(case.workload.routes)
        named = [route for route in routes if not set(placeholder_names(route.path)) - {"key"}]
        return cls(
            {route.name: route.path for route in routes},
            frozenset(route.name for route in named if route.method in _READS),
            frozenset(route.name for route in routes if route.method not in _READS),
        )


def resource_of(path: str, key: str | None) -> str:
    """What a path is about: the text before `{key}`, and the key; a path without a key is its own resource."""
    before, mark, _ = path.partition("{key}")
    before = before.partition("?")[0].rstrip("/")
    return f"{before}/{key}" if mark else before


def recorded_trace(run: CaseRun, arm: Arm = "before", *, by: str = "auto") -> Recording:
    """The trace of one arm, with what was measured. Raises NotEnoughData where it has no curve, and RunUnreadable."""
    case, notes = run.case, []
    table = _of_arm(run, arm)
    if not len(table):
        other: Arm = "after" if arm == "before" else "before"
        recorded = bool(len(_of_arm(run, other)))
        hint = f"Choose the other one: --arm {other}." if recorded else "It recorded no request: choose another run."
        raise NotEnoughData(f"run {run.id} has no requests of the arm {arm}", hint=hint)
    routes = _Routes.of(case)
    columns = _Columns.of(table)
    notes += _left_out(routes, case.workload.routes, columns)
    reads = frozenset(name for name in routes.reads if columns.is_cached(name))
    if not reads:
        reads = routes.reads
    unread = sorted(name for name in routes.reads - reads)
    if unread:
        notes.append(f"Route {', '.join(unread)} shows no hit and no miss, so it counts as one without a cache.")
    doubted = _doubted(run, arm)
    if doubted:
        columns = columns.by_calls()
        notes.append(
            "The cache status of this arm can't be believed (see the report): a read without database calls counts as "
            "a hit, where calls are told."
        )
    parts, names, others = _parts(run, arm, columns, replace(routes, reads=reads), case)
    source = f"case {run.manifest.case or run.path.parent.name}, run {run.id} ({arm})"
    made = recording_of(source, parts, names, others, by=by, notes=notes)
    made = replace(made, stale=_stale(run, arm, case, parts, made.trace))
    ttl_ms = _ttl_of_events(run, arm)
    if ttl_ms is not None:
        made = replace(made, ttl_s=ttl_ms / 1000, ttl_from="the cache's own events")
    return made


def _of_arm(run: CaseRun, arm: Arm) -> pa.Table:
    parts = [
        part.filter(pc.equal(part["arm"].cast(pa.string()), arm)) for part in run.parts("requests", list(_COLUMNS))
    ]
    return pa.concat_tables(parts).unify_dictionaries().combine_chunks() if parts else pa.table({})


@dataclass(frozen=True)
class _Columns:
    """The requests of one arm as arrays; `route`, `key`: codes into the texts."""

    block: NDArray[np.int64]
    measured: NDArray[np.bool_]
    route: NDArray[np.int64]
    route_names: list[str]
    key: NDArray[np.int64]
    key_names: list[str]
    due_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]
    answered: NDArray[np.bool_]
    told: NDArray[np.int8]
    calls: NDArray[np.float64]
    size: NDArray[np.float64]

    @classmethod
    def of(cls, table: pa.Table) -> _Columns:
        route, route_names = _codes(table["route"])
        key, key_names = _codes(table["key"])
        status, words = _codes(table["cache"])
        by_word = {"hit": HIT, "stale": HIT, "miss": MISS}
        told = np.array([*(by_word.get(word, NOT_TOLD) for word in words), NOT_TOLD], np.int8)[status]
        sent, done = (table[name].fill_null(-1).to_numpy() for name in ("sent_ns", "done_ns"))
        return cls(
            table["block"].to_numpy(),
            _is(table["phase"], "measure"),
            route,
            route_names,
            key,
            key_names,
            table["due_ns"].to_numpy(),
            sent,
            done,
            table["error"].is_null().to_numpy(zero_copy_only=False) & (sent >= 0) & (done >= 0),
            told,
            table["db_calls"].fill_null(-1).to_numpy().astype(float),
            table["bytes"].fill_null(-1).to_numpy().astype(float),
        )

    def of_route(self, name: str) -> NDArray[np.bool_]:
        return self.route == (self.route_names.index(name) if name in self.route_names else len(self.route_names))

    def is_cached(self, name: str) -> bool:
        """Whether any answer of the route told a hit or a miss."""
        return bool((self.told[self.of_route(name)] != NOT_TOLD).any())

    def by_calls(self) -> _Columns:
        """The same with the status that database calls show."""
        told = np.where(self.calls == 0, HIT, np.where(self.calls > 0, MISS, NOT_TOLD)).astype(np.int8)
        return replace(self, told=told)


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """A number for each text, and the texts; null is the number behind the last text."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(whole, pa.ChunkedArray):
        whole = pa.concat_arrays(whole.chunks) if whole.num_chunks else pa.array([], pa.string())
    coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    words = [str(word) for word in coded.dictionary.to_pylist()]
    codes = coded.indices.cast(pa.int64()).fill_null(len(words)).to_numpy(zero_copy_only=False)
    return codes, words


def _is(column: pa.ChunkedArray, word: str) -> NDArray[np.bool_]:
    codes, words = _codes(column)
    return codes == (words.index(word) if word in words else -1)


def _left_out(routes: _Routes, declared: Sequence[Route], columns: _Columns) -> list[str]:
    notes = []
    random = [route.name for route in declared if route.method in _READS and route.name not in routes.reads]
    if random:
        notes.append(
            f"Route {', '.join(random)} has random numbers in its path, which a run does not record: it counts as one "
            "without a cache."
        )
    failed = int(np.count_nonzero(~columns.answered))
    if failed:
        notes.append(f"{failed:,} of {len(columns.answered):,} requests failed or were never sent: they are left out.")
    return notes


def _doubted(run: CaseRun, arm: Arm) -> bool:
    result = run.result
    return result is not None and bool(result.doubts.get(arm))


class _Catalogue:
    """Numbers of entries and groups, given out as they are asked for."""

    def __init__(self) -> None:
        self.entries: dict[str, int] = {}
        self.groups: dict[str, int] = {}
        self.class_of: list[int] = []
        self.group_of: list[int] = []
        self.classes: list[str] = []

    def entry(self, path: str, key: str | None, route: str) -> int:
        name = path if key is None else path.replace("{key}", key)
        if name not in self.entries:
            if route not in self.classes:
                self.classes.append(route)
            self.entries[name] = len(self.entries)
            self.class_of.append(self.classes.index(route))
            self.group_of.append(self.group(path, key))
        return self.entries[name]

    def group(self, path: str, key: str | None) -> int:
        return self.groups.setdefault(resource_of(path, key), len(self.groups))

    def names(self) -> Names:
        return Names(
            list(self.entries),
            np.array(self.class_of, np.int16),
            np.array(self.group_of, np.int32),
            tuple(self.classes),
        )


def _parts(
    run: CaseRun, arm: Arm, columns: _Columns, routes: _Routes, case: Case
) -> tuple[list[Rows], Names, ClassCosts]:
    catalogue = _Catalogue()
    pairs = columns.route * (len(columns.key_names) + 1) + columns.key
    distinct, place = np.unique(pairs, return_inverse=True)
    entry_of, group_of = np.full(len(distinct), -1, np.int32), np.full(len(distinct), -1, np.int32)
    for number, pair in enumerate(distinct.tolist()):
        route_code, key_code = divmod(pair, len(columns.key_names) + 1)
        route = columns.route_names[route_code]
        key = columns.key_names[key_code] if key_code < len(columns.key_names) else None
        if route in routes.reads:
            entry_of[number] = catalogue.entry(routes.path[route], key, route)
        if route in routes.path:
            group_of[number] = catalogue.group(routes.path[route], key)
    entry, group = entry_of[place], group_of[place]
    writing = np.isin(columns.route, [i for i, name in enumerate(columns.route_names) if name in routes.writes])
    latency_ms = (columns.done_ns - columns.due_ns) / 1e6
    chosen = columns.answered & ((entry >= 0) | writing)
    rows = Rows(
        np.where(writing, columns.done_ns, columns.sent_ns), writing, np.where(writing, -1, entry), group,
        columns.measured & ~writing, columns.told, columns.calls, columns.size, latency_ms,
        (columns.done_ns - columns.sent_ns) / 1e6,
    )  # fmt: skip
    other = columns.answered & columns.measured & (writing | (entry < 0))
    others = ClassCosts.of(latency_ms[other], columns.calls[other])
    probe = _probe_rows(run, arm, case, catalogue, routes)
    parts = []
    for block in np.unique(columns.block).tolist():
        part = _taken(rows, chosen & (columns.block == block))
        if block in probe:
            part = _joined(part, probe[block])
        parts.append(part)
    return parts, catalogue.names(), others


def _probe_rows(run: CaseRun, arm: Arm, case: Case, catalogue: _Catalogue, routes: _Routes) -> dict[int, Rows]:
    """The probe's reads and writes by block."""
    probe = case.freshness
    if probe is None:
        return {}
    paths = {one.name: one.path for one in probe.reads}
    written_path = probe.write.path or next(iter(paths.values()), "")
    class_of = {path: name for name, path in routes.path.items() if name in routes.reads}
    events: dict[int, list[tuple[int, bool, int, int]]] = {}
    reads, writes = run.table("reads"), run.table("writes")
    for row in reads[(reads["arm"] == arm) & reads["done_ns"].notna()].itertuples():
        path = paths.get(str(row.route))
        if path is None or path not in class_of:
            continue
        entry = catalogue.entry(path, str(row.key), class_of[path])
        events.setdefault(int(row.block), []).append((int(row.sent_ns), False, entry, -1))
    for row in writes[(writes["arm"] == arm) & writes["acked_ns"].notna()].itertuples():
        group = catalogue.group(written_path, str(row.key))
        events.setdefault(int(row.block), []).append((int(row.acked_ns), True, -1, group))
    return {block: _uncounted(rows) for block, rows in events.items()}


def _uncounted(events: Sequence[tuple[int, bool, int, int]]) -> Rows:
    at_ns, write, entry, group = zip(*events, strict=True)
    count = len(events)
    blind = np.full(count, np.nan)
    return Rows(
        np.array(at_ns, np.int64), np.array(write, bool), np.array(entry, np.int32), np.array(group, np.int32),
        np.zeros(count, bool), np.full(count, NOT_TOLD, np.int8), np.full(count, -1.0), np.full(count, -1.0),
        blind, blind,
    )  # fmt: skip


_FIELDS = ("at_ns", "write", "entry", "group", "counts", "told", "calls", "size", "latency_ms", "load_ms")


def _taken(rows: Rows, chosen: NDArray[np.bool_]) -> Rows:
    return Rows(**{name: getattr(rows, name)[chosen] for name in _FIELDS})


def _joined(one: Rows, other: Rows) -> Rows:
    return Rows(**{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in _FIELDS})


def _stale(run: CaseRun, arm: Arm, case: Case, parts: Sequence[Rows], trace: CacheTrace) -> NDArray[np.int64] | None:
    """(stretches, 2): stale reads, and all reads that can show a version; None where no route shows one."""
    if not any(route.version for route in case.workload.routes):
        return None
    frame = run.table("requests", list(ANSWER_COLUMNS))
    reads = background_reads(frame[frame["arm"] == arm], case)
    reads = reads[reads["route"].isin(trace.classes)]
    if not len(reads):
        return None
    counts = np.zeros((trace.blocks, 2), np.int64)
    at = reads["sent_ns"].to_numpy(np.int64)
    starts = [int(rows.at_ns[rows.counts].min()) for rows in parts if rows.counts.any()]
    length_ns, used = stretch_length_ns(parts), 0
    for rows, start in zip((rows for rows in parts if rows.counts.any()), starts, strict=True):
        end = int(rows.at_ns[rows.counts].max())
        inside = (at >= start) & (at <= end)
        place = used + (at[inside] - start) // length_ns
        np.add.at(counts[:, 0], place, (reads["outcome"] == "stale").to_numpy()[inside])
        np.add.at(counts[:, 1], place, 1)
        used += (end - start) // length_ns + 1
    return counts


def _ttl_of_events(run: CaseRun, arm: Arm) -> float | None:
    """The time to live that the cache reported just after a store; None where it reported none."""
    events = run.table("events")
    lives = events[(events["arm"] == arm) & (events["event"] == "set")]["ttl_ms"].dropna()
    lives = lives[lives > 0]
    return float(lives.max()) if len(lives) else None
