"""Our judge on a stream that grows: what it says of each goal, look after look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from luckyhit.case.model import Goal
from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.compare.effects import request_effects
from luckyhit.judge.table.samples import RequestTable, side_by_side
from luckyhit.judge.verdict import rule_on
from luckyhit.records import MetricName, Verdict

FIRST, EACH = 100, 100
"""After how many pairs the first look is, and how many come before the next: a second."""


def said(
    before: RequestTable,
    after: RequestTable,
    goals: Mapping[MetricName, Goal],
    boundary: FixedSample | Sequential,
    error_rate: float,
) -> dict[MetricName, Verdict]:
    """The verdict on each goal; `error_rate` is that of all of them together."""
    each = error_rate / len(goals)
    effects = request_effects(side_by_side(before, after), boundary, each, goals)
    rulings = {name: rule_on(name, effects[name], goal, 1.0, each) for name, goal in goals.items()}
    return {name: ruling.metric.verdict or "INCONCLUSIVE" for name, ruling in rulings.items()}


def at_pairs(count: int, each: int = EACH) -> range:
    """After how many pairs one looks, up to `count`."""
    return range(FIRST, count + 1, each)


def looks(
    before: RequestTable, after: RequestTable, goals: Mapping[MetricName, Goal], error_rate: float, each: int = EACH
) -> Iterator[tuple[int, dict[MetricName, Verdict]]]:
    """(pairs, verdicts) at each look, for intervals that hold at any time."""
    for pairs in at_pairs(len(before), each):
        seen = [rows.take(np.arange(pairs)) for rows in (before, after)]
        yield pairs, said(seen[0], seen[1], goals, Sequential(), error_rate)


def settled(
    before: RequestTable, after: RequestTable, goals: Mapping[MetricName, Goal], error_rate: float, each: int = EACH
) -> tuple[float, dict[MetricName, Verdict]]:
    """(pairs, verdicts) at the first look at which every goal is decided; else infinite, and the last verdicts."""
    verdicts: dict[MetricName, Verdict] = {}
    for pairs, verdicts in looks(before, after, goals, error_rate, each):
        if "INCONCLUSIVE" not in verdicts.values():
            return float(pairs), verdicts
    return float("inf"), verdicts
