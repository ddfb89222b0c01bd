"""What a plan can decide: what is said to be enough is enough for the judge, and what is advised decides."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case import Case
from luckyhit.case.load import parse_case
from luckyhit.case.values.key_order import by_popularity
from luckyhit.judge.compare.effect import interval_error_rate
from luckyhit.judge.power import (
    ProbeUnits,
    as_facts,
    baseline_of,
    line,
    load_seconds,
    plan_for,
    planning_rows,
    powers,
    requests_of_block,
)
from luckyhit.judge.power.goals import WORKLOAD
from luckyhit.judge.power.sample_size import (
    CHANCE,
    IntervalRule,
    pairs_for_difference,
    pairs_for_equality,
    pairs_for_mean,
    pairs_for_quantile,
    reads_for_limit,
    windows_for_quantile,
)
from luckyhit.judge.power.supply import workload_units
from luckyhit.judge.stats.boundary import INF, FixedSample
from luckyhit.judge.stats.forecast import Question
from luckyhit.judge.stats.intervals import StandardError, interval_around
from luckyhit.judge.stats.proportions import Difference, paired_difference, proportion_difference
from luckyhit.judge.stats.sequential import Sequential
from luckyhit.judge.table.record import read
from luckyhit.records import AMOUNTS, METRICS, UNITS
from luckyhit.text.numbers import percent
from luckyhit.workflow.planning import ProbePlanner
from noted import noted
from tier import examples

RULES = [
    IntervalRule(boundary, rate, paired)
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


def difference(before: int, pairs: int, rule: IntervalRule) -> Difference:
    """Of so many events in the before arm alone."""
    if rule.paired:
        return paired_difference(before, 0, pairs, rule.boundary, rule.error_rate)
    return proportion_difference(before, pairs, 0, pairs, rule.boundary, rule.error_rate)


@pytest.mark.parametrize("rule", RULES)
def test_the_needed_number_is_the_least_that_is_enough(rule: IntervalRule) -> None:
    rate = rule.error_rate
    checks: list[tuple[float, Callable[[int], bool]]] = [
        *(
            (pairs_for_equality(at, rule), lambda n, at=at: difference(0, n, rule).high <= at)
            for at in (0.01, 0.05, 0.2)
        ),
        (reads_for_limit(0.05, rule, rate), lambda n: rule.boundary.proportion(0, n, rate)[1] <= 0.05),
        (windows_for_quantile(0.99, rule, rate), lambda n: rule.boundary.ranks(0.99, n, rate)[1] <= n),
    ]
    for needed, enough in checks:
        assert enough(int(needed)) and not enough(int(needed) - 1)
    for margin in (0.02, 0.1):
        needed = pairs_for_difference(margin, rule)
        assert difference(round(margin * needed), int(needed), rule).high < 0
    assert reads_for_limit(0.0, rule, rate) == INF


@pytest.mark.parametrize("name", list(METRICS))
def test_every_metric_is_planned_for(name: str) -> None:
    amount = AMOUNTS[UNITS[METRICS[name].unit].amount]
    margin = 1 if amount.bare else amount.example
    case = with_rate(
        a_case({"error_rate": {"want": "no-worse", "margin": "1 %"}}, freshness=True),
        "20/s",
        absent={
            "keys": {"first": 20000, "last": 20999},
            "create": {"path": "/products/{key}", "body": {"price": "{version}"}},
            "remove": {"path": "/products/{key}"},
        },
        refused={"path": "/products/{key}", "body": {"price": "{version}"}, "status": 422},
    )
    goal = goal_of(edited(case, **{"goals": {name: {"want": "no-worse", "margin": margin}}}), name)
    assert goal.gives > 0
    assert goal.error_rate == 0.01


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
    rule = IntervalRule(Sequential(), 0.005, True)
    assert pairs_for_mean(1.0, 0.1, rule, 10) > pairs_for_mean(1.0, 0.2, rule, 10) > pairs_for_mean(0.25, 0.2, rule, 10)
    assert pairs_for_mean(0.0, 0.1, rule, 10) == 1
    assert pairs_for_quantile(0.99, rule, 10) > pairs_for_quantile(0.95, rule, 10) > pairs_for_quantile(0.5, rule, 10)


@pytest.mark.parametrize("boundary", [FixedSample(), Sequential()])
def test_a_mean_is_decided_as_often_as_planned(boundary: FixedSample | Sequential) -> None:
    pairs = int(pairs_for_mean(1.0, 0.1, IntervalRule(boundary, 0.0025, paired=True), 10))
    error = pairs**-0.5
    estimates = error * np.random.default_rng(4).normal(size=2000)
    bounds = [
        interval_around(estimate, StandardError(error, pairs / 10 - 1), boundary, 0.0025, 0.1) for estimate in estimates
    ]
    low, high = (np.array([getattr(interval, side) for interval in bounds]) for side in ("low", "high"))
    decided = Question(0.1, "better", 1, boundary, 0.0025).decided(low, high)
    assert decided.mean() == pytest.approx(CHANCE, abs=0.05)


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
@settings(deadline=None, max_examples=examples(50))
def test_each_advised_edit_makes_the_goal_decidable(
    rate: int, margin: int, limit: int | None, blocks: int, block: str, horizon: str, keys: int, want: str, design: str
) -> None:
    declared: dict[str, Any] = {"want": want, "margin": f"{margin} %"}
    declared |= {"at_most": f"{limit} %"} if limit is not None else {}
    case = a_case({"stale_reads": declared}, design=design, stop_early=True, block=block, blocks=blocks)
    case = with_rate(case, f"{rate}/s", horizon=horizon, keys={"first": 9000, "last": 8999 + keys})
    goal = goal_of(case, "stale_reads")
    assert (goal.state == "short") == bool(goal.gives < goal.needs)
    if goal.state == "short" and margin >= 3:
        assert goal.changes
    for change in goal.changes:
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


@pytest.mark.parametrize(
    ("plan", "rate", "probe", "field"),
    [
        ({"blocks": 2}, "8/s", {"keys": {"first": 9000, "last": 9019}}, "freshness.keys.last"),  # too few for any rate
        ({"block": "2200ms", "blocks": 8}, "10/s", {"horizon": "2s"}, "plan.block"),  # no room for the horizon
    ],
)
def test_the_field_that_limits_the_probe_is_named(plan: Any, rate: str, probe: Any, field: str) -> None:
    goal = goal_of(with_rate(a_case(STALE, stop_early=True, **plan), rate, **probe), "stale_reads")
    assert goal.state == "short"
    assert field in {name for change in goal.changes for name in change}


@pytest.mark.parametrize(("metric", "field"), [("hit_ratio", "target.cache_header"), ("db_calls", "target.db_header")])
def test_a_metric_that_is_not_visible_is_never_decided(metric: str, field: str) -> None:
    margin = "5 %" if metric == "hit_ratio" else "10 %"
    case = a_case({metric: {"want": "no-worse", "margin": margin}, "error_rate": {"want": "no-worse", "margin": "1 %"}})
    goal = goal_of(case, metric, hidden=[metric])
    assert (goal.state, goal.reason) == ("never", "not-visible")
    assert [set(change) for change in goal.changes] == [{field}]
    shown_by = {metric: {"target.db_metric": "sql"}}
    assert goal_of(case, metric, hidden=[metric], shown_by=shown_by).changes == (shown_by[metric],)
    assert goal_of(case, "error_rate", hidden=[metric]).state == "enough"
    assert goal_of(case, metric).state == "open"


def test_a_limit_of_none_is_never_shown_to_be_kept() -> None:
    case = with_rate(a_case({"stale_reads": {"want": "better", "margin": "5 %", "at_most": "0 %"}}), "20/s")
    goal = goal_of(case, "stale_reads")
    assert (goal.state, goal.reason) == ("never", "limit-zero")
    assert goal_of(edited(case, **goal.changes[0]), "stale_reads").state == "enough"


def test_the_error_rate_of_a_goal_is_that_of_the_judge() -> None:
    case = a_case({**STALE, "hit_ratio": {"want": "better", "margin": "5 %"}}, stop_early=True)
    assert {goal.error_rate for goal in powers(case, ProbeUnits())} == {interval_error_rate(case)}
    turns = a_case(STALE, design="crossover", stop_early=True)
    assert {goal.error_rate for goal in powers(turns, ProbeUnits())} == {
        interval_error_rate(turns) / 2
    }  # that of the last look


def test_controls_are_extra_blocks_side_by_side_only() -> None:
    probe = ProbeUnits(states={"warm": 10}, controls=1)
    beside, turns = (a_case(STALE, design=design) for design in ("side-by-side", "crossover"))
    assert [powers(case, probe)[0].gives for case in (beside, turns)] == [40, 30]
    assert load_seconds(beside, probe) == beside.plan.seconds(5)
    assert load_seconds(turns, probe) == turns.plan.seconds(8)


def test_workload_units_agree_with_a_simulation() -> None:
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
        for number in range(50):
            when, wrote = at[key == number], writes[key == number]
            for place in np.flatnonzero(wrote & (when > 0)):
                later = np.flatnonzero(when > when[place] + 0.1)
                over = np.flatnonzero(wrote[place + 1 :])
                held = not wrote[:place].all()
                read = len(later) > 0 and not wrote[later[0]]
                if held and read and (not len(over) or place + 1 + over[0] > later[0]):
                    counted += 1
    assert workload_units(case) == pytest.approx(counted / rounds, rel=0.05)


def reads_and_writes(reads: dict[str, Any], writes: dict[str, Any]) -> Case:
    page = {"name": "page", "path": "/p/{key}", "weight": 8, "keys": reads, "version": "$.price"}
    save = {"name": "save", "method": "PUT", "path": "/p/{key}", "weight": 2, "keys": writes, "version": "{number}"}
    return edited(a_case(STALE), **{"workload.routes": [page, save | {"body": {"price": "{number}"}}]})


RANGE, FILE = {"first": 3, "last": 60}, {"file": "keys.txt"}
NUMBERS = tuple(str(key) for key in by_popularity(3, 58, a_case(STALE).workload.seed))
"""The range as the schedule draws from it, the most popular first."""


@pytest.mark.parametrize(
    ("reads", "writes", "keys"),
    [
        (FILE, FILE, NUMBERS),
        (FILE, RANGE, NUMBERS),
        (RANGE, FILE, NUMBERS),
        (FILE, FILE, tuple(f"BTC-{key}" for key in NUMBERS)),
    ],
    ids=["a file", "reads of a file", "writes of a file", "names"],
)
def test_keys_of_a_file_count_as_those_of_a_range(reads: Any, writes: Any, keys: tuple[str, ...]) -> None:
    listed = {"page": keys, "save": keys}
    case = reads_and_writes(reads, writes)
    assert workload_units(case, listed) == pytest.approx(workload_units(reads_and_writes(RANGE, RANGE))) != 0
    assert workload_units(case) == 0  # not known without the file
    fewer, more = (plan_for(case, ProbePlanner(listed=files)).goals[0].gives for files in ({}, listed))
    assert more - fewer == pytest.approx(workload_units(case, listed) * 4)


def test_stale_reads_are_counted_by_what_can_show_them() -> None:
    case = with_rate(reads_and_writes(RANGE, RANGE), "20/s")
    goal = goal_of(case, "stale_reads")
    assert sum(goal.parts.values()) == pytest.approx(goal.gives) and set(goal.parts) == {"warm", "in-flight", WORKLOAD}
    assert goal.parts[WORKLOAD] == pytest.approx(workload_units(case) * 4)
    assert 0.15 < goal.parts["in-flight"] / (goal.gives - goal.parts[WORKLOAD]) < 0.3
    (noted,) = as_facts([goal])
    assert set(noted["parts"]) == set(goal.parts) and sum(noted["parts"].values()) == pytest.approx(
        noted["gives"], abs=2
    )
    assert not goal_of(a_case(GOALS), "hit_ratio").parts


def test_a_race_that_the_margin_hides_is_told_by_its_share() -> None:
    """Unless a goal counts the reads in flight alone."""
    case = with_rate(a_case({"stale_reads": {"want": "no-worse", "margin": "2 %"}}), "20/s")
    goal = goal_of(case, "stale_reads")
    hidden = round(0.02 * goal.gives / goal.parts["in-flight"], 2)
    alone = "stale_reads_in_flight"
    assert percent(hidden) in line(goal, case) and alone in line(goal, case)
    both = edited(case, goals={**case.model_dump(mode="json")["goals"], alone: {"want": "no-worse", "margin": "10 %"}})
    assert alone not in line(goal_of(both, "stale_reads"), both)
    warm = with_rate(case, "20/s", prestates=["warm"])
    assert alone not in line(goal_of(warm, "stale_reads"), warm)


@pytest.mark.parametrize("metric", ["db_calls", "latency_mean_ms", "bytes_per_request"])
def test_a_need_of_which_nothing_is_known_is_no_number(metric: str) -> None:
    case = a_case({metric: {"want": "no-worse", "margin": "10 %"}})
    goal = goal_of(case, metric)
    assert (goal.needs, goal.at_least, goal.reason) == (None, 1, "margin-relative")
    assert " 1 " not in line(goal, case) and "baseline" in line(goal, case)
    ((*_, needed, _, _),) = planning_rows(plan_for(case, ProbePlanner()))
    assert not any(letter.isdigit() for letter in needed)


def test_each_range_has_an_order_of_its_own() -> None:
    """Popular reads of one range are no popular writes of another."""
    uniform = [{**keys, "popularity": "uniform"} for keys in (RANGE, {"first": 3, "last": 61})]
    same, other = (workload_units(reads_and_writes(RANGE, writes)) for writes in (RANGE, {"first": 3, "last": 61}))
    assert other < 0.9 * same
    assert workload_units(reads_and_writes(*uniform)) == pytest.approx(
        workload_units(reads_and_writes(*uniform[:1] * 2)), rel=0.05
    )


def test_files_without_a_common_key_count_nothing() -> None:
    assert workload_units(reads_and_writes(FILE, FILE), {"page": ["01", "x"], "save": ["1", "y"]}) == 0


def test_a_workload_without_versions_adds_no_units() -> None:
    assert workload_units(a_case(STALE)) == 0


def test_a_pace_of_a_log_is_not_known() -> None:
    replay = {"replay": {"file": "access.log"}, "seed": 1, "routes": [{"name": "detail", "path": "/products/{key}"}]}
    case = edited(a_case({"error_rate": {"want": "no-worse", "margin": "1 %"}}, freshness=False), workload=replay)
    assert requests_of_block(case) is None
    goal = goal_of(case, "error_rate")
    assert (goal.gives, goal.state, goal.reason) == (None, "open", "pace-unknown")


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


def test_the_needed_pairs_are_about_right(noise_of, simulate) -> None:
    case = a_case({"latency_p95_ms": {"want": "better", "margin": "10 %"}}, stop_early=False, freshness=False)
    needed = plan_for(case, ProbePlanner(), noise_of(case, hit=1.0)).goals[0].needs
    seconds = needed / 4 / 150
    verdicts = [
        simulate(seed, before={"hit": 1.0}, after={"hit": 1.0}, blocks=4, seconds=times * seconds)
        .judge(case, interim=True)
        .metrics["latency_p95_ms"]
        .verdict
        for seed in range(5)
        for times in (1.5, 0.1)
    ]
    assert verdicts[::2].count("EQUIVALENT") >= 4
    assert verdicts[1::2].count("EQUIVALENT") <= 1
