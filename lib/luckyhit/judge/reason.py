"""The sentence that says why a run has its verdict: results first, open questions after them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal

from luckyhit.case.declared_plan import MOST_BLOCKS, Plan
from luckyhit.case.values.units import format_duration
from luckyhit.judge.compare.effect import UNDECLARED, Effect, amount_of
from luckyhit.judge.verdict import FaultMoved, Ruling, metric_of
from luckyhit.records import GoalName, Guard, GuardId, Metric, Verdict, kind_of
from luckyhit.text.messages import guard_title
from luckyhit.text.numbers import listed, sentence
from luckyhit.text.quantities import amount_text, difference_text, interval_text, name_of, value_text
from luckyhit.text.wording import text_of

PartId = Literal[
    "fault-worse",
    "hurt",
    "limit-broken",
    "helped",
    "fault-better",
    "equivalent",
    "better-unasked",
    "no-worse",
    "open",
    "wanted-open",
]
_FIRST: tuple[GuardId, ...] = ("records-readable", "within-the-targets-limits", "declared-difference-only")
CEILING_STEP_S = 10
"""The advised `plan.at_most` is a multiple of this."""


@dataclass(frozen=True, slots=True)
class SentencePart:
    """One part of the sentence, and the goals (or the faults without one) that it is about."""

    id: PartId
    names: tuple[GoalName, ...]


def parts_of(verdict: Verdict, rulings: Sequence[Ruling], faults: Sequence[FaultMoved] = ()) -> list[SentencePart]:
    """The parts of the sentence in their order; none without a visible goal. For INVALID the failed guard speaks.

    Each goal is in at most one part. Where something got worse, what the change was for is said behind it, met or open:
    the run may have ended before that was decided. The table has the rest.
    """
    hurt = [ruling for ruling in rulings if ruling.metric.verdict == "HURT"]
    missed = [ruling for ruling in rulings if ruling.missed and ruling not in hurt]
    rest = [ruling for ruling in rulings if ruling not in hurt and ruling not in missed]
    gains = [ruling for ruling in rest if ruling.metric.verdict == "HELPED"]
    asked = [ruling for ruling in gains if ruling.goal.want == "better"]
    still = sorted(
        (ruling for ruling in rest if ruling.metric.verdict == "EQUIVALENT"),
        key=lambda ruling: ruling.goal.want != "better",
    )
    parts: list[tuple[PartId, Sequence[Ruling | FaultMoved]]] = [
        ("fault-worse", [fault for fault in faults if fault.worse]),
        ("hurt", hurt),
        ("limit-broken", missed),
        ("helped", asked if verdict in ("HELPED", "INCONCLUSIVE", "HURT") else []),
        ("fault-better", [fault for fault in faults if not fault.worse]),
    ]
    if verdict == "INCONCLUSIVE":
        parts += [("equivalent", still), ("open", [ruling for ruling in rest if not ruling.passes])]
    elif verdict == "EQUIVALENT" or (verdict == "HELPED" and not asked):
        passed = [ruling for ruling in rest if ruling.metric.verdict == "INCONCLUSIVE" and ruling.passes]
        parts += [("equivalent", still), ("better-unasked", gains), ("no-worse", passed)]
    elif verdict == "HURT":
        wanted = [ruling for ruling in rest if ruling.metric.verdict == "INCONCLUSIVE" and ruling.goal.want == "better"]
        parts.append(("wanted-open", wanted))
    return [SentencePart(name, tuple(member.name for member in members)) for name, members in parts if members]


def verdict_reason(
    verdict: Verdict,
    guards: Sequence[Guard],
    rulings: Sequence[Ruling],
    effects: Mapping[GoalName, Effect],
    confidence: float,
    faults: Sequence[FaultMoved] = (),
    plan: Plan | None = None,
) -> str:
    """One sentence, with the numbers. `confidence`: of all intervals together, in per cent (99); `plan`: the measured
    one, to advise a change of it; None without one."""
    if verdict == "INVALID":
        return sentence(_failed([guard for guard in guards if not guard.ok]))
    words = _Words(
        {ruling.name: ruling for ruling in rulings}, effects, {fault.name: fault for fault in faults}, confidence
    )
    parts = parts_of(verdict, rulings, faults)
    texts = [words.text(part, verdict) for part in parts]
    if verdict == "INCONCLUSIVE" and not rulings:
        texts.append("the case has no goal that was visible")
    open_ = [words.rulings[name] for part in parts if part.id == "open" for name in part.names]
    advice = advised(open_, plan) if plan is not None else {}
    if advice:
        texts.append(f"to decide, set {listed([f'{field}: {value}' for field, value in advice.items()])}")
    return sentence("; ".join(text for text in texts if text))


def advised(open_: Sequence[Ruling], plan: Plan) -> dict[str, str]:
    """The field of the plan to change for the open goals, with its value: the blocks that all their forecasts ask for
    (the ceiling, where the plan is sized). Nothing where one can't be forecast, or exceeds a plan."""
    expected = [(ruling.metric.expected_pairs, ruling.metric.pairs) for ruling in open_]
    times = [needed / pairs for needed, pairs in expected if needed is not None and pairs]
    if not open_ or len(times) < len(expected):
        return {}
    if plan.auto:
        at_most = ceil(plan.ceiling * max(times) / CEILING_STEP_S) * CEILING_STEP_S
        return {"plan.at_most": format_duration(float(at_most))}
    blocks = max(plan.blocks + 1, ceil(plan.blocks * max(times)))
    return {"plan.blocks": str(blocks)} if blocks <= MOST_BLOCKS else {}


