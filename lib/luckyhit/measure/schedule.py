"""The schedule: which request is due when, made before the run from a seed, the same for every arm.

Kept as arrays, one entry for each slot (31 bytes); a request's bytes are made from its route's templates shortly
before it is due (see luckyhit.measure.templates). The same workload, seed and files make the same schedule, to the
byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from luckyhit.case.workload import Route, Workload
from luckyhit.errors import ArgumentError
from luckyhit.measure.arrivals import Pace, due_ns
from luckyhit.measure.inputs import Inputs, Log, Table
from luckyhit.measure.popularity import draw_keys

LARGEST_NUMBER = 20_000
"""`{number}` is drawn from 1 up to this."""
MOST_SLOTS = 20_000_000


@dataclass(frozen=True)
class Schedule:
    """Arrays of one length, by time. `due_ns` counts from the block's start, `route` is an index into `routes`; `key`
    means something only where the route has keys, and is an index into `tables[route]` where there is such a table
    (keys of a file, lines of a log); `swapped`: the second arm is sent first."""

    routes: tuple[Route, ...]
    due_ns: NDArray[np.int64]
    route: NDArray[np.int16]
    key: NDArray[np.int64]
    number: NDArray[np.int32]
    swapped: NDArray[np.bool_]
    tables: tuple[Table | None, ...] = ()

    def __post_init__(self) -> None:
        if not self.tables:
            object.__setattr__(self, "tables", (None,) * len(self.routes))

    def __len__(self) -> int:
        return len(self.due_ns)

    @cached_property
    def keyed(self) -> NDArray[np.bool_]:
        """For each slot: does its request have a key?"""
        found = np.array([route.keys is not None for route in self.routes], dtype=bool)[self.route]
        for mine, table in self._tabled(self.route):
            found[mine] = table.codes[self.key[mine]] >= 0
        return found

    def key_texts(self, slots: NDArray[np.integer]) -> pa.Array:
        """The keys of some slots, as texts; null where a slot has none."""
        routes, keys = self.route[slots], self.key[slots]
        numbers = pa.array(keys, mask=~self.keyed[slots]).cast(pa.string())
        if all(table is None for table in self.tables):
            return numbers
        found = numbers.to_numpy(zero_copy_only=False)
        for mine, table in self._tabled(routes):
            found[mine] = table.texts[keys[mine]]
        return pa.array(found, pa.string())

    @property
    def distinct_keys(self) -> int:
        """Distinct pairs of route and key."""
        keys = self.key.copy()
        for mine, table in self._tabled(self.route):
            keys[mine] = table.codes[keys[mine]]
        pairs = np.stack([self.route[self.keyed].astype(np.int64), keys[self.keyed]])
        return int(np.unique(pairs, axis=1).shape[1])

    def _tabled(self, routes: NDArray[np.int16]) -> Iterator[tuple[NDArray[np.intp], Table]]:
        """Where the routes with tables stand in `routes`, and their tables."""
        for index, table in enumerate(self.tables):
            if table is not None:
                yield np.flatnonzero(routes == index), table

    @property
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
    """Requests for a closed loop, in order: each is due when the one before on its connection was answered, which
    nobody knows beforehand, so `due_ns` is zero."""
    due, rng = np.zeros(slots, dtype=np.int64), np.random.default_rng(seed)
    if inputs is not None and inputs.log is not None:
        return _replayed(workload, inputs.log, np.arange(slots) % max(1, len(inputs.log)), due, rng)
    return _drawn(workload, due, rng, inputs)


def _drawn(workload: Workload, due: NDArray[np.int64], rng: np.random.Generator, inputs: Inputs | None) -> Schedule:
    count = len(due)
    weights = np.array([route.weight for route in workload.routes])
    route = rng.choice(len(weights), size=count, p=weights / weights.sum()).astype(np.int16)
    key = np.zeros(count, dtype=np.int64)
    tables: list[Table | None] = []
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
    workload: Workload, log: Log, lines: NDArray[np.integer], due: NDArray[np.int64], rng: np.random.Generator
) -> Schedule:
    routes = tuple(workload.routes)
    return _numbered(routes, due, log.route[lines], log.entry[lines], rng, log.tables)


def _numbered(
    routes: tuple[Route, ...],
    due: NDArray[np.int64],
    route: NDArray[np.int16],
    key: NDArray[np.int64],
    rng: np.random.Generator,
    tables: tuple[Table | None, ...],
) -> Schedule:
    number = rng.integers(1, LARGEST_NUMBER, size=len(due), dtype=np.int32, endpoint=True)
    swapped = rng.random(len(due)) < 0.5
    return Schedule(routes, due, route, key, number, swapped, tables)
