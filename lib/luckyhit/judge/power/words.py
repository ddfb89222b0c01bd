"""What a plan can decide, in words: one line for each goal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from math import floor
from typing import Any

from luckyhit.case import Case
from luckyhit.judge.power.advice import Planning
from luckyhit.judge.power.goals import WORKLOAD, GoalPower, Reason
from luckyhit.judge.stats.boundary import INF
from luckyhit.text.numbers import listed, percent
from luckyhit.text.quantities import name_of

_REASONS: dict[Reason, str] = {
    "noise-unknown": "the noise is not known before the baseline",
    "blocks-are-units": "the difference between blocks is not known before they are measured",
    "pace-unknown": "the access log sets the rate",
    "margin-relative": "the margin is a percentage of the baseline, which is not measured yet",
    "not-visible": "no response shows it",
    "limit-zero": "no sample, however large, shows that a proportion is exactly 0",
}
_BASELINE_TELLS = "is told by the run after its baseline"
_LATER: defaultdict[Reason, str] = defaultdict(
    lambda: "is not known", {"noise-unknown": _BASELINE_TELLS, "margin-relative": _BASELINE_TELLS}
)
"""When a need that nothing is known of will be known."""
_PARTS: dict[str, str] = {
    "warm": "of warm keys",
    "in-flight": "in flight",
    "absent": "of new keys",
    WORKLOAD: "of the workload",
}
"""By kind of what counts as stale reads."""
_RACING, _RACES = "in-flight", "stale_reads_in_flight"


def line(goal: GoalPower, case: Case) -> str:
    """`stale reads: about 60 pairs (47 of warm keys, 13 in flight), needs about 147 at margin 5 %: set freshness.rate:
    15/s, or plan.blocks: 9`."""
    declared = case.goals[goal.name]
    asked = f"margin {declared.margin}" + (f" and at_most {declared.at_most}" if declared.at_most is not None else "")
    if goal.reason == "not-visible":
        text = f"{name_of(goal.name)}: {_REASONS[goal.reason]}"
    elif goal.needs is None and goal.at_least <= 1:
        text = f"{name_of(goal.name)}: {_given(goal)}; how many it needs at {asked} {_LATER[goal.reason]}"
        text += f" ({_REASONS[goal.reason]})" if goal.reason else ""
    elif goal.needs is None:
        text = f"{name_of(goal.name)}: {_given(goal)}, needs at least {_number(goal.at_least)} at {asked}"
        text += f" ({_REASONS[goal.reason]})" if goal.reason else ""
    elif goal.needs == INF:
        text = f"{name_of(goal.name)}: {_given(goal)}, never decided at {asked}"
    else:
        text = f"{name_of(goal.name)}: {_given(goal)}, needs about {_number(goal.needs)} at {asked}"
    return (f"{text}: {change_text(goal)}" if goal.changes else text) + _race_text(goal, case)


def _race_text(goal: GoalPower, case: Case) -> str:
    """How much of a fault that only the fewer reads in flight show is within the margin of all of them; "" where these
    have a goal of their own."""
    racing = goal.parts.get(_RACING, 0.0)
    if not racing or not goal.gives or _RACES in case.goals:
        return ""
    hidden = case.goals[goal.name].margin.amount * goal.gives / racing
    often = "however often" if hidden >= 1 else f"up to {percent(round(hidden, 2))} of them"
    return f". A race that only those in flight show is within the margin {often}; {_RACES} counts these alone"


def change_text(goal: GoalPower) -> str:
    """`set freshness.rate: 15/s, or plan.blocks: 9`."""
    edits = [
        listed([f"{field}: {value}" if value else f"{field}" for field, value in change.items()])
        for change in goal.changes
    ]
    return f"set {', or '.join(edits)}" if edits else ""


def plan_line(case: Case) -> str:
    """The numbers of a sized plan."""
    plan = case.model_dump(mode="json")["plan"]
    text = f"plan: baseline {plan['baseline']}, {plan['blocks']} blocks of {plan['block']}, "
    text += f"after_rollback {plan['after_rollback']}"
    if case.freshness is not None and case.freshness.rate is not None:
        text += f"; freshness.rate {case.freshness.model_dump(mode='json')['rate']}"
    return text


def as_facts(goals: Sequence[GoalPower]) -> list[dict[str, Any]]:
    """For the manifest: one mapping a goal; null where no number is enough."""
    facts = []
    for goal in goals:
        fact = asdict(goal)
        for name in ("gives", "at_least", "needs"):
            fact[name] = None if fact[name] in (None, INF) else round(fact[name])
        fact["parts"] = {kind: round(count) for kind, count in goal.parts.items()}
        facts.append(fact)
    return facts


def planning_rows(planning: Planning) -> list[tuple[str, str, str, str, str]]:
    """The same as rows of a table: the goal, what it gets, what it needs, what is missing, and what to change."""
    return [
        (
            name_of(goal.name),
            _given(goal) if goal.reason != "not-visible" else "not visible",
            _needed(goal),
            "" if goal.state == "enough" else _REASONS.get(goal.reason, "too few"),
            change_text(goal),
        )
        for goal in planning.goals
    ]


def _given(goal: GoalPower) -> str:
    if goal.gives is None:
        return f"some {goal.counted}"
    parts = [f"{_number(goal.parts[kind])} {words}" for kind, words in _PARTS.items() if kind in goal.parts]
    return f"about {_number(goal.gives)} {goal.counted}" + (f" ({', '.join(parts)})" if parts else "")


def _needed(goal: GoalPower) -> str:
    if goal.reason == "not-visible":
        return ""
    if goal.needs is None:
        return f"at least {_number(goal.at_least)}" if goal.at_least > 1 else "not known yet"
    return "more than there can be" if goal.needs == INF else f"about {_number(goal.needs)}"


def _number(count: float | None) -> str:
    """At two digits: more are not known."""
    if count is None or count == INF:
        return "any number"
    whole = floor(count)
    return f"{int(float(f'{whole:.2g}')):,}" if whole >= 1000 else f"{whole:,}"
