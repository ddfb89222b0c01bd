"""What to change in a case so that a goal which its plan can't decide can be decided: each edit is tried before it is
named, and the least of its kind that does is what is said."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from luckyhit.case import Case
from luckyhit.case.checks.cross_field import findings_in
from luckyhit.case.declared_plan import MOST_BLOCKS, Plan
from luckyhit.case.values.units import Amount, format_duration, format_rate
from luckyhit.errors import ArgumentError
from luckyhit.judge.power.goals import GoalPower, powers
from luckyhit.judge.power.measured_baseline import MeasuredBaseline
from luckyhit.judge.power.sizing import sized, to_size
from luckyhit.judge.power.supply import Probing
from luckyhit.records import AMOUNTS, GoalName, kind_of

LONGEST_BLOCK_S, LONGEST_S, MOST_TIMES_KEYS = 120, 3600, 10


@dataclass(frozen=True)
class Planning:
    """`case` with the numbers of its plan, and each of its goals."""

    case: Case
    goals: list[GoalPower]

    @property
    def undecidable(self) -> list[GoalPower]:
        return [goal for goal in self.goals if goal.state in ("short", "never")]


def plan_for(
    case: Case, probing: Probing, baseline: MeasuredBaseline | None = None, hidden: Collection[GoalName] = ()
) -> Planning:
    """Size what is left out, and say of each goal what it gets and needs. Raises ArgumentError where the ceiling of the
    plan does not hold two blocks."""
    planned = sized(case, probing, baseline)
    goals = powers(planned, probing(planned), baseline, hidden)
    known = _Known(case, planned, probing, baseline)
    return Planning(planned, [replace(goal, changes=tuple(known.changes(goal))) for goal in goals])


@dataclass(frozen=True)
class _Known:
    """What edits are tried on: the case as it was written, and with its numbers."""

    case: Case
    planned: Case
    probing: Probing
    baseline: MeasuredBaseline | None

    def changes(self, goal: GoalPower) -> Iterator[Mapping[str, str]]:
        if goal.state not in ("short", "never"):
            return
        if goal.reason == "not-visible":
            if kind_of(goal.name).told_by:
                yield {kind_of(goal.name).told_by: ""}
            return
        if goal.reason == "limit-zero":
            if limit := self._least_limit(goal.name):
                yield {f"goals.{goal.name}.at_most": limit}
            return
        probes = list(self._more_probes(goal)) if kind_of(goal.name).probe else []
        longer = list(self._longer(goal))
        wider = list(self._wider(goal))
        yield from (*probes, *longer, *wider)
        if not probes and not longer and kind_of(goal.name).probe:
            yield from self._more_of_both(goal)

    def _decides(self, case: Case, name: GoalName) -> bool:
        """Whether the goal can be decided, as far as one can tell, in the case with its edit, and the case is right."""
        if findings_in(case):
            return False
        try:
            planned = sized(case, self.probing, self.baseline)
        except ArgumentError:
            return False
        goal = next(power for power in powers(planned, self.probing(planned), self.baseline) if power.name == name)
        return goal.state in ("enough", "open")

    def _more_probes(self, goal: GoalPower) -> Iterator[Mapping[str, str]]:
        """A higher rate; where keys are too few for one that does, more keys, and a rate where one is declared."""
        probe = self.case.freshness
        if probe is None:
            return
        keys, sized_too = probe.keys.last - probe.keys.first + 1, "freshness.rate" in to_size(self.case)

        def edited(rate: float | None, times: int = 1) -> Case:
            more = probe.keys.model_copy(update={"last": probe.keys.first + keys * times - 1})
            return self.case.model_copy(update={"freshness": probe.model_copy(update={"rate": rate, "keys": more})})

        def least_rate(times: int = 1) -> int | None:
            first, most = int(probe.rate or 0) + 1, int(keys * times / probe.horizon)
            return _first(lambda tried: self._decides(edited(float(tried), times), goal.name), first, most)

        # What is sized has all that the ceiling, the keys and the load allow.
        if not sized_too and (rate := least_rate()) is not None:
            yield {"freshness.rate": format_rate(float(rate))}
            return
        for times in range(2, MOST_TIMES_KEYS + 1):
            last = {"freshness.keys.last": str(probe.keys.first + keys * times - 1)}
            if sized_too and self._decides(edited(None, times), goal.name):
                yield last
                return
            if not sized_too and (rate := least_rate(times)) is not None:
                yield {"freshness.rate": format_rate(float(rate)), **last}
                return

    def _more_of_both(self, goal: GoalPower) -> Iterator[Mapping[str, str]]:
        """Where neither a higher rate nor more blocks do: the least rate with the most blocks, then fewer of these."""
        probe, plan = self.case.freshness, self.case.plan
        if probe is None or plan.left_out:
            return

        def edited(rate: int, blocks: int) -> Case:
            update = {
                "freshness": probe.model_copy(update={"rate": float(rate)}),
                "plan": plan.model_copy(update={"blocks": blocks}),
            }
            return self.case.model_copy(update=update)

        keys = probe.keys.last - probe.keys.first + 1
        first, most = int(probe.rate or 0) + 1, int(keys / probe.horizon)
        rate = _first(lambda tried: self._decides(edited(tried, MOST_BLOCKS), goal.name), first, most)
        if rate is None:
            return
        rate = min(2 * rate, most)
        blocks = _first(lambda tried: self._decides(edited(rate, tried), goal.name), plan.blocks, MOST_BLOCKS)
        if blocks is not None:
            yield {"freshness.rate": format_rate(float(rate)), "plan.blocks": str(blocks)}

    def _longer(self, goal: GoalPower) -> Iterator[Mapping[str, str]]:
        """A higher ceiling where the plan is sized; else more blocks, or longer ones where blocks are too short for
        the probe."""
        plan = self.case.plan

        def edited(**fields: float) -> Case:
            return self.case.model_copy(update={"plan": plan.model_copy(update=fields)})

        if plan.left_out:
            step = 10
            first = int(plan.ceiling // step) + 1
            tens = _first(
                lambda tried: self._decides(edited(at_most=step * tried), goal.name), first, LONGEST_S // step
            )
            if tens is not None:
                yield {"plan.at_most": format_duration(step * tens)}
            return
        if goal.gives:
            more = _first(lambda tried: self._decides(edited(blocks=tried), goal.name), plan.blocks + 1, MOST_BLOCKS)
            if more is not None:
                yield {"plan.blocks": str(more)}
            return
        first = int(plan.block) + 1
        length = _first(lambda tried: self._decides(edited(block=float(tried)), goal.name), first, LONGEST_BLOCK_S)
        if length is not None:
            yield {"plan.block": format_duration(length)}

    def _wider(self, goal: GoalPower) -> Iterator[Mapping[str, str]]:
        """A larger margin, a higher limit, or both of them."""
        declared = self.case.goals[goal.name]
        at_most = declared.at_most

        def edited(margin: Amount, limit: Amount | None) -> Case:
            goals = {**self.case.goals}
            goals[goal.name] = declared.model_copy(update={"margin": margin, "at_most": limit})
            return self.case.model_copy(update={"goals": goals})

        def decided_by(margin: Amount, limit: Amount | None) -> bool:
            return self._decides(edited(margin, limit), goal.name)

        margins = list(_larger(declared.margin, kind_of(goal.name).unit))
        if at_most is None:
            if (margin := _least_amount(lambda tried: decided_by(tried, None), margins)) is not None:
                yield {f"goals.{goal.name}.margin": str(margin)}
            return
        limits = list(_larger(at_most, kind_of(goal.name).unit))
        for wide, high in ((margins, [at_most]), ([declared.margin], limits), (margins, limits)):
            if not high:
                continue
            wider = _least_amount(partial(_swapped, decided_by, high[-1]), wide)
            if wider is None:
                continue
            limit = _least_amount(partial(decided_by, wider), high)
            changed = {"margin": (declared.margin, wider), "at_most": (at_most, limit)}
            yield {f"goals.{goal.name}.{field}": str(new) for field, (old, new) in changed.items() if new != old}
            return

    def _least_limit(self, name: GoalName) -> str | None:
        declared = self.case.goals[name]

        def decides(limit: Amount) -> bool:
            goals = {**self.case.goals, name: declared.model_copy(update={"at_most": limit})}
            return self._decides(self.case.model_copy(update={"goals": goals}), name)

        limit = _least_amount(decides, list(_larger(Amount(0.0, "%"), kind_of(name).unit)))
        return str(limit) if limit is not None else None


def _swapped(decides: Callable[[Amount, Amount], bool], limit: Amount, margin: Amount) -> bool:
    return decides(margin, limit)


def _first(decides: Callable[[int], bool], first: int, last: int) -> int | None:
    """The least whole number in a range that decides, where larger ones do as well; None where the last does not. Small
    ones are tried first: they cost least."""
    low, step = first, 1
    while low <= last:
        high = min(low + step - 1, last)
        if decides(high):
            break
        low, step = high + 1, 2 * step
    else:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle + 1, high)
    return high


def _larger(amount: Amount, unit: str) -> Iterator[Amount]:
    """Larger amounts as one would write them: whole points up to 99 %, or by the steps of `records.AMOUNTS`."""
    if unit == "share" or amount.unit == "%":
        yield from (Amount(points / 100, amount.unit) for points in range(int(amount.amount * 100 + 1e-9) + 1, 100))
    else:
        step = AMOUNTS[amount.unit].step
        first = int(amount.amount / step + 1e-9) + 1
        yield from (Amount(round(step * count, 6), amount.unit) for count in range(first, first + 1000))


def _least_amount(decides: Callable[[Amount], bool], amounts: Sequence[Amount]) -> Amount | None:
    place = _first(lambda index: decides(amounts[index]), 0, len(amounts) - 1)
    return amounts[place] if place is not None else None


def unsized(case: Case, fields: Collection[str]) -> Case:
    """The case with these fields left out again, as they were before they were sized."""
    names = {name.removeprefix("plan.") for name in fields}
    plan = Plan.model_construct(case.plan.model_fields_set - names, **dict(case.plan))
    case = case.model_copy(update={"plan": plan})
    if "freshness.rate" in fields and case.freshness is not None:
        case = case.model_copy(update={"freshness": case.freshness.model_copy(update={"rate": None})})
    return case


__all__ = ["Planning", "plan_for", "unsized"]
