"""A case that may stop early: a look after every block costs something, and no more than declared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge import FixedSample, Sequential, early_stopping
from luckyhit.judge.compare.effect import interval_error_rate
from luckyhit.records import Result
from luckyhit.text.wording import has

GOALS = {
    "hit_ratio": {"want": "better", "margin": "4 %"},
    "latency_p50_ms": {"want": "no-worse", "margin": "25 %"},
    "error_rate": {"want": "no-worse", "margin": "1 %"},
}
BLOCKS = 6


@given(looks=st.integers(1, 200))
def test_the_fractions_of_all_looks_are_the_whole(looks: int) -> None:
    fractions = [early_stopping.rate_fraction_of_look(look, looks) for look in range(1, looks + 1)]
    assert sum(fractions) == pytest.approx(1) and min(fractions) > 0
    assert fractions[-1] >= 0.5  # a run that needs all its blocks loses next to nothing


@given(look=st.integers(-3, 300), looks=st.integers(2, 200))
def test_an_unplanned_look_gets_the_least_fraction(look: int, looks: int) -> None:
    assert early_stopping.rate_fraction_of_look(look, looks) <= 0.5
    if look != looks:
        assert early_stopping.rate_fraction_of_look(look, looks) == early_stopping.rate_fraction_of_look(1, looks)


def test_one_look_at_the_end_costs_nothing(case_with: Any) -> None:
    fixed, stopping = case_with(GOALS, blocks=BLOCKS), case_with(GOALS, blocks=BLOCKS, stop_early=True)
    assert early_stopping.boundary_of_look(4, fixed)[1] == 1.0
    assert isinstance(early_stopping.boundary_of_look(4, fixed)[0], FixedSample)
    assert isinstance(early_stopping.boundary_of_look(4, stopping)[0], Sequential)
    assert interval_error_rate(fixed) == interval_error_rate(stopping)


def test_where_arms_take_turns_each_look_has_its_fraction(case_with: Any) -> None:
    case = case_with(GOALS, design="crossover", blocks=BLOCKS, stop_early=True)
    boundary, fraction = early_stopping.boundary_of_look(4, case)
    assert isinstance(boundary, FixedSample) and fraction == pytest.approx(0.5 / (BLOCKS - 1))
    assert early_stopping.boundary_of_look(2 * BLOCKS, case)[1] == 0.5


def looks_of(simulate: Any, case: Any, seed: int, **knobs: Any) -> list[Result]:
    """The result at each look of a run, up to the one at which it stops."""
    whole = simulate(seed, blocks=BLOCKS, seconds=4.0, probed=False, **knobs)
    changed = [entry for entry in whole.blocks if entry["stage"] == "change"]
    looks = []
    for count in range(1, BLOCKS + 1):
        left_out = {entry["block"] for entry in changed[count:]}
        entries = [entry for entry in whole.blocks if entry["block"] not in left_out]
        run = type(whole)(whole.requests, whole.reads, whole.writes, entries, whole.guards)
        looks.append(run.judge(case, interim=True))
        if early_stopping.may_stop(looks[-1], case):
            break
    return looks


def test_a_large_gain_is_found_before_the_last_block(simulate: Any, case_with: Any) -> None:
    case = case_with(GOALS, blocks=BLOCKS, stop_early=True, freshness=False)
    looks = looks_of(simulate, case, 1, **GAIN)
    assert looks[-1].verdict == "HELPED" and len(looks) < BLOCKS
    assert has(looks[-1].notes, "blocks-stopped-early")


GAIN: dict[str, Any] = {"before": {"hit": 0.5}, "after": {"hit": 0.9}}
STALE_GOAL = {"want": "no-worse"}


@pytest.mark.parametrize(
    ("goals", "plan", "probes", "stale", "stops"),
    [
        ({}, {"stop_early": True, "freshness": True}, 40, {}, True),
        # A probed run goes on until it knows something about old data, and a case without a probe does not.
        ({}, {"stop_early": True, "freshness": True}, 2, {}, False),
        ({}, {"stop_early": True, "freshness": False}, 2, {}, True),
        # A difference in old data that excludes 0 need not be known more closely.
        ({}, {"stop_early": True, "freshness": True}, 20, {"before": 0.5, "after": 0.0}, True),
        # A goal on stale reads has to be decided itself.
        ({"stale_reads": STALE_GOAL | {"margin": "2 %"}}, {"stop_early": True}, 30, {}, False),
        ({"stale_reads": STALE_GOAL | {"margin": "15 %"}}, {"stop_early": True}, 30, {}, True),
        ({}, {}, 40, {}, False),
    ],
)
def test_a_run_stops_once_all_is_known(
    goals: Any, plan: Any, probes: int, stale: Any, stops: bool, simulate: Any, case_with: Any
) -> None:
    run = simulate(1, blocks=3, seconds=4.0, stale=stale, **GAIN)
    few = run.reads["key"].astype(int) < 9000 + probes
    run.reads, run.writes = run.reads[few], run.writes[few]
    case = case_with({**GOALS, **goals}, blocks=BLOCKS, **plan)
    result = run.judge(case, interim=True)
    assert early_stopping.may_stop(result, case) is stops
    if plan and not goals:
        assert result.verdict == "HELPED"


def test_nothing_stops_while_a_guard_fails(simulate: Any, case_with: Any) -> None:
    case = case_with(GOALS, blocks=BLOCKS, stop_early=True)
    run = simulate(1, blocks=3, seconds=4.0, **GAIN)
    run.guards = []  # the declared difference was not checked
    result = run.judge(case, interim=True)
    assert result.verdict == "INVALID" and not early_stopping.may_stop(result, case)


def test_a_run_that_was_cut_short_stays_open(simulate: Any, case_with: Any) -> None:
    run = simulate(1, blocks=3, seconds=4.0, **GAIN)
    assert run.judge(case_with(GOALS, blocks=BLOCKS), interim=True).verdict == "INCONCLUSIVE"
    result = run.judge(case_with(GOALS, blocks=BLOCKS, stop_early=True))
    assert result.verdict == "HELPED" and has(result.notes, "intervals-at-any-moment")


def test_intervals_at_an_early_look_are_wider(simulate: Any, case_with: Any) -> None:
    run = simulate(2, blocks=3, seconds=4.0)
    widths = []
    for plan in ({"blocks": 3}, {"blocks": BLOCKS, "stop_early": True}):
        metric = run.judge(case_with(GOALS, **plan), interim=True).metrics["hit_ratio"]
        widths.append(metric.high - metric.low)
    assert 1.05 < widths[1] / widths[0] < 1.6


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 1,200 looks
@pytest.mark.parametrize("own", [0.05, 1.0])
def test_looks_find_no_change_in_99_of_100_runs_without_one(own: float, simulate: Any, case_with: Any) -> None:
    case = case_with(GOALS, blocks=BLOCKS, stop_early=True, freshness=False)
    knobs = {"own": own, "errors": 0.003}
    verdicts = [looks_of(simulate, case, seed, before=knobs, after=knobs)[-1].verdict for seed in range(5000, 5200)]
    assert np.isin(verdicts, ["HELPED", "HURT"]).sum() <= 2, verdicts
