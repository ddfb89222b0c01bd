"""Washing out: the case's own load before a block, until the hit ratio stands still, or its time is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from luckyhit.judge.stationary import FEWEST_WINDOWS, moving, settled
from luckyhit.run import Run

SHORTEST_S = 2.0
REQUESTS_PER_WINDOW = 100
_MOST_WINDOWS = 8 * FEWEST_WINDOWS
_TOLD = ("hit", "miss", "stale")

Stretch = Callable[[float], int]
"""Sends the load for some seconds as a block of its own; returns its number."""


@dataclass(frozen=True, slots=True)
class WashOut:
    """One wash-out: how many stretches of load, `seconds` in all, and whether the hit ratio `settled` (None: too few
    answers told their cache status). `ratios`: the hit ratio of each window, in the order of time."""

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
    told: list[bool] = []
    seconds, count = 0.0, 0
    still: bool | None = None
    while count == 0 or (told and not still and seconds + length_s <= longest_s):
        told += hits_of(run, stretch(length_s))
        seconds, count = seconds + length_s, count + 1
        still = settled(windows_of(told)) if len(windows_of(told)) >= FEWEST_WINDOWS else None
    if still is False:  # its time is over: what matters now is whether it surely moves
        still = not moving(windows_of(told))
    return WashOut(count, seconds, still, tuple(hits / size for hits, size in windows_of(told)))


def hits_of(run: Run, block: int) -> list[bool]:
    """Whether each request of one block was a hit, in the order in which they were due; those that did not tell their
    cache status are left out."""
    paths = sorted((run.path / "requests").glob(f"block-{block:03d}*.parquet"))
    parts = [pq.read_table(path, columns=["due_ns", "cache"]) for path in paths]
    if not parts:
        return []
    table = pa.concat_tables([part.set_column(1, "cache", part["cache"].cast("string")) for part in parts])
    table = table.filter(pc.is_in(table["cache"], value_set=pa.array(_TOLD, pa.string()))).sort_by("due_ns")
    hits: list[bool] = pc.equal(table["cache"], "hit").to_pylist()
    return hits


def windows_of(told: list[bool]) -> list[tuple[int, int]]:
    """(hits, size) of successive windows of at least `REQUESTS_PER_WINDOW`; the last one takes what is left over."""
    size = max(REQUESTS_PER_WINDOW, len(told) // _MOST_WINDOWS)
    whole = len(told) // size
    if not whole:
        return [(sum(told), len(told))] if told else []
    edges = [*(index * size for index in range(whole)), len(told)]
    return [(sum(told[start:end]), end - start) for start, end in pairwise(edges)]
