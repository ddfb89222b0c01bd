"""A run or a log as a trace, with what was measured of it: statuses, old answers, the costs of hits and misses.

What the trace is made of is the same for each source (the columns of `Rows`); each source is a module beside this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from luckyhit.errors import NotEnoughData
from luckyhit.whatif.counting.cache_trace import READ, WRITE, CacheTrace, Segment, refuse_unfit
from luckyhit.whatif.recorded.read_costs import ClassCosts, ReadCosts

STRETCHES = 24
"""Stretches of time in all, which the bootstrap draws from."""
HIT, MISS, NOT_TOLD = 1, 0, -1


@dataclass(frozen=True)
class Rows:
    """Requests of one cache as columns, in any order. `entry`: number among `names`; -1: of none. `write`: outdates all
    entries of its `group` (a resource: path and key); an entry of the group -1 is never written. `told`: HIT, MISS or
    NOT_TOLD; `calls`: -1 not told; `size`: bytes, -1 not told; `latency_ms`, `load_ms`: NaN not known."""

    at_ns: NDArray[np.int64]
    write: NDArray[np.bool_]
    entry: NDArray[np.int32]
    group: NDArray[np.int32]
    counts: NDArray[np.bool_]
    told: NDArray[np.int8]
    calls: NDArray[np.float64]
    size: NDArray[np.float64]
    latency_ms: NDArray[np.float64]
    load_ms: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.at_ns)


@dataclass(frozen=True)
class Names:
    """Of each entry: its name, its class and its group. `classes`: names of the classes."""

    entries: Sequence[str]
    class_of: NDArray[np.int16]
    group_of: NDArray[np.int32]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Recording:
    """`told`: of each event of each segment of the trace, what its answer told (NOT_TOLD for what does not count);
    `stale`: (stretches, 2) counts of stale and of all reads that show a version, or None; `other`: the requests that no
    entry belongs to, as a class of their own (writes, routes without a cache)."""

    source: str
    trace: CacheTrace
    told: tuple[NDArray[np.int8], ...]
    costs: ReadCosts
    stale: NDArray[np.int64] | None = None
    ttl_s: float | None = None
    ttl_from: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def is_told(self) -> bool:
        """Whether any read that counts told whether it was a hit."""
        return any(bool((told != NOT_TOLD).any()) for told in self.told)

    def told_by_stretch(self) -> NDArray[np.int64]:
        """(stretches, 2): hits, and reads that told their status."""
        counts = np.zeros((self.trace.blocks, 2), np.int64)
        for segment, told in zip(self.trace.segments, self.told, strict=True):
            known = (told != NOT_TOLD) & (segment.block >= 0)
            np.add.at(counts[:, 0], segment.block[known], told[known] == HIT)
            np.add.at(counts[:, 1], segment.block[known], 1)
        return counts


def stretch_length_ns(parts: Sequence[Rows]) -> int:
    """How long a stretch is, so that there are about STRETCHES of them."""
    spans = [int(np.ptp(rows.at_ns[rows.counts])) for rows in parts if rows.counts.any()]
    return max(-(-sum(spans) // max(STRETCHES - len(spans), 4)), 1)


def recording_of(
    source: str, parts: Sequence[Rows], names: Names, others: ClassCosts, *, by: str, notes: Sequence[str]
) -> Recording:
    """Make the trace and the costs. `parts`: one for each time that the cache began empty. `by`: `bytes`, `entries` or
    `auto` (bytes where answers tell their size). Raises NotEnoughData for what has no curve."""
    parts = [rows for rows in parts if len(rows)]
    if not parts:
        raise NotEnoughData(f"{source} has no requests", hint="Measure a run, or name a log with requests.")
    if not any(bool((~rows.write & (rows.entry >= 0)).any()) for rows in parts):
        raise NotEnoughData(
            f"all {sum(map(len, parts)):,} requests of {source} are writes: nothing can be a hit",
            hint="Name a run or a log that has reads (GET) with keys.",
        )
    length_ns = stretch_length_ns(parts)
    weight, by_bytes, size_note = _weights(parts, names, by)
    segments, told = [], []
    used = 0
    order = np.argsort(names.group_of, kind="stable")
    for rows in parts:
        segment, status, used = _segment(rows, names.group_of, order, length_ns, used)
        segments.append(segment)
        told.append(status)
    trace = CacheTrace(
        tuple(segments), names.entries, names.class_of, weight, names.classes, max(used, 1), by_bytes, tuple(notes)
    )  # fmt: skip
    refuse_unfit(trace, source)
    costs = _costs(parts, names, others)
    made = Recording(source, trace, tuple(told), costs, notes=(*notes, *size_note))
    if not made.is_told:
        note = "No read told whether it was a hit: today's point is not known, the model is not checked against it, "
        note += "and a miss has no measured cost."
        made = Recording(source, trace, made.told, costs, notes=(*made.notes, note))
    return made


def _segment(
    rows: Rows, group_of: NDArray[np.int32], order: NDArray[np.int64], length_ns: int, used: int
) -> tuple[Segment, NDArray[np.int8], int]:
    """One segment, with the status of each of its events, and the number of stretches so far."""
    reads = ~rows.write & (rows.entry >= 0)
    counted = reads & rows.counts
    start = int(rows.at_ns[counted].min()) if counted.any() else 0
    block = np.where(counted, used + (rows.at_ns - start) // length_ns, -1)
    # A write is an event of each entry that it outdates.
    sorted_groups = group_of[order]
    written = np.flatnonzero(rows.write & (rows.group >= 0))
    left = np.searchsorted(sorted_groups, rows.group[written], "left")
    count = np.searchsorted(sorted_groups, rows.group[written], "right") - left
    place = np.repeat(left - np.concatenate([[0], np.cumsum(count)[:-1]]), count) + np.arange(count.sum())
    at_ns = np.concatenate([np.repeat(rows.at_ns[written], count), rows.at_ns[reads]])
    entry = np.concatenate([order[place], rows.entry[reads]]).astype(np.int32)
    kind = np.concatenate([np.full(count.sum(), WRITE), np.full(reads.sum(), READ)]).astype(np.uint8)
    blocks = np.concatenate([np.full(count.sum(), -1), block[reads]]).astype(np.int16)
    told = np.where(counted, rows.told, NOT_TOLD)[reads].astype(np.int8)
    told = np.concatenate([np.full(count.sum(), NOT_TOLD, np.int8), told])
    by_time = np.argsort(at_ns, kind="stable")
    segment = Segment.by_time(at_ns[by_time], entry[by_time], kind[by_time], blocks[by_time])
    return segment, told[by_time], max(used, int(block.max(initial=used - 1)) + 1)


def _weights(parts: Sequence[Rows], names: Names, by: str) -> tuple[NDArray[np.int64], bool, list[str]]:
    """The weight of each entry: the mean size of its answers, that of its class where it has none."""
    entries = len(names.entries)
    total, count = np.zeros(entries), np.zeros(entries)
    for rows in parts:
        sized = ~rows.write & (rows.entry >= 0) & (rows.size > 0)
        np.add.at(total, rows.entry[sized], rows.size[sized])
        np.add.at(count, rows.entry[sized], 1)
    if by == "entries" or not count.any():
        note = ["Answers tell no size: a size is a number of entries."] if by != "entries" else []
        if by == "bytes":
            raise NotEnoughData("no answer tells its size, so a size can't be in bytes", hint="Use --by entries.")
        return np.ones(entries, np.int64), False, note
    mean = np.divide(total, count, out=np.zeros(entries), where=count > 0)
    of_class = np.array(
        [
            total[names.class_of == one].sum() / max(count[names.class_of == one].sum(), 1)
            for one in range(len(names.classes))
        ]
    )
    whole = total.sum() / count.sum()
    guess = np.where(of_class > 0, of_class, whole)[names.class_of]
    return np.maximum(np.rint(np.where(count > 0, mean, guess)), 1).astype(np.int64), True, []


def _costs(parts: Sequence[Rows], names: Names, others: ClassCosts) -> ReadCosts:
    """Of each class: what hits and misses took and asked of the database, in the rows that count."""
    made = []
    for number in range(len(names.classes)):
        values: dict[int, list[NDArray[np.float64]]] = {HIT: [], MISS: []}
        for rows in parts:
            reads = ~rows.write & rows.counts & (rows.entry >= 0)
            reads[reads] = names.class_of[rows.entry[reads]] == number
            for status, kept in values.items():
                chosen = reads & (rows.told == status)
                kept.append(
                    np.stack([rows.latency_ms[chosen], rows.calls[chosen], rows.load_ms[chosen]])
                )  # fmt: skip
        hits, misses = (np.concatenate(kept, axis=1) for kept in values.values())
        made.append((ClassCosts.of(hits[0], hits[1]), ClassCosts.of(misses[0], misses[1]), misses[2]))
    return ReadCosts(
        hits=tuple(hit for hit, _, _ in made),
        misses=tuple(miss for _, miss, _ in made),
        load_ns=np.array([_median_ns(loads) for _, _, loads in made], np.int64),
        other=others,
    )


def _median_ns(loads_ms: NDArray[np.float64]) -> int:
    known = loads_ms[np.isfinite(loads_ms)]
    return int(np.median(known) * 1e6) if len(known) else 0
