"""The slowest requests of the compared blocks, one row each: when, which, how slow, and what the cache said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from luckyhit.judge.facade import CACHE
from luckyhit.records.parquet import rows_of_slots
from luckyhit.report.figures.facts.course import spans
from luckyhit.report.figures.facts.time_bins import rows_in_order
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import DASH, number

if TYPE_CHECKING:
    from luckyhit.run import Run

HEADINGS = ("Due", "Arm", "Block", "Route", "Key", "Took", "Cache", "Database calls", "Phase")
MOST_ROWS = 10


def slowest_requests(run: Run, recorded: Recorded) -> list[tuple[str, ...]]:
    """Rows under HEADINGS, the slowest first; warm-ups are marked. Seconds since the first block."""
    rows = recorded.rows
    blocks = recorded.numbers("change" if recorded.changed else "baseline")
    slowest = _slowest(recorded, [rows_in_order(recorded, block, arm) for block in blocks for arm in ARMS])
    if not len(slowest):
        return []
    latency_ms = dict(zip(slowest.tolist(), rows.take(slowest).latency_ms.tolist(), strict=True))
    origin_s = min((span.start_s for span in spans(recorded)), default=0.0)
    calls = rows.take(slowest).number("db_calls")
    keys = _keys(run, recorded, slowest)
    shown: list[tuple[str, ...]] = []
    for place, calls_made in zip(slowest.tolist(), calls.tolist(), strict=True):
        one = rows.part(place, place + 1)
        block, arm, route, cache = (int(column[0]) for column in (one.block, one.arm, one.route, one.cache))
        shown.append(
            (
                f"{one.due_ns[0] / 1e9 - origin_s:,.2f} s",
                recorded.label(ARMS[arm]) if arm in (0, 1) else DASH,
                str(block),
                rows.routes[route] if 0 <= route < len(rows.routes) else DASH,
                keys.get((block, ARMS[arm], int(one.slot[0])), DASH) if arm in (0, 1) else DASH,
                f"{number(latency_ms[place])} ms",
                CACHE[cache] if 0 <= cache < len(CACHE) else DASH,
                number(calls_made) if np.isfinite(calls_made) else DASH,
                "measured" if one.measured[0] else "warm-up",
            )
        )
    return shown


def _slowest(recorded: Recorded, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Where the slowest of some rows are, the slowest first: of each part the slowest, and of these."""
    kept = np.zeros(0, dtype=np.int64)
    for part in parts:
        candidates = np.concatenate([kept, part])
        latency_ms = recorded.rows.take(candidates).latency_ms
        candidates, latency_ms = candidates[np.isfinite(latency_ms)], latency_ms[np.isfinite(latency_ms)]
        most = min(MOST_ROWS, len(candidates))
        best = np.argpartition(latency_ms, len(candidates) - most)[-most:] if most else np.zeros(0, dtype=np.int64)
        kept = candidates[best[np.argsort(-latency_ms[best], kind="stable")]]
    return kept


def _keys(run: Run, recorded: Recorded, places: np.ndarray) -> dict[tuple[int, str, int], str]:
    """The key of each of these rows, by block, arm and slot: texts are read for them alone."""
    rows = recorded.rows.take(places)
    wanted: dict[int, set[int]] = {}
    for block, slot in zip(rows.block.tolist(), rows.slot.tolist(), strict=True):
        wanted.setdefault(block, set()).add(slot)
    keys = {}
    for block, slots in wanted.items():
        for row in rows_of_slots(run.path / "requests", block, slots, ("arm", "slot", "key")):
            if row["key"] is not None:
                keys[block, str(row["arm"]), int(row["slot"])] = str(row["key"])
    return keys