def _failed(failed: Sequence[Guard]) -> str:
    """Damaged files, what stopped the run and an undeclared change come first: they explain the rest."""
    worst, *others = sorted(failed, key=lambda guard: _FIRST.index(guard.id) if guard.id in _FIRST else len(_FIRST))
    more = f" (and {len(others)} more)" if others else ""
    return f"the guard “{guard_title(worst.id)}”{more} failed: {worst.detail}"


@dataclass(frozen=True, slots=True)
class _Words:
    """The parts as text."""

    rulings: Mapping[GoalName, Ruling]
    effects: Mapping[GoalName, Effect]
    faults: Mapping[GoalName, FaultMoved]
    confidence: float

    def text(self, part: SentencePart, verdict: Verdict) -> str:
        if part.id in ("fault-worse", "fault-better"):
            moved = [self._fault_moved(self.faults[name]) for name in part.names]
            if part.id == "fault-worse":
                return "; ".join(f"{text}, which no goal covers" for text in moved)
            return f"{listed(moved)}, beside the goals"
        rulings = [self.rulings[name] for name in part.names]
        if part.id == "hurt":
            return "; ".join(self._hurt(ruling) for ruling in rulings[:2])
        if part.id == "limit-broken":
            return "; ".join(f"goal not met: {self._moved(ruling)}{_beyond(ruling)}" for ruling in rulings)
        if part.id == "helped":
            return self._helped(rulings, with_costs=verdict == "HELPED")
        if part.id == "equivalent" and verdict == "INCONCLUSIVE":
            return f"no difference that matters in {_names(rulings)}"
        if part.id == "equivalent":
            return f"no difference that matters: {listed([self._still(ruling) for ruling in rulings[:3]])}"
        if part.id == "better-unasked":
            asked = any(ruling.goal.want == "better" for ruling in self.rulings.values() if not ruling.missed)
            why = "which is not what should get better" if asked else "which no goal asks for"
            return f"{listed([self._moved(ruling) for ruling in rulings[:2]])}, {why}"
        if part.id == "no-worse":
            return f"{_names(rulings)} got no worse than the case accepts; whether it got better is open"
        if part.id == "wanted-open":
            return f"not decided by then: {listed([self._moved(ruling) for ruling in rulings[:2]])}"
        return self._open(rulings)

    def _helped(self, gains: Sequence[Ruling], *, with_costs: bool) -> str:
        """What got better, and at which cost."""
        text = listed([self._moved(ruling) for ruling in gains[:2]])
        if not with_costs:
            return text
        costs = [
            ruling
            for ruling in self.rulings.values()
            if ruling.goal.want == "no-worse" and got_worse(ruling.name, ruling.metric)
        ]
        if costs:
            text += f", at a cost of {listed([_cost(ruling) for ruling in costs])}"
            return f"{text}, inside what the case accepts" if len(costs) > 1 else f"{text}, {_inside(costs[0])}"
        if len(self.rulings) > len(gains):
            text += ", and no other goal got worse than the case accepts"
        return text

    def _hurt(self, ruling: Ruling) -> str:
        text = self._moved(ruling)
        limit = _limit(ruling)
        if limit is not None and self.effects[ruling.name].after_low > limit:
            return f"{text}{_beyond(ruling)}"
        if ruling.goal.want == "no-worse" and ruling.metric.margin is not None:
            return f"{text}, more than the {difference_text(ruling.name, ruling.metric.margin)} that the case accepts"
        return f"{text}, which should have got better"

    def _open(self, rulings: Sequence[Ruling]) -> str:
        """The first in full, the others by their names."""
        first, others = rulings[0], rulings[1:]
        metric = first.metric
        words = text_of(metric.notes)
        note = f"{words[:1].lower()}{words[1:].rstrip('.')}"
        if metric.effect is None and metric.low is None and metric.high is None:
            text = f"no verdict on {name_of(first.name)}: {note}"
        else:
            text = f"not decided: {self._moved(first)}{f'; {note}' if note else ''}"
        return f"{text}; nor is {_names(others)}" if others else text

    def _still(self, ruling: Ruling) -> str:
        name, metric = ruling.name, ruling.metric
        effect = difference_text(name, metric.effect or 0.0)
        signed = effect if (metric.effect or 0.0) <= 0 else f"+{effect}"
        if effect.startswith("0 ") or effect == "0":
            signed = effect
        interval = f"{self.confidence:.3g} % interval {interval_text(name, metric.low, metric.high)}"
        return f"{name_of(name)} {signed} ({interval}, margin {difference_text(name, metric.margin or 0.0)})"

    def _moved(self, ruling: Ruling) -> str:
        return _moved(ruling.name, ruling.metric, self.confidence)

    def _fault_moved(self, fault: FaultMoved) -> str:
        return _moved(fault.name, metric_of(fault.name, fault.effect), 100 * (1 - UNDECLARED))


