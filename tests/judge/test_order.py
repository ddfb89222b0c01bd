"""Which arm was sent first: a note where it matters, and where it was always the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from luckyhit.records import Note
from luckyhit.text.wording import note
from tier import seeds

GOALS = {"latency_p50_ms": {"want": "better", "margin": "10 %"}, "hit_ratio": {"want": "no-worse", "margin": "5 %"}}


def drawn(run: Any, share: float = 0.5, *, faster_ms: float = 0.0, fills: float = 0.0, seed: int = 3) -> Any:
    """Send `before` first in `share` of the slots. The one that comes second is `faster_ms` faster, and finds what the
    first one put into the cache with a chance of `fills`."""
    frame, rng = run.requests, np.random.default_rng(seed)
    first = rng.random(int(frame["slot"].max() + 1) * 50) < share
    before_first = first[frame["slot"] + 997 * frame["block"]]
    second = before_first == (frame["arm"] == "after")
    moved = np.where(second, 40_000 - faster_ms * 1e6, 0).astype(np.int64)
    frame["sent_ns"] += np.where(second, 40_000, 0)
    for name in ("first_byte_ns", "done_ns"):
        frame[name] += moved
    filled = second & (frame["cache"] == "miss") & (rng.random(len(frame)) < fills)
    frame.loc[filled, ["cache", "db_calls"]] = "hit", 0
    return run


def by_key(run: Any, *, more_ms: float, seed: int = 3) -> Any:
    """Of even keys nine slots in ten have before first, of odd ones one in ten; and the after arm is so much slower for
    even keys alone. No order changes anything."""
    frame, rng = run.requests, np.random.default_rng(seed)
    even = pd.factorize(frame["key"])[0] % 2 == 0
    first = rng.random(int(frame["slot"].max() + 1) * 50)[frame["slot"] + 997 * frame["block"]]
    before_first = first < np.where(even, 0.9, 0.1)
    frame["sent_ns"] += np.where(before_first == (frame["arm"] == "after"), 40_000, 0)
    slower = even & (frame["arm"] == "after").to_numpy()
    for name in ("first_byte_ns", "done_ns"):
        frame[name] += np.where(slower, int(more_ms * 1e6), 0)
    return run


def notes(run: Any, case: Any) -> list[Note]:
    return [note for note in run.judge(case).notes if note.id.startswith("order-")]


def test_a_drawn_order_that_does_not_matter_is_no_note(simulate, case_with) -> None:
    runs = [drawn(simulate(100 + seed, blocks=3, probed=False), seed=100 + seed) for seed in seeds(6)]
    assert [notes(run, case_with(GOALS, freshness=False)) for run in runs] == [[]] * len(runs)


@pytest.mark.parametrize("more_ms", [0.0, 2.0])
def test_the_mix_of_keys_is_no_effect_of_the_order(simulate, case_with, more_ms: float) -> None:
    runs = [by_key(simulate(50 + seed, blocks=3, probed=False), more_ms=more_ms, seed=seed) for seed in seeds(4)]
    assert [notes(run, case_with(GOALS, freshness=False)) for run in runs] == [[]] * len(runs)


def test_an_order_effect_is_found_beside_such_a_mix(simulate, case_with) -> None:
    run = by_key(simulate(2, before={"hit": 0.99}, after={"hit": 0.99}, blocks=4), more_ms=2.0)
    frame = run.requests
    second = frame["sent_ns"] > frame.groupby(["block", "slot"])["sent_ns"].transform("min")
    for name in ("first_byte_ns", "done_ns"):
        frame[name] -= np.where(second, 600_000, 0)
    assert [note.id for note in notes(run, case_with(GOALS))] == ["order-first-warms", "order-is-even"]


@pytest.mark.parametrize(
    ("hit", "knobs", "what", "id", "way", "more"),
    [
        (0.99, {"faster_ms": 0.5}, "mean latency", "order-first-warms", "lower", 0.5),
        (0.99, {"faster_ms": -0.5}, "mean latency", "order-first-holds-up", "higher", 0.5),
        (0.6, {"fills": 0.5}, "hit ratio", "order-first-warms", "higher", 20),  # half of 40 % misses, in points
    ],
)
def test_an_order_effect_is_found_with_its_size(
    hit: float, knobs: Any, what: str, id: str, way: str, more: float, simulate, case_with
) -> None:
    run = drawn(simulate(2, before={"hit": hit}, after={"hit": hit}, blocks=4), **knobs)
    (order,) = [note for note in notes(run, case_with(GOALS)) if note.facts.get("what") == what]
    assert (order.id, order.facts["way"]) == (id, way)
    assert float(order.facts["more"].split()[0]) == pytest.approx(more, rel=0.2)


@pytest.mark.parametrize(("part", "id"), [(0.5, "order-is-even"), (0.8, "order-is-uneven")])
def test_a_note_says_whether_the_order_is_even(part: float, id: str, simulate, case_with) -> None:
    run = drawn(simulate(2, before={"hit": 0.99}, after={"hit": 0.99}, blocks=4), share=part, faster_ms=1.0)
    _, order = notes(run, case_with(GOALS))
    assert order.id == id and order.facts["share"] == pytest.approx(part, abs=0.1)
    # 0.8 of the slots make after faster by 1 ms, 0.2 make before so.
    assert part == 0.5 or order.facts["moved"].startswith(("−0.5", "−0.6"))


@pytest.mark.parametrize(("share", "first", "second"), [(1.0, "before", "after"), (0.0, "after", "before")])
def test_an_order_that_is_always_the_same_is_said(share: float, first: str, second: str, simulate, case_with) -> None:
    run = drawn(simulate(2, blocks=2), share=share)
    assert notes(run, case_with(GOALS)) == [note("order-not-drawn", first=first, second=second, share=1.0, slots=1500)]


def test_a_slot_that_waited_for_a_connection_tells_no_order(simulate, case_with) -> None:
    """A slow arm runs out of connections: its late requests would look like an effect of coming second."""
    run = drawn(simulate(2, blocks=3))
    frame = run.requests
    late = (frame["arm"] == "after") & (frame["slot"] % 4 == 0)
    for name in ("sent_ns", "first_byte_ns", "done_ns"):
        frame.loc[late, name] += 20_000_000
    assert notes(run, case_with(GOALS)) == []


def test_records_that_do_not_tell_the_order_say_nothing(simulate, case_with) -> None:
    assert notes(simulate(2, blocks=2), case_with(GOALS)) == []  # both sent at the same nanosecond
    run = drawn(simulate(2, blocks=2), faster_ms=1.0)
    run.requests["sent_ns"] = np.nan
    assert notes(run, case_with(GOALS)) == []


def test_without_a_goal_there_is_no_order_note(simulate, case_with) -> None:
    run = drawn(simulate(2, before={"hit": 0.99}, after={"hit": 0.99}, blocks=4), faster_ms=0.5)
    assert notes(run, case_with({"error_rate": {"want": "no-worse", "margin": "1 %"}})) == []


def test_arms_that_took_turns_have_a_note_on_carry_over(simulate, case_with) -> None:
    result = simulate(3, design="crossover", blocks=4).judge(case_with(GOALS, design="crossover"))
    (order,) = [noted for noted in result.notes if noted.id.startswith("order-")]
    (guard,) = [guard for guard in result.guards if guard.id == "no-carry-over"]
    assert order == note("order-of-blocks", carry_over=guard.detail)
    after = simulate(3, design="before-after", blocks=4)
    assert notes(after, case_with(GOALS, design="before-after")) == []
