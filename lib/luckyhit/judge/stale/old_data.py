"""Whether a run looked for old data. A change that keeps entries longer, or stores more, may serve it; no other metric
shows that."""

from __future__ import annotations

from collections.abc import Mapping

from luckyhit.case import Case
from luckyhit.judge.compare.effect import Effect
from luckyhit.records import STALE_READS, GoalName, OldData, OldDataLooked, metric_of_goal
from luckyhit.text.numbers import percent, plural, sentence


def looked_for(case: Case) -> OldDataLooked:
    """What the case declares: a goal on stale reads or how long they last, a probe without one, or neither."""
    if any(metric_of_goal(name).startswith("stale") for name in case.goals):
        return "declared"
    return "undeclared" if case.freshness is not None else "not-looked-at"


def old_data(case: Case, effects: Mapping[GoalName, Effect]) -> OldData:
    """The same, with the pairs and the bound of the metric."""
    looked, stale = looked_for(case), effects.get(STALE_READS, Effect())
    if looked == "not-looked-at" and stale.pairs:
        looked = "undeclared"
    return OldData(looked=looked, pairs=stale.pairs, at_most=stale.after_high if stale.pairs else None)


def old_data_text(old_data: OldData | None) -> str:
    """A sentence for the first screen; empty where a goal is about it."""
    if old_data is None or old_data.looked == "declared":
        return ""
    if old_data.looked == "not-looked-at":
        return "Old data: not looked at, since the case has no freshness section."
    if not old_data.pairs or old_data.at_most is None:
        return "Old data: looked at without a goal, and no read decides."
    pairs = f"{plural(old_data.pairs, 'pair')}"
    return sentence(
        f"old data: looked at without a goal: {pairs}, at most {percent(old_data.at_most)} after the change"
    )
