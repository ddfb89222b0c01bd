"""Events inside an arm while it was measured: found where they were, not found where nothing happened."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.signal import lfilter
from simulated_blocks import Records, a_run

from luckyhit.designs import DESIGNS, Design
from luckyhit.judge.context.changepoints import FEWEST, movement
from luckyhit.judge.context.drift import origin_of
from luckyhit.judge.context.run_events import MOST_NOTES, event_notes, happened, meaning
from luckyhit.judge.table.samples import rows_of
from luckyhit.records import Moved, Note, Result, RunEvent
from luckyhit.text.wording import note
from noted import noted
from tier import examples, seeds

GOALS = {"latency_p50_ms": {"want": "better", "margin": "10 %"}, "hit_ratio": {"want": "no-worse", "margin": "5 %"}}
ERRORS = {"error_rate": {"want": "no-worse", "margin": "1 %"}}
BOTH = ("before", "after")
ALPHA = 0.01 / 6
Factor = Callable[[np.ndarray], np.ndarray]


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


# A series


@pytest.mark.parametrize("noise", NOISES)
def test_a_quiet_series_has_no_movement(noise: str) -> None:
    """At 1 / 600 for each, 0.1 of 60 are expected; of a walk as slow as AR(1), 0.9, twice that."""
    rng = np.random.default_rng(11)
    movements = [movement(NOISES[noise](rng, 120), ALPHA) for _ in range(examples(60))]
    assert sum(one is not None for one in movements) <= 1


@pytest.mark.parametrize("noise", ["white", "exponential", "t, 3 degrees"])
def test_a_large_step_is_found_where_it_is(noise: str) -> None:
    """Of three standard deviations, in the middle third."""
    rng = np.random.default_rng(12)
    near, tries = 0, examples(20)
    for _ in range(tries):
        quiet = NOISES[noise](rng, 120)
        at = int(rng.integers(40, 80))
        step = movement(quiet + 3 * quiet.std() * (np.arange(120) >= at), ALPHA)
        near += step is not None and step.kind == "shift" and any(abs(place - at) <= 3 for place in step.places)
    assert near >= tries - 1


def test_a_neighbour_that_comes_and_goes_is_two_shifts() -> None:
    rng, at = np.random.default_rng(13), np.arange(120)
    for _ in range(examples(10)):
        moved = movement(rng.normal(size=120) + 3 * ((at >= 45) & (at < 70)), ALPHA)
        assert moved is not None and moved.kind == "shift"
        assert moved.places == pytest.approx((45, 70), abs=3)


def test_a_line_is_a_drift_and_not_a_flight_of_steps() -> None:
    rng = np.random.default_rng(14)
    movements = [movement(rng.normal(size=120) + 6 * np.arange(120) / 120, ALPHA) for _ in range(examples(10))]
    assert {one and one.kind for one in movements} == {"drift"}


@given(
    arrays(np.float64, st.integers(0, 70), elements=st.floats(-1e6, 1e6)),
    st.integers(-3, 3),
    st.sampled_from([-1000.0, 0.0, 0.25]),
)
@settings(max_examples=examples(40), deadline=None)
def test_places_are_inside_whatever_the_unit(values: np.ndarray, power: int, offset: float) -> None:
    moved = movement(values, ALPHA)
    if moved is not None:
        assert len(values) >= FEWEST
        assert (moved.kind == "drift") == (moved.places == ())
        assert list(moved.places) == sorted(set(moved.places))
        assert all(4 <= place <= len(values) - 4 for place in moved.places)
    rounded = np.round(values)  # so that neither scale nor offset costs a digit
    assert movement(rounded * 2.0**power + offset, ALPHA) == movement(rounded, ALPHA)


@pytest.mark.parametrize("values", [[], [1.0] * 200, [0.0] * 199 + [1.0], [1.0] + [0.0] * 199], ids=len)
def test_a_flat_series_has_no_movement(values: list[float]) -> None:
    assert movement(np.array(values), ALPHA) is None


# A run. Blocks of the change begin at 10, 20, 30 and 40 s, the baseline's at 0.


def slower(run: Records, arms: tuple[str, ...], factor: Factor) -> Records:
    """Multiply the latencies of some arms by a factor of the time in seconds."""
    frame = run.requests
    slowed = frame["arm"].isin(arms)
    due = frame.loc[slowed, "due_ns"]
    latency = (frame.loc[slowed, "done_ns"] - due) * factor(due.to_numpy() / 1e9)
    frame.loc[slowed, "done_ns"] = due + latency.astype(np.int64)
    frame.loc[slowed, "first_byte_ns"] = frame.loc[slowed, "done_ns"]
    return run


def losing_hits(run: Records, arms: tuple[str, ...], since_s: float, proportion: float) -> Records:
    frame = run.requests
    lost = frame["arm"].isin(arms) & (frame["due_ns"] >= since_s * 1e9) & (frame["cache"] == "hit")
    lost &= np.random.default_rng(8).random(len(frame)) < proportion
    frame.loc[lost, "cache"] = "miss"
    return run


def failing(run: Records, which: Any, seed: int, proportion: float) -> Records:
    failed = which & (np.random.default_rng(seed).random(len(run.requests)) < proportion)
    run.requests.loc[failed, "error"] = "unexpected"
    return run


def step(at_s: float, factor: float, until_s: float = np.inf) -> Factor:
    return lambda time_s: np.where((time_s >= at_s) & (time_s < until_s), factor, 1.0)


def judged(run: Records, goals: Any = GOALS, design: str = "side-by-side") -> Result:
    return run.judge(a_case(goals, design=design))


def notes_on(result: Result, metric: str) -> list[Note]:
    return [noted for noted in result.notes if noted.facts.get("metric") == metric]


def test_a_quiet_run_has_no_events() -> None:
    for seed in seeds(4):
        assert judged(a_run(seed, after={"hit": 0.6, "hit_ms": 1.5})).events == []  # the change's own effect is none


def test_a_shift_in_one_arm_is_a_warning_and_no_verdict() -> None:
    result = judged(slower(a_run(1, before={"hit": 0.95}, after={"hit": 0.95}), ("after",), step(33.0, 1.5)))
    (event,) = result.events
    assert (event.kind, event.metric, event.arms, event.block) == ("shift", "latency_ms", ["after"], 3)
    assert event.at_s == pytest.approx(33, abs=0.5) and event.until_s is None
    moved = event.moved["after"]
    assert moved.became / moved.was == pytest.approx(1.5, rel=0.1)
    assert moved.size == pytest.approx(moved.became - moved.was)
    (noted,) = notes_on(result, "latency_ms")
    assert noted.id == "event" and noted.facts["arms"] == ["after"] and noted.facts["at_s"] == event.at_s
    assert re.search(r"2\.\d+ → 3\.\d+ ms", happened(event)) and happened(event) in noted.text
    assert all(guard.ok for guard in result.guards)


def test_a_shift_that_both_arms_met_is_one_event() -> None:
    result = judged(losing_hits(a_run(1, after={"hit": 0.7}), BOTH, 32.5, 0.5))
    (event,) = [event for event in result.events if event.metric == "hit_ratio"]
    assert tuple(event.arms) == BOTH and event.at_s == pytest.approx(32.5, abs=0.5)
    assert event.moved["before"].was == pytest.approx(0.8, abs=0.05)
    assert event.moved["before"].became == pytest.approx(0.4, abs=0.05)
    assert event.moved["after"].size == pytest.approx(-0.35, abs=0.06)
    (noted,) = notes_on(result, "hit_ratio")
    assert (noted.id, noted.facts["kind"], noted.facts["arms"]) == ("event", "shift", [*BOTH])


def test_a_flushed_cache_of_one_arm_is_a_shift() -> None:
    (event,) = judged(losing_hits(a_run(5), ("before",), 24.0, 0.4)).events
    assert (event.metric, event.arms) == ("hit_ratio", ["before"])
    assert event.moved["before"].size == pytest.approx(-0.32, abs=0.06)


def test_a_neighbour_that_both_arms_met_is_two_events() -> None:
    events = judged(slower(a_run(6), BOTH, step(23, 2.0, until_s=33))).events
    assert [(event.metric, tuple(event.arms)) for event in events] == [("latency_ms", BOTH)] * 2
    assert [event.moved["before"].size > 0 for event in events] == [True, False]
    assert [event.at_s for event in events] == pytest.approx([23, 33], abs=0.7)


@pytest.mark.parametrize("arms", [BOTH, ("after",)])
def test_a_drift_has_its_ends(arms: tuple[str, ...]) -> None:
    run = a_run(7, before={"hit": 0.97}, after={"hit": 0.97})
    result = judged(slower(run, arms, lambda time_s: 1 + np.clip(time_s - 10, 0, 40) / 40))
    (event,) = result.events
    assert (event.kind, event.metric, tuple(event.arms)) == ("drift", "latency_ms", arms)
    assert event.at_s == pytest.approx(11, abs=0.5) and event.until_s == pytest.approx(46, abs=0.5)
    for moved in event.moved.values():
        assert moved.became / moved.was == pytest.approx(1.9, rel=0.15)
    (noted,) = [noted for noted in result.notes if noted.facts.get("kind") == "drift"]
    assert noted.id == "event" and noted.facts["arms"] == list(arms)


def test_errors_that_begin_are_a_shift() -> None:
    run = a_run(8)
    failing(run, (run.requests["arm"] == "after") & (run.requests["due_ns"] >= 32e9), seed=1, proportion=0.2)
    (event,) = [event for event in judged(run, {**GOALS, **ERRORS}).events if event.metric == "error_rate"]
    assert event.arms == ["after"] and event.moved["after"].became == pytest.approx(0.2, abs=0.05)
    assert event.moved["after"].was == pytest.approx(0, abs=0.01)


def test_a_ramp_of_every_block_is_no_event() -> None:
    """Each block starts from the same state: its ramp is the design's."""
    assert judged(slower(a_run(9), BOTH, lambda time_s: 1.5 - np.clip(time_s % 10 - 1, 0, 5) / 10)).events == []


