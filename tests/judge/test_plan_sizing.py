"""`plan: auto`: within its ceiling, with what each goal needs, and the same when it is read again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case import Case
from luckyhit.case.docs.template import new_case
from luckyhit.case.load import parse_case, with_plan
from luckyhit.errors import ArgumentError
from luckyhit.judge.power import (
    BaselineMetric,
    MeasuredBaseline,
    load_seconds,
    plan_for,
    powers,
    requests_of_block,
    sized,
    to_size,
    unsized,
)
from luckyhit.judge.power.sizing import MOST_ADDED
from luckyhit.workflow.planning import ProbePlanner, sized_text
from tier import examples

GOALS = {
    "hit_ratio": {"want": "better", "margin": "5 %"},
    "stale_reads": {"want": "no-worse", "margin": "5 %", "at_most": "10 %"},
}
FIELDS = ("plan.baseline", "plan.block", "plan.blocks", "plan.after_rollback", "freshness.rate")


def auto(goals: Any = None, *, design: str = "side-by-side", workload_rate: str = "150/s", **plan: Any) -> Case:
    case = a_case(goals or GOALS, design=design)
    data = case.model_dump(mode="json", exclude_unset=True)
    data["plan"] = {"auto": True, **plan}
    data["workload"]["rate"] = workload_rate
    return parse_case(json.dumps(data))


def test_the_template_gives_each_of_its_goals_what_it_needs() -> None:
    case = parse_case(new_case("slow-basket"))
    assert case.plan.auto
    goals = {name: goal.model_copy(update={"want": "no-worse"}) for name, goal in case.goals.items()}
    planning = plan_for(case.model_copy(update={"goals": goals}), ProbePlanner())
    planned = planning.case
    for goal in planning.goals:
        assert goal.state in ("enough", "open")
        assert goal.gives >= goal.at_least
    (stale,) = [goal for goal in planning.goals if goal.name == "stale_reads"]
    assert stale.state == "enough"
    assert stale.gives >= 1.25 * stale.needs
    assert load_seconds(planned, ProbePlanner()(planned)) <= 120


def test_the_template_with_usual_noise_decides_its_goals() -> None:
    case = parse_case(new_case("slow-basket"))
    # Of a service that answers in 8 ms at p95, as much as a loopback service with a cache varies.
    noise = MeasuredBaseline(
        {"hit_ratio": BaselineMetric(0.9, 0.8, 0.03), "latency_p95_ms": BaselineMetric(1.0, 8.0, 60.0)}
    )
    assert [goal.state for goal in plan_for(case, ProbePlanner(), noise).goals] == ["enough"] * 3


@given(
    at_most=st.sampled_from(["40s", "90s", "150s", "10m"]),
    rate=st.sampled_from(["2/s", "20/s", "300/s"]),
    design=st.sampled_from(["side-by-side", "crossover", "before-after"]),
    declared=st.sampled_from([{}, {"block": "5s"}, {"blocks": 6}, {"baseline": "6s", "block": "4s"}]),
)
@settings(deadline=None, max_examples=examples(40))
def test_a_sized_plan_keeps_its_ceiling_and_what_was_declared(
    at_most: str, rate: str, design: str, declared: dict[str, Any]
) -> None:
    if rate == "2/s" and declared.get("block"):
        return  # refused: too few requests in a block
    case, planner = auto(design=design, workload_rate=rate, at_most=at_most, **declared), ProbePlanner()
    try:
        planned = sized(case, planner)
    except ArgumentError:
        assert at_most in ("40s", "90s", "150s")
        return
    probe = planner(planned)
    assert load_seconds(planned, probe) <= planned.plan.ceiling
    assert not to_size(planned)
    for name in declared:
        assert getattr(planned.plan, name) == getattr(case.plan, name)
    # It is a case that may be written down, and read again.
    assert parse_case(with_plan(json.dumps(case.model_dump(mode="json", exclude_unset=True)), planned)) == planned
    assert sized(planned, planner) == planned
    assert sized(unsized(planned, to_size(case)), planner) == planned


def test_a_run_fills_its_ceiling_where_it_may_end_early() -> None:
    planned = sized(auto(), ProbePlanner())
    assert planned.stops_early
    assert 105 <= load_seconds(planned, ProbePlanner()(planned)) <= 120


def test_a_plan_with_one_look_measures_what_it_needs() -> None:
    case = auto({"error_rate": {"want": "no-worse", "margin": "2 %"}}, stop_early=False)
    planning = plan_for(case, ProbePlanner())
    (goal,) = planning.goals
    assert goal.state == "enough"
    assert planning.case.plan.blocks < sized(auto(), ProbePlanner()).plan.blocks


def test_the_probe_gets_the_rate_that_its_goals_need_and_no_more() -> None:
    planner = ProbePlanner()
    wide, narrow = (
        sized(auto({"stale_reads": {"want": "no-worse", "margin": margin}}), planner) for margin in ("20 %", "4 %")
    )
    assert wide.freshness.rate < narrow.freshness.rate
    for case in (wide, narrow):
        assert planner(case).requests <= MOST_ADDED * requests_of_block(case)
        assert powers(case, planner(case))[0].state == "enough"


def test_a_probe_at_its_limit_asks_for_a_longer_plan() -> None:
    case = auto({"stale_reads": {"want": "no-worse", "margin": "1 %"}}, workload_rate="50/s")
    (goal,) = plan_for(case, ProbePlanner()).goals
    assert goal.state == "short"
    (longer,) = [change["plan.at_most"] for change in goal.changes if "plan.at_most" in change]
    again = auto({"stale_reads": {"want": "no-worse", "margin": "1 %"}}, workload_rate="50/s", at_most=longer)
    assert plan_for(again, ProbePlanner()).goals[0].state == "enough"


def test_a_service_that_runs_already_keeps_the_small_rate() -> None:
    data = auto(design="crossover").model_dump(mode="json", exclude_unset=True)
    data["target"] = {"url": "http://localhost:1", "limits": {"rate": "200/s"}}
    data["cache"] = {"url_env": "SHOP_CACHE", "clear": ["product:{id}"]}
    case = parse_case(json.dumps(data))
    assert "freshness.rate" not in to_size(case)
    assert sized(case, ProbePlanner()).freshness.rate is None


def test_unread_reads_of_the_baseline_ask_for_a_higher_rate() -> None:
    planner, case = ProbePlanner(), auto({"stale_reads": {"want": "no-worse", "margin": "5 %"}})
    before, after = sized(case, planner), sized(case, planner, MeasuredBaseline(probe_decided=0.5))
    assert after.freshness.rate > before.freshness.rate


def test_each_arm_of_a_crossover_has_blocks_for_pairs() -> None:
    planned = sized(auto(design="crossover"), ProbePlanner())
    assert planned.plan.blocks >= 8


@pytest.mark.parametrize(
    "written",
    [
        "plan: auto\n",
        "plan: auto  # as long as it takes\n",
        '"plan": {auto: true}\n',
        "plan:\n  auto: true  # sized\n  # at most:\n  at_most: 2m  # two\n\n# the end\n",
        "plan:\n    warmup: 3s\n    auto: true\n",
    ],
)
def test_the_numbers_are_written_where_the_plan_stands(written: str) -> None:
    template = new_case("slow-basket")
    text = template.replace("plan: auto\n", written)
    assert text != template or written == "plan: auto\n"
    sized_one, fields = sized_text(text, parse_case(text))
    assert fields == list(FIELDS)
    case = parse_case(sized_one)
    assert case == sized(parse_case(text), ProbePlanner())
    assert to_size(case) == ()
    comments = [line.partition("#")[2] for line in text.splitlines() if "#" in line and "plan" not in line]
    assert all(comment in sized_one for comment in comments if "at most" not in comment and "sized" not in comment)
    # Written again with other numbers, as after the baseline.
    other = case.model_copy(update={"plan": case.plan.model_copy(update={"blocks": 3})})
    assert parse_case(with_plan(sized_one, other)).plan.blocks == 3


def test_a_flow_mapping_of_the_probe_gets_its_rate() -> None:
    case = auto()
    text = json.dumps(case.model_dump(mode="json", exclude_unset=True))
    written, _ = sized_text(text, case)
    assert parse_case(written).freshness.rate is not None


def test_a_plan_with_all_of_its_numbers_stays_as_it_is() -> None:
    case = a_case(GOALS)
    assert to_size(case) == ()
    assert sized(case, ProbePlanner()) is case
