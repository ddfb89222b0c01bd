"""What the requests of both arms count as, by unit, for several metrics in one pass over the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from luckyhit.judge.table.request_values import Visible, visible_of
from luckyhit.judge.table.samples import Comparison, Groups
from luckyhit.judge.table.unit_values import UnitSums
from luckyhit.records import MetricName


@dataclass
class ArmTally:
    """One metric in one arm: the sums of its `units`; how many `rows` there are, visible or not; how many values are
    above 0 (`ones`)."""

    total: np.ndarray
    visible: np.ndarray
    rows: int = 0
    count: int = 0
    ones: int = 0
    known: list[np.ndarray] = field(default_factory=list)
    events: list[np.ndarray] = field(default_factory=list)

    @property
    def units(self) -> UnitSums:
        return UnitSums(self.total, self.visible, self.count)

    def add(self, known: np.ndarray, values: np.ndarray, units: Groups) -> None:
        is_event, count = values.dtype == bool, int(np.count_nonzero(known))
        self.total += units.counts(values) if is_event else units.sums(values)
        self.visible += units.counts(known) if count < len(known) else units.sizes
        self.rows += len(known)
        self.count += count
        self.ones += int(np.count_nonzero(values)) if is_event else 0


@dataclass
class Tally:
    """One metric in both arms. `pairs`: the slots that show it in both (of the smaller arm, where nothing is paired);
    `only`: those with an event in one arm only, by arm; both only where asked for."""

    arms: tuple[ArmTally, ArmTally]
    pairs: int = 0
    only: tuple[int, int] = (0, 0)

    def add_pairs(self, before: Visible, after: Visible) -> None:
        both = before[0] & after[0]
        self.pairs += int(np.count_nonzero(both))
        if before[1].dtype == bool:
            events = before[1] & both, after[1] & both
            in_before, in_after = (int(np.count_nonzero(one & ~other)) for one, other in (events, events[::-1]))
            self.only = self.only[0] + in_before, self.only[1] + in_after


def tallies(names: Sequence[MetricName], comparison: Comparison) -> dict[MetricName, Tally]:
    """Of metrics whose values are events, counts or means."""
    made = {name: Tally((_blank(comparison, 0), _blank(comparison, 1))) for name in names}
    if comparison.in_step:
        for parts in comparison.parts():
            for name, tally in made.items():
                of_arms = [visible_of(name, rows) for rows, _ in parts]
                for arm, (_, units), visible in zip(tally.arms, parts, of_arms, strict=True):
                    arm.add(*visible, units)
                tally.add_pairs(of_arms[0], of_arms[1])
        return made
    for number, side in enumerate(comparison.sides):
        for rows, units in side.parts():
            for name, tally in made.items():
                known, values = visible_of(name, rows)
                tally.arms[number].add(known, values, units)
                if comparison.paired:
                    tally.arms[number].known.append(known)
                    tally.arms[number].events.append(values)
    for tally in made.values():
        _pair(tally, comparison)
    return made


def _blank(comparison: Comparison, arm: int) -> ArmTally:
    units = len(comparison.sides[arm].block)
    return ArmTally(np.zeros(units), np.zeros(units, dtype=np.int64))


def _pair(tally: Tally, comparison: Comparison) -> None:
    before, after = tally.arms
    if not comparison.paired:
        tally.pairs = min(before.count, after.count)
        return
    first, second = comparison.same_slots
    tally.add_pairs(_picked(before, first), _picked(after, second))
    for arm in tally.arms:
        arm.known, arm.events = [], []


def _picked(arm: ArmTally, places: np.ndarray) -> Visible:
    if not arm.known:
        none = np.zeros(0, dtype=bool)
        return none, none
    return np.concatenate(arm.known)[places], np.concatenate(arm.events)[places]
