"""Washing out: the case's own load before a block, until the hit ratio stands still, or its time is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from luckyhit.judge.stationary import FEWEST_WINDOWS, settled
from luckyhit.run import Run

SHORTEST_S = 2.0
REQUESTS_PER_WINDOW = 100
_TOLD = ("hit", "miss", "stale")

Stretch = Callable[[float], int]
"""Sends the load for some seconds as a block of its own; returns its number."""


@dataclass(frozen=True, slots=True)
class WashOut:
    """One wash-out: how many stretches of load, `seconds` in all, and whether the hit ratio `settled` (None: no answer
    told its cache status). `ratios`: the hit ratio of each window, in the order of time."""

    stretches: int
    seconds: float
    settled: bool | None
    ratios: tuple[float, ...]

    def as_facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {**asdict(self), "ratios": [round(ratio, 4) for ratio in self.ratios]}


def wash_out(run: Run, stretch: Stretch, *, stretch_s: float, longest_s: float) -> WashOut:
    """Send stretches of load until the hit ratio stands still (`luckyhit.judge.stationary`), or another one would
    take longer than `longest_s` in all; at least one. Where no answer tells its cache status, one stretch has to do."""
    length_s = max(SHORTEST_S, min(stretch_s, longest_s))
    windows: list[tuple[int, int]] = []
    seconds, count, still = 0.0, 0, None
    while count == 0 or (still is False and seconds + length_s <= longest_s):
        windows += windows_of(run, stretch(length_s))
        seconds, count = seconds + length_s, count + 1
        still = settled(windows) if windows else None
    return WashOut(count, seconds, still, tuple(hits / told for hits, told in windows))


def windows_of(run: Run, block: int) -> list[tuple[int, int]]:
    """(hits, told) of the requests of one block, in windows of at least `REQUESTS_PER_WINDOW` that told their cache
    status, in the order in which they were due; none where none told it."""
    paths = sorted((run.path / "requests").glob(f"block-{block:03d}*.parquet"))
    parts = [pq.read_table(path, columns=["due_ns", "cache"]) for path in paths]
    if not parts:
        return []
    table = pa.concat_tables([part.set_column(1, "cache", part["cache"].cast("string")) for part in parts])
    table = table.filter(pc.is_in(table["cache"], value_set=pa.array(_TOLD, pa.string()))).sort_by("due_ns")
    hits = pc.equal(table["cache"], "hit").to_pylist()
    size = max(REQUESTS_PER_WINDOW, len(hits) // (4 * FEWEST_WINDOWS))
    whole = len(hits) // size
    if not whole:
        return [(sum(hits), len(hits))] if hits else []
    edges = [*(index * size for index in range(whole)), len(hits)]
    return [(sum(hits[start:end]), end - start) for start, end in pairwise(edges)]
