"""What happened inside an arm while it was measured: found where it did, not found where it did not, and said."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import lfilter

from luckyhit.designs import DESIGNS, Design
from luckyhit.judge.context.changepoints import FEWEST, movement
from luckyhit.judge.context.drift import origin_of
from luckyhit.judge.context.shifts import MOST_NOTES, event_notes, happened, meaning
from luckyhit.judge.table.samples import rows_of
from luckyhit.records import Moved, Result, RunEvent
from luckyhit.text.wording import note
from noted import noted
from tier import examples, seeds

GOALS = {"latency_p50_ms": {"want": "better", "margin": "10 %"}, "hit_ratio": {"want": "no-worse", "margin": "5 %"}}
LEVEL = 0.01 / 6


def autoregressive(phi: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    def noise(rng: np.random.Generator, count: int) -> np.ndarray:
        return lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=count + 100))[100:]

    return noise


NOISES = {
    "white": autoregressive(0.0),
    "AR(1), 0.5": autoregressive(0.5),
    "AR(1), 0.9": autoregressive(0.9),
    "exponential": lambda rng, count: rng.exponential(size=count),
    "t, 3 degrees": lambda rng, count: rng.standard_t(3, size=count),
    "rare events": lambda rng, count: rng.binomial(25, 0.004, size=count).astype(float),
}


@pytest.mark.parametrize("noise", NOISES)
def test_a_series_in_which_nothing_happened_is_left_alone(noise: str) -> None:
    """At 1 / 600 for each, 0.1 of 60 are expected; of a walk as slow as AR(1), 0.9, twice that."""
    rng = np.random.default_rng(11)
    found = [movement(NOISES[noise](rng, 120), LEVEL) for _ in range(examples(60))]
    assert sum(one is not None for one in found) <= 1


@pytest.mark.parametrize("noise", ["white", "exponential", "t, 3 degrees"])
def test_a_step_of_three_standard_deviations_in_the_middle_third_is_found_where_it_is(noise: str) -> None:
    rng = np.random.default_rng(12)
    near, tries = 0, examples(20)
    for _ in range(tries):
        quiet = NOISES[noise](rng, 120)
        at = int(rng.integers(40, 80))
        found = movement(quiet + 3 * quiet.std() * (np.arange(120) >= at), LEVEL)
        near += found is not None and found.kind == "shift" and any(abs(place - at) <= 3 for place in found.places)
    assert near >= tries - 1


def test_a_neighbour_that_comes_and_goes_is_two_shifts() -> None:
    rng = np.random.default_rng(13)
    for _ in range(examples(10)):
        at = np.arange(120)
        found = movement(rng.normal(size=120) + 3 * ((at >= 45) & (at < 70)), LEVEL)
        assert found is not None and found.kind == "shift" and len(found.places) == 2
        assert abs(found.places[0] - 45) <= 3 and abs(found.places[1] - 70) <= 3


def test_a_line_is_a_drift_and_not_a_flight_of_steps() -> None:
    rng = np.random.default_rng(14)
    found = [movement(rng.normal(size=120) + 6 * np.arange(120) / 120, LEVEL) for _ in range(examples(10))]
    assert [one and one.kind for one in found] == ["drift"] * len(found)


@given(
    arrays(np.float64, st.integers(0, 70), elements=st.floats(-1e6, 1e6)),
    st.integers(-3, 3),
    st.sampled_from([-1000.0, 0.0, 0.25]),
)
@settings(max_examples=examples(40), deadline=None)
def test_whatever_the_values_places_are_inside_and_the_unit_does_not_matter(values, power, offset) -> None:  # type: ignore[no-untyped-def]
    found = movement(values, LEVEL)
    if found is not None:
        assert len(values) >= FEWEST
        assert (found.kind == "drift") == (found.places == ())
        assert list(found.places) == sorted(set(found.places))
        assert all(4 <= place <= len(values) - 4 for place in found.places)
    rounded = np.round(values)  # so that neither scale nor offset costs a digit
    assert movement(rounded * 2.0**power + offset, LEVEL) == movement(rounded, LEVEL)


@pytest.mark.parametrize("values", [[], [1.0] * 200, [0.0] * 199 + [1.0], [1.0] + [0.0] * 199], ids=len)
def test_series_without_anything_in_them(values: list[float]) -> None:
    assert movement(np.array(values), LEVEL) is None


def slower(run: Any, arms: tuple[str, ...], factor: Callable[[np.ndarray], np.ndarray]) -> Any:
    """Multiply the latencies of some arms by a factor of the time in seconds."""
    frame = run.requests
    mine = frame["arm"].isin(arms)
    due = frame.loc[mine, "due_ns"]
    latency = (frame.loc[mine, "done_ns"] - due) * factor(due.to_numpy() / 1e9)
    frame.loc[mine, "done_ns"] = due + latency.astype(np.int64)
    frame.loc[mine, "first_byte_ns"] = frame.loc[mine, "done_ns"]
    return run


def losing_hits(run: Any, arms: tuple[str, ...], since_s: float, share: float) -> Any:
    frame = run.requests
    lost = frame["arm"].isin(arms) & (frame["due_ns"] >= since_s * 1e9) & (frame["cache"] == "hit")
    lost &= np.random.default_rng(8).random(len(frame)) < share
    frame.loc[lost, "cache"] = "miss"
    return run


def step(at_s: float, factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda time_s: np.where(time_s >= at_s, factor, 1.0)


def test_records_of_a_quiet_run_have_no_events(simulate, case_with) -> None:
    for seed in seeds(4):
        result = simulate(seed, after={"hit": 0.6, "hit_ms": 1.5}).judge(case_with(GOALS))
        assert result.events == []  # the change's own effect is none


def test_a_shift_in_one_arm_is_a_warning_with_numbers_and_no_verdict(simulate, case_with) -> None:
    """Blocks of the change begin at 10, 20, 30 and 40 s; the baseline's at 0."""
    run = slower(simulate(1, before={"hit": 0.95}, after={"hit": 0.95}), ("after",), step(33.0, 1.5))
    result = run.judge(case_with(GOALS))
    (event,) = result.events
    assert (event.kind, event.metric, event.arms, event.block) == ("shift", "latency_ms", ["after"], 3)
    assert event.at_s == pytest.approx(33, abs=0.5) and event.until_s is None
    moved = event.moved["after"]
    assert moved.became / moved.was == pytest.approx(1.5, rel=0.1)
    assert moved.size == pytest.approx(moved.became - moved.was)
    (noted,) = [noted for noted in result.notes if noted.facts.get("metric") == "latency_ms"]
    assert noted.id == "event" and noted.facts["arms"] == ["after"] and noted.facts["at_s"] == event.at_s
    assert re.search(r"after 2\.\d+ → 3\.\d+ ms", happened(event)) and happened(event) in noted.text
    assert all(guard.ok for guard in result.guards)


