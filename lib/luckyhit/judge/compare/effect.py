"""One metric in both arms: what was measured of it, and how sure each number is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from luckyhit.case import Case
from luckyhit.case.model import Goal
from luckyhit.case.values.units import Amount
from luckyhit.judge.stats.boundary import INF
from luckyhit.judge.stats.intervals import Margin, no_margin
from luckyhit.judge.stats.proportions import ArmCounts, PairedCounts
from luckyhit.records import FAULTS, UNITS, GoalName, Note, kind_of

UNDECLARED = 0.01
"""The chance that any fault without a goal is wrongly said to have moved, over all of them together."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One metric in both arms. None: not visible. Infinite bounds: the sample sets none on that side.

    `after_low`, `after_high` are bounds of the after arm alone, for hard limits. `pairs`: slots with a value in both
    arms (the smaller arm, where nothing is paired); writes that both arms tell of, for stale reads (see
    `stale.write_units`); windows of the smaller arm.
    """

    before: float | None = None
    after: float | None = None
    effect: float | None = None
    low: float = -INF
    high: float = INF
    after_low: float = -INF
    after_high: float = INF
    pairs: int = 0
    notes: tuple[Note, ...] = ()
    error: float = INF
    """The standard error of the difference; infinite where the sample tells none."""
    zero_bounds: tuple[float | None, float | None] = (None, None)
    """Of stale reads, of each arm in which there was none: the largest share that is possible all the same."""
    degrees: float = INF
    """Of freedom, of `error`."""
    counts: PairedCounts | ArmCounts | None = None
    """What the interval was made of, where it was made of counts."""
    starts: int = 0
    """The process starts that the interval hangs on; 0 where none do (see `comparable.process_starts`)."""
    starts_needed: int | None = None
    """Of a difference that is sure but for its starts: how many in all would tell it."""


def level_of(case: Case) -> float:
    """The error rate of each single interval, so that all verdicts together keep the one the case accepts."""
    limits = sum(goal.at_most is not None for goal in case.goals.values())
    return float(case.plan.error_rate) / (len(case.goals) + limits)


@dataclass(frozen=True, slots=True)
class Levels:
    """The error rate of each single interval: of `goals` (metrics without a goal get intervals at the same one), and of
    `faults`, the metrics of `records.FAULTS` that are not `declared`."""

    goals: float
    faults: float
    declared: Collection[GoalName] = ()

    @classmethod
    def of(cls, case: Case, share: float = 1.0) -> Levels:
        """`share`: what one look at the run may use of each."""
        undeclared = sum(name not in case.goals for name in FAULTS)
        return cls(level_of(case) * share, UNDECLARED / max(undeclared, 1) * share, frozenset(case.goals))

    def at(self, *names: GoalName) -> float:
        """The error rate of one interval of these metrics: that of the strictest of them."""
        rates = (self.faults if name in FAULTS and name not in self.declared else self.goals for name in names)
        return min(rates)


def amount_of(name: GoalName, amount: Amount, before: float | None) -> float | None:
    """A margin or limit in the metric's unit; None where it can't be said (relative to what was not seen)."""
    if kind_of(name).unit == "share":
        return amount.amount if amount.unit == "%" else None
    if amount.unit == "%":
        return None if before is None else amount.amount * abs(before)
    return amount.amount if amount.unit == UNITS[kind_of(name).unit].amount else None


def margin_of(name: GoalName, goals: Mapping[GoalName, Goal]) -> Margin:
    """The margin that a goal declares, by the before arm's value; infinite where nobody said."""
    if name not in goals:
        return no_margin
    declared = goals[name].margin
    return lambda before: amount_of(name, declared, before) or INF


__all__ = ["UNDECLARED", "Effect", "Levels", "amount_of", "level_of", "margin_of"]