def test_a_movement_far_inside_the_margin_is_no_event() -> None:
    knobs = {"sigma": 0.02, "hit": 1.0}
    run = slower(a_run(1, before=knobs, after=knobs), ("after",), step(33, 1.02))
    assert judged(run).events == []  # 2 % is less than a quarter of 10 %
    (event,) = judged(run, {"latency_p50_ms": {"want": "better", "margin": "4 %"}}).events
    assert event.arms == ["after"]


@pytest.mark.parametrize(
    ("design", "factor", "kind", "arms"),
    [
        ("crossover", lambda time_s: 1 + time_s / 40, "drift", BOTH),
        ("before-after", step(33, 1.6), "shift", ("before",)),  # arms one after the other never met anything together
    ],
)
def test_events_of_arms_that_took_turns(design: str, factor: Factor, kind: str, arms: tuple[str, ...]) -> None:
    result = judged(slower(a_run(3, design=design, blocks=4), BOTH, factor), design=design)
    (event,) = [event for event in result.events if event.metric == "latency_ms"]
    assert (event.kind, tuple(event.arms)) == (kind, arms)
    words = meaning(event, DESIGNS[design].words)
    assert any(noted.id == "event" and words in noted.text for noted in result.notes)


@pytest.mark.parametrize("blocks", [1, 4])
def test_errors_that_end_with_their_block_are_marked(blocks: int) -> None:
    for seed in seeds(4):
        run, block = a_run(seed, blocks=blocks, probed=False), min(blocks, 2)
        failing(run, in_second_half(run, block), seed=block, proportion=0.4)
        (event,) = run.judge(a_case(ERRORS, freshness=False)).events
        assert (event.with_block, event.block, event.arms) == (True, block, ["before"])
        assert event.moved["before"].became > 0.2


