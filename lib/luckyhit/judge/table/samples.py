"""Rows cut into units: what counts as one observation.

Requests next to each other share a cache, a queue and a host, so a single request is no independent observation; a
batch of slots, or a whole block, nearly is one. See `rows` for what a row is, and `columns` for where rows come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from luckyhit.judge.table.columns import JUDGED, rows_of, rows_of_parts
from luckyhit.judge.table.groups import Groups, Pieces, among, distinct
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
    Runs,
    rows_together,
)

BATCH_S = 0.1
"""Shortest batch. Short ones show soonest how much batches differ, and what is still correlated (a queue, a garbage
collection, a burst of misses) is measured and merged, see `intervals.spread`."""
FEWEST_BATCHES, MOST_BATCHES = 12, 2000
FEWEST_SLOTS = 5
LONG = 2048
"""Rows of a batch, on average, from which on they stay where they are: of shorter ones a copy is sooner made."""


@dataclass(frozen=True)
class Side:
    """One arm of a comparison: its rows, by unit, and the block of each unit (units of one block are in the order of
    time, so that neighbours are next to each other)."""

    rows: RequestTable
    units: Groups
    block: np.ndarray

    def parts(self) -> Iterator[tuple[RequestTable, Groups]]:
        """Its rows in parts of whole units, each with the unit of its rows."""
        for first, stop, units in self.units.parts():
            yield self.rows.part(first, stop), units


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
    def in_step(self) -> bool:
        """Whether it is paired, and both arms have the same slots in the same units at the same places, each once: the
        usual case."""
        before, after = (side.units for side in self.sides)
        if not self.paired or not before.size or before.runs is None or after.runs is None:
            return False
        if before.size != after.size or not all(map(np.array_equal, before.runs, after.runs)):
            return False
        return all(
            np.array_equal(slots[0], slots[1]) and _ascend(slots[0], units)
            for slots, units in (((one.slot, other.slot), units) for (one, units), (other, _) in self.parts())
        )

    def parts(self) -> Iterator[tuple[tuple[RequestTable, Groups], tuple[RequestTable, Groups]]]:
        """The parts of both arms beside each other, where their units have the same rows."""
        return zip(self.before.parts(), self.after.parts(), strict=True)

    @cached_property
    def same_slots(self) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the rows of either arm that are the same slot of the same unit (the first, where a slot is there
        twice)."""
        before, after = self.sides
        return same_requests((before.rows.slot, after.rows.slot), (before.units.index, after.units.index))

    @property
    def seconds(self) -> float:
        """Measured time of the longer arm: the sum over its blocks of the time between first and last due."""
        return max(sum(_durations(side.rows).values()) for side in self.sides)


def _ascend(slots: np.ndarray, units: Groups) -> bool:
    """Whether the slots of each unit count up, from 0 or more."""
    assert units.runs is not None
    higher = slots[1:] > slots[:-1]
    higher[units.runs[0][1:] - 1] = True
    return bool(higher.all()) and int(slots.min()) >= 0


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
    runs = [rows.runs() for rows in (before, after)]
    blocks = [np.unique(of_arm.block) for of_arm in runs]
    pairs = [np.array([pair_of.get(int(block), -1) for block in of_arm], dtype=np.int64) for of_arm in blocks]
    matched = len(pairs[0]) == len(np.unique(pairs[0])) and np.array_equal(np.sort(pairs[0]), np.sort(pairs[1]))
    paired = matched and len(pairs[0]) >= FEWEST_BLOCK_PAIRS
    sides = []
    for rows, of_arm, numbers, names in zip((before, after), runs, pairs, blocks, strict=True):
        rank = np.argsort(np.argsort(numbers)) if paired else np.arange(len(names))
        unit = rank[np.searchsorted(names, of_arm.block)]
        units = Groups.of_runs(of_arm.first, unit, len(rows), len(names))
        sides.append(Side(rows, units, np.sort(numbers) if paired else names))
    return Comparison(sides[0], sides[1], paired=paired)


