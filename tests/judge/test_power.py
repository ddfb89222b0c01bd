"""What a plan can decide: what is said to be enough is enough for the judge, and what is advised decides."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case import Case
from luckyhit.case.load import parse_case
from luckyhit.errors import ArgumentError
from luckyhit.judge.compare.effect import level_of
from luckyhit.judge.power import ProbeUnits, baseline_of, load_seconds, plan_for, powers, requests_of_block
from luckyhit.judge.power.needs import (
    Rule,
    mean_inside,
    quantile_bounded,
    share_apart,
    share_inside,
    share_within,
    windows_bounded,
)
from luckyhit.judge.power.supply import workload_units
from luckyhit.judge.stats.boundary import INF, FixedSample
from luckyhit.judge.stats.proportions import paired_difference, share_difference
from luckyhit.judge.stats.sequential import Sequential
from luckyhit.judge.table.record import read
from luckyhit.records import AMOUNTS, METRICS, UNITS
from luckyhit.workflow.planning import ProbePlanner
from noted import noted

RULES = [
    Rule(boundary, rate, paired)
    for boundary in (FixedSample(), Sequential())
    for rate in (0.01, 0.002)
    for paired in (True, False)
]
STALE = {"stale_reads": {"want": "no-worse", "margin": "5 %", "at_most": "10 %"}}


def with_rate(case: Case, rate: str | None, **fields: Any) -> Case:
    """The case as it is written with this rate of the probe, and other fields of its freshness section."""
    return edited(case, **{"freshness.rate": rate, **{f"freshness.{name}": value for name, value in fields.items()}})


def edited(case: Case, **edits: Any) -> Case:
    """A case with fields as one writes them into the file."""
    data = case.model_dump(mode="json", exclude_unset=True)
    for field, value in edits.items():
        *path, last = field.split(".")
        part = data
        for name in path:
            part = part.setdefault(name, {})
        part[last] = int(value) if isinstance(value, str) and value.isdigit() else value
        if value is None:
            del part[last]
    return parse_case(json.dumps(data))


def goal_of(case: Case, name: str, **more: Any) -> Any:
    planning = plan_for(case, ProbePlanner(), **more)
    return next(goal for goal in planning.goals if goal.name == name)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("margin", [0.01, 0.05, 0.2])
def test_a_share_is_inside_from_the_needed_number_on(rule: Rule, margin: float) -> None:
    def high(pairs: int) -> float:
        if rule.paired:
            return paired_difference(0, 0, pairs, rule.boundary, rule.error_rate).high
        return share_difference(0, pairs, 0, pairs, rule.boundary, rule.error_rate).high

    needed = int(share_inside(margin, rule))
    assert high(needed) <= margin < high(needed - 1)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("margin", [0.02, 0.1])
def test_a_difference_of_the_margin_shows_with_the_needed_number(rule: Rule, margin: float) -> None:
    needed = int(share_apart(margin, rule))
    count = round(margin * needed)
    shown = (
        paired_difference(count, 0, needed, rule.boundary, rule.error_rate)
        if rule.paired
        else share_difference(count, needed, 0, needed, rule.boundary, rule.error_rate)
    )
    assert shown.high < 0


@pytest.mark.parametrize("rule", RULES)
def test_a_limit_is_kept_from_the_needed_number_on(rule: Rule) -> None:
    needed = int(share_within(0.05, rule, rule.error_rate))
    assert rule.boundary.share(0, needed, rule.error_rate)[1] <= 0.05
    assert rule.boundary.share(0, needed - 1, rule.error_rate)[1] > 0.05
    assert share_within(0.0, rule, rule.error_rate) == INF


@pytest.mark.parametrize("rule", RULES)
def test_the_needed_windows_bound_their_99th_percentile(rule: Rule) -> None:
    needed = int(windows_bounded(0.99, rule, rule.error_rate))
    assert rule.boundary.ranks(0.99, needed, rule.error_rate)[1] <= needed
    assert rule.boundary.ranks(0.99, needed - 1, rule.error_rate)[1] > needed - 1


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_is_planned_for(name: str) -> None:
    amount = AMOUNTS[UNITS[METRICS[name].unit].amount]
    margin = 1 if amount.bare else amount.example
    case = with_rate(
        a_case({"error_rate": {"want": "no-worse", "margin": "1 %"}}),
        "20/s",
        absent={
            "keys": {"first": 20000, "last": 20999},
            "create": {"path": "/products/{key}", "body": {"price": "{version}"}},
            "remove": {"path": "/products/{key}"},
        },
        refused={"path": "/products/{key}", "body": {"price": "{version}"}, "status": 422},
    )
    told = goal_of(edited(case, **{"goals": {name: {"want": "no-worse", "margin": margin}}}), name)
    assert told.gives > 0
    assert told.error_rate == 0.01


def test_a_route_has_its_share_of_the_requests_and_of_the_probe() -> None:
    keys = {"first": 1, "last": 50}
    routes = [
        {"name": name, "path": f"/{name}/{{key}}", "weight": weight, "keys": keys}
        for name, weight in (("page", 3), ("shop", 1))
    ]
    goals = {
        f"{name}.{metric}": {"want": "no-worse", "margin": "5 %"}
        for name in ("page", "shop")
        for metric in ("hit_ratio", "error_rate")
    }
    reads = [{"name": name, "path": f"/{name}/{{key}}", "version": "$.price"} for name in ("page", "shop")]
    goals["shop.stale_reads"] = {"want": "no-worse", "margin": "5 %"}
    case = edited(
        a_case(), **{"workload.routes": routes, "freshness.reads": reads, "freshness.rate": "10/s", "goals": goals}
    )
    gives = {goal.name: goal.gives for goal in plan_for(case, ProbePlanner()).goals}
    assert gives["page.hit_ratio"] == pytest.approx(3 * gives["shop.hit_ratio"])
    assert gives["page.error_rate"] + gives["shop.error_rate"] == pytest.approx(
        150 * 7 * 5
    )  # four blocks and a control
    whole = goal_of(edited(case, goals={"stale_reads": {"want": "no-worse", "margin": "5 %"}}), "stale_reads").gives
    assert 0.3 * whole < gives["shop.stale_reads"] < 0.6 * whole


def test_a_smaller_margin_and_more_variance_need_more_pairs() -> None:
    rule = Rule(Sequential(), 0.005, True)
    assert mean_inside(1.0, 0.1, rule, 10) > mean_inside(1.0, 0.2, rule, 10) > mean_inside(0.25, 0.2, rule, 10)
    assert mean_inside(0.0, 0.1, rule, 10) == 1
    assert quantile_bounded(0.99, rule, 10) > quantile_bounded(0.95, rule, 10) > quantile_bounded(0.5, rule, 10)


@given(
    rate=st.integers(1, 30),
    margin=st.integers(1, 30),
    limit=st.none() | st.integers(1, 40),
    blocks=st.integers(2, 12),
    block=st.sampled_from(["3s", "7s", "20s"]),
    horizon=st.sampled_from(["600ms", "2s"]),
    keys=st.sampled_from([60, 1000]),
    want=st.sampled_from(["better", "no-worse"]),
    design=st.sampled_from(["side-by-side", "crossover"]),
)
@settings(deadline=None, max_examples=25)
def test_each_advised_edit_makes_the_goal_decidable(
    rate: int, margin: int, limit: int | None, blocks: int, block: str, horizon: str, keys: int, want: str, design: str
) -> None:
    goal: dict[str, Any] = {"want": want, "margin": f"{margin} %"}
    goal |= {"at_most": f"{limit} %"} if limit is not None else {}
    case = a_case({"stale_reads": goal}, design=design, stop_early=True, block=block, blocks=blocks)
    case = with_rate(case, f"{rate}/s", horizon=horizon, keys={"first": 9000, "last": 8999 + keys})
    told = goal_of(case, "stale_reads")
    assert (told.state == "short") == bool(told.gives < told.needs)
    if told.state == "short" and margin >= 3:
        assert told.changes
    for change in told.changes:
        assert goal_of(edited(case, **change), "stale_reads").state == "enough"


def test_the_advised_rate_and_blocks_are_the_least_that_do() -> None:
    case = with_rate(a_case(STALE, stop_early=True), "2/s")
    changes = [change for change in goal_of(case, "stale_reads").changes if len(change) == 1]
    tried = {
        field: int(value.removesuffix("/s"))
        for change in changes
        for field, value in change.items()
        if "goals" not in field
    }
    assert set(tried) == {"freshness.rate", "plan.blocks"}
    one_less = {"freshness.rate": f"{tried['freshness.rate'] - 1}/s", "plan.blocks": tried["plan.blocks"] - 1}
    for field, value in one_less.items():
        assert goal_of(edited(case, **{field: value}), "stale_reads").state == "short"


def test_keys_that_are_too_few_for_any_rate_are_named() -> None:
    case = with_rate(a_case(STALE, stop_early=True, blocks=2), "8/s", keys={"first": 9000, "last": 9019})
    told = goal_of(case, "stale_reads")
    assert told.state == "short"
    assert any("freshness.keys.last" in change for change in told.changes)


def test_a_horizon_that_leaves_no_room_in_a_block_asks_for_longer_ones() -> None:
    case = with_rate(a_case(STALE, stop_early=True, block="2200ms", blocks=8), "10/s", horizon="2s")
    told = goal_of(case, "stale_reads")
    assert (told.gives, told.state) == (0, "short")
    assert "plan.block" in {field for change in told.changes for field in change}


@pytest.mark.parametrize(("metric", "field"), [("hit_ratio", "target.cache_header"), ("db_calls", "target.db_header")])
def test_what_no_answer_tells_is_never_decided(metric: str, field: str) -> None:
    margin = "5 %" if metric == "hit_ratio" else "10 %"
    case = a_case({metric: {"want": "no-worse", "margin": margin}, "error_rate": {"want": "no-worse", "margin": "1 %"}})
    told = goal_of(case, metric, hidden=[metric])
    assert (told.state, told.reason) == ("never", "not-visible")
    assert [set(change) for change in told.changes] == [{field}]
    assert goal_of(case, "error_rate", hidden=[metric]).state == "enough"
    assert goal_of(case, metric).state == "open"


def test_a_limit_of_none_is_never_shown_to_be_kept() -> None:
    case = with_rate(a_case({"stale_reads": {"want": "better", "margin": "5 %", "at_most": "0 %"}}), "20/s")
    told = goal_of(case, "stale_reads")
    assert (told.state, told.reason) == ("never", "limit-zero")
    assert goal_of(edited(case, **told.changes[0]), "stale_reads").state == "enough"


def test_the_error_rate_of_a_goal_is_that_of_the_judge() -> None:
    case = a_case({**STALE, "hit_ratio": {"want": "better", "margin": "5 %"}}, stop_early=True)
    assert {goal.error_rate for goal in powers(case, ProbeUnits())} == {level_of(case)}
    turns = a_case(STALE, design="crossover", stop_early=True)
    assert {goal.error_rate for goal in powers(turns, ProbeUnits())} == {level_of(turns) / 2}  # that of the last look


def test_controls_come_on_top_side_by_side_and_take_reads_in_turns() -> None:
    probe = ProbeUnits(counted=10, controls=1)
    beside, turns = (a_case(STALE, design=design) for design in ("side-by-side", "crossover"))
    assert [powers(case, probe)[0].gives for case in (beside, turns)] == [40, 30]
    assert load_seconds(beside, probe) == beside.plan.seconds(5)
    assert load_seconds(turns, probe) == turns.plan.seconds(8)


def test_workload_writes_count_as_a_simulation_counts_them() -> None:
    keys = {"first": 1, "last": 50, "popularity": "zipf"}
    routes = [
        {"name": "page", "path": "/p/{key}", "weight": 8, "keys": keys, "version": "$.price"},
        {
            "name": "save",
            "method": "PUT",
            "path": "/p/{key}",
            "weight": 2,
            "keys": keys,
            "body": {"price": "{number}"},
            "version": "{number}",
        },
    ]
    case = edited(a_case(STALE), **{"workload.routes": routes, "workload.rate": "100/s", "freshness.within": "100ms"})
    rng, counted, rounds = np.random.default_rng(3), 0, 60
    popularity = 1 / np.arange(1, 51)
    for _ in range(rounds):
        count = rng.poisson(100 * (case.plan.warmup + case.plan.block))
        at, key = (
            np.sort(rng.uniform(-case.plan.warmup, case.plan.block, count)),
            rng.choice(50, count, p=popularity / popularity.sum()),
        )
        writes = rng.random(count) < 0.2
        for each in range(50):
            when, wrote = at[key == each], writes[key == each]
            for place in np.flatnonzero(wrote & (when > 0)):
                later = np.flatnonzero(when > when[place] + 0.1)
                over = np.flatnonzero(wrote[place + 1 :])
                held = not wrote[:place].all()
                read = len(later) > 0 and not wrote[later[0]]
                if held and read and (not len(over) or place + 1 + over[0] > later[0]):
                    counted += 1
    assert workload_units(case) == pytest.approx(counted / rounds, rel=0.05)


def test_a_workload_without_versions_adds_no_units() -> None:
    assert workload_units(a_case(STALE)) == 0


def test_a_pace_of_a_log_is_not_known() -> None:
    replay = {"replay": {"file": "access.log"}, "seed": 1, "routes": [{"name": "detail", "path": "/products/{key}"}]}
    case = edited(a_case({"error_rate": {"want": "no-worse", "margin": "1 %"}}, freshness=False), workload=replay)
    assert requests_of_block(case) is None
    told = goal_of(case, "error_rate")
    assert (told.gives, told.state, told.reason) == (None, "open", "pace-unknown")


GOALS = {
    "hit_ratio": {"want": "better", "margin": "3 %"},
    "latency_p95_ms": {"want": "no-worse", "margin": "10 %"},
    "db_calls": {"want": "no-worse", "margin": "10 %"},
    "stale_reads": {"want": "no-worse", "margin": "10 %"},
}


@pytest.fixture
def noise_of(simulate):
    def noise_of(case: Case, **knobs: Any) -> Any:
        records = simulate(2, before=knobs, seconds=10)
        record = read(records.requests, None, records.reads, records.writes, noted(records.blocks))
        return baseline_of(record.measured("baseline", 0), record.probed("baseline", "before"), case)

    return noise_of


def test_after_the_baseline_every_goal_has_a_number(noise_of) -> None:
    case = with_rate(a_case(GOALS, stop_early=True), "10/s")
    before = plan_for(case, ProbePlanner())
    after = plan_for(case, ProbePlanner(), noise_of(case, hit=0.8))
    assert [goal.needs is None for goal in before.goals] == [True, True, True, False]
    assert all(goal.needs is not None and goal.needs >= goal.at_least for goal in after.goals)
    wide = plan_for(case, ProbePlanner(), noise_of(case, hit=0.8, sigma=1.0)).goals
    assert wide[1].needs > after.goals[1].needs  # a noisier latency needs more pairs


def test_what_is_said_to_be_needed_is_about_what_it_takes(noise_of, simulate) -> None:
    case = a_case({"latency_p95_ms": {"want": "better", "margin": "10 %"}}, stop_early=False, freshness=False)
    needed = plan_for(case, ProbePlanner(), noise_of(case, hit=1.0)).goals[0].needs
    seconds = needed / 4 / 150
    verdicts = [
        simulate(seed, before={"hit": 1.0}, after={"hit": 1.0}, blocks=4, seconds=times * seconds)
        .judge(case)
        .metrics["latency_p95_ms"]
        .verdict
        for seed in range(5)
        for times in (1.5, 0.1)
    ]
    assert verdicts[::2].count("EQUIVALENT") >= 4
    assert verdicts[1::2].count("EQUIVALENT") <= 1


def test_a_ceiling_that_holds_no_plan_is_refused_with_one_that_does() -> None:
    case = edited(a_case(STALE, stop_early=True), plan={"auto": True, "at_most": "20s"})
    with pytest.raises(ArgumentError) as refused:
        plan_for(case, ProbePlanner())
    assert refused.value.hint
    longer = refused.value.hint.split("plan.at_most: ")[1].split(",")[0]
    planned = plan_for(edited(case, **{"plan.at_most": longer}), ProbePlanner()).case
    assert planned.plan.blocks >= 2
