"""The slowest requests of the compared blocks, one row each: when, which, how slow, and what the cache said."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from luckyhit.judge.facade import CACHE
from luckyhit.records.parquet import rows_of_slots
from luckyhit.report.figures.facts.course import spans
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import DASH, number

if TYPE_CHECKING:
    from luckyhit.run import Run

HEADINGS = ("Due", "Arm", "Block", "Route", "Key", "Took", "Cache", "Database calls", "Phase")
MOST_ROWS = 10


def slowest_requests(run: Run, recorded: Recorded) -> list[tuple[str, ...]]:
    """Rows under HEADINGS, the slowest first; warm-ups are marked. Seconds since the first block."""
    rows, latency_ms = recorded.rows, recorded.latency_ms
    blocks = recorded.numbers("change" if recorded.changed else "baseline")
    inside = np.flatnonzero(np.isin(rows.block, blocks) & np.isfinite(latency_ms))  # type: ignore[arg-type]
    if not len(inside):
        return []
    most = min(MOST_ROWS, len(inside))
    slowest = inside[np.argpartition(latency_ms[inside], len(inside) - most)[-most:]]
    slowest = slowest[np.argsort(-latency_ms[slowest], kind="stable")]
    origin_s = min((span.start_s for span in spans(recorded)), default=0.0)
    calls = rows.number("db_calls")[slowest]
    keys = _keys(run, recorded, slowest)
    shown = []
    for place, calls_made in zip(slowest.tolist(), calls.tolist(), strict=True):
        block, arm = int(rows.block[place]), int(rows.arm[place])
        route, cache = int(rows.route[place]), int(rows.cache[place])
        shown.append(
            (
                f"{rows.due_ns[place] / 1e9 - origin_s:,.2f} s",
                recorded.label(ARMS[arm]) if arm in (0, 1) else DASH,
                str(block),
                rows.routes[route] if 0 <= route < len(rows.routes) else DASH,
                keys.get((block, ARMS[arm], int(rows.slot[place])), DASH) if arm in (0, 1) else DASH,
                f"{number(float(latency_ms[place]))} ms",
                CACHE[cache] if 0 <= cache < len(CACHE) else DASH,
                number(calls_made) if np.isfinite(calls_made) else DASH,
                "measured" if rows.measured[place] else "warm-up",
            )
        )
    return shown


def _keys(run: Run, recorded: Recorded, places: np.ndarray) -> dict[tuple[int, str, int], str]:
    """The key of each of these rows, by block, arm and slot: texts are read for them alone."""
    rows = recorded.rows
    wanted: dict[int, set[int]] = {}
    for place in places.tolist():
        wanted.setdefault(int(rows.block[place]), set()).add(int(rows.slot[place]))
    keys = {}
    for block, slots in wanted.items():
        for row in rows_of_slots(run.path / "requests", block, slots, ("arm", "slot", "key")):
            if row["key"] is not None:
                keys[block, str(row["arm"]), int(row["slot"])] = str(row["key"])
    return keys
