"""Whether the second *before*, measured after the rollback, equals the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from luckyhit.case import Case
from luckyhit.judge.compare.effect import Effect, amount_of
from luckyhit.records import LATENCIES, GoalName, Rollback, kind_of, metric_of_goal
from luckyhit.text.numbers import listed
from luckyhit.text.quantities import name_of, value_text

ALONE = (
    "Latencies were not compared: this block had the host to itself, while the others were measured two arms at a time."
)


def compared(
    rollback: Rollback,
    again: Mapping[GoalName, Effect],
    case: Case,
    effects: Mapping[GoalName, Effect],
    *,
    alone: bool = False,
) -> Rollback:
    """`rollback` with `same_as_before` and a sentence. `again`: effects with the before arm of the change's blocks
    as before, and the block after the rollback as after, measured apart.

    Generous: it differs where an interval lies wholly outside the margin, and is the same where the value lies inside
    it; in between nothing can be told. Showing more would take as long a measurement as the comparison itself.
    `effects`: the metrics of the run; where their before arm has another number, since pairs or all blocks were
    counted, this one says what it is of. `alone`: the block after the rollback was measured by itself, the others two
    arms at a time; their latencies are then those of differently busy hosts, and are not compared.
    """
    same: list[str] = []
    different: list[str] = []
    open_: list[str] = []
    unseen: list[str] = []
    for name, goal in case.goals.items():
        if alone and metric_of_goal(name) in LATENCIES:
            continue
        effect = again.get(name, Effect())
        margin = amount_of(name, goal.margin, effect.before)
        if effect.before is None or effect.after is None or effect.effect is None or margin is None:
            unseen.append(name_of(name))
            continue
        values = f"{name_of(name)} {value_text(name, effect.after)} ({_counted(name, effect.before, effects)})"
        surely = effect.low > margin or effect.high < -margin
        (different if surely else same if abs(effect.effect) <= margin else open_).append(values)
    left_out = ALONE if alone and any(metric_of_goal(name) in LATENCIES for name in case.goals) else ""
    text = ""
    if different:
        text = f"Measured again after the rollback, this is not as before: {listed(different)}."
    elif same:
        text = f"Measured again after the rollback: {listed(same)}: nothing differs by more than its margin."
    unsure = ""
    if open_:
        unsure = f"Beyond its margin after the rollback, but not surely, since blocks differ anyway: {listed(open_)}."
    detail = _joined(rollback.detail, text, unsure, _unseen(unseen) if unseen else "", left_out)
    equal = False if different else None if open_ or not same else True
    return rollback.model_copy(update={"same_as_before": equal, "detail": detail})


def _counted(name: GoalName, before: float, effects: Mapping[GoalName, Effect]) -> str:
    """`before arm: 58 %`, where that is the number of the metric."""
    metric = effects.get(name, Effect()).before
    same = metric is not None and value_text(name, metric) == value_text(name, before)
    part = "" if same else ", all of the probe's" if kind_of(name).probe else ", blocks with the probe"
    return f"before arm{part}: {value_text(name, before)}"


def _unseen(names: Sequence[str]) -> str:
    return f"Could not be compared again after the rollback: {listed(list(names))}."


def _joined(*texts: str) -> str:
    ended = [text if text.endswith((".", "!", "?")) else f"{text}." for text in texts if text]
    return " ".join(ended)
