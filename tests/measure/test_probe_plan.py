"""What the probe does when, and where the version stands in an answer."""

from __future__ import annotations

import contextlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.model import Freshness
from luckyhit.measure.probe_plan import FINISH_NS, plan_delays, plan_events
from luckyhit.measure.versions import VersionMissing, read_version


def freshness(**other: object) -> Freshness:
    return Freshness.model_validate(
        {
            "write": {"path": "/things/{key}", "body": {"price": "{version}"}},
            "read": {"path": "/things/{key}", "version": "$.data[0].price"},
            "keys": {"first": 1, "last": 500},
            "within": "200ms",
            **other,
        }
    )


def plan(spec: Freshness, duration_s: float, *, seed: int = 1, keys: int = 500, cold_every: int = 10):  # type: ignore[no-untyped-def]
    return plan_events(
        spec,
        range(1, keys + 1),
        duration_ns=round(duration_s * 1e9),
        rng=random.Random(seed),
        first_version=1000,
        cold_every=cold_every,
    )


@settings(max_examples=150, deadline=None)
@given(
    duration_s=st.floats(0, 12),
    rate=st.integers(1, 30),
    within_ms=st.integers(0, 900),
    beyond_ms=st.integers(1, 3000),
    keys=st.integers(1, 80),
    seed=st.integers(0, 2**32),
)
def test_a_plan_ends_in_time_never_shares_a_key_and_counts_versions_up(
    duration_s: float, rate: int, within_ms: int, beyond_ms: int, keys: int, seed: int
) -> None:
    spec = freshness(within=f"{within_ms}ms", horizon=f"{within_ms + beyond_ms}ms", rate=f"{rate}/s")
    events = plan(spec, duration_s, seed=seed, keys=keys)
    open_until: dict[str, int] = {}
    for event in events:
        assert event.at_ns + event.delay_ns + FINISH_NS <= duration_s * 1e9
        assert 0 <= event.delay_ns <= spec.horizon * 1e9 + 1
        assert open_until.get(event.key, -1) < event.at_ns
        assert event.prestate == "warm" or event.key not in open_until
        open_until[event.key] = event.at_ns + event.delay_ns
    assert [event.at_ns for event in events] == sorted(event.at_ns for event in events)
    assert [event.version for event in events] == list(range(1000, 1000 + len(events)))
    assert plan(spec, duration_s, seed=seed, keys=keys) == events


def test_the_declared_rate_is_kept_up_to_the_end_of_the_block() -> None:
    events = plan(freshness(), 7)
    assert 30 <= len(events) <= 35
    assert events[-1].at_ns > 6e9


def test_half_of_the_delays_lie_past_the_bound_in_random_order() -> None:
    events = [event for event in plan(freshness(rate="20/s"), 10) if event.mode == "once"]
    delays = [event.delay_ns for event in events]
    assert sum(delay > 0.2e9 for delay in delays) >= len(delays) / 2
    assert min(delays) == 5_000_000 and max(delays) == 2_000_000_000
    assert delays != sorted(delays)
    assert delays != [event.delay_ns for event in plan(freshness(rate="20/s"), 10, seed=2) if event.mode == "once"]


@given(count=st.integers(0, 200), within_ms=st.integers(0, 2000), beyond_ms=st.integers(1, 5000))
def test_delays_are_as_many_as_asked_for(count: int, within_ms: int, beyond_ms: int) -> None:
    within_s, horizon_s = within_ms / 1e3, (within_ms + beyond_ms) / 1e3
    delays = plan_delays(count, within_s, horizon_s)
    assert len(delays) == count and delays == sorted(delays)
    assert sum(delay > within_s * 1e9 for delay in delays) >= count / 2 - (within_ms == 5)
    assert all(0 < delay <= horizon_s * 1e9 + 1 for delay in delays)


def test_every_tenth_probe_is_a_burst_and_every_tenth_other_one_is_cold() -> None:
    events = plan(freshness(rate="20/s"), 10)
    assert sum(event.mode == "burst" for event in events) == round(len(events) / 10)
    singles = [event for event in events if event.mode == "once"]
    assert [index for index, event in enumerate(singles) if event.prestate == "cold"] == list(
        range(0, len(singles), 10)
    )
    assert all(event.prestate == "warm" for event in plan(freshness(), 10, cold_every=0))


def test_a_block_that_cannot_hold_the_horizon_has_no_probes() -> None:
    assert plan(freshness(), 2.0) == []


@pytest.mark.parametrize(
    ("path", "document", "version"),
    [
        ("$.a.b[0]", {"a": {"b": [7]}}, 7),
        ("$.items[1].price", {"items": [{}, {"price": "19"}]}, 19),
        ("$[0]", [3.0], 3),
        ("$.v", {"v": 2**63 - 1}, 2**63 - 1),
    ],
)
def test_a_version_is_found_where_the_path_says(path: str, document: object, version: int) -> None:
    assert read_version(path, json.dumps(document).encode()) == version


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("$.a", b"<html>", "not JSON"),
        ("$.a", b"", "not JSON"),
        ("$.a", b"[" * 100_000, "not JSON"),
        ("$.a.b", b'{"a": {}}', "no $.a.b"),
        ("$.a[2]", b'{"a": [1, 2]}', "no $.a[2]"),
        ("$.a[0]", b'{"a": {"0": 1}}', "no $.a[0]"),
        ("$.a", b'{"a": true}', "a truth value at $.a"),
        ("$.a", b'{"a": null}', "null at $.a"),
        ("$.a", b'{"a": 1.5}', "a number at $.a"),
        ("$.a", b'{"a": 1e400}', "a number at $.a"),
        ("$.a", b'{"a": NaN}', "a number at $.a"),
        ("$.a", b'{"a": 99999999999999999999}', "a number at $.a"),
        ("$.a", b'{"a": "secret words"}', "a text at $.a"),
    ],
)
def test_what_is_no_version_is_named_by_its_kind_and_never_by_its_content(path: str, body: bytes, says: str) -> None:
    with pytest.raises(VersionMissing) as error:
        read_version(path, body)
    assert says in str(error.value) and "secret" not in str(error.value)


@given(st.binary(max_size=200))
def test_no_answer_breaks_the_reading_of_a_version(body: bytes) -> None:
    with contextlib.suppress(VersionMissing):
        assert isinstance(read_version("$.a[0].b", body), int)
