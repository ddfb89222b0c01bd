"""The schedule: which request is due when, made before the run from a seed, the same for every arm.

It is kept as arrays, one entry for each slot (31 bytes). A request's bytes are made shortly before it is due (see
luckyhit.load.request_templates). The same workload, seed and files make the same schedule, to the byte.

**Arrivals** are even or independent (Poisson), at a rate that may change in steps and ramps. Both invert the expected
number of requests up to an instant: even arrivals are where it reaches 0, 1, 2 ..., independent ones where it reaches
the sums of exponential gaps of mean 1. That is exact for any rate and needs no thinning (E. Cinlar: Introduction to
Stochastic Processes, 1975, section 4.7).

**Keys** are ranks drawn by Zipf's law or from a hot set, shuffled over the keys by the seed. Small ranges use a table
of probabilities; large ones rejection-inversion, which is exact and needs no table (W. Hörmann, G. Derflinger:
Rejection-inversion to generate variates from monotone discrete distributions, ACM TOMACS 6 (1996) 169-184).
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luckyhit.case.values.key_order import LARGEST_TABLE, by_popularity
from luckyhit.case.workload import Keys, Route, Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.inputs import Inputs, KeyTable, ReplayedLog


@dataclass(frozen=True)
class Pace:
    """A rate that is linear in each of its pieces: `start_s`, `rate` there, `slope` (1/s per s), and `before`, the
    expected number of requests until then. The last piece goes on for ever."""

    start_s: NDArray[np.float64]
    rate: NDArray[np.float64]
    slope: NDArray[np.float64]
    before: NDArray[np.float64]

    @classmethod
    def of(cls, workload: Workload) -> Pace:
        """The pace of a workload that has a rate or stages."""
        pieces: list[tuple[float, float, float, float]] = []
        at_s, before, rate = 0.0, 0.0, workload.rate or 0.0
        for stage in workload.stages:
            rate = stage.rate if stage.to is None else stage.to
            pieces.append((at_s, stage.rate, (rate - stage.rate) / stage.lasts, before))
            at_s += stage.lasts
            before += stage.lasts * (stage.rate + rate) / 2
        pieces.append((at_s, rate, 0.0, before))
        return cls(*(np.array(column) for column in zip(*pieces, strict=True)))

    def count(self, seconds: float) -> float:
        """The expected number of requests in the first `seconds`."""
        piece = int(np.searchsorted(self.start_s, seconds, side="right")) - 1
        into_s = seconds - self.start_s[piece]
        return float(self.before[piece] + into_s * (self.rate[piece] + self.slope[piece] * into_s / 2))

    def instants_s(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """The inverse of `count`, for ascending `counts`."""
        piece = np.searchsorted(self.before, counts, side="right") - 1
        left, rate, slope = counts - self.before[piece], self.rate[piece], self.slope[piece]
        # The root of slope/2 x^2 + rate x = left that loses no digits where the slope is small.
        root = np.sqrt(np.maximum(rate * rate + 2 * slope * left, 0.0))
        return np.asarray(self.start_s[piece] + 2 * left / (rate + root), dtype=np.float64)


def due_ns(workload: Workload, seconds: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ascending instants within the first `seconds` of a block, in nanoseconds."""
    pace = Pace.of(workload)
    expected = pace.count(seconds)
    if workload.arrivals == "constant":
        counts = np.arange(math.floor(expected) + 2, dtype=np.float64)
    else:
        chunk = int(expected + 6 * expected**0.5 + 16)
        counts = np.cumsum(rng.exponential(1.0, size=chunk))
        while counts[-1] < expected:
            counts = np.concatenate([counts, counts[-1] + np.cumsum(rng.exponential(1.0, size=chunk))])
    # Between two stages, rounding may put a request a nanosecond before the last one.
    due = np.maximum.accumulate(np.floor(pace.instants_s(counts) * 1e9).astype(np.int64))
    return due[due < round(seconds * 1e9)]


LARGEST_NUMBER = 20_000
"""`{number}` is drawn from 1 up to this."""
MOST_SLOTS = 20_000_000
_AT_ONCE = 1 << 18
"""Slots whose keys are counted in one step: memory for more than that would be asked for when a block is over."""


