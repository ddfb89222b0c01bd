"""The parts of the sentence that says why, their order, and what it advises to change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case.declared_plan import MOST_BLOCKS, Plan
from luckyhit.case.model import Goal
from luckyhit.judge.compare.effect import Effect
from luckyhit.judge.reason import advised, parts_of, verdict_reason
from luckyhit.judge.stats.boundary import INF
from luckyhit.judge.verdict import FaultMoved, Ruling, faults_moved, overall, rule_on
from luckyhit.records import GoalName
from luckyhit.text.quantities import name_of

NAMES: tuple[GoalName, ...] = ("stale_reads", "error_rate", "wrong_answers", "phantom_reads", "stale_reads_plain")


def ruling(name: GoalName, want: str, low: float, high: float, *, at_most: str | None = None) -> Ruling:
    """A goal with a margin of 5 points whose metric got less by `low` to `high` points: more is better."""
    goal = Goal.model_validate({"want": want, "margin": "5 %", "at_most": at_most})
    middle = (low + high) / 200
    effect = Effect(0.5, 0.5 - middle, -middle, -high / 100, -low / 100, 0.5 - middle, 0.5 - middle, 400)
    return rule_on(name, effect, goal, 20.0, 0.01)


HELPED, OPEN = ruling("stale_reads", "better", 6, 9), ruling("error_rate", "no-worse", -20, 20)
STILL, HURT = ruling("wrong_answers", "no-worse", -1, 1), ruling("phantom_reads", "no-worse", -9, -6)
BROKEN = ruling("stale_reads", "better", 6, 9, at_most="10 %")


def ids(rulings: list[Ruling]) -> list[str]:
    return [part.id for part in parts_of(overall([], rulings), rulings)]


@pytest.mark.parametrize(
    ("rulings", "parts"),
    [
        ([OPEN, STILL, HELPED], ["helped", "equivalent", "open"]),
        ([HELPED, STILL], ["helped"]),
        ([STILL, ruling("stale_reads", "better", -1, 1)], ["equivalent"]),
        ([OPEN, HURT, HELPED], ["hurt", "helped"]),
        ([OPEN, HURT, ruling("stale_reads", "better", -20, 20)], ["hurt", "wanted-open"]),
        ([STILL, BROKEN], ["limit-broken", "equivalent"]),
        ([OPEN, BROKEN], ["limit-broken", "open"]),
        ([OPEN], ["open"]),
        ([], []),
    ],
)
def test_parts_by_verdict(rulings: list[Ruling], parts: list[str]) -> None:
    assert ids(rulings) == parts


def test_a_fault_that_is_gone_precedes_open_goals() -> None:
    gone = faults_moved({"phantom_reads": Effect(0.1, 0.0, -0.1, -0.14, -0.06, 0.0, 0.01, 300)}, ["error_rate"])
    assert [part.id for part in parts_of("INCONCLUSIVE", [OPEN], gone)] == ["fault-better", "open"]


bounds = st.tuples(st.floats(-30, 30), st.floats(0, 30)).map(lambda pair: (pair[0], sum(pair)))
drawn = st.lists(st.tuples(st.sampled_from(["better", "no-worse"]), bounds), min_size=1, max_size=len(NAMES))


@given(drawn)
def test_each_goal_is_in_one_part_and_open_ones_are_last(goals) -> None:  # type: ignore[no-untyped-def]
    rulings = [ruling(name, want, *pair) for name, (want, pair) in zip(NAMES, goals, strict=False)]
    verdict = overall([], rulings)
    parts = parts_of(verdict, rulings)
    named = [name for part in parts for name in part.names]
    assert parts and len(named) == len(set(named))
    assert "open" not in [part.id for part in parts[:-1]]
    if verdict == "INCONCLUSIVE":
        assert {*named} >= {goal.name for goal in rulings if not goal.passes}
        decided = [
            goal.metric.verdict == "EQUIVALENT" or (goal.metric.verdict == "HELPED" and goal.goal.want == "better")
            for goal in rulings
        ]
        assert (parts[0].id == "open") == (not any(decided))
    assert verdict_reason(verdict, [], rulings, {goal.name: Effect() for goal in rulings}, 99)


def moved(name: GoalName, low: float, high: float, after: float = 0.0) -> list[FaultMoved]:
    middle = (low + high) / 2
    return faults_moved({name: Effect(after - middle, after, middle, low, high, after, after, 600)}, ["hit_ratio"])


OPEN_END = rule_on(
    "staleness_p99_ms",
    Effect(None, 40.0, None, -INF, -1500.0, 10.0, 60.0, 600),
    Goal.model_validate({"want": "better", "margin": "100ms"}),
    20.0,
    0.01,
)


@pytest.mark.parametrize(
    ("rulings", "faults"),
    [
        ([HELPED], []),
        ([HURT], []),
        ([ruling("stale_reads", "no-worse", -2, -1, at_most="10 %")], []),  # worse, and beyond its limit
        ([BROKEN, OPEN], []),
        ([OPEN_END], []),
        ([STILL], moved("phantom_reads", 0.01, 0.05, after=0.04)),
        ([STILL], moved("phantom_reads", -0.06, -0.02)),
        ([HELPED, ruling("error_rate", "no-worse", -4, -1), STILL], []),  # with a cost
        ([], []),
    ],
)
def test_the_sentence_names_all_its_metrics(rulings: list[Ruling], faults: list[FaultMoved]) -> None:
    verdict = overall([], rulings, faults)
    effects = {goal.name: Effect(after_low=0.4) for goal in rulings}
    text = verdict_reason(verdict, [], rulings, effects, 99, faults, Plan(blocks=4))
    names = [name for part in parts_of(verdict, rulings, faults) for name in part.names]
    assert text and all(name_of(name).lower() in text.lower() for name in names)


def needing(times: float | None) -> Ruling:
    expected = None if times is None else round(400 * times)
    return replace(OPEN, metric=OPEN.metric.model_copy(update={"expected_pairs": expected, "pairs": 400}))


@pytest.mark.parametrize(
    ("plan", "times", "advice"),
    [
        (Plan(blocks=4), [1.5], {"plan.blocks": "6"}),
        (Plan(blocks=4), [1.01], {"plan.blocks": "5"}),
        (Plan(blocks=4), [1.5, 3], {"plan.blocks": "12"}),
        (Plan(blocks=4), [1.5, None], {}),
        (Plan(blocks=4), [1000], {}),
        (Plan(auto=True), [1.5], {"plan.at_most": "180s"}),
        (Plan(blocks=4), [], {}),
    ],
)
def test_what_to_change_in_the_plan(plan: Plan, times: list[float | None], advice: dict[str, str]) -> None:
    assert advised([needing(factor) for factor in times], plan) == advice


@given(st.integers(2, MOST_BLOCKS), st.floats(1, 300))
def test_advice_is_a_valid_plan(blocks: int, times: float) -> None:
    advice = advised([needing(times)], Plan(blocks=blocks))
    assert all(blocks < Plan(blocks=int(value)).blocks for value in advice.values())


@pytest.mark.parametrize(("at_most", "limit"), [(None, None), ("10 %", 0.1)])
def test_the_hard_limit_is_in_the_unit_of_the_metric(at_most: str | None, limit: float | None) -> None:
    assert ruling("stale_reads", "better", 6, 9, at_most=at_most).metric.at_most == limit