def halves(rows: RequestTable) -> Comparison:
    """An A/A comparison inside one arm: its batches by turns in one half and in the other, neighbours as pairs."""
    units, block = batches(rows)
    half, partner = np.full(len(block), -1), np.zeros(len(block), dtype=np.int64)
    pair_block: list[int] = []
    for number in np.unique(block):
        members = np.flatnonzero(block == number)
        members = members[: len(members) // 2 * 2]  # an odd one has no neighbour left
        half[members] = np.arange(len(members)) % 2
        partner[members] = len(pair_block) + np.arange(len(members)) // 2
        pair_block += [int(number)] * (len(members) // 2)
    pairs = np.array(pair_block, dtype=np.int64)
    sides = []
    for wanted in (0, 1):
        if units.runs is not None and units.size >= LONG * len(units.runs[0]):
            starts, which = units.runs
            chosen = half[which] == wanted
            stops = np.append(starts[1:], units.size)[chosen]
            sizes = stops - starts[chosen]
            groups = Groups.of_runs(np.cumsum(sizes) - sizes, partner[which[chosen]], int(sizes.sum()), len(pairs))
            sides.append(Side(rows.stretches(starts[chosen], stops), groups, pairs))
            continue
        in_half = np.flatnonzero(half[units.index] == wanted)
        sides.append(Side(rows.take(in_half).together(), Groups(partner[units.index[in_half]], len(pairs)), pairs))
    return Comparison(sides[0], sides[1], paired=True)


def _durations(rows: RequestTable) -> dict[int, float]:
    """Seconds between the first and the last due time of each block."""
    runs = rows.runs()
    blocks, place = np.unique(runs.block, return_inverse=True)
    due = _Range(len(blocks))
    due.widen(place, *ends_of_runs(rows, "due_ns", runs))
    timed = due.high >= due.low  # a block without any due time has none
    return dict(zip(blocks[timed].tolist(), ((due.high - due.low)[timed] / 1e9).tolist(), strict=True))


def parts_of_runs(rows: RequestTable, runs: Runs) -> Iterator[tuple[RequestTable, slice, list[int]]]:
    """Its rows part by part, with the runs that they are of, and where each of these begins and the last one ends."""
    first = 0
    for part in rows.parts():
        begin = int(np.searchsorted(runs.stop, first, side="right"))
        end = int(np.searchsorted(runs.first, first + len(part)))
        edges = np.append(runs.first[begin:end], runs.stop[end - 1]) - first
        yield part, slice(begin, end), np.clip(edges, 0, len(part)).tolist()
        first += len(part)


def ends_of_runs(rows: RequestTable, name: str, runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest finite value of one column in each run (`inf`, `-inf` where it has none)."""
    low, high = np.full(len(runs.first), np.inf), np.full(len(runs.first), -np.inf)
    for part, own, edges in parts_of_runs(rows, runs):
        values, starts = part.wide(name), edges[:-1]
        good = np.isfinite(values)
        whole = bool(good.all())
        least = np.minimum.reduceat(values if whole else np.where(good, values, np.inf), starts)
        most = np.maximum.reduceat(values if whole else np.where(good, values, -np.inf), starts)
        low[own], high[own] = np.minimum(low[own], least), np.maximum(high[own], most)
    return low, high


def batches(rows: RequestTable) -> tuple[Groups, np.ndarray]:
    """Cut each block into batches of contiguous slots: (the rows by batch, block of each batch).

    A batch lasts BATCH_S at least; shorter ones are cut only where there would be fewer than FEWEST_BATCHES in
    all. What is still correlated then is dealt with per metric, see `intervals.spread`.
    """
    (units,), block = _cut(rows)
    return units, block


def _cut(*arms: RequestTable) -> tuple[list[Groups], np.ndarray]:
    """The same of several arms, cut at the same slots: (the rows by batch, by arm; the block of each batch)."""
    runs_of = [rows.runs() for rows in arms]
    blocks = np.unique(np.concatenate([runs.block for runs in runs_of])).astype(np.int64)
    if not len(blocks):
        return [Groups(np.zeros(0, dtype=np.int64), 0) for _ in arms], blocks
    due, slot = _Range(len(blocks)), _Range(len(blocks))
    places = [np.searchsorted(blocks, runs.block) for runs in runs_of]
    for rows, runs, place in zip(arms, runs_of, places, strict=True):
        due.widen(place, *ends_of_runs(rows, "due_ns", runs))
        slot.widen(place, *ends_of_runs(rows, "slot", runs))
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
    for rows, runs, place in zip(arms, runs_of, places, strict=True):
        pieces = Pieces()
        for part, own, edges in parts_of_runs(rows, runs):
            slots_of = part.slot
            for block, piece in zip(place[own].tolist(), pairwise(edges), strict=True):
                within = ((slots_of[slice(*piece)] - low[block]) / slots[block] * count[block]).astype(np.int32)
                pieces.add(np.minimum(within, np.int32(count[block] - 1), out=within), int(start[block]))
        units.append(pieces.groups(int(start[-1])))
    return units, np.repeat(blocks, count)


class _Range:
    """The least and the greatest value of each of several groups, seen so far."""

    def __init__(self, groups: int) -> None:
        self.low, self.high = np.full(groups, np.inf), np.full(groups, -np.inf)

    def widen(self, groups: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
        np.minimum.at(self.low, groups, low)
        np.maximum.at(self.high, groups, high)


__all__ = [
    "ARMS", "BATCH_S", "CACHE", "DROPPED", "ERRORS", "FEWEST_BATCHES", "FEWEST_BLOCK_PAIRS", "HIT", "JUDGED", "MISS",
    "NO_ERROR", "OTHER_ERROR", "STALE", "TIMEOUT", "Comparison", "Groups", "RequestTable", "Side", "among", "batches",
    "by_batches", "by_blocks", "distinct", "halves", "rows_of", "rows_of_parts", "rows_together",
    "side_by_side",
]  # fmt: skip
