"""What the probe does when, and where the version stands in an answer."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.freshness import Freshness, VersionRead
from luckyhit.load.bodies.versions import VersionMissing, VersionReader, read_version
from luckyhit.load.http1.response import HttpResponse
from luckyhit.probe.probe_plan import (
    COUNTED_PLANS,
    FINISH_NS,
    WARMING_READS,
    KeyRanges,
    ProbeEvent,
    counted_units,
    plan_delays,
    plan_events,
    polls_within,
)
from tier import examples

ABSENT = {
    "keys": {"first": 901, "last": 950},
    "create": {"path": "/things/{key}", "body": {"price": "{version}"}},
    "remove": {"path": "/things/{key}"},
}
REFUSED = {"path": "/things/{key}", "body": {"price": "-{version}"}, "status": 422}


def freshness(**other: object) -> Freshness:
    return Freshness.model_validate(
        {
            "write": {"path": "/things/{key}", "body": {"price": "{version}"}},
            "reads": [{"path": "/things/{key}", "version": "$.data[0].price"}],
            "keys": {"first": 1, "last": 500},
            "within": "200ms",
            "rate": "5/s",
            **other,
        }
    )


def plan(spec: Freshness, duration_s: float, *, seed: int = 1, requests: float = 0) -> list[ProbeEvent]:
    return plan_events(
        spec,
        duration_ns=round(duration_s * 1e9),
        rng=random.Random(seed),
        first_version=1000,
        requests=requests,
        cold_keys=KeyRanges.of(spec).cold,
    )


@settings(max_examples=examples(150), deadline=None)
@given(
    duration_s=st.floats(0, 12),
    rate=st.one_of(st.none(), st.integers(1, 30)),
    within_ms=st.integers(0, 900),
    beyond_ms=st.integers(1, 3000),
    keys=st.integers(1, 80),
    prestates=st.lists(st.sampled_from(["warm", "cold", "in-flight"]), min_size=1, unique=True),
    modes=st.lists(st.sampled_from(["once", "burst"]), min_size=1, unique=True),
    more=st.sets(st.sampled_from(["absent", "refused"])),
    requests=st.integers(0, 20_000),
    seed=st.integers(0, 2**32),
)
def test_a_plan_ends_in_time_and_shares_no_key(
    duration_s: float, rate: int | None, within_ms: int, beyond_ms: int, keys: int, prestates: list[str],
    modes: list[str], more: set[str], requests: int, seed: int,
) -> None:  # fmt: skip
    spec = freshness(
        within=f"{within_ms}ms",
        horizon=f"{within_ms + beyond_ms}ms",
        rate=None if rate is None else f"{rate}/s",
        keys={"first": 1, "last": keys},
        prestates=prestates,
        modes=modes,
        absent=ABSENT if "absent" in more else None,
        refused=REFUSED if "refused" in more else None,
    )
    events, ranges = plan(spec, duration_s, seed=seed, requests=requests), KeyRanges.of(spec)
    open_until: dict[str, int] = {}
    for event in events:
        assert event.at_ns + event.delay_ns + FINISH_NS <= duration_s * 1e9 + 1
        assert 0 <= event.delay_ns <= spec.horizon * 1e9 + 1
        assert open_until.get(event.key, -1) < event.at_ns
        open_until[event.key] = event.at_ns + event.delay_ns
        place = {"absent": ranges.absent, "cold": ranges.cold}.get(event.prestate, ranges.warm)
        assert int(event.key) in place and (int(event.key) != ranges.preflight or keys == 1)
        assert event.mode in modes and 0 <= event.offset < 1
        assert event.prestate in {*prestates, *more, "warm"}
    assert len([event for event in events if event.prestate == "cold"]) == len(
        {event.key for event in events if event.prestate == "cold"}
    )
    assert [event.at_ns for event in events] == sorted(event.at_ns for event in events)
    assert [event.version for event in events] == list(range(1001, 1001 + 2 * len(events), 2))
    assert plan(spec, duration_s, seed=seed, requests=requests) == events
    if rate is None:
        assert dearest(spec, events) <= 0.02 * requests


def dearest(spec: Freshness, events: list[ProbeEvent]) -> int:
    """The most requests that these probes can come to."""
    once = {"warm": 3, "cold": 2, "in-flight": 4, "absent": 4, "refused": 3}
    burst = 1 + len(spec.reads) * (WARMING_READS + polls_within(spec.horizon))
    return sum(burst if event.mode == "burst" else once[event.prestate] for event in events)


def test_without_a_rate_all_kinds_fit_into_two_percent() -> None:
    spec = freshness(rate=None, horizon="1s")
    events = plan(spec, 20, requests=20_000)
    assert 300 <= dearest(spec, events) <= 400
    assert {event.mode for event in events} == {"once", "burst"}
    assert {event.prestate for event in events} == {"warm", "cold", "in-flight"}


def test_the_declared_rate_is_kept_to_the_end_of_the_block() -> None:
    events = plan(freshness(), 7)
    assert 28 <= len(events) <= 35
    assert events[-1].at_ns > 6e9


def test_nine_delays_in_ten_lie_past_the_bound_in_random_order() -> None:
    events = [event for event in plan(freshness(rate="20/s"), 10) if event.mode == "once"]
    delays = [event.delay_ns for event in events]
    assert 0.85 * len(delays) <= sum(delay > 0.2e9 for delay in delays) < len(delays)
    assert min(delays) == 5_000_000 and max(delays) > 1_900_000_000
    assert delays != sorted(delays)
    assert delays != [event.delay_ns for event in plan(freshness(rate="20/s"), 10, seed=2) if event.mode == "once"]


@given(count=st.integers(0, 200), within_ms=st.integers(0, 2000), beyond_ms=st.integers(1, 5000))
def test_delays_are_as_many_as_asked_for(count: int, within_ms: int, beyond_ms: int) -> None:
    within_s, horizon_s = within_ms / 1e3, (within_ms + beyond_ms) / 1e3
    delays = plan_delays(count, within_s, horizon_s)
    assert len(delays) == count and delays == sorted(delays)
    assert sum(delay > within_s * 1e9 for delay in delays) >= 0.9 * count - (within_ms == 5)
    assert all(0 < delay <= horizon_s * 1e9 + 1 for delay in delays)


def test_one_probe_in_ten_is_a_burst_or_of_a_rare_prestate() -> None:
    spec = freshness(rate="20/s", absent=ABSENT, refused=REFUSED, horizon="300ms")
    events = plan(spec, 20)
    assert 0.08 * len(events) <= sum(event.mode == "burst" for event in events) <= 0.12 * len(events)
    singles = [event for event in events if event.mode == "once"]
    for prestate, share in (("cold", 0.1), ("in-flight", 0.2), ("absent", 0.1), ("refused", 0.1)):
        planned = sum(event.prestate == prestate for event in singles) / len(singles)
        assert planned == pytest.approx(share, abs=0.03), prestate
    assert {event.prestate for event in plan(freshness(prestates=["warm"]), 10)} == {"warm"}


@settings(max_examples=examples(40), deadline=None)
@given(
    seconds=st.floats(0, 12),
    rate=st.one_of(st.none(), st.integers(1, 30)),
    within_ms=st.integers(0, 900),
    requests=st.integers(0, 20_000),
)
def test_no_more_units_are_promised_than_probes_planned(
    seconds: float, rate: int | None, within_ms: int, requests: int
) -> None:
    spec = freshness(within=f"{within_ms}ms", rate=None if rate is None else f"{rate}/s")
    units = counted_units(spec, seconds, requests)
    most = [len(plan(spec, seconds, seed=seed, requests=requests)) for seed in range(COUNTED_PLANS)]
    assert 0 <= sum(units.values()) <= sum(most) / COUNTED_PLANS
    assert counted_units(spec, seconds, requests) == units


def test_most_probes_of_a_block_count() -> None:
    """Of ten `once` probes one is cold, and one waits no longer than the bound."""
    spec = freshness(rate="20/s", horizon="1s")
    units, planned = counted_units(spec, 20), len(plan(spec, 20))
    assert 0.75 * planned <= sum(units.values()) <= 0.9 * planned
    assert 0.15 * planned <= units["in-flight"] <= 0.3 * planned, "two of ten, and every second burst"
    assert not counted_units(freshness(rate="20/s", horizon="1s", prestates=["cold"], modes=["once"]), 20)
    assert [*counted_units(freshness(rate="20/s", horizon="1s", prestates=["cold"]), 20)] == ["warm"], "bursts"


def test_every_delay_meets_every_route_and_kind_of_connection() -> None:
    reads = [{"name": name, "path": f"/{name}/{{key}}", "version": "$.v"} for name in ("detail", "list", "search")]
    events = [
        event
        for event in plan(freshness(rate="30/s", reads=reads, horizon="1s", prestates=["warm"]), 20)
        if event.mode == "once"
    ]
    for half in (lambda ns: ns < 0.3e9, lambda ns: ns >= 0.3e9):
        chosen = [event for event in events if half(event.delay_ns)]
        kinds = {(event.route, event.new_connection, event.conditional) for event in chosen}
        assert len(kinds) == 12, "3 routes, kept and new, plain and conditional"


def test_in_flight_writes_are_spread_over_the_whole_read() -> None:
    events = plan(freshness(rate="30/s", prestates=["in-flight"], modes=["once"], horizon="1s"), 5)
    offsets = sorted(event.offset for event in events)
    assert len(offsets) > 60
    gaps = [after - before for before, after in zip([0, *offsets], [*offsets, 1], strict=True)]
    assert max(gaps) < 4 / len(offsets), "a window of that width is met for certain"


def test_a_block_that_cannot_hold_the_horizon_has_no_probes() -> None:
    assert plan(freshness(), 2.0) == []


READS: list[tuple[dict[str, str], bytes, int]] = [
    ({"version": "$.items[?@.id == {key}].v"}, b'{"items": [{"id": 3, "v": 1}, {"id": 7, "v": 12}]}', 12),
    ({"version": "$..items[?@.id == {key}].v"}, b'{"page": {"items": [{"id": 7, "v": "13"}]}}', 13),
    ({"version": "$.a.b[0]"}, b'{"a": {"b": [7]}}', 7),
    ({"version": "$.items[1].price"}, b'{"items": [{}, {"price": "19"}]}', 19),
    ({"version": "$[0]"}, b"[3.0]", 3),
    ({"version": "$.v"}, b'{"v": 9223372036854775807}', 2**63 - 1),
    ({"regex": r"thing {key}: (\d+)"}, b"thing 17: 1\nthing 7: 14", 14),
    ({"header": "X-Version"}, b"", 15),
    ({"header": "etag", "regex": r"v(\d+)"}, b"", 16),
    *[
        ({"version": "$.a", "regex": r"^(?:v(\d+)|free|)$"}, body, version)
        for body, version in ((b'{"a": "v17"}', 17), (b'{"a": "free"}', 0), (b'{"a": null}', 0), (b"{}", 0))
    ],
    ({"version": "$.a[?@.id == {key}].n", "regex": r"^Town (\d+)$"}, b'{"a": [{"id": 7, "n": "Town 18"}]}', 18),
    ({"version": "$.a", "regex": r"^(\d+)$"}, b'{"a": 19}', 19),
]


@pytest.mark.parametrize(("read", "body", "version"), READS)
def test_a_version_in_json_text_or_a_header(read: dict[str, str], body: bytes, version: int) -> None:
    reader = VersionReader(VersionRead.model_validate({"path": "/things", **read}))
    headers = [(b"x-version", b"15"), (b"ETag", b'W/"v16"')]
    assert reader.version("7", HttpResponse(headers=headers, body=body)) == version


NOT_VERSIONS: list[tuple[dict[str, str], bytes, str]] = [
    ({"version": "$.items[?@.id == {key}].v"}, b'{"items": []}', "$.items[?@.id == 7].v"),
    ({"version": "$.items[*].v"}, b'{"items": [{"v": 1}, {"v": 2}]}', "2 values at $.items[*].v"),
    ({"version": "$..v"}, b"[" * 10_000, "not JSON"),
    ({"regex": "v(\\d+)"}, b"nothing", "regex"),
    ({"regex": "v(.+)"}, b"very new", "a text in the answer"),
    ({"header": "x-version"}, b"", "header x-version"),
    ({"version": "$.a", "regex": r"^(?:v(\d+)|free)$"}, b'{"a": "secret words"}', "regex"),
    ({"version": "$.a", "regex": r"^v(\d+)$"}, b'{"b": "v1"}', "regex"),
    ({"version": "$.a.b", "regex": r"v(\d+)|"}, b"{}", "no $.a"),
    ({"version": "$.a", "regex": r"v(\d+)"}, b'{"a": ["v1"]}', "a list at $.a"),
    ({"version": "$.a"}, b"<html>", "not JSON"),
    ({"version": "$.a"}, b"", "not JSON"),
    ({"version": "$.a.b"}, b'{"a": {}}', "no $.a.b"),
    ({"version": "$.a[2]"}, b'{"a": [1, 2]}', "no $.a[2]"),
    ({"version": "$.a[0]"}, b'{"a": {"0": 1}}', "no $.a[0]"),
    ({"version": "$.a"}, b'{"a": true}', "a truth value at $.a"),
    ({"version": "$.a"}, b'{"a": null}', "null at $.a"),
    *[({"version": "$.a"}, b'{"a": %b}' % value, "a number at $.a") for value in (b"1.5", b"1e400", b"NaN", b"9" * 20)],
    ({"version": "$.a"}, b'{"a": "secret words"}', "a text at $.a"),
]


@pytest.mark.parametrize(("read", "body", "part"), NOT_VERSIONS)
def test_what_is_no_version_is_named_by_kind_not_content(read: dict[str, str], body: bytes, part: str) -> None:
    reader = VersionReader(VersionRead.model_validate({"path": "/things", **read}))
    with pytest.raises(VersionMissing) as missing:
        reader.version("7", HttpResponse(body=body))
    assert part in str(missing.value) and "secret" not in str(missing.value)


@given(st.binary(max_size=200))
def test_no_answer_breaks_the_reading_of_a_version(body: bytes) -> None:
    with contextlib.suppress(VersionMissing):
        assert isinstance(read_version("$.a[0].b", body), int)
