"""What is wrong at any level, and has no goal: whether the change moved it.

Stale reads, phantom reads, wrong answers and errors are faults whether or not a case declares them. Those it doesn't
declare have intervals that are wrong with at most `effect.UNDECLARED`, over all of them together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from luckyhit.judge.compare.effect import Effect
from luckyhit.records import FAULTS, METRICS, GoalName, MetricName


@dataclass(frozen=True, slots=True)
class FaultMoved:
    """A fault without a goal that surely got better or worse. `decides`: no goal says how much of it is accepted."""

    name: MetricName
    effect: Effect
    worse: bool
    decides: bool

    @property
    def gone(self) -> bool:
        """The before arm plainly shows it, and the after arm not once."""
        return not self.worse and self.effect.after == 0


def faults_moved(effects: Mapping[GoalName, Effect], goals: Collection[GoalName]) -> list[FaultMoved]:
    """The faults that `goals` don't name and whose interval excludes 0, in the order of `records.FAULTS`."""
    return [
        FaultMoved(name, effects[name], effects[name].low > 0, METRICS[name].covered_by not in goals)
        for name in FAULTS
        if name not in goals and name in effects and (effects[name].low > 0 or effects[name].high < 0)
    ]


__all__ = ["FaultMoved", "faults_moved"]
