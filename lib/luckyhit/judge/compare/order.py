"""Which arm was sent first, and whether that matters.

Side by side each slot goes to both arms within a fraction of a millisecond, in a drawn order. Where the stacks share
something after all (a database, the host's page cache), the first one warms it for the second, or delays it. So the
paired difference (after - before) of slots where before was first is compared with that of slots where after was.

The order is that of `sent_ns`. A slot in which one arm's request waited for a connection shows how busy that arm was,
not the drawn order: beyond NEAR_NS it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.compare.effect import Effect, amount_of
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.intervals import Interval, interval_around, standard_error
from luckyhit.judge.table.groups import distinct
from luckyhit.judge.table.request_values import values_of
from luckyhit.judge.table.rows import RequestTable
from luckyhit.judge.table.samples import Comparison
from luckyhit.records import LATENCIES, GoalName, Guard, MetricName, Note, NoteId, kind_of
from luckyhit.text.quantities import difference_text, interval_text, name_of
from luckyhit.text.wording import note

NEAR_NS = 1e6
ALPHA = 0.01
"""The chance that any of the intervals is wrong, over both metrics together."""
FEWEST_SLOTS = 100
ALWAYS = 0.99
"""An order that this proportion of the slots has was not drawn."""
WORTH = 0.1
"""Of the smallest margin: less moves no verdict."""
WATCHED: dict[MetricName, tuple[MetricName, ...]] = {"hit_ratio": ("hit_ratio",), "latency_mean_ms": LATENCIES}
"""The metrics in which order effects are looked for, each with those whose goals they may move."""


def order_notes(
    comparison: Comparison, case: Case, effects: Mapping[GoalName, Effect], guards: Sequence[Guard]
) -> list[Note]:
    """Effects of the order of the arms: within slots side by side, from block to block where they took turns.
    `effects`: the values that relative margins are of."""
    if design_of(case).may_carry_over:
        details = [guard.detail for guard in guards if guard.id == "no-carry-over"]
        return [note("order-of-blocks", carry_over=detail) for detail in details]
    if not design_of(case).arms_together:
        return []
    slots = _Slots.of(comparison)
    count = len(slots.before_first)
    if count < FEWEST_SLOTS:
        return []
    part = float(np.mean(slots.before_first))
    if max(part, 1 - part) >= ALWAYS:
        first, second = ("before", "after") if part > 0.5 else ("after", "before")
        return [note("order-not-drawn", first=first, second=second, share=max(part, 1 - part), slots=count)]
    notes = []
    for name, goals in WATCHED.items():
        margin = _margin(goals, case, effects)
        estimates = slots.estimates(name) if margin is not None else None
        if estimates is not None and margin is not None:
            notes += _note(name, estimates, WORTH * margin, part)
    return notes


def _near(before: RequestTable, after: RequestTable) -> tuple[np.ndarray, np.ndarray]:
    """(which of these slots show an order, whether before was first in each of them)."""
    gap = after.due_ns - before.due_ns + after.send_delay_ns - before.send_delay_ns
    with np.errstate(invalid="ignore"):
        near = np.flatnonzero((gap != 0) & (np.abs(gap) < NEAR_NS))  # NaN, where one was not sent, is not near
    return near, gap[near] > 0


class _Slots:
    """The slots that show which arm came first, as pairs of rows."""

    def __init__(self, comparison: Comparison, pairs: tuple[np.ndarray, np.ndarray], before_first: np.ndarray) -> None:
        self._comparison, self._pairs, self.before_first = comparison, pairs, before_first

    @classmethod
    def of(cls, comparison: Comparison) -> _Slots:
        if not comparison.in_step:
            first, second = comparison.same_slots
            near, before_first = _near(comparison.before.rows.take(first), comparison.after.rows.take(second))
            return cls(comparison, (first[near], second[near]), before_first)
        rows, firsts, begin = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=bool)], 0
        for (before, _), (after, _) in comparison.parts():
            near, before_first = _near(before, after)
            rows.append((near + begin).astype(np.int32))
            firsts.append(before_first)
            begin += len(before)
        row = np.concatenate(rows)
        return cls(comparison, (row, row), np.concatenate(firsts))

    def estimates(self, name: MetricName) -> OrderEffect | None:
        """The mean of after - before: where before was first, where after was, and how far these lie apart."""
        before, after = self._comparison.sides
        values = [
            values_of(name, side.rows.take(index)) for side, index in zip((before, after), self._pairs, strict=True)
        ]
        apart, row = values[1] - values[0], self._pairs[0]
        measured = np.isfinite(apart)
        apart, row = apart[measured], row[measured]
        after_first = (~self.before_first[measured]).astype(float)
        asked = before.rows.take(row)
        alike = _alike(asked.route, asked.key)
        centred = after_first - _mean_of(after_first, alike)
        weight = float(np.sum(centred**2))
        if weight < FEWEST_SLOTS / 8:  # half of FEWEST_SLOTS in either order
            return None
        slope = float(np.sum(centred * apart)) / weight
        left = apart - _mean_of(apart, alike) - slope * centred
        influence = np.bincount(before.units.of(row), weights=centred * left / weight, minlength=len(before.block))
        mean, part = float(apart.mean()), float(after_first.mean())
        difference = interval_around(slope, standard_error(influence, before.block), FixedSample(), ALPHA / 2)
        return OrderEffect(mean - slope * part, mean + slope * (1 - part), difference)


@dataclass(frozen=True)
class OrderEffect:
    """The mean of after - before where either arm was sent first, at the mix of requests of both together, and
    `difference`, the second less the first."""

    before_first: float
    after_first: float
    difference: Interval


def _alike(route: np.ndarray, key: np.ndarray) -> np.ndarray:
    """By slot, the number of its group: its route and key. A key that was met in one order alone says nothing about the
    order."""
    keys, code = distinct(key)
    return distinct((route.astype(np.int64) + 1) * len(keys) + code)[1]


def _mean_of(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """By row, the mean of its group."""
    return (np.bincount(group, weights=values) / np.maximum(np.bincount(group), 1))[group]


def _margin(names: Sequence[MetricName], case: Case, effects: Mapping[GoalName, Effect]) -> float | None:
    """The smallest margin of the goals among `names`, in their unit; None without one."""
    margins = [amount_of(name, case.goals[name].margin, effects[name].before) for name in names if name in case.goals]
    return min((margin for margin in margins if margin is not None), default=None)


def _note(name: MetricName, estimates: OrderEffect, least: float, before_part: float) -> list[Note]:
    """On an effect of the order that excludes 0 and is larger than `least`. `before_part`: of slots where before was
    first."""
    apart = estimates.difference
    if not (apart.low > 0 or apart.high < 0) or abs(apart.value) <= least:
        return []
    # From one order to the other, after - before grows by what coming second costs before and saves after.
    more = difference_text(name, abs(apart.value) / 2)
    higher = apart.value < 0
    better = higher == kind_of(name).higher_is_better
    id: NoteId = "order-first-warms" if better else "order-first-holds-up"
    differs = note(
        id,
        what=name_of(name),
        before_first=difference_text(name, estimates.before_first),
        after_first=difference_text(name, estimates.after_first),
        apart=difference_text(name, apart.value),
        level=1 - ALPHA,
        interval=interval_text(name, apart.low, apart.high),
        more=more,
        way="higher" if higher else "lower",
    )
    if abs(before_part - 0.5) <= 0.05:
        return [differs, note("order-is-even", share=before_part)]
    moved = difference_text(name, (0.5 - before_part) * apart.value)
    return [differs, note("order-is-uneven", share=before_part, moved=moved)]
