"""The schedule: which request is due when, made before the run from a seed, the same for every arm.

Kept as arrays, one entry for each slot (31 bytes); a request's bytes are made from its route's templates shortly
before it is due (see luckyhit.measure.templates). The same workload and seed make the same schedule, to the byte.
Ramps, steps and replayed access logs are other ways to fill the same arrays.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from luckyhit.case.model import Route, Workload
from luckyhit.errors import ArgumentError
from luckyhit.measure.popularity import draw_keys

LARGEST_NUMBER = 20_000
"""`{number}` is drawn from 1 up to this."""
MOST_SLOTS = 20_000_000


@dataclass(frozen=True)
class Schedule:
    """Arrays of one length, by time. `due_ns` counts from the block's start, `route` is an index into `routes`; `key`
    means something only where the route has keys; `swapped`: the second arm is sent first."""

    routes: tuple[Route, ...]
    due_ns: NDArray[np.int64]
    route: NDArray[np.int16]
    key: NDArray[np.int64]
    number: NDArray[np.int32]
    swapped: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.due_ns)

    @cached_property
    def keyed(self) -> NDArray[np.bool_]:
        """For each slot: does its request have a key?"""
        return np.array([route.keys is not None for route in self.routes], dtype=bool)[self.route]

    @property
    def distinct_keys(self) -> int:
        """Distinct pairs of route and key."""
        pairs = np.stack([self.route[self.keyed].astype(np.int64), self.key[self.keyed]])
        return int(np.unique(pairs, axis=1).shape[1])

    @property
    def digest(self) -> str:
        """The same for the same requests at the same instants (hexadecimal)."""
        whole = hashlib.sha256()
        for array in (self.due_ns, self.route, self.key, self.number, self.swapped):
            whole.update(array.tobytes())
        return whole.hexdigest()[:16]


def schedule_for(workload: Workload, seconds: float, seed: int) -> Schedule:
    """`seconds` of the workload. Poisson arrivals have independent, exponential gaps; constant ones even gaps.

    Raises ArgumentError for a schedule that would not fit into memory.
    """
    if workload.rate * seconds > MOST_SLOTS:
        raise ArgumentError(
            f"{workload.rate * seconds:,.0f} requests are more than one block can hold ({MOST_SLOTS:,})",
            hint="Measure more, but shorter blocks, or lower workload.rate.",
        )
    arrivals, rng = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    return _filled(workload, _due_ns(workload, seconds, arrivals), rng)


def closed_schedule(workload: Workload, slots: int, seed: int) -> Schedule:
    """Requests for a closed loop, in order: each is due when the one before on its connection was answered, which
    nobody knows beforehand, so `due_ns` is filled in while measuring."""
    return _filled(workload, np.zeros(slots, dtype=np.int64), np.random.default_rng(seed))


def _filled(workload: Workload, due_ns: NDArray[np.int64], rng: np.random.Generator) -> Schedule:
    count = len(due_ns)
    weights = np.array([route.weight for route in workload.routes])
    route = rng.choice(len(weights), size=count, p=weights / weights.sum()).astype(np.int16)
    key = np.zeros(count, dtype=np.int64)
    for index, spec in enumerate(workload.routes):
        chosen = np.flatnonzero(route == index)
        if spec.keys is not None and len(chosen):
            key[chosen] = draw_keys(spec.keys, len(chosen), rng, workload.seed)
    number = rng.integers(1, LARGEST_NUMBER, size=count, dtype=np.int32, endpoint=True)
    swapped = rng.random(count) < 0.5
    return Schedule(tuple(workload.routes), due_ns, route, key, number, swapped)


def _due_ns(workload: Workload, seconds: float, rng: np.random.Generator) -> NDArray[np.int64]:
    end_ns = round(seconds * 1e9)
    if workload.arrivals == "constant":
        due = np.floor(np.arange(int(seconds * workload.rate) + 1) * (1e9 / workload.rate)).astype(np.int64)
        return due[due < end_ns]
    expected = seconds * workload.rate
    chunk = int(expected + 6 * expected**0.5 + 16)
    due_s = np.cumsum(rng.exponential(1 / workload.rate, size=chunk))
    while due_s[-1] < seconds:
        due_s = np.concatenate([due_s, due_s[-1] + np.cumsum(rng.exponential(1 / workload.rate, size=chunk))])
    due = np.floor(due_s * 1e9).astype(np.int64)
    return due[due < end_ns]