def test_a_shift_that_both_arms_met_is_one_event_and_fair(simulate, case_with) -> None:
    run = losing_hits(simulate(1, after={"hit": 0.7}), ("before", "after"), 32.5, 0.5)
    result = run.judge(case_with(GOALS))
    (event,) = [event for event in result.events if event.metric == "hit_ratio"]
    assert event.arms == ["before", "after"] and event.at_s == pytest.approx(32.5, abs=0.5)
    assert event.moved["before"].was == pytest.approx(0.8, abs=0.05)
    assert event.moved["before"].became == pytest.approx(0.4, abs=0.05)
    assert event.moved["after"].size == pytest.approx(-0.35, abs=0.06)
    (noted,) = [noted for noted in result.notes if noted.facts.get("metric") == "hit_ratio"]
    assert (noted.id, noted.facts["kind"], noted.facts["arms"]) == ("event", "shift", ["before", "after"])


def test_a_flushed_cache_of_one_stack(simulate, case_with) -> None:
    result = losing_hits(simulate(5), ("before",), 24.0, 0.4).judge(case_with(GOALS))
    (event,) = result.events
    assert (event.metric, event.arms) == ("hit_ratio", ["before"])
    assert event.moved["before"].size == pytest.approx(-0.32, abs=0.06)


def test_a_neighbour_that_both_arms_met_and_that_went_again(simulate, case_with) -> None:
    def busy(time_s: np.ndarray) -> np.ndarray:
        return np.where((time_s >= 23) & (time_s < 33), 2.0, 1.0)

    result = slower(simulate(6), ("before", "after"), busy).judge(case_with(GOALS))
    assert [(event.metric, event.arms) for event in result.events] == [("latency_ms", ["before", "after"])] * 2
    assert [event.moved["before"].size > 0 for event in result.events] == [True, False]
    assert [event.at_s for event in result.events] == pytest.approx([23, 33], abs=0.7)


