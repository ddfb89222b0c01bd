"""Other ways to make room, by replay: one pass for each point of the grid.

    lru         the least recently used entry goes; what one pass counts for the whole grid (`exact_grid`)
    lru-swept   the same, but an expired entry gives up its room at once, not when it is pushed out
    lfu         the least often used entry since it was stored goes; of equals, the one not used for longest
    fifo        the entry that was stored first goes
    s3-fifo     three queues: new entries go through a small one (a tenth), and only those used twice stay
                (Yang and others, SOSP 2023)

An expired entry that is asked for is stored anew, as if it had not been there. What is joined, hit and stale is as in
`grid_counts`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from luckyhit.whatif.counting.cache_trace import CacheTrace, WriteRule, events_under
from luckyhit.whatif.counting.compiled import loop
from luckyhit.whatif.counting.grid_counts import GridCounts
from luckyhit.whatif.counting.stack_distances import DELETES, OUTDATES

POLICIES: dict[str, int] = {"lru": 0, "lru-swept": 1, "lfu": 2, "fifo": 3, "s3-fifo": 4}
"""The number of each policy in the replay."""
_LRU, _SWEPT, _LFU, _FIFO, _S3 = POLICIES.values()
_OUT, _SMALL, _MAIN, _GHOST, _AGES = -1, 0, 1, 2, 3
_LONG_AGO = -(1 << 62)
MISS, HIT, STALE, JOINED = 0, 1, 2, 3
"""What a read is, in `outcomes`."""


@loop
def _link(after: Any, before: Any, queue: int, entry: int, entries: int) -> None:
    """Put an entry at the head of a queue."""
    head = entries + queue
    nearest = after[head]
    after[head], before[entry] = entry, head
    after[entry], before[nearest] = nearest, entry


@loop
def _unlink(after: Any, before: Any, entry: int) -> None:
    after[before[entry]] = after[entry]
    before[after[entry]] = before[entry]


@loop
def _less(one: int, other: int, uses: Any, used_at: Any) -> bool:
    return bool(uses[one] < uses[other] or (uses[one] == uses[other] and used_at[one] < used_at[other]))


@loop
def _settle(heap: Any, place_of: Any, count: int, place: int, uses: Any, used_at: Any) -> None:
    """Move the entry at a place of the heap to where it belongs."""
    while place > 0 and _less(heap[place], heap[(place - 1) // 2], uses, used_at):
        parent = (place - 1) // 2
        heap[place], heap[parent] = heap[parent], heap[place]
        place_of[heap[place]], place_of[heap[parent]] = place, parent
        place = parent
    while True:
        least = place
        for child in (2 * place + 1, 2 * place + 2):
            if child < count and _less(heap[child], heap[least], uses, used_at):
                least = child
        if least == place:
            return
        heap[place], heap[least] = heap[least], heap[place]
        place_of[heap[place]], place_of[heap[least]] = place, least
        place = least


@loop
def _replay(
    policy: int, entry: Any, kind: Any, at_ns: Any, weight: Any, load_of: Any, size: int, ttl_ns: int, outcome: Any
) -> None:
    entries = weight.size
    after = np.arange(entries + 4)
    before = np.arange(entries + 4)
    # The queue of ages has links of its own: an entry is in it beside another queue.
    younger = np.arange(entries + 4)
    older = np.arange(entries + 4)
    queue = np.full(entries, _OUT, np.int8)
    full = np.zeros(4, np.int64)
    stored = np.full(entries, _LONG_AGO, np.int64)
    outdated = np.full(entries, _LONG_AGO, np.int64)
    uses = np.zeros(entries, np.int64)
    used_at = np.zeros(entries, np.int64)
    heap = np.zeros(entries if policy == _LFU else 1, np.int64)
    place_of = np.zeros(entries if policy == _LFU else 1, np.int64)
    heaped = 0
    small_size = max(size // 10, 1) if policy == _S3 else 0
    ghost_size = size - small_size
    for row in range(entry.size):
        this, now = entry[row], at_ns[row]
        leaves = -1
        if policy == _SWEPT:
            oldest = older[entries + _AGES]
            while oldest < entries and now - stored[oldest] >= ttl_ns + load_of[oldest]:
                _unlink(younger, older, oldest)
                _unlink(after, before, oldest)
                full[queue[oldest]] -= weight[oldest]
                queue[oldest] = _OUT
                oldest = older[entries + _AGES]
        held = queue[this] == _SMALL or queue[this] == _MAIN
        if kind[row] != 0:
            if kind[row] & OUTDATES:
                outdated[this] = now
            if kind[row] & DELETES and held:
                leaves = this
        else:
            age = now - stored[this]
            if held and age < ttl_ns + load_of[this]:
                if age < load_of[this]:
                    outcome[row] = JOINED
                else:
                    outcome[row] = STALE if stored[this] < outdated[this] else HIT
                uses[this] += 1
                used_at[this] = row
                if policy in (_LRU, _SWEPT):
                    _unlink(after, before, this)
                    _link(after, before, _MAIN, this, entries)
                elif policy == _LFU:
                    _settle(heap, place_of, heaped, place_of[this], uses, used_at)
                continue
            outcome[row] = MISS
            if held:
                leaves = this
        if leaves >= 0:
            _unlink(after, before, leaves)
            full[queue[leaves]] -= weight[leaves]
            queue[leaves] = _OUT
            if policy == _SWEPT:
                _unlink(younger, older, leaves)
            elif policy == _LFU:
                heaped -= 1
                place = place_of[leaves]
                heap[place] = heap[heaped]
                place_of[heap[place]] = place
                if place < heaped:
                    _settle(heap, place_of, heaped, place, uses, used_at)
        if kind[row] != 0 or weight[this] > size:
            continue
        # Where it goes is decided before room is made: making room changes who is remembered.
        target = _MAIN
        if policy == _S3:
            if queue[this] == _GHOST:
                _unlink(after, before, this)
                full[_GHOST] -= weight[this]
                queue[this] = _OUT
            else:
                target = _SMALL
        while full[_SMALL] + full[_MAIN] + weight[this] > size:
            if policy == _LFU:
                gone = heap[0]
                heaped -= 1
                heap[0] = heap[heaped]
                place_of[heap[0]] = 0
                _settle(heap, place_of, heaped, 0, uses, used_at)
            elif policy == _S3 and full[_SMALL] > 0 and (full[_SMALL] >= small_size or full[_MAIN] == 0):
                gone = before[entries + _SMALL]
                _unlink(after, before, gone)
                full[_SMALL] -= weight[gone]
                if uses[gone] > 1:
                    uses[gone] = 0
                    queue[gone] = _MAIN
                    full[_MAIN] += weight[gone]
                    _link(after, before, _MAIN, gone, entries)
                    continue
                while full[_GHOST] > 0 and full[_GHOST] + weight[gone] > ghost_size:
                    forgotten = before[entries + _GHOST]
                    _unlink(after, before, forgotten)
                    full[_GHOST] -= weight[forgotten]
                    queue[forgotten] = _OUT
                queue[gone] = _OUT
                if weight[gone] <= ghost_size:
                    queue[gone] = _GHOST
                    full[_GHOST] += weight[gone]
                    _link(after, before, _GHOST, gone, entries)
                continue
            else:
                gone = before[entries + _MAIN]
                _unlink(after, before, gone)
                if policy == _S3 and uses[gone] > 0:
                    uses[gone] = min(uses[gone], 3) - 1
                    _link(after, before, _MAIN, gone, entries)
                    continue
                if policy == _SWEPT:
                    _unlink(younger, older, gone)
            full[_MAIN] -= weight[gone]
            queue[gone] = _OUT
        queue[this] = target
        full[target] += weight[this]
        stored[this] = now
        uses[this] = 0 if policy == _S3 else 1
        used_at[this] = row
        if policy == _LFU:
            heap[heaped], place_of[this] = this, heaped
            heaped += 1
            _settle(heap, place_of, heaped, heaped - 1, uses, used_at)
        else:
            _link(after, before, target, this, entries)
            if policy == _SWEPT:
                _link(younger, older, _AGES, this, entries)


def outcomes(
    policy: str, trace: CacheTrace, rule: WriteRule, load_ns: NDArray[np.int64], size: int, ttl_ns: int
) -> list[NDArray[np.uint8]]:
    """What each event of each segment (with the rule's deletions) is at one point: MISS, HIT, STALE or JOINED."""
    load_of = load_ns[trace.class_of].astype(np.int64)
    made = []
    for segment in trace.segments:
        events = events_under(segment, rule)
        outcome = np.zeros(len(events), np.uint8)
        _replay(
            POLICIES[policy], events.entry, events.kind, events.at_ns, trace.weight, load_of, size, ttl_ns, outcome
        )  # fmt: skip
        made.append(outcome)
    return made


def replayed_counts(
    policy: str, trace: CacheTrace, rule: WriteRule, load_ns: NDArray[np.int64], size: int, ttl_ns: int
) -> GridCounts:
    """The counts at one point, in the shape of a grid of one size and one time to live; `alive` is not counted."""
    shape = (trace.blocks, len(trace.classes))
    reads, hits, stale, loads = (np.zeros(shape, np.int64) for _ in range(4))
    for segment, outcome in zip(trace.segments, outcomes(policy, trace, rule, load_ns, size, ttl_ns), strict=True):
        events = events_under(segment, rule)
        counts = (events.kind == 0) & (events.block >= 0)
        place = (events.block[counts], trace.class_of[events.entry[counts]])
        result = outcome[counts]
        np.add.at(reads, place, 1)
        np.add.at(hits, place, (result == HIT) | (result == STALE))
        np.add.at(stale, place, result == STALE)
        np.add.at(loads, place, result == MISS)
    grid = (*shape, 1, 1)
    return GridCounts(reads, hits.reshape(grid), stale.reshape(grid), loads.reshape(grid), np.zeros((1, 1)))
