"""The verdicts: for each goal, and overall. `reason` has the sentence that says why.

Signs are turned so that more is better for every metric. An interval is compared with 0 and with the declared margin; a
point estimate never decides anything.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from luckyhit.case.model import Goal
from luckyhit.case.values.units import Amount
from luckyhit.judge.compare.effect import Effect, amount_of
from luckyhit.judge.stats.boundary import INF, Boundary, FixedSample
from luckyhit.judge.stats.forecast import MOST_TIMES, Forecast, Question, forecast, pairs_at_margin, wald_pairs, whole
from luckyhit.records import FAULTS, METRICS, GoalName, Guard, Limit, Metric, MetricName, Note, Verdict, kind_of
from luckyhit.text.numbers import minutes, plural
from luckyhit.text.quantities import difference_text, value_text
from luckyhit.text.wording import note

RULES: tuple[str, ...] = (
    "INVALID, where a guard failed.",
    "HURT, where something got worse: a goal that should get better, at all (outside its margin); one that should get "
    "no worse, by more than its margin, or provably at all and provably beyond a hard limit; or, without a goal, stale "
    "reads, phantom reads, wrong answers or errors, provably.",
    "INCONCLUSIVE, where a goal is still open, or was not visible: missing data is never a pass.",
    "EQUIVALENT, where a hard limit is provably broken though nothing got worse: a goal not met, whatever else got "
    "better. The sentence leads with it.",
    "HELPED, where every goal that should get better is HELPED or EQUIVALENT and every other one got no worse than its "
    "margin, and at least one that should get better is HELPED; or a fault without a goal (as above) that the before "
    "arm plainly shows is gone in the after arm.",
    "EQUIVALENT otherwise: what should get better lies inside its margin, and nothing got worse than its margin.",
)
"""The rules of the overall verdict, in order: the first that applies decides."""

ONE_LOOK = FixedSample()


@dataclass(frozen=True, slots=True)
class FaultMoved:
    """A fault without a goal whose interval excludes 0. `decides`: no goal says how much of it is accepted."""

    name: MetricName
    effect: Effect
    worse: bool
    decides: bool

    @property
    def gone(self) -> bool:
        """It is certain in the before arm, and absent in the after arm."""
        return not self.worse and self.effect.after == 0


def faults_moved(effects: Mapping[GoalName, Effect], goals: Collection[GoalName]) -> list[FaultMoved]:
    """The faults without a goal whose interval excludes 0, in the order of `records.FAULTS`. Those that a case does not
    declare have intervals that are wrong with at most `effect.UNDECLARED`, over all of them together."""
    return [
        FaultMoved(name, effects[name], effects[name].low > 0, METRICS[name].covered_by not in goals)
        for name in FAULTS
        if name not in goals and name in effects and (effects[name].low > 0 or effects[name].high < 0)
    ]


@dataclass(frozen=True, slots=True)
class Ruling:
    """One goal's metric with its verdict. `passes`: the goal is shown to be met, a broken hard limit (`metric.limit`)
    aside."""

    name: GoalName
    goal: Goal
    metric: Metric
    passes: bool

    @property
    def missed(self) -> bool:
        """Its hard limit is shown to be broken."""
        return self.metric.limit == "broken"


def metric_of(name: GoalName, effect: Effect, notes: Sequence[Note] = ()) -> Metric:
    """The metric without a verdict. Infinite bounds become null: there is none on that side."""
    return Metric(
        unit=kind_of(name).unit,
        before=effect.before,
        after=effect.after,
        effect=effect.effect,
        low=effect.low if abs(effect.low) < INF else None,
        high=effect.high if abs(effect.high) < INF else None,
        pairs=effect.pairs,
        notes=[*effect.notes, *notes],
    )


def rule_on(
    name: GoalName, effect: Effect, goal: Goal, seconds: float, error_rate: float, boundary: Boundary = ONE_LOOK
) -> Ruling:
    """The verdict on one goal. `seconds`: measured so far, to say how much longer it takes; `boundary`, `error_rate`:
    of the interval, for the pairs needed."""
    margin = amount_of(name, goal.margin, effect.before)
    low, high = (effect.low, effect.high) if kind_of(name).higher_is_better else (-effect.high, -effect.low)
    verdict: Verdict
    passes = False
    notes: list[Note] = []
    expected = wald = None
    if margin is not None and effect.effect is not None:
        expected, wald = pairs_at_margin(effect, margin), wald_pairs(effect, margin, error_rate)
    if not (abs(low) < INF or abs(high) < INF):
        verdict = "INCONCLUSIVE"
        if effect.pairs and effect.effect is not None:
            notes = [note("no-bounds")]
        elif not effect.notes:
            notes = [note("too-few-requests")]
    elif margin is None:
        verdict, notes = "INCONCLUSIVE", [note("margin-not-comparable", margin=str(goal.margin))]
    else:
        verdict, passes, notes = _compare(name, low, high, margin, goal)
        if verdict == "INCONCLUSIVE" and not passes:
            direction = 1 if kind_of(name).higher_is_better else -1
            ahead = forecast(effect, Question(margin, goal.want, direction, boundary, error_rate))
            expected = whole(ahead.pairs) if ahead is not None and not effect.starts else None
            notes = [_more(ahead, effect.pairs, seconds) if not effect.starts else _more_starts(effect)]
    limit_state: Limit | None = None
    if goal.at_most is not None:
        limit_state, limit_notes = _limit_of(name, effect, goal.at_most)
        if limit_state == "broken" and high < 0:
            verdict = "HURT"  # provably beyond the limit, and provably worse than before
        if limit_state == "open" and verdict != "HURT":
            verdict = "INCONCLUSIVE"
        passes = passes and limit_state != "open" and verdict != "HURT"
        notes += limit_notes
    metric = metric_of(name, effect, notes)
    limit = amount_of(name, goal.at_most, None) if goal.at_most is not None else None
    declared = {"margin": margin, "at_most": limit, "want": goal.want}
    metric = metric.model_copy(update={**declared, "verdict": verdict, "limit": limit_state})
    pairs = {"expected_pairs": expected, "wald_pairs": wald}
    return Ruling(name, goal, metric.model_copy(update=pairs), passes)


def _compare(name: GoalName, low: float, high: float, margin: float, goal: Goal) -> tuple[Verdict, bool, list[Note]]:
    """(verdict, goal met, notes) of the interval, turned so that more is better."""
    inside = low >= -margin and high <= margin
    if goal.want == "better":
        if inside:
            return "EQUIVALENT", True, []
        if low > 0:
            return "HELPED", True, []
        return ("HURT" if high < 0 else "INCONCLUSIVE"), False, []
    if low >= -margin:
        cost: list[Note] = []
        if high < 0:
            least, most = difference_text(name, -high), difference_text(name, -low)
            cost = [note("accepted-cost", least=least, most=most)]
        if inside:
            return "EQUIVALENT", True, cost
        if low > 0:
            return "HELPED", True, []
        return "INCONCLUSIVE", True, [note("no-worse-is-all")]
    return ("HURT" if high < -margin else "INCONCLUSIVE"), False, []


def _limit_of(name: GoalName, effect: Effect, at_most: Amount) -> tuple[Limit, list[Note]]:
    """Whether the after arm keeps the hard limit, with a note where that is not shown."""
    limit = amount_of(name, at_most, None)
    if limit is None:
        return "open", [note("limit-not-comparable", limit=str(at_most))]
    if effect.after_low > limit:
        return "broken", [note("limit-broken")]
    if effect.after_high <= limit:
        return "kept", []
    most = value_text(name, effect.after_high) if effect.after_high < INF else "any amount"
    return "open", [note("limit-open", limit=value_text(name, limit), possible=most)]


def _more(ahead: Forecast | None, pairs: int, seconds: float) -> Note:
    """How many more pairs would decide, and how long that takes."""
    if ahead is None:
        return note("pairs-unknown")
    if not ahead.pairs < INF:
        return note("pairs-too-many", times=MOST_TIMES)
    more = ahead.pairs - pairs
    few, about, many = (
        max(float(f"{pairs_then - pairs:.1g}"), 1) for pairs_then in (ahead.low, ahead.pairs, ahead.high)
    )
    likely = f"{few:,.0f} to {many:,.0f}" if many < INF else f"{few:,.0f} or more"
    often = f"; eight times of ten it is {likely}" if few < about or about < many else ""
    return note("pairs-needed", pairs=f"{about:,.0f}", time=minutes(seconds * more / pairs), often=often)


def _more_starts(effect: Effect) -> Note:
    """How many more process starts would decide, where they limit the interval."""
    if effect.starts_needed is None:
        return note("starts-unknown")
    more = effect.starts_needed - effect.starts
    return note("starts-needed", blocks=plural(more, "more block"))


def overall(guards: Sequence[Guard], rulings: Sequence[Ruling], faults: Sequence[FaultMoved] = ()) -> Verdict:
    """The overall verdict by RULES: the first that applies. `faults`: those without a goal that moved."""
    wanted = [ruling.metric.verdict for ruling in rulings if ruling.goal.want == "better"]
    worse = any(fault.worse and fault.decides for fault in faults)
    rules: tuple[tuple[Verdict, bool], ...] = (
        ("INVALID", any(not guard.ok for guard in guards)),
        ("HURT", worse or any(ruling.metric.verdict == "HURT" for ruling in rulings)),
        ("INCONCLUSIVE", not rulings or any(not ruling.passes for ruling in rulings)),
        ("EQUIVALENT", any(ruling.missed for ruling in rulings)),
        ("HELPED", "HELPED" in wanted or any(fault.gone for fault in faults)),
        ("EQUIVALENT", True),
    )
    return next(verdict for verdict, applies in rules if applies)
