"""The recorded requests as arrays: read from the frame once, whatever is in it, and cut into units.

A unit is what counts as one observation. Requests next to each other share a cache, a queue and a host, so a single
request is no independent observation; a batch of slots, or a whole block, nearly is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import get_args

import numpy as np
import pandas as pd

from luckyhit.records import REQUESTS, CacheStatus, RequestError

ARMS = ("before", "after")
CACHE: tuple[str, ...] = get_args(CacheStatus)
ERRORS: tuple[str, ...] = get_args(RequestError)
NO_ERROR, OTHER_ERROR = -1, len(ERRORS)
HIT, MISS, STALE = CACHE.index("hit"), CACHE.index("miss"), CACHE.index("stale")
TIMEOUT, DROPPED = ERRORS.index("timeout"), ERRORS.index("dropped")

BATCH_S = 0.1
"""Shortest batch. Short ones tell soonest how much batches differ, and what is still correlated (a queue, a garbage
collection, a burst of misses) is measured and merged, see `intervals.spread`."""
FEWEST_BATCHES, MOST_BATCHES = 12, 2000
FEWEST_SLOTS = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of the requests table as arrays of one length. Times are float nanoseconds, NaN where there is none
    (exact up to 104 days); codes index ARMS, CACHE and ERRORS; -1 stands for none or not known."""

    arm: np.ndarray
    block: np.ndarray
    slot: np.ndarray
    measured: np.ndarray
    due: np.ndarray
    sent: np.ndarray
    first_byte: np.ndarray
    done: np.ndarray
    error: np.ndarray
    cache: np.ndarray
    db_calls: np.ndarray
    key: np.ndarray
    route: np.ndarray

    def __len__(self) -> int:
        return len(self.arm)

    def take(self, which: np.ndarray) -> Rows:
        """The rows that a mask or an index array picks."""
        return Rows(*(getattr(self, field.name)[which] for field in fields(self)))

    @property
    def latency_ms(self) -> np.ndarray:
        """From due to done; NaN for rows that didn't complete, and for times that are no times."""
        with np.errstate(invalid="ignore", over="ignore"):
            latency = (self.done - self.due) / 1e6
        return np.where((self.error == NO_ERROR) & np.isfinite(latency), latency, np.nan)

    @property
    def hit(self) -> np.ndarray:
        """1 for a hit, 0 for a miss or a stale answer, NaN where the cache status is not one of these."""
        told = np.isin(self.cache, (HIT, MISS, STALE)) & (self.error == NO_ERROR)
        return np.where(told, (self.cache == HIT).astype(float), np.nan)

    @property
    def failed(self) -> np.ndarray:
        """1 for a request that failed or timed out, 0 for one that was answered; NaN where it was never sent."""
        wrong = (self.error != NO_ERROR) | ~np.isfinite(self.done)
        return np.where(self.error == DROPPED, np.nan, wrong.astype(float))

    @property
    def calls(self) -> np.ndarray:
        """Database calls of a completed request; NaN where they are not visible."""
        told = (self.error == NO_ERROR) & np.isfinite(self.db_calls) & (self.db_calls >= 0)
        return np.where(told, self.db_calls, np.nan)


def rows_of(frame: pd.DataFrame) -> Rows:
    """The frame as arrays. Missing columns and values that are no numbers become NaN or -1: guards will tell."""
    missing = [name for name in REQUESTS.names if name not in frame.columns]
    if missing:
        frame = frame.assign(**dict.fromkeys(missing))
    error = _codes(frame["error"], ERRORS)
    error[(error < 0) & frame["error"].notna().to_numpy(dtype=bool)] = OTHER_ERROR
    return Rows(
        arm=_codes(frame["arm"], ARMS),
        block=_whole(frame["block"]),
        slot=_whole(frame["slot"]),
        measured=_codes(frame["phase"], ("warmup", "measure")) == 1,
        due=_number(frame["due_ns"]),
        sent=_number(frame["sent_ns"]),
        first_byte=_number(frame["first_byte_ns"]),
        done=_number(frame["done_ns"]),
        error=error,
        cache=_codes(frame["cache"], CACHE),
        db_calls=_number(frame["db_calls"]),
        key=_identities(frame["key"]),
        route=_identities(frame["route"]),
    )


def rows_together(*parts: Rows) -> Rows:
    """All rows of `parts`, one part behind the other."""
    return Rows(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Rows)))


def _number(column: pd.Series) -> np.ndarray:
    if column.dtype == object:
        column = pd.to_numeric(column, errors="coerce")
    elif not pd.api.types.is_numeric_dtype(column):
        column = pd.to_numeric(column.astype(object), errors="coerce")
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _whole(column: pd.Series) -> np.ndarray:
    """Whole numbers; -1 for all that is none (or beyond what a float counts exactly)."""
    number = _number(column)
    good = np.isfinite(number) & (number >= 0) & (number < 2**53)
    return np.where(good, number, -1).astype(np.int64)