def test_errors_that_outlast_the_clear_are_an_event() -> None:
    run = a_run(1, blocks=4, probed=False)
    failing(run, in_second_half(run, 2), seed=2, proportion=0.4)
    later = ((run.requests["arm"] == "before") & (run.requests["block"] > 2)).to_numpy()
    events = failing(run, later, seed=1, proportion=0.4).judge(a_case(ERRORS, freshness=False)).events
    assert events and not any(event.with_block for event in events)


def in_second_half(run: Records, block: int) -> np.ndarray:
    """The before arm's requests in the second half of a block."""
    frame = run.requests
    return ((frame["arm"] == "before") & (frame["block"] == block) & (frame["slot"] > 500)).to_numpy()


def test_an_older_result_without_events_still_loads() -> None:
    result = judged(slower(a_run(1, blocks=3), ("after",), step(23.0, 1.8)))
    assert result.events
    assert Result.model_validate_json(result.model_dump_json(by_alias=True)) == result
    old = result.model_dump(mode="json", by_alias=True)
    del old["events"]
    assert Result.model_validate(old).events == []


# Words


def an_event(**other: Any) -> RunEvent:
    event = {"kind": "shift", "metric": "hit_ratio", "arms": ["before"], "at_s": 42.04, "block": 3}
    return RunEvent.model_validate({**event, "moved": {"before": Moved(was=0.91, became=0.7, size=-0.21)}, **other})


IN_BOTH = {"arms": [*BOTH], "moved": dict.fromkeys(BOTH, Moved(was=1, became=0.5, size=-0.5))}


@pytest.mark.parametrize("design", DESIGNS.values(), ids=list(DESIGNS))
def test_the_meaning_depends_on_arms_and_design(design: Design) -> None:
    words = design.words
    assert meaning(an_event(), words) == words.event_in_one
    assert meaning(an_event(**IN_BOTH), words) == words.event_in_both
    assert meaning(an_event(with_block=True), words) == words.event_in_block


def test_what_happened_has_its_numbers() -> None:
    assert "91 → 70 % (−21 points)" in happened(an_event()) and "42 s" in happened(an_event())


def test_warnings_come_first_and_many_events_are_counted() -> None:
    notes = event_notes([*[an_event(**IN_BOTH)] * 12, an_event()], DESIGNS["side-by-side"].words)
    assert [len(noted.facts["arms"]) for noted in notes[:-1]] == [1, *[2] * (MOST_NOTES - 1)]  # type: ignore[arg-type]
    assert notes[-1] == note("events-more", count=5)


@pytest.mark.parametrize(
    ("blocks", "origin_ns"),
    [
        (
            [
                {"block": 0, "stage": "wash-out", "start_ns": 1},
                {"block": 1, "stage": "baseline", "start_ns": 7 * 10**9},
            ],
            7e9,
        ),
        ([{"block": n, "stage": "change", "start_ns": at} for n, at in enumerate((None, True))], 0.0),
    ],
)
def test_seconds_are_counted_from_the_first_block(blocks: list[dict[str, Any]], origin_ns: float) -> None:
    run = a_run(1, blocks=1)
    assert origin_of(noted(blocks), rows_of(run.requests)) == origin_ns
    assert origin_of(noted(run.blocks), rows_of(run.requests)) == 0.0
