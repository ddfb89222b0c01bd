"""Wash-out: send the case's load before a block until the hit ratio is stationary, or the time is over."""

from __future__ import annotations

from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.designs import design_of
from luckyhit.judge.compare.stationary import FEWEST_WINDOWS, moving, settled
from luckyhit.records.parquet import read_parts
from luckyhit.run import Run
from luckyhit.workflow.warmups.warmup_rule import ComingBlock, Stretch, WashOut

SHORTEST_S = 2.0
REQUESTS_PER_WINDOW = 100
WINDOW_S = 1.0
"""Shortest window: a cache that takes tens of seconds to fill doesn't show it in shorter ones."""
LOOKS = 2
"""Consecutive looks that have to find it stationary, since one of many may do so by chance."""
_MOST_WINDOWS = 8 * FEWEST_WINDOWS
_TOLD = ("hit", "miss", "stale")


class UntilStill:
    """Until the hit ratio is stationary: if arms take turns on one service, so that the arm before no longer shows in
    the hit ratio, and for a running service. A block that starts everything anew needs none."""

    def applies(self, coming: ComingBlock) -> bool:
        goes_on = design_of(coming.case).washes_out or not coming.owned
        return goes_on and coming.changeable and bool(coming.case.plan.washout)

    def run(self, run: Run, coming: ComingBlock, stretch: Stretch) -> WashOut:
        plan = coming.case.plan
        return wash_out(run, stretch, stretch_s=plan.warmup, longest_s=plan.washout)


def wash_out(run: Run, stretch: Stretch, *, stretch_s: float, longest_s: float) -> WashOut:
    """Send stretches of load until the hit ratio is stationary (`judge.compare.stationary`), or another one would
    exceed `longest_s`; at least one, and only one if no answer has a cache status.

    In simulated runs at 100 to 1000 requests a second, a hit ratio that settles within 2 s, or doesn't move, is found
    stationary in 97 of 100 wash-outs of 30 s; one that settles over 10 to 40 s is found stationary 10 points below its
    level in less than 15 of 100. One that takes minutes needs a longer `plan.washout`.
    """
    length_s = max(SHORTEST_S, min(stretch_s, longest_s))
    all_hits: list[bool] = []
    seconds, count = 0.0, 0
    windows: list[tuple[int, int]] = []
    looks = 0
    while count == 0 or (all_hits and looks < LOOKS and seconds + length_s <= longest_s):
        all_hits += hits_of(run, stretch(length_s))
        seconds, count = seconds + length_s, count + 1
        windows = windows_of(all_hits, seconds)
        looks = looks + 1 if settled(windows) else 0
    still = True if looks == LOOKS else False if moving(windows) else None
    return WashOut(count, seconds, still, tuple(hits / size for hits, size in windows))


def hits_of(run: Run, block: int) -> list[bool]:
    """Whether each request of one block was a hit, in the order of their due times; requests without a cache status are
    left out."""
    parts = list(read_parts(run.path / "requests", "requests", ["due_ns", "cache"], block=block))
    if not parts:
        return []
    table = pa.concat_tables([part.set_column(1, "cache", part["cache"].cast("string")) for part in parts])
    table = table.filter(pc.is_in(table["cache"], value_set=pa.array(_TOLD, pa.string()))).sort_by("due_ns")
    hits: list[bool] = pc.equal(table["cache"], "hit").to_pylist()
    return hits


def windows_of(hits: list[bool], seconds: float) -> list[tuple[int, int]]:
    """(hits, size) of successive windows of at least `REQUESTS_PER_WINDOW` and `WINDOW_S`, for `hits` in `seconds`; the
    last window includes the remainder."""
    in_window = int(len(hits) / seconds * WINDOW_S) if seconds > 0 else 0
    size = max(REQUESTS_PER_WINDOW, in_window, len(hits) // _MOST_WINDOWS)
    whole = len(hits) // size
    if not whole:
        return [(sum(hits), len(hits))] if hits else []
    edges = [*(index * size for index in range(whole)), len(hits)]
    return [(sum(hits[start:end]), end - start) for start, end in pairwise(edges)]
