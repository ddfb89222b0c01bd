"""The whole grid of sizes and times to live for LRU, in one pass for each rule: exact, without a replay a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from luckyhit.errors import ArgumentError
from luckyhit.whatif.counting.cache_trace import CacheTrace, Segment, WriteRule, events_under
from luckyhit.whatif.counting.grid_counts import FOREVER_NS, GridCounts, grid_counts
from luckyhit.whatif.counting.stack_distances import MOST_SIZES, stack_levels


@dataclass(frozen=True)
class Grid:
    """`sizes`: ascending, in entries or bytes; `ttls_s`: ascending, infinity for entries that never expire."""

    sizes: tuple[int, ...]
    ttls_s: tuple[float, ...]

    @property
    def ttl_ns(self) -> NDArray[np.int64]:
        return np.array([ttl_in_ns(ttl_s) for ttl_s in self.ttls_s], np.int64)


def ttl_in_ns(ttl_s: float) -> int:
    return min(round(ttl_s * 1e9), FOREVER_NS) if ttl_s < FOREVER_NS / 1e9 else FOREVER_NS


def check_grid(grid: Grid, trace: CacheTrace) -> None:
    """Raise ArgumentError for a grid that can't be counted."""
    if not grid.sizes or not grid.ttls_s:
        raise ArgumentError("no size or no time to live to try", hint="Name at least one of each.")
    if len(grid.sizes) > MOST_SIZES:
        raise ArgumentError(f"{len(grid.sizes)} sizes", hint=f"Name at most {MOST_SIZES}.")
    for name, values in (("size", grid.sizes), ("time to live", grid.ttls_s)):
        if list(values) != sorted(set(values)) or values[0] <= 0:
            raise ArgumentError(f"each {name} has to be above 0, and named once", hint="Sort them, smallest first.")
    largest = int(trace.weight.max(initial=1))
    if grid.sizes[0] < largest:
        unit = "bytes" if trace.by_bytes else "entries"
        raise ArgumentError(
            f"a size of {grid.sizes[0]:,} {unit} is smaller than the largest answer ({largest:,})",
            hint="Such a cache can't hold it at all. Name larger sizes, or count by number (--by entries).",
        )


def exact_counts(
    trace: CacheTrace,
    grid: Grid,
    rule: WriteRule,
    load_ns: NDArray[np.int64],
    *,
    threads: int = 2,
    checked: bool = False,
) -> GridCounts:
    """Count one rule at every point. `load_ns`: of each class, how long a load takes until the entry is stored.
    `checked`: the grid was checked against the whole trace, of which this is a sample."""
    if not checked:
        check_grid(grid, trace)
    load_of = load_ns[trace.class_of].astype(np.int64)
    parts: Sequence[GridCounts] = [
        _segment_counts(events_under(segment, rule), trace, grid, load_of, threads)
        for segment in trace.segments
        if len(segment)
    ]
    counts = parts[0]
    for other in parts[1:]:
        counts = counts + other
    return counts


def _segment_counts(
    events: Segment, trace: CacheTrace, grid: Grid, load_of: NDArray[np.int64], threads: int
) -> GridCounts:
    level = stack_levels(events.entry, events.kind, trace.weight, np.array(grid.sizes, np.int64))
    return grid_counts(
        entry=events.entry,
        kind=events.kind,
        at_ns=events.at_ns,
        block=np.where(events.block < 0, trace.blocks, events.block).astype(np.int16),
        level=level,
        class_of=trace.class_of,
        load_of=load_of,
        weight=trace.weight,
        ttl_ns=grid.ttl_ns,
        sizes=len(grid.sizes),
        blocks=trace.blocks,
        classes=len(trace.classes),
        threads=threads if len(events) > 100_000 else 1,
    )
