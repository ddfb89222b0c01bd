"""Whether a difference of latency recurs over process starts. `docs/verdict.md` has the rule.

The layout of code and data in memory is fixed when a process starts, and moves its latencies by some per cent until it
ends (Mytkowicz, Diwan, Hauswirth and Sweeney 2009, ASPLOS: 265). Batches of one start share that, so their standard
error does not show it; starts are few, independent units of their own. No start can feign a difference, whatever it
moves, and a difference inside its margin needs no more requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import sqrt

import numpy as np
from scipy.special import chdtri

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.early_stopping import rate_fraction_of_look
from luckyhit.judge.stats.boundary import INF, FixedSample
from luckyhit.judge.table.request_values import sortable_values_of
from luckyhit.judge.table.rows import ARMS
from luckyhit.judge.table.samples import Comparison, Side
from luckyhit.judge.table.unit_values import UnitValues
from luckyhit.records import LATENCIES, METRICS, GoalName, MetricName, metric_of_goal, nearest_rank
from luckyhit.records.manifest import NotedBlock
from luckyhit.text.quantities import difference_text
from luckyhit.text.wording import note

FEWEST_STARTS = 3
"""A run with a goal on a latency does not end with fewer."""
MOVES = 0.1
"""Of a latency: what a process start moves it by at most, up or down."""
UNEXPLAINED = 0.01
"""The chance that starts are wrongly said to differ."""
MOST_STARTS = 200
"""A plan has no more blocks."""


@dataclass(frozen=True)
class Starts:
    """`of_block`: the pair of process starts of each block, from 0 in the order of time; empty where it was not
    recorded. `rate_fraction`: of the error rate, for this look."""

    of_block: Mapping[int, int]
    rate_fraction: float = 1.0

    @property
    def count(self) -> int:
        return len(set(self.of_block.values()))

    @classmethod
    def recorded(cls, entries: Sequence[NotedBlock], case: Case) -> Starts:
        """From the manifest's blocks of the change."""
        if not design_of(case).arms_together:
            return cls({})
        # Blocks without the probe come on top of the plan.
        planned = case.plan.blocks + sum(entry.control for entry in entries)
        fraction = rate_fraction_of_look(len(entries), planned) if case.stops_early else 1.0
        return cls(_numbered(entries), fraction)


def enough_starts(entries: Sequence[NotedBlock], case: Case) -> bool:
    """Whether a run may end as far as starts go: there were enough, or no goal depends on them."""
    if not design_of(case).arms_together or not any(metric_of_goal(name) in LATENCIES for name in case.goals):
        return True
    return Starts.recorded(entries, case).count >= FEWEST_STARTS


def _numbered(entries: Sequence[NotedBlock]) -> dict[int, int]:
    """A pair of starts is a new one where both processes differ from the ones that the last pair began with."""
    number_of: dict[int, int] = {}
    first: tuple[int | None, ...] = ()
    for entry in entries:
        numbers = tuple(entry.start.get(arm) for arm in ARMS)
        if None in numbers:
            return {}
        is_new = not number_of or all(now != then for now, then in zip(numbers, first, strict=True))
        if is_new:
            first = numbers
        number_of[entry.block] = max(number_of.values(), default=-1) + is_new
    return number_of


def over_starts(
    effects: Mapping[GoalName, Effect], comparison: Comparison, starts: Starts, error_rate: float
) -> dict[GoalName, Effect]:
    """`effects`, with the latencies among them limited by their starts (see above) where starts were recorded."""
    held = dict(effects)
    if not starts.count or not comparison.paired:
        return held
    for name, apart in _differences(comparison, starts.of_block):
        if name in held:
            held[name] = _held(name, held[name], apart, starts, error_rate)
    return held


def _differences(comparison: Comparison, of_block: Mapping[int, int]) -> Iterator[tuple[MetricName, np.ndarray]]:
    """after - before (ms) of each latency in each pair of starts that both arms have values of."""
    before, after = (_by_start(side, of_block) for side in comparison.sides)
    both = [start for start in before if start in after]
    for name in LATENCIES:
        yield name, np.array([after[start][name] - before[start][name] for start in both])


def _by_start(side: Side, of_block: Mapping[int, int]) -> dict[int, dict[MetricName, float]]:
    """The latencies (ms) of each start that has any."""
    of_unit = np.array([of_block.get(block, -1) for block in side.block.tolist()], dtype=np.int64)
    values = UnitValues(partial(sortable_values_of, LATENCIES[0]), side)
    by_start = values.by_class(np.where(of_unit < 0, starts := max(of_block.values()) + 1, of_unit), starts + 1)
    levels: dict[int, dict[MetricName, float]] = {}
    for number in range(starts):
        latency = by_start[number] / values.scale
        if len(latency):
            levels[number] = {name: _value(latency, name) for name in LATENCIES}
    return levels


def _value(latency: np.ndarray, name: MetricName) -> float:
    quantile = METRICS[name].quantile
    if quantile is None:
        return float(latency.mean())
    place = nearest_rank(quantile, len(latency))
    return float(np.partition(latency, place)[place])


def _held(name: MetricName, effect: Effect, apart: np.ndarray, starts: Starts, error_rate: float) -> Effect:
    count, middle = len(apart), effect.effect
    if middle is None or effect.before is None or effect.after is None or not count:
        return effect
    deviation = float(np.std(apart, ddof=1)) if count > 1 else INF
    rate, moved = starts.rate_fraction * error_rate, MOVES * (effect.before + effect.after)
    half_width = _half_width(count, rate) * deviation / sqrt(count) if count > 1 else INF
    low = min(effect.low, max(middle - half_width, effect.low - moved))
    high = max(effect.high, min(middle + half_width, effect.high + moved))
    unexplained = _differ_by_more(count, deviation, effect.standard_error)
    if not unexplained:
        low = max(low, 0.0) if effect.low > 0 else effect.low
        high = min(high, 0.0) if effect.high < 0 else effect.high
    if (low, high) == (effect.low, effect.high):
        return effect
    notes = list(effect.notes)
    if unexplained:
        notes.append(note("starts-vary", deviation=difference_text(name, deviation)))
    needed = None
    if (effect.low > 0 or effect.high < 0) and not (low > 0 or high < 0):
        needed = _starts_needed(abs(middle), deviation, count, rate)
        notes.append(note("starts-too-few", starts=count) if count > 1 else note("one-start-too-few"))
    return replace(effect, low=low, high=high, notes=tuple(notes), starts=count, starts_needed=needed)


def _differ_by_more(count: int, deviation: float, error: float) -> bool:
    """Whether starts differ by more than batches explain."""
    if count < 2 or not 0 < error < INF:
        return False
    return (count - 1) * deviation**2 / (count * error**2) > float(chdtri(count - 1, UNEXPLAINED))


def _half_width(count: int, error_rate: float) -> float:
    return FixedSample().critical_value(count - 1, error_rate)


def _starts_needed(size: float, deviation: float, count: int, error_rate: float) -> int | None:
    """How many starts in all would show a difference of this size; None where that is not known, or exceeds a plan."""
    if not deviation < INF:
        return None
    enough = (
        starts
        for starts in range(count + 1, MOST_STARTS + 1)
        if _half_width(starts, error_rate) * deviation / sqrt(starts) < size
    )
    return next(enough, None)
