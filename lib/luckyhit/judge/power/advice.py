"""What to change in a case so that a goal which its plan can't decide can be decided: each edit is tried before it is
named, and the least of its kind that is enough is named."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from luckyhit.case import Case
from luckyhit.case.checks.cross_field import findings_in
from luckyhit.case.declared_plan import MOST_BLOCKS, Plan
from luckyhit.case.freshness import SharedKeys
from luckyhit.case.values.units import Amount, format_duration, format_rate
from luckyhit.errors import ArgumentError
from luckyhit.judge.power.goals import GoalPower, powers
from luckyhit.judge.power.measured_baseline import MeasuredBaseline
from luckyhit.judge.power.sizing import sized, to_size
from luckyhit.judge.power.supply import Probing
from luckyhit.judge.stats.forecast import first_where
from luckyhit.records import AMOUNTS, GoalName, kind_of, metric_of_goal

LONGEST_BLOCK_S, LONGEST_S, STEP_S, MOST_TIMES_KEYS = 120, 3600, 10, 10
Edits = Iterator[Mapping[str, str]]
"""Each: field to value, as written in the case file."""
_A = TypeVar("_A")


@dataclass(frozen=True)
class Planning:
    """`case` with the numbers of its plan, and each of its goals."""

    case: Case
    goals: list[GoalPower]

    @property
    def undecidable(self) -> list[GoalPower]:
        return [goal for goal in self.goals if goal.state in ("short", "never")]


def plan_for(
    case: Case,
    probing: Probing,
    baseline: MeasuredBaseline | None = None,
    hidden: Collection[GoalName] = (),
    shown_by: Mapping[GoalName, Mapping[str, str]] = {},
) -> Planning:
    """Size what is left out, and what each goal gets and needs. `shown_by`: the edit that makes a metric of `hidden`
    visible, where answers tell it. Raises ArgumentError where the ceiling of the plan does not hold two blocks."""
    planned = sized(case, probing, baseline)
    goals = powers(planned, probing(planned), baseline, hidden)
    advisor = _Advisor(case, probing, baseline, shown_by)
    return Planning(planned, [replace(goal, changes=tuple(advisor.changes(goal))) for goal in goals])


@dataclass(frozen=True)
class _Advisor:
    """Tries edits on `case`, as it was written."""

    case: Case
    probing: Probing
    baseline: MeasuredBaseline | None
    shown_by: Mapping[GoalName, Mapping[str, str]]

    def changes(self, goal: GoalPower) -> Edits:
        if goal.state not in ("short", "never"):
            return
        name, kind = goal.name, kind_of(goal.name)
        if goal.reason == "not-visible":
            if kind.told_by:
                yield self.shown_by.get(metric_of_goal(name), {kind.told_by: ""})
        elif goal.reason == "limit-zero":
            limits = list(_larger(Amount(0.0, "%"), kind.unit))
            limit = _first_amount(lambda tried: self._decides(name, goal={"at_most": tried}), limits)
            if limit is not None:
                yield {f"goals.{name}.at_most": str(limit)}
        else:
            probes = list(self._more_probes(name)) if kind.probe else []
            longer = list(self._longer(goal))
            yield from (*probes, *longer, *self._wider(name))
            if kind.probe and not probes and not longer:
                yield from self._more_of_both(name)

    def _decides(
        self,
        name: GoalName,
        *,
        plan: Mapping[str, object] | None = None,
        probe: Mapping[str, object] | None = None,
        goal: Mapping[str, object] | None = None,
    ) -> bool:
        """Whether the case with these fields is valid, and can decide the goal as far as is known."""
        case, update = self.case, dict[str, object]()
        if plan is not None:
            update["plan"] = case.plan.model_copy(update=plan)
        if probe is not None and case.freshness is not None:
            update["freshness"] = case.freshness.model_copy(update=probe)
        if goal is not None:
            update["goals"] = {**case.goals, name: case.goals[name].model_copy(update=goal)}
        case = case.model_copy(update=update)
        if findings_in(case):
            return False
        try:
            planned = sized(case, self.probing, self.baseline)
        except ArgumentError:
            return False
        edited = next(power for power in powers(planned, self.probing(planned), self.baseline) if power.name == name)
        return edited.state in ("enough", "open")

    def _more_probes(self, name: GoalName) -> Edits:
        """A higher rate; where keys are too few for one, more keys, and a rate where one is declared."""
        probe = self.case.freshness
        if probe is None:
            return
        count, sized_too = probe.keys.last - probe.keys.first + 1, "freshness.rate" in to_size(self.case)

        def decides(keys: SharedKeys, rate: int | None) -> bool:
            return self._decides(name, probe={"rate": None if rate is None else float(rate), "keys": keys})

        # Of names there are no more than those.
        for times in range(1, (MOST_TIMES_KEYS if probe.keys.names is None else 1) + 1):
            keys = probe.keys.model_copy(update={"last": probe.keys.first + count * times - 1})
            more_keys = {"freshness.keys.last": str(keys.last)} if times > 1 else {}
            if sized_too:
                # A sized rate already has all that the ceiling, the keys and the load allow.
                if times > 1 and decides(keys, None):
                    yield more_keys
                    return
                continue
            first, most = int(probe.rate or 0) + 1, int(count * times / probe.horizon)
            rate = _first(partial(decides, keys), first, most)
            if rate is not None:
                yield {"freshness.rate": format_rate(float(rate)), **more_keys}
                return

    def _more_of_both(self, name: GoalName) -> Edits:
        """Where neither a higher rate nor more blocks do: the least rate with the most blocks, then fewer of these."""
        probe, plan = self.case.freshness, self.case.plan
        if probe is None or plan.left_out:
            return

        def decides(rate: int, blocks: int) -> bool:
            return self._decides(name, probe={"rate": float(rate)}, plan={"blocks": blocks})

        keys = probe.keys.last - probe.keys.first + 1
        first, most = int(probe.rate or 0) + 1, int(keys / probe.horizon)
        least = _first(lambda tried: decides(tried, MOST_BLOCKS), first, most)
        if least is None:
            return
        rate = min(2 * least, most)
        blocks = _first(lambda tried: decides(rate, tried), plan.blocks, MOST_BLOCKS)
        if blocks is not None:
            yield {"freshness.rate": format_rate(float(rate)), "plan.blocks": str(blocks)}

    def _longer(self, goal: GoalPower) -> Edits:
        """A higher ceiling where the plan is sized; else more blocks, or longer ones where a block is too short for the
        probe."""
        plan, name = self.case.plan, goal.name
        if plan.left_out:
            first = int(plan.ceiling // STEP_S) + 1
            steps = _first(
                lambda tried: self._decides(name, plan={"at_most": STEP_S * tried}), first, LONGEST_S // STEP_S
            )
            if steps is not None:
                yield {"plan.at_most": format_duration(STEP_S * steps)}
        elif goal.gives:
            blocks = _first(lambda tried: self._decides(name, plan={"blocks": tried}), plan.blocks + 1, MOST_BLOCKS)
            if blocks is not None:
                yield {"plan.blocks": str(blocks)}
        else:
            first = int(plan.block) + 1
            seconds = _first(lambda tried: self._decides(name, plan={"block": float(tried)}), first, LONGEST_BLOCK_S)
            if seconds is not None:
                yield {"plan.block": format_duration(seconds)}

    def _wider(self, name: GoalName) -> Edits:
        """A larger margin, a higher limit, or both of them."""
        declared, unit = self.case.goals[name], kind_of(name).unit
        margins: list[Amount] = list(_larger(declared.margin, unit))
        limits: list[Amount | None] = [declared.at_most]
        ways = [(margins, limits)]
        if declared.at_most is not None:
            higher: list[Amount | None] = list(_larger(declared.at_most, unit))
            ways += [([declared.margin], higher), (margins, higher)]

        def decides(limit: Amount | None, margin: Amount) -> bool:
            return self._decides(name, goal={"margin": margin, "at_most": limit})

        for wide, high in ways:
            if not high:
                continue
            margin = _first_amount(partial(decides, high[-1]), wide)
            if margin is None:
                continue
            limit = _first_amount(partial(decides, margin=margin), high) if len(high) > 1 else high[0]
            changed = {"margin": (declared.margin, margin), "at_most": (declared.at_most, limit)}
            yield {f"goals.{name}.{field}": str(new) for field, (old, new) in changed.items() if new != old}
            return


def _first(decides: Callable[[int], bool], first: int, last: int) -> int | None:
    """The least whole number in a range that decides, where larger ones do as well; None where the last does not. Small
    ones are tried first: they cost least."""
    low, step = first, 1
    while low <= last:
        high = min(low + step - 1, last)
        if decides(high):
            return first_where(decides, low, high)
        low, step = high + 1, 2 * step
    return None


def _first_amount(decides: Callable[[_A], bool], amounts: Sequence[_A]) -> _A | None:
    place = _first(lambda index: decides(amounts[index]), 0, len(amounts) - 1)
    return amounts[place] if place is not None else None


def _larger(amount: Amount, unit: str) -> Iterator[Amount]:
    """Larger amounts as one writes them: whole points up to 99 %, or by the steps of `records.AMOUNTS`."""
    if unit == "share" or amount.unit == "%":
        yield from (Amount(points / 100, amount.unit) for points in range(int(amount.amount * 100 + 1e-9) + 1, 100))
    else:
        step = AMOUNTS[amount.unit].step
        first = int(amount.amount / step + 1e-9) + 1
        yield from (Amount(round(step * count, 6), amount.unit) for count in range(first, first + 1000))


def unsized(case: Case, fields: Collection[str]) -> Case:
    """The case with these fields left out again, as before they were sized."""
    names = {name.removeprefix("plan.") for name in fields}
    plan = Plan.model_construct(case.plan.model_fields_set - names, **dict(case.plan))
    case = case.model_copy(update={"plan": plan})
    if "freshness.rate" in fields and case.freshness is not None:
        case = case.model_copy(update={"freshness": case.freshness.model_copy(update={"rate": None})})
    return case