def _codes(column: pd.Series, known: Sequence[str]) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.set_categories(list(known)).cat.codes.to_numpy().astype(np.int8)
    return pd.Index(known).get_indexer(pd.Index(column.astype(object))).astype(np.int8)


def _identities(column: pd.Series) -> np.ndarray:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int64)
    if column.dtype == object:
        column = column.map(str, na_action="ignore")
    return pd.factorize(column)[0].astype(np.int64)


def distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted distinct values, and the index of each value among them: np.unique, without sorting where the values
    are few and small, like numbers of blocks."""
    if not len(values) or values.min() < 0 or values.max() > 4 * len(values) + 1000:
        return np.unique(values, return_inverse=True)
    there = np.bincount(values) > 0
    return np.flatnonzero(there), (np.cumsum(there) - 1)[values]


@dataclass(frozen=True)
class Side:
    """One arm of a comparison: its rows, the unit of each row, and the block of each unit (units of one block are
    in the order of time, so that neighbours are next to each other)."""

    rows: Rows
    unit: np.ndarray
    block: np.ndarray


@dataclass(frozen=True)
class Comparison:
    """Two arms. `paired`: unit i of one arm happened beside unit i of the other, with the same slots."""

    before: Side
    after: Side
    paired: bool

    @property
    def sides(self) -> tuple[Side, Side]:
        return self.before, self.after

    @property
    def seconds(self) -> float:
        """Measured time of the longer arm: the sum over its blocks of the time between first and last due."""
        return max(sum(_durations(side.rows).values()) for side in self.sides)


def side_by_side(before: Rows, after: Rows) -> Comparison:
    """Batches of contiguous slots, cut at the same slots in both arms: the pairs of one batch shared the minute."""
    both = Rows(*(np.concatenate([getattr(before, field.name), getattr(after, field.name)]) for field in fields(Rows)))
    unit, block = batches(both)
    return Comparison(Side(before, unit[: len(before)], block), Side(after, unit[len(before) :], block), paired=True)


def by_batches(before: Rows, after: Rows) -> Comparison:
    """Batches in each arm on its own: nothing was measured at the same time."""
    return Comparison(Side(before, *batches(before)), Side(after, *batches(after)), paired=False)


FEWEST_BLOCK_PAIRS = 8


def by_blocks(before: Rows, after: Rows, pair_of: Mapping[int, int]) -> Comparison:
    """Whole blocks as units, for one stack that was measured with and without the change in turn.

    With FEWEST_BLOCK_PAIRS pairs or more (`pair_of`: block -> pair) the members of a pair are compared with each
    other, and a drift cancels; with fewer the pairing would cost more degrees of freedom than it gains.
    """
    pairs = [
        np.array([pair_of.get(int(block), -1) for block in np.unique(rows.block)], dtype=np.int64)
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


def halves(rows: Rows) -> Comparison:
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
        mine = half[unit] == wanted
        sides.append(Side(rows.take(mine), partner[unit[mine]], np.array(pair_block, dtype=np.int64)))
    return Comparison(sides[0], sides[1], paired=True)


def _durations(rows: Rows) -> dict[int, float]:
    """Seconds between the first and the last due time of each block."""
    good = np.isfinite(rows.due)
    if not good.any():
        return {}
    blocks, index = distinct(rows.block[good])
    low, high = np.full(len(blocks), np.inf), np.full(len(blocks), -np.inf)
    np.minimum.at(low, index, rows.due[good])
    np.maximum.at(high, index, rows.due[good])
    return dict(zip(blocks.tolist(), ((high - low) / 1e9).tolist(), strict=True))


def batches(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Cut each block into batches of contiguous slots: (batch of each row, block of each batch).

    A batch lasts BATCH_S at least; shorter ones are cut only where there would be fewer than FEWEST_BATCHES in
    all. What is still correlated then is dealt with per metric, see `intervals.spread`.
    """
    if not len(rows):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    blocks, index = distinct(rows.block)
    durations = _durations(rows)
    seconds = np.array([max(durations.get(int(block), 0.0), 0.0) for block in blocks])
    low, high = np.full(len(blocks), np.iinfo(np.int64).max), np.full(len(blocks), -1)
    np.minimum.at(low, index, rows.slot)
    np.maximum.at(high, index, rows.slot)
    slots = (high - low + 1).astype(float)
    total = float(np.clip(seconds.sum() / BATCH_S, FEWEST_BATCHES, MOST_BATCHES))
    share = seconds / seconds.sum() if seconds.sum() > 0 else slots / slots.sum()
    count = np.clip(np.floor(share * total + 1e-9), 1, np.maximum(slots // FEWEST_SLOTS, 1)).astype(np.int64)
    within = ((rows.slot - low[index]) / slots[index] * count[index]).astype(np.int64)
    start = np.concatenate([[0], np.cumsum(count)])
    return start[index] + np.minimum(within, count[index] - 1), np.repeat(blocks, count)