def _names(rulings: Sequence[Ruling]) -> str:
    return listed([name_of(ruling.name) for ruling in rulings])


def _limit(ruling: Ruling) -> float | None:
    return amount_of(ruling.name, ruling.goal.at_most, None) if ruling.goal.at_most else None


def _beyond(ruling: Ruling) -> str:
    limit = _limit(ruling)
    return "" if limit is None else f", beyond the limit of {value_text(ruling.name, limit)} that the case sets"


def got_worse(name: GoalName, metric: Metric) -> bool:
    """Whether the whole interval lies on the worse side of 0."""
    if kind_of(name).higher_is_better:
        return metric.high is not None and metric.high < 0
    return metric.low is not None and metric.low > 0


def _cost(ruling: Ruling) -> str:
    return amount_text(ruling.name, abs(ruling.metric.effect or 0.0))


def _inside(ruling: Ruling) -> str:
    return f"inside the {difference_text(ruling.name, ruling.metric.margin or 0.0)} that the case accepts"


def _moved(name: GoalName, metric: Metric, confidence: float) -> str:
    """`stale reads fell from 99 % to 0 % (99 % interval −100 to −93 points)`."""
    interval = f"{confidence:.3g} % interval {interval_text(name, metric.low, metric.high)}"
    if metric.before is None or metric.after is None or metric.effect is None:
        return f"{name_of(name)} changed ({interval})"
    before, after = value_text(name, metric.before), value_text(name, metric.after)
    verb = "fell" if metric.effect < 0 else "rose"
    if before != after:
        return f"{name_of(name)} {verb} from {before} to {after} ({interval})"
    if (metric.low is not None and metric.low > 0) or (metric.high is not None and metric.high < 0):
        return f"{name_of(name)} {verb} by {difference_text(name, abs(metric.effect))} from {before} ({interval})"
    return f"{name_of(name)} stayed at {before} ({interval})"
