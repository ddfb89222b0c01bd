"""The schedule: made from a seed, to the byte; and the requests that come of it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.model import Keys, Route, Workload
from luckyhit.errors import ArgumentError
from luckyhit.measure.head import Origin
from luckyhit.measure.popularity import LARGEST_TABLE, draw_keys
from luckyhit.measure.schedule import LARGEST_NUMBER, closed_schedule, schedule_for
from luckyhit.measure.templates import RouteTemplate


def keys(first: int = 1, last: int = 50, **other: Any) -> Keys:
    return Keys(first=first, last=last, **other)


def workload(*routes: Route, rate: str = "200/s", seed: int = 7, **other: Any) -> Workload:
    routes = routes or (Route(name="item", path="/items/{key}", keys=keys()),)
    return Workload.model_validate({"seed": seed, "rate": rate, "routes": list(routes), **other})


workloads = st.builds(
    workload,
    rate=st.integers(1, 900).map(lambda rate: f"{rate}/s"),
    seed=st.integers(0, 2**63 - 1),
    arrivals=st.sampled_from(["poisson", "constant"]),
)


@given(workloads, st.floats(0.001, 3), st.integers(0, 2**63))
@settings(max_examples=60, deadline=None)
def test_the_same_seed_makes_the_same_schedule_to_the_byte(load: Workload, seconds: float, seed: int) -> None:
    first, again = schedule_for(load, seconds, seed), schedule_for(load, seconds, seed)
    for name in ("due_ns", "route", "key", "number", "swapped"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.digest == again.digest
    assert (np.diff(first.due_ns) >= 0).all()
    assert not len(first) or (first.due_ns[0] >= 0 and first.due_ns[-1] < seconds * 1e9)
    assert ((first.number >= 1) & (first.number <= LARGEST_NUMBER)).all()


def test_another_seed_makes_another_schedule() -> None:
    assert schedule_for(workload(), 2, 1).digest != schedule_for(workload(), 2, 2).digest


def test_constant_arrivals_are_evenly_spaced_and_all_there() -> None:
    due_ns = schedule_for(workload(rate="250/s", arrivals="constant"), 2, 1).due_ns
    assert len(due_ns) == 500 and set(np.diff(due_ns)) == {4_000_000}


def test_poisson_arrivals_have_the_mean_and_the_spread_of_independent_users() -> None:
    gaps_s = np.diff(schedule_for(workload(rate="1000/s"), 30, 3).due_ns) / 1e9
    assert np.mean(gaps_s) == pytest.approx(1e-3, rel=0.03)
    assert np.std(gaps_s) == pytest.approx(1e-3, rel=0.05)  # of an exponential distribution it equals the mean


def test_routes_come_by_their_weights_and_either_arm_goes_first_as_often() -> None:
    load = workload(Route(name="a", path="/a", weight=3), Route(name="b", path="/b", weight=1), rate="1000/s")
    schedule = schedule_for(load, 20, 1)
    assert np.mean(schedule.route == 0) == pytest.approx(0.75, abs=0.02)
    assert np.mean(schedule.swapped) == pytest.approx(0.5, abs=0.02)


@given(st.integers(-(2**62), 2**62), st.integers(1, 10**7), st.sampled_from(["uniform", "zipf"]), st.floats(0.1, 4))
@settings(max_examples=60, deadline=None)
def test_keys_stay_in_their_range(first: int, size: int, popularity: str, exponent: float) -> None:
    last = min(2**62, first + min(size, 20_000 if size <= LARGEST_TABLE else size) - 1)
    drawn = draw_keys(keys(first, last, popularity=popularity, exponent=exponent), 200, np.random.default_rng(1), 5)
    assert drawn.dtype == np.int64 and len(drawn) == 200
    assert drawn.min() >= first and drawn.max() <= last


@pytest.mark.parametrize("last", [100, LARGEST_TABLE + 1])
@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.5])
def test_zipf_shares(last: int, exponent: float) -> None:
    drawn = draw_keys(keys(1, last, exponent=exponent), 600_000, np.random.default_rng(1), 5)
    _, counts = np.unique(drawn, return_counts=True)
    shares = np.arange(1, last + 1) ** -exponent
    shares /= shares.sum()
    # Sampling alone makes about 2 % of difference in shares of half a percent.
    assert np.sort(counts)[::-1][:3] / 600_000 == pytest.approx(shares[:3], rel=0.05)


def test_the_popular_keys_are_shuffled_over_the_range_and_the_same_in_every_block() -> None:
    def most_popular(seed: int, block: int) -> int:
        drawn = schedule_for(workload(rate="900/s", seed=seed), 5, block).key
        return int(np.bincount(drawn).argmax())

    assert most_popular(1, 10) == most_popular(1, 11)
    assert len({most_popular(seed, 10) for seed in range(8)}) > 4


def test_uniform_keys_are_all_as_likely() -> None:
    drawn = draw_keys(keys(1, 10, popularity="uniform"), 50_000, np.random.default_rng(1), 5)
    assert np.bincount(drawn)[1:] / 50_000 == pytest.approx(np.full(10, 0.1), rel=0.06)


def test_a_schedule_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ArgumentError, match="more than one block can hold"):
        schedule_for(workload(rate="90000/s"), 3600, 1)


def test_no_requests_at_all() -> None:
    schedule = schedule_for(workload(rate="1/m"), 0.001, 2)
    assert len(schedule) == 0 and schedule.distinct_keys == 0 and schedule.digest


def test_a_closed_loop_has_requests_but_no_instants() -> None:
    schedule = closed_schedule(workload(), 100, 1)
    assert len(schedule) == 100 and not schedule.due_ns.any() and schedule.key.all()


ORIGIN = Origin.parse("http://localhost:8000/shop")


def test_a_request_is_filled_in() -> None:
    route = Route(
        name="put", method="PUT", path="/items/{key}?x={{{number}}}", headers={"X-Tenant": "7"},
        body={"id": "{key}", "text": "no. {number}", "list": ["{number}"]}, keys=keys(),
    )  # fmt: skip
    head, _, body = RouteTemplate(route, ORIGIN, {"Authorization": "Bearer s"}).render(12, 34).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "PUT /shop/items/12?x={34} HTTP/1.1"
    assert {"host: localhost:8000", "X-Tenant: 7", "Authorization: Bearer s", "content-type: application/json"} <= set(
        lines
    )
    assert f"content-length: {len(body)}" in lines
    assert json.loads(body) == {"id": 12, "text": "no. 34", "list": [34]}


def test_a_read_has_no_body_and_no_length() -> None:
    request = RouteTemplate(Route(name="a", path="/a"), Origin.parse("http://h"), {}).render(0, 1)
    assert request.startswith(b"GET /a HTTP/1.1\r\nhost: h\r\n") and b"content-length" not in request
    assert request.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "headers", [{"X-Token": "s3cret\r\nX-Evil: 1"}, {"X\r\nY": "1"}, {"Host": "x"}, {"Content-Length": "3"}]
)
def test_a_request_cannot_be_split(headers: dict[str, str]) -> None:
    with pytest.raises(ArgumentError) as refused:
        RouteTemplate(Route(name="a", path="/a"), ORIGIN, headers)
    assert "s3cret" not in str(refused.value)


@given(st.text(max_size=20))
def test_whatever_a_header_holds_there_is_one_request(value: str) -> None:
    try:
        request = RouteTemplate(Route(name="a", path="/a"), ORIGIN, {"X-A": value}).render(0, 1)
    except ArgumentError:
        return
    assert request.count(b"\r\n\r\n") == 1 and request.count(b"\n") == request.count(b"\r\n") == 7
