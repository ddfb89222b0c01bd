"""A case that may stop early: looking after every block costs something, and no more than was said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.judge import FixedSample, Sequential, early
from luckyhit.judge.compare.effect import level_of
from luckyhit.records import Result
from luckyhit.text.wording import has

GOALS = {
    "hit_ratio": {"want": "better", "margin": "4 %"},
    "latency_p50_ms": {"want": "no-worse", "margin": "25 %"},
    "error_rate": {"want": "no-worse", "margin": "1 %"},
}
BLOCKS = 6


@given(looks=st.integers(1, 200))
def test_the_shares_of_all_looks_are_the_whole(looks: int) -> None:
    shares = [early.share_of_look(look, looks) for look in range(1, looks + 1)]
    assert sum(shares) == pytest.approx(1) and min(shares) > 0
    assert shares[-1] >= 0.5  # a run that needs all its blocks loses next to nothing


@given(look=st.integers(-3, 300), looks=st.integers(2, 200))
def test_a_look_that_nobody_planned_gets_no_more_than_a_planned_one(look: int, looks: int) -> None:
    assert early.share_of_look(look, looks) <= 0.5
    if look != looks:
        assert early.share_of_look(look, looks) == early.share_of_look(1, looks)


def test_one_look_at_the_end_costs_nothing(case_with: Any) -> None:
    fixed, stopping = case_with(GOALS, blocks=BLOCKS), case_with(GOALS, blocks=BLOCKS, stop_early=True)
    assert early.ways_to_look(4, fixed)[1] == 1.0
    assert isinstance(early.ways_to_look(4, fixed)[0], FixedSample)
    assert isinstance(early.ways_to_look(4, stopping)[0], Sequential)
    assert level_of(fixed) == level_of(stopping)


def test_where_arms_take_turns_each_look_has_its_share(case_with: Any) -> None:
    case = case_with(GOALS, design="crossover", blocks=BLOCKS, stop_early=True)
    boundary, share = early.ways_to_look(4, case)
    assert isinstance(boundary, FixedSample) and share == pytest.approx(0.5 / (BLOCKS - 1))
    assert early.ways_to_look(2 * BLOCKS, case)[1] == 0.5


def until_enough(simulate: Any, case: Any, seed: int, **knobs: Any) -> list[Result]:
    """What the run would have seen at each look, up to the one at which it stops."""
    whole = simulate(seed, blocks=BLOCKS, seconds=4.0, probed=False, **knobs)
    changed = [entry for entry in whole.blocks if entry["stage"] == "change"]
    seen = []
    for count in range(1, BLOCKS + 1):
        left_out = {entry["block"] for entry in changed[count:]}
        entries = [entry for entry in whole.blocks if entry["block"] not in left_out]
        run = type(whole)(whole.requests, whole.reads, whole.writes, entries, whole.guards)
        seen.append(run.judge(case))
        if early.enough(seen[-1], case):
            break
    return seen


def test_a_large_gain_is_seen_before_the_last_block(simulate: Any, case_with: Any) -> None:
    case = case_with(GOALS, blocks=BLOCKS, stop_early=True, freshness=False)
    looks = until_enough(simulate, case, 1, before={"hit": 0.5}, after={"hit": 0.9})
    assert looks[-1].verdict == "HELPED" and len(looks) < BLOCKS
    assert has(looks[-1].notes, "blocks-stopped-early")
    assert has(looks[-1].notes, "intervals-at-any-moment")


def test_what_ended_early_without_being_meant_to_stays_open(simulate: Any, case_with: Any) -> None:
    fixed = case_with(GOALS, blocks=BLOCKS)
    run = simulate(1, blocks=3, seconds=4.0, before={"hit": 0.5}, after={"hit": 0.9})
    assert run.judge(fixed).verdict == "INCONCLUSIVE"
    assert run.judge(case_with(GOALS, blocks=BLOCKS, stop_early=True)).verdict == "HELPED"


def test_intervals_at_an_early_look_are_wider(simulate: Any, case_with: Any) -> None:
    run = simulate(2, blocks=3, seconds=4.0)
    widths = []
    for plan in ({"blocks": 3}, {"blocks": BLOCKS, "stop_early": True}):
        metric = run.judge(case_with(GOALS, **plan)).metrics["hit_ratio"]
        widths.append(metric.high - metric.low)
    assert 1.05 < widths[1] / widths[0] < 1.6


def test_nothing_stops_while_a_guard_fails(simulate: Any, case_with: Any) -> None:
    case = case_with(GOALS, blocks=BLOCKS, stop_early=True)
    run = simulate(1, blocks=3, seconds=4.0, before={"hit": 0.5}, after={"hit": 0.9})
    run.guards = []  # nobody compared what the change changed
    result = run.judge(case)
    assert result.verdict == "INVALID" and not early.enough(result, case)


def with_probes(run: Any, each: int) -> Any:
    """The run with so many probes in each block, of the forty."""
    few = run.reads["key"].astype(int) < 9000 + each
    run.reads, run.writes = run.reads[few], run.writes[few]
    return run


def test_a_probed_run_goes_on_until_it_knows_something_of_old_data(simulate: Any, case_with: Any) -> None:
    knobs: dict[str, Any] = {"blocks": 3, "seconds": 4.0, "before": {"hit": 0.5}, "after": {"hit": 0.9}}
    case = case_with(GOALS, blocks=BLOCKS, stop_early=True)
    few, many = (with_probes(simulate(1, **knobs), each).judge(case) for each in (2, 40))
    assert few.verdict == many.verdict == "HELPED"
    assert few.metrics["stale_reads"].high > early.FRESHNESS_KNOWN >= many.metrics["stale_reads"].high
    assert not early.enough(few, case) and early.enough(many, case)
    assert early.enough(few, case_with(GOALS, blocks=BLOCKS, stop_early=True, freshness=False))


def test_a_difference_in_old_data_that_is_sure_need_not_be_known_nearer(simulate: Any, case_with: Any) -> None:
    arms = {"before": {"hit": 0.5}, "after": {"hit": 0.9}, "stale": {"before": 0.5, "after": 0.0}}
    case = case_with(GOALS, blocks=BLOCKS, stop_early=True)
    result = with_probes(simulate(1, blocks=3, seconds=4.0, **arms), 20).judge(case)
    metric = result.metrics["stale_reads"]
    assert metric.high < 0 and metric.effect - metric.low > early.FRESHNESS_KNOWN
    assert early.enough(result, case)


def test_a_goal_on_stale_reads_has_to_be_decided_itself(simulate: Any, case_with: Any) -> None:
    knobs: dict[str, Any] = {"blocks": 3, "seconds": 4.0, "before": {"hit": 0.5}, "after": {"hit": 0.9}}
    for margin, decided in (("2 %", False), ("15 %", True)):
        goals = {**GOALS, "stale_reads": {"want": "no-worse", "margin": margin}}
        case = case_with(goals, blocks=BLOCKS, stop_early=True)
        result = with_probes(simulate(1, **knobs), 30).judge(case)
        assert (result.metrics["stale_reads"].verdict in early.DECIDED) == decided
        assert early.enough(result, case) == decided


def test_a_case_that_may_not_stop_never_does(simulate: Any, case_with: Any) -> None:
    run = simulate(1, blocks=BLOCKS, seconds=4.0, before={"hit": 0.5}, after={"hit": 0.9})
    case = case_with(GOALS, blocks=BLOCKS)
    result = run.judge(case)
    assert result.verdict == "HELPED" and not early.enough(result, case)


@pytest.mark.slow
@pytest.mark.timeout(1800)  # 1,200 looks: minutes of a core that has something else to do as well
@pytest.mark.parametrize("own", [0.05, 1.0])
def test_no_change_is_called_one_at_any_look_in_less_than_one_of_a_hundred(
    own: float, simulate: Any, case_with: Any
) -> None:
    case = case_with(GOALS, blocks=BLOCKS, stop_early=True, freshness=False)
    knobs = {"own": own, "errors": 0.003}
    found = [until_enough(simulate, case, seed, before=knobs, after=knobs)[-1].verdict for seed in range(5000, 5200)]
    assert np.isin(found, ["HELPED", "HURT"]).sum() <= 2, found
