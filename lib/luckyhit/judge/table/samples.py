"""Rows cut into units: what counts as one observation.

Requests next to each other share a cache, a queue and a host, so a single request is no independent observation; a
batch of slots, or a whole block, nearly is one. See `rows` for what a row is, and `columns` for where rows come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from luckyhit.judge.table.columns import JUDGED, rows_of, rows_of_parts
from luckyhit.judge.table.row_order import same_requests
from luckyhit.judge.table.rows import (
    ARMS,
    CACHE,
    DROPPED,
    ERRORS,
    HIT,
    MISS,
    NO_ERROR,
    OTHER_ERROR,
    STALE,
    TIMEOUT,
    RequestTable,
    among,
    distinct,
    distinct_values,
    rows_together,
    run_starts,
)

BATCH_S = 0.1
"""Shortest batch. Short ones show soonest how much batches differ, and what is still correlated (a queue, a garbage
collection, a burst of misses) is measured and merged, see `intervals.spread`."""
FEWEST_BATCHES, MOST_BATCHES = 12, 2000
FEWEST_SLOTS = 5
AT_ONCE = 1 << 17
"""Rows worked on together where all of them would need much room: few enough to stay in the processor's cache."""


@dataclass(frozen=True)
class Side:
    """One arm of a comparison: its rows, the unit of each row, and the block of each unit (units of one block are
    in the order of time, so that neighbours are next to each other)."""

    rows: RequestTable
    unit: np.ndarray
    block: np.ndarray

    @cached_property
    def units(self) -> Groups:
        """The rows by unit."""
        return Groups(self.unit, len(self.block))


