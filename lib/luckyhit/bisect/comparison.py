"""What a search asks for: one comparison of two revisions, and its answer. Those of `measured_comparison` are real,
those of tests simulated. Both hold to the same contract."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from luckyhit.case.values.units import Amount
from luckyhit.judge.reason import got_worse
from luckyhit.records import FAULTS, UNITS, GoalName, Metric, Result, kind_of
from luckyhit.records.bisection import BisectOutcome, BisectQuestion, GoalReading

PART_OF_THE_FAULT = 0.5
"""A revision has the fault if it is worse by more than this part of what the bad revision is shown to be worse by."""


@dataclass(frozen=True)
class BisectAnswer:
    """The answer to one question; its fields are those of `records.bisection.BisectStep`. `margins`: of the comparison
    of the ends, the goals that are hurt, with the margins of all later comparisons."""

    outcome: BisectOutcome
    reason: str = ""
    goals: Mapping[GoalName, GoalReading] = field(default_factory=dict)
    margins: Mapping[GoalName, str] = field(default_factory=dict)
    attempts: int = 0
    runs: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()
    seconds: float = 0.0


class RevisionComparison(Protocol):
    """Compares two revisions by the intervals of the judge."""

    def compare(self, question: BisectQuestion, margins: Mapping[GoalName, str]) -> BisectAnswer:
        """Whether the later revision of `question` is worse. `margins`: the goals that decide; empty for the ends,
        where every goal of the case does.

        `hurt` and `not-hurt` are wrong with at most the case's error rate over the whole search; everything else is
        `undecided`, or says why nothing could be compared. Raises an error of the tree for what no other revision
        would mend (a full disk, a good revision that doesn't start); nothing is left running then."""


def read_ends(result: Result, asked: Collection[GoalName] = ()) -> tuple[BisectOutcome, dict[GoalName, str]]:
    """(outcome, margins of what is hurt) of the comparison of the ends: by the goals `asked`, or else by every goal of
    the case, and by the faults without a goal that the judge found to be worse."""
    if result.verdict == "INVALID":
        return "undecided", {}
    goals = {
        name: metric
        for name, metric in result.metrics.items()
        if metric.verdict is not None and (not asked or name in asked)
    }
    hurt = {name: metric for name, metric in goals.items() if metric.verdict == "HURT"}
    if not hurt and not asked and result.verdict == "HURT":
        hurt = {
            name: metric
            for name in FAULTS
            if (metric := result.metrics.get(name)) is not None and name not in goals and got_worse(name, metric)
        }
    if hurt:
        return "hurt", {name: _margin_of_search(name, metric) for name, metric in hurt.items()}
    return ("not-hurt" if goals and all(map(_no_worse, goals, goals.values())) else "undecided"), {}


def read_goals(result: Result, names: Mapping[GoalName, str]) -> BisectOutcome:
    """The outcome of a later comparison, by the goals `names` alone."""
    metrics = {name: metric for name in names if (metric := result.metrics.get(name)) is not None}
    if result.verdict == "INVALID" or len(metrics) < len(names):
        return "undecided"
    if any(metric.verdict == "HURT" for metric in metrics.values()):
        return "hurt"
    return "not-hurt" if all(map(_no_worse, metrics, metrics.values())) else "undecided"


def readings_of(result: Result, names: Mapping[GoalName, str]) -> dict[GoalName, GoalReading]:
    """The goals of one comparison as they are recorded; `names` empty: all that have a verdict."""
    return {
        name: GoalReading.model_validate(metric.model_dump(include=set(GoalReading.model_fields)))
        for name, metric in result.metrics.items()
        if (name in names if names else metric.verdict is not None)
    }


def _no_worse(name: GoalName, metric: Metric) -> bool:
    """Whether the whole interval lies above what the margin allows, whatever the other side shows."""
    if metric.verdict in ("HELPED", "EQUIVALENT"):
        return True
    bound = metric.low if kind_of(name).higher_is_better else metric.high
    if metric.verdict is None or bound is None or metric.margin is None:
        return False
    return bound >= -metric.margin if kind_of(name).higher_is_better else bound <= metric.margin


def _margin_of_search(name: GoalName, metric: Metric) -> str:
    """Half of what is shown, or the case's margin where that is more: as far from a revision without the fault as from
    one with it, so that the fewest requests tell which it is."""
    bound = metric.high if kind_of(name).higher_is_better else metric.low
    amount = max(abs(bound or 0.0) * PART_OF_THE_FAULT, metric.margin or 0.0)
    return str(Amount(float(f"{amount:.4g}"), UNITS[kind_of(name).unit].amount))
