"""A long trace by a part of its entries, chosen by a hash: each stands for many (SHARDS, Waldspurger et al. 2015).

Which entries are in the sample depends on a hash of their number, so all requests of an entry are in it or none; its
weight is multiplied, so that distances stay those of the whole trace. The entries that are asked for most often are
always in it and stand for themselves: whether one of them was drawn would decide the result. Counts of the others are
scaled to the reads that they stand for, which are known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luckyhit.whatif.counting.cache_trace import CacheTrace, Segment
from luckyhit.whatif.counting.grid_counts import GridCounts

CERTAIN = 20_000
"""Entries that are always in a sample: those that are asked for most often."""


@dataclass(frozen=True)
class Sample:
    """`trace`: its classes are those of the whole trace twice, of the certain entries and of the drawn ones. `scale`:
    of each of them, how many reads one stands for."""

    trace: CacheTrace
    scale: NDArray[np.float64]
    one_in: int

    def whole(self, counts: GridCounts) -> GridCounts:
        """Counts of the sample as counts of the whole trace; they are not whole numbers."""
        half = len(self.scale) // 2

        def merged(values: NDArray[np.int64]) -> NDArray[np.int64]:
            shape = (1, -1, *(1,) * (values.ndim - 2))
            scaled = values * self.scale.reshape(shape)
            both: NDArray[Any] = scaled[:, :half] + scaled[:, half:]
            return both

        return GridCounts(
            merged(counts.reads), merged(counts.hits), merged(counts.stale), merged(counts.loads), counts.alive
        )


def rate_for(trace: CacheTrace, most_rows: int) -> int:
    """One entry in how many is drawn, for about `most_rows` rows; 1: the whole trace."""
    return max(-(-trace.rows // most_rows), 1)


def sample_of(trace: CacheTrace, one_in: int, *, certain: int = CERTAIN, seed: int = 0) -> Sample:
    """Draw one entry in `one_in`, and the `certain` entries with most events."""
    entries = len(trace.weight)
    asked = np.zeros(entries, np.int64)
    for segment in trace.segments:
        asked += np.bincount(segment.entry, minlength=entries)
    always = np.zeros(entries, bool)
    if certain >= entries:
        always[:] = True
    elif certain > 0:
        always[np.argpartition(asked, entries - certain)[entries - certain :]] = True
    drawn = ~always & (_hashed(np.arange(entries, dtype=np.uint64), seed) % np.uint64(one_in) == 0)
    kept = always | drawn
    number = np.cumsum(kept, dtype=np.int64).astype(np.int32) - np.int32(1)
    half = len(trace.classes)
    class_of = (trace.class_of + np.where(always, 0, half))[kept].astype(np.int16)
    segments = []
    true_reads = np.zeros(2 * half)
    kept_reads = np.zeros(2 * half)
    classes = trace.class_of + np.where(always, 0, half)
    for segment in trace.segments:
        counted = segment.entry[segment.block >= 0]
        true_reads += np.bincount(classes[counted], minlength=2 * half)
        kept_reads += np.bincount(classes[counted[kept[counted]]], minlength=2 * half)
        rows = np.flatnonzero(kept[segment.entry])
        segments.append(
            Segment(segment.at_ns[rows], number[segment.entry[rows]], segment.kind[rows], segment.block[rows])
        )
    weight = np.where(always, trace.weight, trace.weight * one_in)[kept]
    scale = np.divide(true_reads, kept_reads, out=np.zeros(2 * half), where=kept_reads > 0)
    part = replace(
        trace,
        segments=tuple(segments),
        entries=[trace.entries[place] for place in np.flatnonzero(kept).tolist()] if len(trace.entries) else (),
        class_of=class_of,
        weight=weight,
        classes=(*trace.classes, *trace.classes),
    )
    return Sample(part, scale, one_in)


def _hashed(numbers: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """SplitMix64 of each number."""
    with np.errstate(over="ignore"):
        mixed = numbers + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))