@dataclass(frozen=True)
class Comparison:
    """Two arms. `paired`: unit i of one arm happened beside unit i of the other, with the same slots."""

    before: Side
    after: Side
    paired: bool

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.before, self.after

    @cached_property
    def same_slots(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the rows of either arm that are the same slot of the same unit."""
        return same_slots(self.before, self.after)

    @property
    def seconds(self) -> float:
        """Measured time of the longer arm: the sum over its blocks of the time between first and last due."""
        return max(sum(_durations(side.rows).values()) for side in self.sides)


def same_slots(before: Side, after: Side) -> tuple[np.ndarray, np.ndarray]:
    """Indices of rows with the same unit and slot in both arms (the first, where a slot is there twice)."""
    return same_requests((before.rows.slot, after.rows.slot), (before.unit, after.unit))


def side_by_side(before: RequestTable, after: RequestTable) -> Comparison:
    """Batches of contiguous slots, cut at the same slots in both arms: the pairs of one batch shared the minute."""
    (first, second), block = _cut(before, after)
    return Comparison(Side(before, first, block), Side(after, second, block), paired=True)


def by_batches(before: RequestTable, after: RequestTable) -> Comparison:
    """Batches in each arm on its own: nothing was measured at the same time."""
    return Comparison(Side(before, *batches(before)), Side(after, *batches(after)), paired=False)


FEWEST_BLOCK_PAIRS = 8


def by_blocks(before: RequestTable, after: RequestTable, pair_of: Mapping[int, int]) -> Comparison:
    """Whole blocks as units, for one stack that was measured with and without the change in turn.

    With FEWEST_BLOCK_PAIRS pairs or more (`pair_of`: block -> pair) the members of a pair are compared with each
    other, and a drift cancels; with fewer the pairing would cost more degrees of freedom than it gains.
    """
    pairs = [
        np.array([pair_of.get(int(block), -1) for block in distinct_values(rows.block)], dtype=np.int64)
        for rows in (before, after)
    ]
    matched = len(pairs[0]) == len(np.unique(pairs[0])) and np.array_equal(np.sort(pairs[0]), np.sort(pairs[1]))
    if matched and len(pairs[0]) >= FEWEST_BLOCK_PAIRS:
        sides = []
        for rows, numbers in zip((before, after), pairs, strict=True):
            rank = np.argsort(np.argsort(numbers))
            unit = rank[distinct(rows.block)[1]]
            sides.append(Side(rows, unit, np.sort(numbers)))
        return Comparison(sides[0], sides[1], paired=True)
    whole = [distinct(rows.block) for rows in (before, after)]
    return Comparison(Side(before, whole[0][1], whole[0][0]), Side(after, whole[1][1], whole[1][0]), paired=False)


def halves(rows: RequestTable) -> Comparison:
    """An A/A comparison inside one arm: its batches by turns in one half and in the other, neighbours as pairs."""
    unit, block = batches(rows)
    half, partner = np.full(len(block), -1), np.zeros(len(block), dtype=np.int64)
    pair_block: list[int] = []
    for number in np.unique(block):
        members = np.flatnonzero(block == number)
        members = members[: len(members) // 2 * 2]  # an odd one has no neighbour left
        half[members] = np.arange(len(members)) % 2
        partner[members] = len(pair_block) + np.arange(len(members)) // 2
        pair_block += [int(number)] * (len(members) // 2)
    sides = []
    for wanted in (0, 1):
        in_half = half[unit] == wanted
        sides.append(Side(rows.take(in_half), partner[unit[in_half]], np.array(pair_block, dtype=np.int64)))
    return Comparison(sides[0], sides[1], paired=True)


def _durations(rows: RequestTable) -> dict[int, float]:
    """Seconds between the first and the last due time of each block."""
    blocks, index = distinct(rows.block)
    low, high = _due_ends(rows.due_ns, index, len(blocks))
    timed = high >= low  # a block without any due time has none
    return dict(zip(blocks[timed].tolist(), ((high - low)[timed] / 1e9).tolist(), strict=True))


def _due_ends(due: np.ndarray, index: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    good = np.isfinite(due)
    return ends(due, index, count) if good.all() else ends(due[good], index[good], count)


def ends(values: np.ndarray, index: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest value of each group (`inf`, `-inf` where it has none)."""
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    # Rows come block by block: reduced run by run, there are few of them left to sort into their groups.
    start = run_starts(index)
    if len(start):
        np.minimum.at(low, index[start], np.minimum.reduceat(values, start))
        np.maximum.at(high, index[start], np.maximum.reduceat(values, start))
    return low, high


def batches(rows: RequestTable) -> tuple[np.ndarray, np.ndarray]:
    """Cut each block into batches of contiguous slots: (batch of each row, block of each batch).

    A batch lasts BATCH_S at least; shorter ones are cut only where there would be fewer than FEWEST_BATCHES in
    all. What is still correlated then is dealt with per metric, see `intervals.spread`.
    """
    (unit,), block = _cut(rows)
    return unit, block


def _cut(*arms: RequestTable) -> tuple[list[np.ndarray], np.ndarray]:
    """The same of several arms, cut at the same slots: (the batch of each row, by arm; the block of each batch)."""
    blocks_of = [distinct(rows.block) for rows in arms]
    blocks = np.unique(np.concatenate([numbers for numbers, _ in blocks_of])).astype(np.int64)
    if not len(blocks):
        return [np.zeros(0, dtype=np.int64) for _ in arms], blocks
    due, slot = _Range(len(blocks)), _Range(len(blocks))
    places = [np.searchsorted(blocks, numbers) for numbers, _ in blocks_of]
    for rows, (numbers, index), place in zip(arms, blocks_of, places, strict=True):
        due.widen(place, *_due_ends(rows.due_ns, index, len(numbers)))
        slot.widen(place, *ends(rows.slot, index, len(numbers)))
    # A block without any due time has no length.
    seconds = np.where(due.high >= due.low, due.high, 0.0) - np.where(due.high >= due.low, due.low, 0.0)
    seconds /= 1e9
    # Slots are below 2**53: as floats they are the same.
    low, high = slot.low.astype(np.int64), slot.high.astype(np.int64)
    slots = (high - low + 1).astype(float)
    total = float(np.clip(seconds.sum() / BATCH_S, FEWEST_BATCHES, MOST_BATCHES))
    share = seconds / seconds.sum() if seconds.sum() > 0 else slots / slots.sum()
    count = np.clip(np.floor(share * total + 1e-9), 1, np.maximum(slots // FEWEST_SLOTS, 1)).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(count)])
    units = []
    for rows, (_, index), place in zip(arms, blocks_of, places, strict=True):
        unit, slots_of = np.empty(len(rows), dtype=np.int32), rows.slot
        for first in range(0, len(rows), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            unit_of = place[index[part]]
            within = ((slots_of[part] - low[unit_of]) / slots[unit_of] * count[unit_of]).astype(np.int64)
            unit[part] = start[unit_of] + np.minimum(within, count[unit_of] - 1)
        units.append(unit)
    return units, np.repeat(blocks, count)


class _Range:
    """The least and the greatest value of each of several groups, seen so far."""

    def __init__(self, groups: int) -> None:
        self.low, self.high = np.full(groups, np.inf), np.full(groups, -np.inf)

    def widen(self, groups: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        self.low[groups] = np.minimum(self.low[groups], low)
        self.high[groups] = np.maximum(self.high[groups], high)


class Groups:
    """`index`: the group of each row, from 0 up to `count`. Groups may be empty.

    Where the rows of a group are next to each other, and groups come one after the other (the order of
    `layout.in_order`), sums take a tenth of the time that they take row by row.
    """

    def __init__(self, index: np.ndarray, count: int) -> None:
        self.index, self.count = index, count

    @cached_property
    def _runs(self) -> tuple[np.ndarray, np.ndarray] | None:
        """(where each group that has rows begins, which one it is); None where groups are mixed."""
        starts = run_starts(self.index)
        indices = self.index[starts]
        return (starts, indices) if np.all(indices[1:] > indices[:-1]) else None

    @cached_property
    def sizes(self) -> np.ndarray:
        """How many rows each group has."""
        if self._runs is None:
            return np.bincount(self.index, minlength=self.count)
        return self._placed(np.diff(self._runs[0], append=len(self.index)))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """The sum of finite `values`, one for each row, over each group."""
        if self._runs is None or not len(values):
            return np.bincount(self.index, weights=values, minlength=self.count)
        return self._placed(np.add.reduceat(values, self._runs[0], dtype=np.float64))

    def counts(self, rows: np.ndarray) -> np.ndarray:
        """How many rows of a mask each group has."""
        if self._runs is None or not len(rows):
            return np.bincount(self.index[rows], minlength=self.count)
        return self._placed(np.add.reduceat(rows.view(np.int8), self._runs[0], dtype=np.int32))

    def _placed(self, indices: np.ndarray) -> np.ndarray:
        assert self._runs is not None
        placed = np.zeros(self.count, dtype=np.result_type(indices, np.int64))
        placed[self._runs[1]] = indices
        return placed


__all__ = [
    "ARMS", "BATCH_S", "CACHE", "DROPPED", "ERRORS", "FEWEST_BATCHES", "FEWEST_BLOCK_PAIRS", "HIT", "JUDGED", "MISS",
    "NO_ERROR", "OTHER_ERROR", "STALE", "TIMEOUT", "Comparison", "Groups", "RequestTable", "Side", "among", "batches",
    "by_batches", "by_blocks", "distinct", "ends", "halves", "rows_of", "rows_of_parts", "rows_together", "same_slots",
    "side_by_side",
]  # fmt: skip
