"""A latency has to recur over process starts: what one start moves is no effect of the change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.model import Goal
from luckyhit.judge import FixedSample, Sequential
from luckyhit.judge.compare.effects import request_effects
from luckyhit.judge.compare.process_starts import FEWEST_STARTS, MOVES, Starts, enough_starts, over_starts
from luckyhit.judge.early_stopping import rate_fraction_of_look
from luckyhit.judge.table.rows import HIT, NO_ERROR, RequestTable
from luckyhit.judge.table.samples import side_by_side
from luckyhit.judge.verdict import rule_on
from luckyhit.records import MetricName, Verdict
from luckyhit.text.wording import has
from noted import noted
from tier import examples

NAMES: tuple[MetricName, ...] = ("latency_mean_ms", "latency_p50_ms", "latency_p95_ms")
GOALS = {name: Goal.model_validate({"want": "better", "margin": "10 %"}) for name in NAMES}
EACH = 0.01 / len(NAMES)
PER_BLOCK = 400


def an_arm(rng: np.random.Generator, number: int, factors: np.ndarray) -> RequestTable:
    """Rows whose latencies (5 ms in the median) have one factor for each block."""
    count = PER_BLOCK * len(factors)
    due, nothing = np.arange(count) * 1e7, np.zeros(count, dtype=np.int64)
    latency_ms = 5.0 * np.exp(0.3 * rng.normal(size=count)) * np.repeat(factors, PER_BLOCK)
    return RequestTable.of_times(
        arm=np.full(count, number, dtype=np.int8),
        block=np.arange(count) // PER_BLOCK,
        slot=np.arange(count) % PER_BLOCK,
        measured=np.ones(count, dtype=bool),
        due_ns=due,
        sent_ns=due,
        first_byte_ns=due,
        done_ns=due + latency_ms * 1e6,
        error=np.full(count, NO_ERROR, dtype=np.int8),
        cache=np.full(count, HIT, dtype=np.int8),
        numbers={"db_calls": np.zeros(count)},
        key=nothing,
        route=nothing,
    )


def verdicts(
    seed: int, starts: int, *, moved: float = 0.0, gain: float = 1.0, looks: bool = False, held: bool = True
) -> dict[MetricName, Verdict]:
    """The first verdict on each goal, of arms whose latency each start moves by up to `moved`."""
    rng = np.random.default_rng([seed, starts])
    arms = [
        an_arm(rng, number, rng.uniform(1 - moved, 1 + moved, starts) * factor)
        for number, factor in ((0, 1.0), (1, gain))
    ]
    verdict_of: dict[MetricName, Verdict] = dict.fromkeys(NAMES, "INCONCLUSIVE")
    boundary = Sequential() if looks else FixedSample()
    for count in range(FEWEST_STARTS, starts + 1) if looks else (starts,):
        before, after = (rows.take(np.arange(count * PER_BLOCK)) for rows in arms)
        comparison = side_by_side(before, after)
        effects: Any = request_effects(comparison, boundary, EACH, GOALS)
        if held:
            noted = Starts(dict(enumerate(range(count))), rate_fraction_of_look(count, starts) if looks else 1.0)
            effects = over_starts(effects, comparison, noted, EACH)
        for name, goal in GOALS.items():
            if verdict_of[name] == "INCONCLUSIVE":
                ruled = rule_on(name, effects[name], goal, 1.0, EACH, boundary).metric.verdict
                verdict_of[name] = ruled or "INCONCLUSIVE"
    return verdict_of


def claims(runs: int, starts: int, **knobs: Any) -> int:
    """Of so many runs, those in which a difference was claimed."""
    return sum(
        any(verdict in ("HELPED", "HURT") for verdict in verdicts(seed, starts, **knobs).values())
        for seed in range(runs)
    )


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("moved", [0.03, 0.1])
def test_what_starts_move_is_no_difference(looks: bool, moved: float) -> None:
    """At most 1 % are expected: two of so many have a chance below 3 %."""
    assert claims(examples(25), 5, moved=moved, looks=looks) <= 1


def test_without_the_rule_a_start_would_be_one() -> None:
    assert claims(40, 4, moved=0.1, held=False) >= 5


@pytest.mark.parametrize(("starts", "gain", "moved"), [(4, 0.6, 0.0), (4, 0.5, 0.1), (8, 0.85, 0.0)])
def test_a_gain_beyond_what_starts_move_is_seen(starts: int, gain: float, moved: float) -> None:
    for seed in range(examples(6)):
        assert set(verdicts(seed, starts, moved=moved, gain=gain).values()) == {"HELPED"}


def test_starts_do_not_delay_an_equivalent_verdict() -> None:
    plain, held = (
        [verdicts(seed, 5, held=held)["latency_p50_ms"] for seed in range(examples(12))] for held in (False, True)
    )
    assert plain.count("EQUIVALENT") - held.count("EQUIVALENT") <= 1 and plain.count("EQUIVALENT") > len(plain) / 2


@given(factor=st.floats(0.5, 2.0), starts=st.integers(1, 5))
@settings(max_examples=examples(100), deadline=None)
def test_an_interval_only_widens_and_keeps_its_middle(factor: float, starts: int) -> None:
    rng = np.random.default_rng(3)
    comparison = side_by_side(an_arm(rng, 0, np.ones(starts)), an_arm(rng, 1, np.full(starts, factor)))
    plain: Any = request_effects(comparison, FixedSample(), EACH, GOALS)
    held = over_starts(plain, comparison, Starts(dict(enumerate(range(starts)))), EACH)
    for name in NAMES:
        assert held[name].low <= plain[name].low and held[name].high >= plain[name].high
        assert held[name].effect == plain[name].effect
    assert all(held[name] == plain[name] for name in plain if name not in (*NAMES, "latency_p99_ms"))


def test_of_one_start_only_what_no_start_moves_is_a_difference() -> None:
    for gain, sure in ((0.9, False), (1 - 3 * MOVES, True)):
        rng = np.random.default_rng(1)
        comparison = side_by_side(an_arm(rng, 0, np.ones(3)), an_arm(rng, 1, np.full(3, gain)))
        plain: Any = request_effects(comparison, FixedSample(), EACH, GOALS)
        held = over_starts(plain, comparison, Starts(dict.fromkeys(range(3), 0)), EACH)["latency_p50_ms"]
        assert plain["latency_p50_ms"].high < 0
        assert (held.high < 0) == sure and held.starts == 1 and held.starts_needed is None


def entries(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [
        {"block": number, "stage": "change", "start": {"before": before, "after": after}}
        for number, (before, after) in enumerate(pairs, 1)
    ]


@pytest.mark.parametrize(
    ("entered", "count"),
    [
        (entries((2, 2), (3, 3), (4, 4)), 3),
        (entries((2, 2), (2, 2)), 1),
        (entries((2, 2), (3, 2), (3, 3)), 2),  # a pair is another one where both processes are
        (entries((2, 2), (3, 2), (4, 2)), 1),
        ([{"block": 1}, *entries((2, 2))], 0),
        (entries((2, None)), 0),
        ([{"block": 1, "start": "twice"}], 0),
        ([], 0),
    ],
)
def test_starts_are_counted_in_pairs(entered: list[dict[str, Any]], count: int, case_with: Any) -> None:
    assert Starts.recorded(noted(entered), case_with()).count == count


def test_looks_share_the_error_rate(case_with: Any) -> None:
    entered = entries((1, 1), (2, 2), (3, 3), (4, 4))
    once, early = case_with(blocks=4), case_with(blocks=4, stop_early=True)
    assert Starts.recorded(noted(entered), once).rate_fraction == 1.0
    assert Starts.recorded(noted(entered), early).rate_fraction == 0.5
    assert Starts.recorded(noted(entered[:3]), early).rate_fraction == pytest.approx(0.5 / 3)
    on_top = [*entered, {**entered[0], "block": 9, "control": True}]
    assert Starts.recorded(noted(on_top), early).rate_fraction == 0.5


def test_a_run_with_a_goal_on_latency_sees_some_starts(case_with: Any) -> None:
    timed, counted = case_with({"latency_p95_ms": {"want": "no-worse", "margin": "10 %"}}), case_with()
    some, few = noted(entries((1, 1), (2, 2), (3, 3))), noted(entries((1, 1), (2, 2)))
    assert enough_starts(some, timed) and not enough_starts(few, timed) and enough_starts(few, counted)
    on_route = case_with({"detail.latency_p95_ms": {"want": "no-worse", "margin": "10 %"}})
    assert not enough_starts(few, on_route)
    turns = case_with({"latency_p95_ms": {"want": "no-worse", "margin": "10 %"}}, design="crossover")
    assert enough_starts([], turns)


def test_a_run_of_one_start_says_so(simulate: Any, case_with: Any) -> None:
    case = case_with({"latency_p50_ms": {"want": "better", "margin": "10 %"}}, blocks=4)
    run = simulate(2, after={"hit_ms": 1.7, "miss_ms": 10.0}, probed=False)
    changed = [entry for entry in run.blocks if entry["stage"] == "change"]
    assert run.judge(case, interim=True).metrics["latency_p50_ms"].verdict == "HELPED"  # no starts were recorded
    for entry in changed:
        entry["start"] = {"before": 2, "after": 2}
    alone = run.judge(case)
    assert alone.metrics["latency_p50_ms"].verdict == "INCONCLUSIVE"
    assert has(alone.notes, "one-process-start")
    for number, entry in enumerate(changed):
        entry["start"] = {"before": number, "after": number}
    restarted = run.judge(case)
    assert not has(restarted.notes, "one-process-start")
