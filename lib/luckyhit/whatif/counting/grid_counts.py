"""Hits, stale reads and lives of entries at every size and time to live at once, from the levels of the stack.

Whether an entry is still there depends on the size alone (`stack_distances`); whether it has expired depends on when it
was stored, which differs by size and time to live. So each entry's reads are gone through once, with the time of the
last store beside each point of the grid:

    hit   the size holds it, and load_ns <= age < load_ns + ttl_ns, with the age since the load began
    joined   the size holds it, and its load is still under way: a miss, but no second load
    miss   else: it is loaded, and its age begins

A hit is stale where a write came after the load began. The work is one comparison for each read and point.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from luckyhit.whatif.counting.compiled import loop
from luckyhit.whatif.counting.stack_distances import DELETES, OUTDATES

_LONG_AGO = -(1 << 62)
FOREVER_NS = 1 << 61
"""The time to live of an entry that does not expire."""


@dataclass(frozen=True)
class GridCounts:
    """Counts at each point. `hits`, `stale`, `loads`: (blocks, classes, sizes, ttls), of the reads that count;
    `reads`: (blocks, classes). `alive`: (sizes, ttls), weight · ns for which entries were stored and not expired."""

    reads: NDArray[np.int64]
    hits: NDArray[np.int64]
    stale: NDArray[np.int64]
    loads: NDArray[np.int64]
    alive: NDArray[np.float64]

    def __add__(self, other: GridCounts) -> GridCounts:
        return GridCounts(
            self.reads + other.reads,
            self.hits + other.hits,
            self.stale + other.stale,
            self.loads + other.loads,
            self.alive + other.alive,
        )


@loop
def _first_of(entry: Any, entries: int) -> Any:
    first = np.zeros(entries + 1, np.int64)
    for row in range(entry.size):
        first[entry[row] + 1] += 1
    for number in range(entries):
        first[number + 1] += first[number]
    return first


@loop
def _order(entry: Any, first: Any) -> Any:
    """The rows by entry, in the order of time within each."""
    at = first[:-1].copy()
    order = np.empty(entry.size, np.int32)
    for row in range(entry.size):
        order[at[entry[row]]] = row
        at[entry[row]] += 1
    return order


@loop
def _count(
    begin: int,
    end: int,
    first: Any,
    order: Any,
    at_ns: Any,
    kind: Any,
    level: Any,
    block: Any,
    class_of: Any,
    load_of: Any,
    weight: Any,
    ttl_ns: Any,
    sizes: int,
    end_ns: int,
    reads: Any,
    hits: Any,
    stale: Any,
    loads: Any,
    alive: Any,
) -> None:
    ttls = ttl_ns.size
    points = sizes * ttls
    stored = np.empty(points, np.int64)
    lived = np.zeros(points, np.int64)
    expires = np.empty(points, np.int64)
    for entry in range(begin, end):
        load_ns = load_of[entry]
        kind_of_entry = class_of[entry]
        stored[:] = _LONG_AGO
        lived[:] = 0
        for point in range(points):
            expires[point] = ttl_ns[point % ttls] + load_ns
        outdated = deleted = _LONG_AGO
        for place in range(first[entry], first[entry + 1]):
            row = order[place]
            now = at_ns[row]
            if kind[row] != 0:
                if kind[row] & OUTDATES:
                    outdated = now
                if kind[row] & DELETES:
                    for point in range(points):
                        if stored[point] > deleted:
                            lived[point] += min(now - stored[point], expires[point])
                    deleted = now
                continue
            mine = block[row]
            reads[mine, kind_of_entry] += 1
            held = level[row] * ttls
            hit_row = hits[mine, kind_of_entry]
            stale_row = stale[mine, kind_of_entry]
            load_row = loads[mine, kind_of_entry]
            for point in range(held):
                if stored[point] > deleted:
                    lived[point] += min(now - stored[point], expires[point])
                stored[point] = now
                load_row[point] += 1
            for point in range(held, points):
                was = stored[point]
                age = now - was
                over = age >= expires[point]
                hit = (age >= load_ns) & (not over)
                hit_row[point] += hit
                stale_row[point] += hit & (was < outdated)
                load_row[point] += over
                lived[point] += expires[point] if over else 0
                stored[point] = now if over else was
        for point in range(points):
            if stored[point] > deleted:
                lived[point] += min(end_ns - stored[point], expires[point])
            alive[point] += lived[point] * float(weight[entry])


def grid_counts(
    *,
    entry: NDArray[np.int32],
    kind: NDArray[np.uint8],
    at_ns: NDArray[np.int64],
    block: NDArray[np.int16],
    level: NDArray[np.uint8],
    class_of: NDArray[np.int16],
    load_of: NDArray[np.int64],
    weight: NDArray[np.int64],
    ttl_ns: NDArray[np.int64],
    sizes: int,
    blocks: int,
    classes: int,
    threads: int = 2,
) -> GridCounts:
    """Count one rule at every point.

    Of each event, by time: `entry`, `kind`, `at_ns` (rising), `block` (`blocks` for a read that does not count) and
    `level` (of `stack_levels`). Of each entry: `class_of`, `load_of` (ns) and `weight`.
    """
    first = _first_of(entry, len(weight))
    order = _order(entry, first)
    end_ns = int(at_ns[-1]) if len(at_ns) else 0
    borders = np.searchsorted(first, np.linspace(0, len(entry), threads + 1)).tolist()
    borders[0], borders[-1] = 0, len(weight)
    shape, points = (blocks + 1, classes), sizes * len(ttl_ns)

    def part(begin: int, end: int) -> GridCounts:
        reads = np.zeros(shape, np.int64)
        hits, stale, loads = (np.zeros((*shape, points), np.int64) for _ in range(3))
        alive = np.zeros(points)
        _count(
            begin, end, first, order, at_ns, kind, level, block, class_of, load_of, weight, ttl_ns, sizes, end_ns,
            reads, hits, stale, loads, alive,
        )  # fmt: skip
        grid = (*shape, sizes, len(ttl_ns))
        return GridCounts(
            reads[:-1],
            hits.reshape(grid)[:-1],
            stale.reshape(grid)[:-1],
            loads.reshape(grid)[:-1],
            alive.reshape(grid[2:]),
        )

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(part, borders[:-1], borders[1:]))
    counts = parts[0]
    for other in parts[1:]:
        counts = counts + other
    return counts
