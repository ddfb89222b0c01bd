"""LRU stack distances, exact, in one pass, with deletions: which sizes still hold an entry when it is asked for.

A cache of size C holds exactly the entries whose distance is at most C, where the distance of an entry is the weight of
all that was asked for since it was, itself included (Mattson and others, 1970). A deletion leaves a hole where the
entry was. What comes on top pushes down only what is above the nearest hole, as new entries use up free room first; an
entry that moves to the top leaves behind the room that it did not need to push. So the distances hold for every size at
once, for weights in bytes as well.

An expired entry keeps its place until it is asked for or pushed out, and being asked for moves it to the top, hit or
miss: so the order does not depend on the time to live, and one pass serves all of them.

Source of the tree: Fenwick, 1994; slots are renumbered when they are used up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from luckyhit.whatif.counting.compiled import loop

OUTDATES, DELETES = 1, 2
"""Bits of an event's kind: it makes entries old; it deletes the entry. 0: a read."""
MOST_SIZES = 254


@loop
def _add(tree: Any, slot: int, weight: int) -> None:
    place = slot + 1
    while place < tree.size:
        tree[place] += weight
        place += place & -place


@loop
def _before(tree: Any, slot: int) -> int:
    """The weight in all slots before `slot`."""
    total, place = 0, slot
    while place > 0:
        total += tree[place]
        place -= place & -place
    return total


@loop
def _push(heap: Any, count: int, slot: int) -> int:
    """Add a slot to the holes, the newest first; returns their number."""
    child = count
    heap[child] = slot
    while child > 0:
        parent = (child - 1) // 2
        if heap[parent] >= heap[child]:
            break
        heap[parent], heap[child] = heap[child], heap[parent]
        child = parent
    return count + 1


@loop
def _pop(heap: Any, count: int) -> int:
    """Remove the newest hole; returns their number."""
    count -= 1
    heap[0] = heap[count]
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= count:
            return count
        if child + 1 < count and heap[child + 1] > heap[child]:
            child += 1
        if heap[parent] >= heap[child]:
            return count
        heap[parent], heap[child] = heap[child], heap[parent]
        parent = child


@loop
def _renumbered(tree: Any, held: Any, owner: Any, slot_of: Any, heap: Any, used: int) -> tuple[int, int]:
    """Close the gaps, and join holes that lie side by side; returns the slots in use, and the holes."""
    kept = holes = 0
    for slot in range(used):
        weight, entry = held[slot], owner[slot]
        if weight == 0:
            continue
        if entry < 0 and kept > 0 and owner[kept - 1] < 0:
            held[kept - 1] += weight
            continue
        held[kept], owner[kept] = weight, entry
        if entry >= 0:
            slot_of[entry] = kept
        else:
            heap[holes] = kept
            holes += 1
        kept += 1
    heap[:holes] = heap[:holes][::-1].copy()
    held[kept:] = 0
    tree[:] = 0
    for slot in range(kept):
        tree[slot + 1] = held[slot]
    for place in range(1, tree.size):
        parent = place + (place & -place)
        if parent < tree.size:
            tree[parent] += tree[place]
    return kept, holes


@loop
def _stack_levels(entry: Any, kind: Any, weight: Any, limits: Any, has_holes: bool) -> Any:
    slots = (4 if has_holes else 2) * weight.size + 64
    tree = np.zeros(slots + 1, np.int64)
    held = np.zeros(slots, np.int64)
    owner = np.full(slots, -1, np.int32)
    heap = np.zeros(slots if has_holes else 1, np.int64)
    slot_of = np.full(weight.size, -1, np.int64)
    levels = np.zeros(entry.size, np.uint8)
    used = holes = 0
    total = 0
    for row in range(entry.size):
        this = entry[row]
        slot = slot_of[this]
        if kind[row] != 0:
            if kind[row] & DELETES and slot >= 0:
                slot_of[this] = -1
                owner[slot] = -1
                holes = _push(heap, holes, slot)
            continue
        own = weight[this]
        if slot < 0:
            levels[row] = limits.size
        else:
            distance = total - _before(tree, slot)
            level = 0
            while level < limits.size and limits[level] < distance:
                level += 1
            levels[row] = level
            if slot == used - 1:
                continue
        if used == slots:
            used, holes = _renumbered(tree, held, owner, slot_of, heap, used)
            slot = slot_of[this]
        # Holes above it are used up first, and are then where it was.
        moved = 0
        while holes > 0 and moved < own and heap[0] > slot:
            hole = heap[0]
            taken = min(held[hole], own - moved)
            held[hole] -= taken
            _add(tree, hole, -taken)
            moved += taken
            if held[hole] == 0:
                holes = _pop(heap, holes)
        total -= moved
        if slot >= 0:
            _add(tree, slot, moved - own)
            total -= own - moved
            held[slot] = moved
            owner[slot] = -1
            if moved > 0:
                holes = _push(heap, holes, slot)
        held[used], owner[used], slot_of[this] = own, this, used
        _add(tree, used, own)
        total += own
        used += 1
    return levels


def stack_levels(
    entry: NDArray[np.int32], kind: NDArray[np.uint8], weight: NDArray[np.int64], limits: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """For each event, the first of the sizes `limits` (ascending) at which an LRU cache holds its entry; their number
    where none does (`len(limits)`). 0 for what is no read.

    `entry`, `kind`: of each event, in the order of time; `weight`: of each entry, above 0, and at most the smallest
    limit: a cache that can't hold an entry at all does not behave like a stack.
    """
    if len(limits) > MOST_SIZES:
        raise ValueError(f"{len(limits)} sizes; expected at most {MOST_SIZES}")
    levels: NDArray[np.uint8] = _stack_levels(entry, kind, weight, limits, bool((kind & DELETES).any()))
    return levels
