"""One metric in both arms: its values, with the uncertainty of each number."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from luckyhit.case import Case
from luckyhit.case.model import Goal
from luckyhit.case.values.units import Amount
from luckyhit.judge.stats.boundary import INF
from luckyhit.judge.stats.intervals import NO_MARGIN, Margin
from luckyhit.judge.stats.proportions import ArmCounts, PairedCounts
from luckyhit.records import FAULTS, UNITS, GoalName, Note, kind_of

UNDECLARED = 0.01
"""The chance that any fault without a goal is wrongly reported to have moved, over all of them together."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One metric in both arms. None: not visible. Infinite bounds: the sample sets none on that side.

    `after_low`, `after_high` are bounds of the after arm alone, for hard limits. `pairs`: slots with a value in both
    arms (of the smaller arm, where nothing is paired); for stale reads the writes decided in both arms (see
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
    standard_error: float = INF
    """Of the difference; infinite where the sample gives none."""
    zero_bounds: tuple[float | None, float | None] = (None, None)
    """By arm without a stale read: the largest proportion that is still possible."""
    degrees: float = INF
    """Degrees of freedom of `standard_error`."""
    counts: PairedCounts | ArmCounts | None = None
    """Behind the interval, where it is of counts."""
    starts: int = 0
    """The process starts that limit the interval; 0 where none do (see `compare.process_starts`)."""
    starts_needed: int | None = None
    """Of a difference that only its starts leave open: how many starts in all would show it."""


def interval_error_rate(case: Case) -> float:
    """The error rate of each single interval, so that all verdicts together keep the case's."""
    limits = sum(goal.at_most is not None for goal in case.goals.values())
    return float(case.plan.error_rate) / (len(case.goals) + limits)


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """The error rate of each single interval: of `goals` (and of other metrics), and of `faults`, the metrics of
    `records.FAULTS` that are not `declared`."""

    goals: float
    faults: float
    declared: Collection[GoalName] = ()

    @classmethod
    def of(cls, case: Case, fraction: float = 1.0) -> ErrorRates:
        """`fraction`: of each, for one look at the run."""
        undeclared = sum(name not in case.goals for name in FAULTS)
        return cls(
            interval_error_rate(case) * fraction, UNDECLARED / max(undeclared, 1) * fraction, frozenset(case.goals)
        )

    def at(self, *names: GoalName) -> float:
        """The error rate of one interval of these metrics: the strictest of theirs."""
        rates = (self.faults if name in FAULTS and name not in self.declared else self.goals for name in names)
        return min(rates)


def amount_of(name: GoalName, amount: Amount, before: float | None) -> float | None:
    """A margin or limit in the metric's unit; None where it is relative to a value that is not visible."""
    if kind_of(name).unit == "share":
        return amount.amount if amount.unit == "%" else None
    if amount.unit == "%":
        return None if before is None else amount.amount * abs(before)
    return amount.amount if amount.unit == UNITS[kind_of(name).unit].amount else None


def margin_of(name: GoalName, goals: Mapping[GoalName, Goal]) -> Margin:
    """The margin that a goal declares, given the before arm's value; infinite without a goal."""
    if name not in goals:
        return NO_MARGIN
    declared, hoped = goals[name].margin, 0
    if goals[name].want == "better":
        hoped = 1 if kind_of(name).higher_is_better else -1
    return Margin(lambda before: amount_of(name, declared, before) or INF, hoped)
