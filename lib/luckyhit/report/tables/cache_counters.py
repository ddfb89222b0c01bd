"""What the cache itself counted while the arms were measured, beside the hit ratio of the responses.

The counters are the server's (`keyspace_hits` and the like in INFO), sampled at the start and at the end of each block
and in between (`luckyhit.caches.counters`). They count look-ups by every client of the cache, not requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from luckyhit.records import Arm
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.report.tables.cache_event_table import CacheFacts
from luckyhit.report.tables.freshness_tables import ReadersTable
from luckyhit.text.numbers import DASH, listed, percent

APART = 0.1
"""From here on the two hit ratios are said to differ."""
_GROWING = ("keyspace_hits", "keyspace_misses", "expired_keys", "evicted_keys")
_NAMES = {
    "get_hits": "keyspace_hits",
    "get_misses": "keyspace_misses",
    "evictions": "evicted_keys",
    "curr_items": "dbsize",
    "bytes": "used_memory",
}
"""Memcached's names for the same counters."""
_WHY = (
    "They need not agree: a request may look up several keys or none, other clients of the cache count as well, and "
    "so do TTL, EXISTS and the like."
)


@dataclass(frozen=True)
class Counted:
    """The counters of one arm over all its blocks: how much growing ones grew, and the maximum of the others.
    `answers`: the hit ratio of the responses of these blocks, warm-ups included; None where it was not visible."""

    grown: Mapping[str, float]
    memory: float | None
    keys: float | None
    answers: float | None
    backwards: tuple[int, ...]
    """Blocks in which a counter fell, as after a restart of the server; they are left out."""

    @property
    def looked_up(self) -> float:
        return self.grown.get("keyspace_hits", 0.0) + self.grown.get("keyspace_misses", 0.0)

    @property
    def share(self) -> float | None:
        return self.grown["keyspace_hits"] / self.looked_up if self.looked_up else None


def counted(recorded: Recorded) -> dict[Arm, Counted]:
    """By arm, in the compared blocks; arms without counters are left out."""
    counters = recorded.counters.assign(name=recorded.counters["name"].astype(str).replace(_NAMES))
    numbers = recorded.numbers("change" if recorded.changed else "baseline")
    counted_of: dict[Arm, Counted] = {}
    for arm in ARMS:
        own_rows = counters[(counters["arm"] == arm) & counters["block"].isin(numbers)]
        if len(own_rows):
            counted_of[arm] = _of_arm(recorded, arm, own_rows)
    return counted_of


def _of_arm(recorded: Recorded, arm: Arm, own_rows: pd.DataFrame) -> Counted:
    grown, backwards, kept = dict.fromkeys(_GROWING, 0.0), [], []
    names: set[str] = set()
    for block, rows in own_rows.sort_values("at_ns").groupby("block"):
        series = {str(name): part["value"].to_numpy() for name, part in rows.groupby("name", observed=True)}
        names |= series.keys()
        if any(np.any(np.diff(series[name]) < 0) for name in _GROWING if name in series):
            backwards.append(int(block))
            continue
        kept.append(int(block))
        for name in _GROWING:
            if name in series:
                grown[name] += float(series[name][-1] - series[name][0])
    hit = recorded.rows.take(np.isin(recorded.rows.block, kept) & (recorded.rows.arm == ARMS.index(arm))).hit
    hit = hit[np.isfinite(hit)]
    return Counted(
        grown={name: value for name, value in grown.items() if name in names},
        memory=_most(own_rows, "used_memory"),
        keys=_most(own_rows, "dbsize"),
        answers=float(hit.mean()) if len(hit) else None,
        backwards=tuple(backwards),
    )


def _most(rows: pd.DataFrame, name: str) -> float | None:
    values = rows.loc[rows["name"] == name, "value"]
    return float(values.max()) if len(values) else None


def as_counted(recorded: Recorded) -> CacheFacts | None:
    """The table and its sentences; None without recorded counters."""
    counted_of = counted(recorded)
    if not counted_of:
        return None
    cells: dict[str, Callable[[Counted], str]] = {
        "look-ups that found their key": lambda arm: _share(arm.share, arm.looked_up),
        "hit ratio by the responses, warm-ups included": lambda arm: _or_dash(arm.answers, percent),
        "keys that expired": lambda arm: _or_dash(arm.grown.get("expired_keys"), _whole),
        "keys evicted for lack of memory": lambda arm: _or_dash(arm.grown.get("evicted_keys"), _whole),
        "keys, at most": lambda arm: _or_dash(arm.keys, _whole),
        "memory, at most": lambda arm: _or_dash(arm.memory, lambda memory: f"{memory / 1e6:,.1f} MB"),
    }
    rows = [(name, [cell(arm_counts) for arm_counts in counted_of.values()]) for name, cell in cells.items()]
    return CacheFacts(_sentences(recorded, counted_of), ReadersTable([recorded.label(arm) for arm in counted_of], rows))


def _sentences(recorded: Recorded, counted_of: Mapping[Arm, Counted]) -> list[str]:
    sentences = []
    differences = {
        recorded.label(arm): abs(arm_counts.share - arm_counts.answers)
        for arm, arm_counts in counted_of.items()
        if arm_counts.share is not None and arm_counts.answers is not None
    }
    apart = [
        f"{label} by {100 * difference:.0f} points" for label, difference in differences.items() if difference >= APART
    ]
    if apart:
        sentences.append(
            "The share of the cache's own look-ups that found their key and the hit ratio by the responses, both with "
            f"warm-ups, differ: {listed(apart)}. {_WHY}"
        )
    elif differences:
        sentences.append(
            "The share of the cache's own look-ups that found their key is within 10 points of the hit ratio by the "
            "responses, both with warm-ups."
        )
    evicted = {recorded.label(arm): arm_counts.grown.get("evicted_keys", 0.0) for arm, arm_counts in counted_of.items()}
    if any(evicted.values()):
        many = listed([f"{count:,.0f} ({name})" for name, count in evicted.items() if count])
        sentences.append(
            f"Keys were evicted for lack of memory: {many}. Evicted keys are missed again, whatever the change does; a "
            "larger cache may give another result."
        )
    fallen = sorted({block for arm_counts in counted_of.values() for block in arm_counts.backwards})
    if fallen:
        blocks = listed([str(block) for block in fallen])
        sentences.append(f"In block {blocks} the counters fell, as after a restart of the cache: left out.")
    return sentences


def _share(share: float | None, total: float) -> str:
    return DASH if share is None else f"{percent(share)} of {total:,.0f}"


def _or_dash(value: float | None, words: Callable[[float], str]) -> str:
    return DASH if value is None else words(value)


def _whole(value: float) -> str:
    return f"{value:,.0f}"
