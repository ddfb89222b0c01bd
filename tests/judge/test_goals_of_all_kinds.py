"""Wrong answers, mean latency, goals of one route, faults without a goal: from records to the verdict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case import Case
from luckyhit.judge.compare.effect import interval_error_rate
from luckyhit.judge.table.samples import rows_of
from luckyhit.records import NOT_VISIBLE, Result
from luckyhit.text.quantities import name_of
from luckyhit.text.wording import has

HITS = {"hit_ratio": {"want": "no-worse", "margin": "5 %"}}


def with_routes(case: Case, *names: str, **goals: Any) -> Case:
    data = case.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    first = data["workload"]["routes"][0]
    data["workload"]["routes"] = [{**first, "name": name, "path": f"/{name}/{{key}}"} for name in names]
    data["goals"] |= {name.replace("__", "."): goal for name, goal in goals.items()}
    return Case.model_validate(data)


def wrong(run: Any, arm: str, every: int, status: int | None = 200) -> Any:
    """Each `every`th answer of an arm is not what its route owes, with this status."""
    frame = run.requests
    chosen = (frame["arm"] == arm) & (frame["slot"] % every == 0)
    frame.loc[chosen, "error"] = "unexpected"
    frame["status"] = frame["status"].astype("Int64")
    frame.loc[chosen, "status"] = pd.NA if status is None else status
    return run


@given(st.lists(st.tuples(st.sampled_from([None, "unexpected", "timeout", "dropped"]),
                          st.sampled_from([None, 200, 204, 302, 404, 503])), max_size=30))  # fmt: skip
def test_a_wrong_answer_passes_for_a_right_one(answers: list[tuple[str | None, int | None]]) -> None:
    frame = pd.DataFrame({"error": [error for error, _ in answers], "status": [status for _, status in answers]})
    frame = frame.assign(
        due_ns=0, sent_ns=1, done_ns=[None if error in ("timeout", "dropped") else 9 for error, _ in answers]
    )
    rows = rows_of(frame)
    expected = [
        float(error == "unexpected" and status < 400) if status is not None or error is None else np.nan
        for error, status in answers
    ]
    expected = [np.nan if error in ("timeout", "dropped") else value
                for value, (error, _) in zip(expected, answers, strict=True)]  # fmt: skip
    np.testing.assert_array_equal(rows.wrong, expected)
    assert rows.unexpected.tolist() == [error == "unexpected" for error, _ in answers]


@pytest.mark.parametrize(("status", "share"), [(200, 0.05), (302, 0.05), (503, 0.0), (None, None)])
def test_wrong_answers_are_known_by_their_status(simulate, case_with, status, share) -> None:  # type: ignore[no-untyped-def]
    case = case_with({"error_rate": {"want": "better", "margin": "1 %"}}, freshness=False)
    result = wrong(simulate(3, probed=False), "before", 20, status).judge(case, interim=True)
    metric = result.metrics["wrong_answers"]
    assert result.metrics["error_rate"].before == pytest.approx(0.05, abs=0.005)
    if share is None:  # an answer whose status nobody knows is neither right nor wrong
        assert metric.before == 0.0 and metric.pairs < result.metrics["error_rate"].pairs
    else:
        assert metric.before == pytest.approx(share, abs=0.005) and metric.after == 0.0


def test_wrong_answers_that_are_gone_help_without_a_goal(simulate, case_with) -> None:  # type: ignore[no-untyped-def]
    goals = {**HITS, "error_rate": {"want": "no-worse", "margin": "1 %"}}
    result = wrong(simulate(4), "before", 100).judge(case_with(goals), interim=True)
    assert result.metrics["wrong_answers"].high < 0
    assert result.verdict == "HELPED" and result.metrics["wrong_answers"].verdict is None


def test_new_wrong_answers_hurt_though_every_goal_is_met(simulate, case_with) -> None:  # type: ignore[no-untyped-def]
    goals = {"latency_p50_ms": {"want": "better", "margin": "5 %"}}
    result = wrong(simulate(4, before={"hit": 0.3}, after={"hit": 0.9}), "after", 150).judge(
        case_with(goals), interim=True
    )
    assert result.metrics["latency_p50_ms"].verdict == "HELPED"
    assert all(guard.ok for guard in result.guards)
    assert result.verdict == "HURT" and result.metrics["wrong_answers"].low > 0


def phantoms(run: Any, arm: str, every: int) -> Any:
    reads = run.reads
    reads.loc[(reads["arm"] == arm) & (reads["probe"] % every == 0), "seen_version"] = 900_000
    return run


@pytest.mark.parametrize(("arm", "verdict"), [("before", "HELPED"), ("after", "HURT")])
def test_phantom_reads_are_part_of_the_verdict(simulate, case_with, arm: str, verdict: str) -> None:  # type: ignore[no-untyped-def]
    result = phantoms(simulate(5, blocks=5), arm, 8).judge(case_with(HITS, freshness=True), interim=True)
    assert result.metrics["phantom_reads"].verdict is None and result.verdict == verdict
    declared = phantoms(simulate(5, blocks=5), arm, 8).judge(
        case_with({**HITS, "phantom_reads": {"want": "better", "margin": "2 %"}}), interim=True
    )
    assert declared.metrics["phantom_reads"].verdict == verdict == declared.verdict


def test_faults_that_both_arms_have_decide_nothing(simulate, case_with) -> None:  # type: ignore[no-untyped-def]
    run = phantoms(phantoms(simulate(6), "before", 8), "after", 8)
    result = wrong(wrong(run, "before", 40), "after", 40).judge(
        case_with({**HITS, "error_rate": {"want": "no-worse", "margin": "2 %"}}), interim=True
    )
    assert result.verdict == "EQUIVALENT"


def split(run: Any) -> Any:
    frame = run.requests
    frame["route"] = np.where(frame["slot"] % 3 == 0, "stores", "detail")
    return run


def missing(run: Any, arm: str, route: str) -> Any:
    """One route of an arm never hits."""
    frame = run.requests
    frame.loc[(frame["arm"] == arm) & (frame["route"] == route), "cache"] = "miss"
    return run


@pytest.fixture(scope="module")
def of_a_route(simulate, case_with) -> Result:  # type: ignore[no-untyped-def]
    """Hits of `stores` come with the change; `detail` has them in both arms."""
    case = with_routes(
        case_with(HITS, freshness=True), "detail", "stores",
        stores__hit_ratio={"want": "better", "margin": "5 %"},
        stores__latency_p95_ms={"want": "no-worse", "margin": "50 %"},
        read__stale_reads={"want": "no-worse", "margin": "20 %"},
    )  # fmt: skip
    return missing(split(simulate(7)), "before", "stores").judge(case)


def test_a_goal_of_one_route_is_judged_on_its_requests(of_a_route) -> None:
    metric = of_a_route.metrics["stores.hit_ratio"]
    assert (metric.before, metric.unit, metric.want) == (0.0, "share", "better")
    assert metric.verdict == "HELPED" == of_a_route.verdict and metric.after == pytest.approx(0.8, abs=0.05)
    assert metric.pairs == pytest.approx(of_a_route.metrics["hit_ratio"].pairs / 3, rel=0.05)
    assert of_a_route.metrics["stores.latency_p95_ms"].verdict is not None
    assert of_a_route.metrics["read.stale_reads"].pairs == 160
    # The table of routes holds the same values, at a level of its own.
    assert of_a_route.routes["stores"]["hit_ratio"].after == metric.after


def test_goals_of_routes_share_the_error_rate(case_with) -> None:
    case = with_routes(case_with(HITS), "detail", "stores", stores__hit_ratio={"want": "better", "margin": "5 %"})
    assert interval_error_rate(case) == case.plan.error_rate / 2


def test_a_route_that_was_never_asked_is_not_visible(simulate, case_with) -> None:  # type: ignore[no-untyped-def]
    case = with_routes(case_with(HITS), "detail", "stores", stores__hit_ratio={"want": "better", "margin": "5 %"})
    result = simulate(8, blocks=2, seconds=2.0).judge(case, interim=True)
    assert has(result.metrics["stores.hit_ratio"].notes, *NOT_VISIBLE) and result.verdict == "INCONCLUSIVE"


def test_a_goal_of_a_route_where_arms_take_turns(simulate, case_with) -> None:  # type: ignore[no-untyped-def]
    case = with_routes(
        case_with(HITS, design="crossover", blocks=6), "detail", "stores",
        stores__hit_ratio={"want": "better", "margin": "5 %"},
    )  # fmt: skip
    result = missing(split(simulate(9, blocks=6, design="crossover")), "before", "stores").judge(case, interim=True)
    assert result.metrics["stores.hit_ratio"].verdict == "HELPED"
    (guard,) = [guard for guard in result.guards if guard.id == "no-carry-over"]
    assert guard.ok and name_of("stores.hit_ratio") in guard.detail


def test_the_mean_shows_what_a_median_in_the_gap_does_not(simulate, case_with) -> None:  # type: ignore[no-untyped-def]
    goals = {name: {"want": "better", "margin": "5 %"} for name in ("latency_mean_ms", "latency_p50_ms")}
    result = simulate(10, before={"hit": 0.6}, after={"hit": 0.75}).judge(case_with(goals), interim=True)
    mean = result.metrics["latency_mean_ms"]
    assert mean.verdict == "HELPED" and mean.before == pytest.approx(0.6 * 2.1 + 0.4 * 12.5, rel=0.05)
    assert mean.low <= mean.effect <= mean.high and mean.wald_pairs is not None


@pytest.mark.parametrize(
    ("freshness", "goals", "looked"),
    [
        (False, HITS, "not-looked-at"),
        (True, HITS, "undeclared"),
        (True, {**HITS, "stale_reads": {"want": "no-worse", "margin": "5 %"}}, "declared"),
        (True, {**HITS, "read.stale_reads": {"want": "no-worse", "margin": "5 %"}}, "declared"),
    ],
)
def test_old_data_is_never_passed_over(simulate, case_with, freshness: bool, goals, looked: str) -> None:  # type: ignore[no-untyped-def]
    result = simulate(11, probed=freshness, seconds=2.0).judge(case_with(goals, freshness=freshness), interim=True)
    old = result.old_data
    assert old.looked == looked
    if freshness:
        assert old.pairs == result.metrics["stale_reads"].pairs == 160 and 0 < old.at_most < 0.1
    else:
        assert old.pairs == 0 and old.at_most is None