@pytest.mark.parametrize("arms", [("before", "after"), ("after",)])
def test_a_drift_is_told_from_end_to_end(arms: tuple[str, ...], simulate, case_with) -> None:
    run = simulate(7, before={"hit": 0.97}, after={"hit": 0.97})
    result = slower(run, arms, lambda time_s: 1 + np.clip(time_s - 10, 0, 40) / 40).judge(case_with(GOALS))
    (event,) = result.events
    assert (event.kind, event.metric, tuple(event.arms)) == ("drift", "latency_ms", arms)
    assert event.at_s == pytest.approx(11, abs=0.5) and event.until_s == pytest.approx(46, abs=0.5)
    for moved in event.moved.values():
        assert moved.became / moved.was == pytest.approx(1.9, rel=0.15)
    (noted,) = [noted for noted in result.notes if noted.facts.get("kind") == "drift"]
    assert noted.id == "event" and noted.facts["arms"] == list(arms)


def test_errors_that_begin(simulate, case_with) -> None:
    run = simulate(8)
    frame = run.requests
    failing = (
        (frame["arm"] == "after") & (frame["due_ns"] >= 32e9) & (np.random.default_rng(1).random(len(frame)) < 0.2)
    )
    frame.loc[failing, "error"] = "unexpected"
    result = run.judge(case_with({**GOALS, "error_rate": {"want": "no-worse", "margin": "1 %"}}))
    (event,) = [event for event in result.events if event.metric == "error_rate"]
    assert event.arms == ["after"] and event.moved["after"].became == pytest.approx(0.2, abs=0.05)
    assert event.moved["after"].was == pytest.approx(0, abs=0.01)


def test_what_every_block_does_alike_is_no_event(simulate, case_with) -> None:
    """Each block starts from the same state: its ramp is the design's."""
    run = slower(simulate(9), ("before", "after"), lambda time_s: 1.5 - np.clip(time_s % 10 - 1, 0, 5) / 10)
    assert run.judge(case_with(GOALS)).events == []


def test_a_movement_far_inside_the_margin_is_not_worth_a_note(simulate, case_with) -> None:
    run = slower(
        simulate(1, before={"sigma": 0.02, "hit": 1.0}, after={"sigma": 0.02, "hit": 1.0}), ("after",), step(33, 1.02)
    )
    assert run.judge(case_with(GOALS)).events == []  # 2 % is less than a quarter of 10 %
    strict = {"latency_p50_ms": {"want": "better", "margin": "4 %"}}
    (event,) = run.judge(case_with(strict)).events
    assert event.arms == ["after"]


def test_arms_in_turn_that_met_the_same_drift(simulate, case_with) -> None:
    run = slower(simulate(3, design="crossover", blocks=4), ("before", "after"), lambda time_s: 1 + time_s / 40)
    result = run.judge(case_with(GOALS, design="crossover"))
    (event,) = [event for event in result.events if event.metric == "latency_ms"]
    assert (event.kind, event.arms) == ("drift", ["before", "after"])
    assert any(
        noted.id == "event" and meaning(event, DESIGNS["crossover"].words) in noted.text for noted in result.notes
    )


def test_arms_one_after_the_other_never_met_anything_together(simulate, case_with) -> None:
    run = slower(simulate(3, design="before-after", blocks=4), ("before", "after"), step(33, 1.6))
    result = run.judge(case_with(GOALS, design="before-after"))
    (event,) = result.events
    assert event.arms == ["before"]
    assert any(
        noted.id == "event" and meaning(event, DESIGNS["before-after"].words) in noted.text for noted in result.notes
    )


def an_event(**other: Any) -> RunEvent:
    told = {"kind": "shift", "metric": "hit_ratio", "arms": ["before"], "at_s": 42.04, "block": 3}
    moved = {"before": Moved(was=0.91, became=0.7, size=-0.21)}
    return RunEvent.model_validate({**told, "moved": moved, **other})