@dataclass(frozen=True)
class Schedule:
    """Arrays of one length, by time. `due_ns` counts from the block's start; `route` is an index into `routes`; `key`
    is a key of its route's range, or an index into `tables[route]` (keys of a file, lines of a log), and meaningless if
    the route has no keys; `swapped`: the second arm is sent first."""

    routes: tuple[Route, ...]
    due_ns: NDArray[np.int64]
    route: NDArray[np.int16]
    key: NDArray[np.int64]
    number: NDArray[np.int32]
    swapped: NDArray[np.bool_]
    tables: tuple[KeyTable | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.tables:
            object.__setattr__(self, "tables", (None,) * len(self.routes))

    def __len__(self) -> int:
        return len(self.due_ns)

    @cached_property
    def keyed(self) -> NDArray[np.bool_]:
        """For each slot: whether its request has a key."""
        keyed = np.array([route.keys is not None for route in self.routes], dtype=bool)[self.route]
        for rows, table in self._tabled(self.route):
            keyed[rows] = table.codes[self.key[rows]] >= 0
        return keyed

    def key_texts(self, slots: NDArray[np.integer]) -> pa.Array:
        """The keys of some slots, as texts; null if a slot has none."""
        routes, keys = self.route[slots], self.key[slots]
        numbers = pa.array(keys, mask=~self.keyed[slots]).cast(pa.string())
        if all(table is None for table in self.tables):
            return numbers
        texts = numbers.to_numpy(zero_copy_only=False)
        for rows, table in self._tabled(routes):
            texts[rows] = table.texts[keys[rows]]
        return pa.array(texts, pa.string())

    @property
    def distinct_keys(self) -> int:
        """Distinct pairs of route and key."""
        distinct = [np.empty(0, np.int64) for _ in self.routes]
        for start in range(0, len(self), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            routes, keys = np.where(self.keyed[part], self.route[part], -1), self.key[part].copy()
            for rows, table in self._tabled(routes):
                keys[rows] = table.codes[keys[rows]]
            for index, known in enumerate(distinct):
                distinct[index] = np.union1d(known, keys[routes == index])
        return sum(map(len, distinct))

    def _tabled(self, routes: NDArray[np.int16]) -> Iterator[tuple[NDArray[np.intp], KeyTable]]:
        """For each route with a table, its places in `routes`, and the table."""
        for index, table in enumerate(self.tables):
            if table is not None:
                yield np.flatnonzero(routes == index), table

    @cached_property
    def digest(self) -> str:
        """The same for the same requests at the same instants (hexadecimal)."""
        whole = hashlib.sha256()
        for array in (self.due_ns, self.route, self.key, self.number, self.swapped):
            whole.update(array.tobytes())
        for table in self.tables:
            whole.update(table.digest if table is not None else b"-")
        return whole.hexdigest()[:16]


def schedule_for(workload: Workload, seconds: float, seed: int, inputs: Inputs | None = None) -> Schedule:
    """`seconds` of the workload. Poisson arrivals have independent, exponential gaps; constant ones even gaps.

    Raises ArgumentError for a schedule that would not fit into memory.
    """
    log = inputs.log if inputs is not None else None
    by_log = log is not None and workload.replay is not None and workload.replay.timing == "log"
    if by_log and log is not None and workload.replay is not None:
        expected = log.count_in(seconds * workload.replay.speed)
    else:
        expected = Pace.of(workload).count(seconds)
    if expected > MOST_SLOTS:
        raise ArgumentError(
            f"{expected:,.0f} requests are more than one block can hold ({MOST_SLOTS:,})",
            hint="Measure more, but shorter blocks, or lower workload.rate.",
        )
    arrivals, rng = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    if log is None:
        return _drawn(workload, due_ns(workload, seconds, arrivals), rng, inputs)
    assert workload.replay is not None
    if by_log:
        lines, due = log.due_ns(seconds, workload.replay.speed)
    else:
        due = due_ns(workload, seconds, arrivals)
        lines = np.arange(len(due)) % max(1, len(log))
    return _replayed(workload, log, lines, due, rng)


def closed_schedule(workload: Workload, slots: int, seed: int, inputs: Inputs | None = None) -> Schedule:
    """Requests for a closed loop, in order. Each is due when its connection's last request is answered, which is not
    known beforehand, so `due_ns` is zero."""
    due, rng = np.zeros(slots, dtype=np.int64), np.random.default_rng(seed)
    if inputs is not None and inputs.log is not None:
        return _replayed(workload, inputs.log, np.arange(slots) % max(1, len(inputs.log)), due, rng)
    return _drawn(workload, due, rng, inputs)


def _drawn(workload: Workload, due: NDArray[np.int64], rng: np.random.Generator, inputs: Inputs | None) -> Schedule:
    count = len(due)
    weights = np.array([route.weight for route in workload.routes])
    route = rng.choice(len(weights), size=count, p=weights / weights.sum()).astype(np.int16)
    key = np.zeros(count, dtype=np.int64)
    tables: list[KeyTable | None] = []
    for index, spec in enumerate(workload.routes):
        table = inputs.keys.get(spec.name) if inputs is not None else None
        if spec.keys is not None and spec.keys.file is not None and table is None:
            raise ArgumentError(
                f"the keys of route {spec.name!r} were not read from their file", hint="Start a new run."
            )
        tables.append(table)
        chosen = np.flatnonzero(route == index)
        if spec.keys is not None and len(chosen):
            size = len(table.keys) if table is not None else None
            key[chosen] = draw_keys(spec.keys, len(chosen), rng, workload.seed, size)
    return _numbered(tuple(workload.routes), due, route, key, rng, tuple(tables))


def _replayed(
    workload: Workload, log: ReplayedLog, lines: NDArray[np.integer], due: NDArray[np.int64], rng: np.random.Generator
) -> Schedule:
    routes = tuple(workload.routes)
    return _numbered(routes, due, log.route[lines], log.entry[lines], rng, log.tables)


def _numbered(
    routes: tuple[Route, ...],
    due: NDArray[np.int64],
    route: NDArray[np.int16],
    key: NDArray[np.int64],
    rng: np.random.Generator,
    tables: tuple[KeyTable | None, ...],
) -> Schedule:
    number = rng.integers(1, LARGEST_NUMBER, size=len(due), dtype=np.int32, endpoint=True)
    swapped = rng.random(len(due)) < 0.5
    return Schedule(routes, due, route, key, number, swapped, tables)


def draw_keys(
    keys: Keys, count: int, rng: np.random.Generator, seed: int, listed: int | None = None
) -> NDArray[np.int64]:
    """`count` keys; of a file with `listed` keys (the most popular first), their places in it.

    Which key of a range is the k-th most popular depends on `seed` and the range alone, not on `rng`.
    """
    if listed is not None:
        return _ranks(keys, listed, count, rng)
    assert keys.first is not None and keys.last is not None  # the case was checked
    size = keys.last - keys.first + 1
    if keys.popularity == "uniform":
        return rng.integers(keys.first, keys.last, size=count, dtype=np.int64, endpoint=True)
    ranks = _ranks(keys, size, count, rng)
    if size > LARGEST_TABLE:
        return _scattered(ranks, size, keys.first, seed)
    return by_popularity(keys.first, size, seed)[ranks]


def _ranks(keys: Keys, size: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ranks from 0, the most popular one first."""
    if keys.popularity == "uniform":
        return rng.integers(0, size, size=count, dtype=np.int64)
    if keys.popularity == "hot-set":
        hot = min(keys.hot or 1, size - 1) or 1
        is_hot = (rng.random(count) < keys.hot_share) | (size == 1)
        others = hot + rng.integers(0, max(1, size - hot), size=count, dtype=np.int64)
        return np.where(is_hot, rng.integers(0, hot, size=count, dtype=np.int64), others)
    if size > LARGEST_TABLE:
        return _large_zipf(size, keys.exponent, count, rng)
    weights = np.arange(1, size + 1, dtype=np.float64) ** -keys.exponent
    edges = np.cumsum(weights / weights.sum())
    return np.searchsorted(edges, rng.random(count), side="right").clip(0, size - 1).astype(np.int64)


def _large_zipf(size: int, exponent: float, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Ranks from 0, the k-th (from 1) with a probability proportional to 1 / k ** exponent."""

    def integral(x: NDArray[np.float64] | float) -> NDArray[np.float64]:
        if math.isclose(exponent, 1.0):
            return np.log(x)
        return (np.power(x, 1 - exponent) - 1) / (1 - exponent)

    def inverse(y: NDArray[np.float64]) -> NDArray[np.float64]:
        if math.isclose(exponent, 1.0):
            return np.exp(y)
        return np.power(np.maximum(1 + y * (1 - exponent), 1e-300), 1 / (1 - exponent))

    low, high = integral(1.5) - 1.0, integral(size + 0.5)
    ranks = np.empty(0, dtype=np.int64)
    while len(ranks) < count:
        drawn = low + rng.random(2 * (count - len(ranks)) + 16) * (high - low)
        nearest = np.clip(np.rint(inverse(drawn)), 1, size)
        accepted = drawn >= integral(nearest + 0.5) - np.power(nearest, -exponent)
        ranks = np.concatenate([ranks, nearest[accepted].astype(np.int64) - 1])
    return ranks[:count].clip(0, size - 1)


def _scattered(ranks: NDArray[np.int64], size: int, first: int, seed: int) -> NDArray[np.int64]:
    """One key for each rank, without a table: rank * step + start, modulo the number of keys."""
    rng = random.Random(f"{seed} {first} {size}")
    step = rng.randrange(1, size)
    while math.gcd(step, size) != 1:
        step += 1
    start = rng.randrange(size)
    # In Python's whole numbers: the product may be beyond 64 bits.
    return np.array([first + (rank * step + start) % size for rank in ranks.tolist()], dtype=np.int64)
