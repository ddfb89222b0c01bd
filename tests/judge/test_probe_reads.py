"""Phantom reads and stale reads by kind: what is counted, and in which pairs."""

from __future__ import annotations

from typing import Any

import pytest
from freshness_rows import frames, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.judge.compare.effect import Effect, ErrorRates
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.probe_pairs import READ_METRICS, proportion_effect, read_effects, stale_of_route
from luckyhit.judge.stats.boundary import FixedSample
from luckyhit.judge.stats.sequential import Sequential
from luckyhit.records import NOT_VISIBLE
from luckyhit.text.wording import has
from tier import examples

MS = 1_000_000
RATES = ErrorRates(goals=0.01, faults=0.01)


def probe(number: int, shown: int | None, *, arm: str = "before", prestate: str = "warm", **more: Any) -> Any:
    """(reads, writes) of one `once` probe: a write of the version 1000 + number, and a read half a second later."""
    version, sent = 1000 + number, number * 1000 * MS
    acked, status = (None, 409) if prestate == "refused" else (sent + MS, 200)
    common = {"arm": arm, "key": str(number % 50), "probe": version}
    at = sent + 501 * MS
    return (
        [read(sent=at, done=at + MS, seen=shown, **(common | more))],
        [write(version=version, sent=sent, acked=acked, status=status, prestate=prestate, **common)],
    )


def probed(parts: list[Any]) -> Probed:
    return Probed(*frames([row for reads, _ in parts for row in reads], [row for _, rows in parts for row in rows]))


def both(before: list[Any], after: list[Any], *, paired: bool = True) -> dict[str, Effect]:
    return read_effects(probed(before), probed(after), 0.2, FixedSample(), RATES, paired=paired)


def test_each_kind_is_a_proportion_of_its_own() -> None:
    kinds: list[tuple[dict[str, Any], int]] = [
        ({}, 8), ({"conditional": True}, 4), ({"prestate": "in-flight"}, 5), ({"prestate": "absent"}, 6),
    ]  # fmt: skip
    parts, number = [], 0
    for more, count in kinds:
        for index in range(count):
            number += 1
            parts.append(probe(number, 1 if index == 0 else 1000 + number, **more))
    effects = both(parts, parts)
    shares = {name: (effect.before, effect.pairs) for name, effect in effects.items() if effect.effect is not None}
    expected = {
        "stale_reads_conditional": (1 / 4, 4),
        "stale_reads_in_flight": (1 / 5, 5),
        "stale_reads_absent": (1 / 6, 6),
        "stale_reads_plain": (3 / 19, 19),  # without a validator, whatever the key had behind it
    }
    assert {name: shares[name] for name in expected} == expected
    assert shares["phantom_reads"] == (0.0, 23)
    assert has(effects["stale_reads_refused"].notes, *NOT_VISIBLE)


def test_a_refused_value_that_is_shown_is_a_phantom() -> None:
    refused = [probe(number, 1000 + number if number < 4 else 1, prestate="refused") for number in range(1, 11)]
    clean = [probe(number, 1, prestate="refused") for number in range(1, 11)]
    effects = both(refused, clean)
    assert (effects["stale_reads_refused"].before, effects["stale_reads_refused"].after) == (0.3, 0.0)
    assert (effects["phantom_reads"].before, effects["phantom_reads"].pairs) == (0.3, 10)


def test_phantom_reads_that_are_gone_show_in_their_pairs() -> None:
    """26 of 640 probes against none: which way they differ is sure."""
    before = [probe(number, 9_999 if number <= 26 else 1000 + number) for number in range(1, 641)]
    after = [probe(number, 1000 + number, arm="after") for number in range(1, 641)]
    phantom = both(before, after)["phantom_reads"]
    assert (phantom.before, phantom.after, phantom.pairs) == (26 / 640, 0.0, 640)
    assert phantom.high < 0 and phantom.low < -26 / 640


def test_a_probe_decided_in_one_arm_only_is_no_pair() -> None:
    before = [probe(number, 1 if number <= 5 else 1000 + number) for number in range(1, 21)]
    after = [probe(number, None if number <= 5 else 1000 + number) for number in range(1, 21)]
    stale = both(before, after)["stale_reads_plain"]
    assert (stale.before, stale.after, stale.pairs) == (0.0, 0.0, 15)
    apart = both(before, after, paired=False)["stale_reads_plain"]
    assert (apart.before, apart.after, apart.pairs) == (5 / 20, 0.0, 15)


def test_of_a_burst_any_read_counts_once() -> None:
    reads, writes = probe(1, 1001, mode="burst")
    later = [{**reads[0], "sent_ns": reads[0]["sent_ns"] + step * MS, "seen_version": 9_999} for step in (5, 10)]
    phantom = both([(reads + later, writes)], [(reads, writes)])["phantom_reads"]
    assert (phantom.before, phantom.after, phantom.pairs) == (1.0, 0.0, 1)


def test_without_a_probe_nothing_is_visible() -> None:
    nothing = probed([])
    for within_s in (None, 0.2):
        effects = read_effects(nothing, nothing, within_s, FixedSample(), RATES, paired=True)
        assert set(effects) == set(READ_METRICS)
        assert all(effect.effect is None and has(effect.notes, *NOT_VISIBLE) for effect in effects.values())


def test_stale_reads_of_one_read_route() -> None:
    parts = [probe(number, 1, route="list" if number % 4 == 0 else "detail") for number in range(1, 21)]
    fresh = [
        probe(number, 1 if number % 4 else 1000 + number, route="list" if number % 4 == 0 else "detail")
        for number in range(1, 21)
    ]
    effects = [
        stale_of_route(probed(parts), probed(fresh), route, 0.2, FixedSample(), 0.01, paired=True)
        for route in ("list", "detail", "other")
    ]
    assert [(effect.before, effect.after, effect.pairs) for effect in effects[:2]] == [(1.0, 0.0, 5), (1.0, 1.0, 15)]
    assert has(effects[2].notes, *NOT_VISIBLE)


units = st.dictionaries(
    st.tuples(st.integers(1, 3), st.sampled_from("ab"), st.integers(1, 9)), st.booleans(), max_size=40
)


@pytest.mark.parametrize("boundary", [FixedSample(), Sequential()])
@given(units, units, st.booleans())
@settings(max_examples=examples(60), deadline=None)
def test_an_interval_holds_its_estimate_and_turns(boundary, one, other, paired: bool) -> None:  # type: ignore[no-untyped-def]
    forth = proportion_effect(one, other, boundary, 0.05, paired=paired)
    back = proportion_effect(other, one, boundary, 0.05, paired=paired)
    assert forth.pairs == back.pairs
    if forth.effect is None:
        assert forth.pairs == 0 and forth.notes
        return
    assert -1 <= forth.low <= forth.effect <= forth.high <= 1
    assert (back.effect, back.low, back.high) == pytest.approx((-forth.effect, -forth.high, -forth.low))
    assert 0 <= forth.after_low <= forth.after <= forth.after_high <= 1