def test_the_sentences() -> None:
    one = an_event()
    assert happened(one) == "Hit ratio shifted in the before arm only at 42 s (block 3): before 91 → 70 % (−21 points)."
    both = an_event(
        kind="drift", metric="latency_ms", arms=["before", "after"], at_s=3.0, until_s=60.0,
        moved={"before": Moved(was=5, became=7.1, size=2.1), "after": Moved(was=4, became=5, size=1)},
    )  # fmt: skip
    assert happened(both) == (
        "Typical latency (geometric mean) drifted in both arms from 3 to 60 s: before 5 → 7.1 ms (+2.1 ms) and after "
        "4 → 5 ms (+1 ms)."
    )


@pytest.mark.parametrize("design", DESIGNS.values(), ids=list(DESIGNS))
def test_what_an_event_means_hangs_on_arms_and_design(design: Design) -> None:
    words, one = design.words, an_event()
    moved = dict.fromkeys(("before", "after"), Moved(was=1, became=0.5, size=-0.5))
    assert meaning(one, words) == words.event_in_one
    assert meaning(an_event(arms=["before", "after"], moved=moved), words) == words.event_in_both
    assert meaning(an_event(with_block=True), words) == words.event_in_block


def test_warnings_come_first_and_many_events_are_counted() -> None:
    both = {
        "arms": ["before", "after"],
        "moved": dict.fromkeys(("before", "after"), Moved(was=1, became=0.5, size=-0.5)),
    }
    notes = event_notes([*[an_event(**both)] * 12, an_event()], DESIGNS["side-by-side"].words)
    assert [len(noted.facts["arms"]) for noted in notes[:-1]] == [1, *[2] * (MOST_NOTES - 1)]
    assert notes[-1] == note("events-more", count=5)


def test_seconds_are_counted_from_the_first_block(simulate) -> None:
    run = simulate(1, blocks=1)
    rows = rows_of(run.requests)
    assert origin_of(noted(run.blocks), rows) == 0.0
    told = [
        {"block": 0, "stage": "wash-out", "start_ns": 1},
        {"block": 1, "stage": "baseline", "start_ns": 7_000_000_000},
    ]
    assert origin_of(noted(told), rows) == 7e9
    assert (
        origin_of(noted({"block": n, "stage": "change", "start_ns": at} for n, at in enumerate((None, True))), rows)
        == 0.0
    )


def test_an_older_result_without_events_still_loads(simulate, case_with) -> None:
    result = slower(simulate(1, blocks=3), ("after",), step(23.0, 1.8)).judge(case_with(GOALS))
    assert result.events
    assert Result.model_validate_json(result.model_dump_json(by_alias=True)) == result
    old = result.model_dump(mode="json", by_alias=True)
    del old["events"]
    assert Result.model_validate(old).events == []


def piled_up(run: Any, block: int) -> None:
    """Errors in the second half of a block, in the before arm."""
    frame = run.requests
    inside = ((frame["arm"] == "before") & (frame["block"] == block) & (frame["slot"] > 500)).to_numpy()
    failed = inside & (np.random.default_rng(block).random(len(frame)) < 0.4)
    frame.loc[failed, "error"] = "unexpected"


@pytest.mark.parametrize("blocks", [1, 4])
def test_errors_that_go_with_the_clear_are_the_arms_own(blocks: int, simulate: Any, case_with: Any) -> None:
    case = case_with({"error_rate": {"want": "no-worse", "margin": "1 %"}}, freshness=False)
    for seed in (1, 2, 3):
        run = simulate(seed, blocks=blocks, probed=False)
        piled_up(run, min(blocks, 2))
        (event,) = run.judge(case).events
        assert (event.with_block, event.block, event.arms) == (True, min(blocks, 2), ["before"])
        assert event.moved["before"].became > 0.2


def test_errors_that_outlast_the_clear_are_an_event(simulate: Any, case_with: Any) -> None:
    case = case_with({"error_rate": {"want": "no-worse", "margin": "1 %"}}, freshness=False)
    run = simulate(1, blocks=4, probed=False)
    piled_up(run, 2)
    later = ((run.requests["arm"] == "before") & (run.requests["block"] > 2)).to_numpy()
    failed = later & (np.random.default_rng(1).random(len(run.requests)) < 0.4)
    run.requests.loc[failed, "error"] = "unexpected"
    events = run.judge(case).events
    assert events and not any(event.with_block for event in events)
