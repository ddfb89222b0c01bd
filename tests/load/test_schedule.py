"""The schedule: made from a seed, to the byte; when requests are due, for which keys, and their bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.values.key_order import LARGEST_TABLE
from luckyhit.case.workload import Keys, Route, Workload
from luckyhit.errors import ArgumentError
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.inputs import Inputs, KeyTable
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.schedule import LARGEST_NUMBER, Pace, closed_schedule, draw_keys, due_ns, schedule_for
from tier import examples


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
@settings(max_examples=examples(60), deadline=None)
def test_the_same_seed_makes_the_same_schedule(load: Workload, seconds: float, seed: int) -> None:
    first, again = schedule_for(load, seconds, seed), schedule_for(load, seconds, seed)
    for name in ("due_ns", "route", "key", "number", "swapped"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.digest == again.digest
    assert (np.diff(first.due_ns) >= 0).all()
    assert not len(first) or (first.due_ns[0] >= 0 and first.due_ns[-1] < seconds * 1e9)
    assert not len(first) or first.digest != schedule_for(load, seconds, seed + 1).digest
    assert ((first.number >= 1) & (first.number <= LARGEST_NUMBER)).all()


def test_poisson_gaps_have_the_mean_and_deviation_of_users() -> None:
    gaps_s = np.diff(schedule_for(workload(rate="1000/s"), 30, 3).due_ns) / 1e9
    assert np.mean(gaps_s) == pytest.approx(1e-3, rel=0.03)
    assert np.std(gaps_s) == pytest.approx(1e-3, rel=0.05)  # of an exponential distribution it equals the mean


def test_routes_come_by_weight_and_arms_take_turns() -> None:
    load = workload(Route(name="a", path="/a", weight=3), Route(name="b", path="/b", weight=1), rate="1000/s")
    schedule = schedule_for(load, 20, 1)
    assert np.mean(schedule.route == 0) == pytest.approx(0.75, abs=0.02)
    assert np.mean(schedule.swapped) == pytest.approx(0.5, abs=0.02)


@given(st.integers(-(2**62), 2**62), st.integers(1, 10**7), st.sampled_from(["uniform", "zipf"]), st.floats(0.1, 4))
@settings(max_examples=examples(60), deadline=None)
def test_keys_stay_in_their_range(first: int, size: int, popularity: str, exponent: float) -> None:
    last = min(2**62, first + min(size, 20_000 if size <= LARGEST_TABLE else size) - 1)
    drawn = draw_keys(keys(first, last, popularity=popularity, exponent=exponent), 200, np.random.default_rng(1), 5)
    assert drawn.dtype == np.int64 and len(drawn) == 200
    assert drawn.min() >= first and drawn.max() <= last


@pytest.mark.parametrize("last", [100, LARGEST_TABLE + 1])
@pytest.mark.parametrize("exponent", [0.8, 1.0, 1.5])
def test_zipf_probabilities(last: int, exponent: float) -> None:
    drawn = draw_keys(keys(1, last, exponent=exponent), 600_000, np.random.default_rng(1), 5)
    _, counts = np.unique(drawn, return_counts=True)
    shares = np.arange(1, last + 1) ** -exponent
    shares /= shares.sum()
    # Sampling alone makes about 2 % of difference in shares of half a percent.
    assert np.sort(counts)[::-1][:3] / 600_000 == pytest.approx(shares[:3], rel=0.05)


def test_popular_keys_are_the_same_in_each_block() -> None:
    def most_popular(seed: int, block: int) -> int:
        drawn = schedule_for(workload(rate="900/s", seed=seed), 5, block).key
        return int(np.bincount(drawn).argmax())

    assert most_popular(1, 10) == most_popular(1, 11)
    assert len({most_popular(seed, 10) for seed in range(8)}) > 4


@pytest.mark.parametrize(("rate", "seconds", "slots"), [("250/s", 2, 500), ("1/m", 0.001, 1)])
def test_constant_arrivals_are_evenly_spaced(rate: str, seconds: float, slots: int) -> None:
    schedule = schedule_for(workload(rate=rate, arrivals="constant"), seconds, 1)
    assert len(schedule) == slots and set(np.diff(schedule.due_ns)) <= {4_000_000}
    empty = schedule_for(workload(rate="1/m"), 0.001, 2)
    assert len(empty) == 0 and empty.distinct_keys == 0 and empty.digest


def test_a_closed_loop_has_requests_but_no_instants() -> None:
    schedule = closed_schedule(workload(), 100, 1)
    assert len(schedule) == 100 and not schedule.due_ns.any() and schedule.key.all()


# Rates that change


def staged(*stages: tuple[str, str, str | None], **other: Any) -> Workload:
    declared = [{"lasts": lasts, "rate": rate, "to": to} for lasts, rate, to in stages]
    return Workload.model_validate({"seed": 1, "routes": [{"name": "a", "path": "/"}], "stages": declared, **other})


stages = st.lists(
    st.tuples(
        st.integers(50, 2000).map(lambda ms: f"{ms}ms"),
        st.integers(1, 400).map(lambda rate: f"{rate}/s"),
        st.none() | st.integers(1, 400).map(lambda rate: f"{rate}/s"),
    ),
    min_size=1,
    max_size=5,
)


def test_a_ramp_gets_denser_evenly() -> None:
    due_s = due_ns(staged(("10s", "10/s", "190/s"), arrivals="constant"), 10, np.random.default_rng(1)) / 1e9
    assert len(due_s) == 1000  # (10 + 190) / 2 for ten seconds
    counts, _ = np.histogram(due_s, bins=10, range=(0, 10))
    assert counts == pytest.approx(10 + 18 * (np.arange(10) + 0.5), abs=1.01)


def test_a_step_changes_the_rate_and_the_last_rate_holds() -> None:
    due_s = due_ns(
        staged(("1s", "100/s", None), ("1s", "400/s", None), arrivals="constant"), 4, np.random.default_rng(1)
    )
    counts, _ = np.histogram(due_s / 1e9, bins=4, range=(0, 4))
    assert counts.tolist() == [100, 400, 400, 400]


@given(stages, st.floats(0.05, 12), st.integers(0, 2**32))
@settings(max_examples=examples(60), deadline=None)
def test_as_many_are_due_as_the_rate_says(given_stages: list[Any], seconds: float, seed: int) -> None:
    even = staged(*given_stages, arrivals="constant")
    expected = even.requests_in(seconds)
    assert expected is not None and Pace.of(even).count(seconds) == pytest.approx(expected)
    due = due_ns(even, seconds, np.random.default_rng(seed))
    assert abs(len(due) - expected) <= 1 and (np.diff(due) > 0).all()
    assert due[0] == 0 and due[-1] < seconds * 1e9
    independent = due_ns(staged(*given_stages), seconds, np.random.default_rng(seed))
    assert abs(len(independent) - expected) <= 8 * expected**0.5 + 8
    assert (np.diff(independent) >= 0).all() and (not len(independent) or independent[-1] < seconds * 1e9)


@given(stages, st.lists(st.floats(0, 20), min_size=1, max_size=20))
def test_instants_and_counts_are_inverse(given_stages: list[Any], seconds: list[float]) -> None:
    pace = Pace.of(staged(*given_stages))
    instants = np.array(sorted(seconds))
    again = pace.instants_s(np.array([pace.count(instant) for instant in instants]))
    assert again == pytest.approx(instants, abs=1e-6)


def test_arrivals_of_a_ramp_are_poisson_in_each_part() -> None:
    parts = []
    for seed in range(300):
        due_s = due_ns(staged(("2s", "50/s", "250/s")), 2, np.random.default_rng(seed)) / 1e9
        parts.append(np.histogram(due_s, bins=4, range=(0, 2))[0])
    means, variances = np.mean(parts, axis=0), np.var(parts, axis=0)
    assert means == pytest.approx([37.5, 62.5, 87.5, 112.5], rel=0.05)
    assert variances == pytest.approx(means, rel=0.35)  # of a Poisson count they are equal


def test_too_many_requests_are_refused() -> None:
    with pytest.raises(ArgumentError, match="20,000,000"):
        schedule_for(staged(("1s", "1/s", "100000/s")), 600, 1)


ORIGIN = Origin.parse("http://localhost:8000/shop")


def test_a_request_is_filled_in() -> None:
    route = Route(
        name="put", method="PUT", path="/items/{key}?x={{{number}}}", headers={"X-Tenant": "7"},
        body={"id": "{key}", "text": "no. {number}", "list": ["{number}"]}, keys=keys(),
    )  # fmt: skip
    head, _, body = RouteTemplate(route, ORIGIN, {"Authorization": "Bearer s"}).render(12, 34).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    sent = {"host: localhost:8000", "X-Tenant: 7", "Authorization: Bearer s", "content-type: application/json"}
    assert lines[0].split()[:2] == ["PUT", "/shop/items/12?x={34}"] and sent <= set(lines)
    assert f"content-length: {len(body)}" in lines
    assert json.loads(body) == {"id": 12, "text": "no. 34", "list": [34]}


def test_headers_and_text_bodies_are_filled_in() -> None:
    route = Route(name="put", method="PUT", path="/a", headers={"X-Key": "k-{key}"}, body="{key}: {{{number}}}", keys=keys())  # fmt: skip
    template = RouteTemplate(route, ORIGIN, {"X-Token": "{key}"})
    for key, number in ((12, 34), (5, 6)):
        head, _, body = template.render(key, number).partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        sent = {f"X-Key: k-{key}", "X-Token: {key}", "content-type: text/plain; charset=utf-8"}
        assert sent <= set(lines)
        assert body.decode() == f"{key}: {{{number}}}"
    declared = RouteTemplate(route.model_copy(update={"headers": {"Content-Type": "text/csv"}}), ORIGIN, {})
    assert declared.render(1, 1).lower().count(b"content-type:") == 1


def test_text_keys_are_encoded() -> None:
    route = Route(
        name="put", method="PUT", path="/a/{key}", headers={"X-Key": "{key}"}, body={"k": "{key}"}, keys=keys()
    )
    request = RouteTemplate(route, ORIGIN, {}, table=KeyTable(("a/b \r\nX: é",))).render(0, 1)
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"PUT /shop/a/a%2Fb%20%0D%0AX%3A%20%C3%A9 HTTP/1.1\r\n")
    assert b"X-Key: a%2Fb%20%0D%0AX%3A%20%C3%A9\r\n" in head
    assert json.loads(body) == {"k": "a/b \r\nX: é"}


@pytest.mark.parametrize(
    ("route_headers", "given", "sent"),
    [
        ({}, {}, "cookie: a=1; b={2}"),
        ({}, {"Cookie": "sid={s}"}, "Cookie: sid={s}; a=1; b={2}"),
        ({"COOKIE": "k={key}"}, {}, "COOKIE: k=7; a=1; b={2}"),
    ],
)
def test_cookies_are_one_header(route_headers: dict[str, str], given: dict[str, str], sent: str) -> None:
    route = Route(name="a", path="/{key}", headers=route_headers, keys=keys())
    template = RouteTemplate(route, ORIGIN, given, cookies={"a": "1", "b": "{2}"})
    lines = template.render(7, 1).decode().split("\r\n")
    assert [line for line in lines if line.lower().startswith("cookie:")] == [sent]
    assert sent in [f"{name}: {value}" for name, value in template.headers(7, 1).items()]


def test_the_digest_covers_what_keys_stand_for() -> None:
    load = workload(Route(name="item", path="/{key}", keys=Keys(file="k.txt")))

    def digest(*texts: str) -> str:
        return schedule_for(load, 1, 1, Inputs({"item": KeyTable(texts)})).digest

    assert digest("a", "b") == digest("a", "b")
    assert len({digest("a", "b"), digest("a", "c"), digest("ab", ""), digest("a\nb", "")}) == 4


def test_keys_of_ranges_files_and_none_side_by_side() -> None:
    routes = [
        Route(name="range", path="/r/{key}", keys=keys(5, 9)),
        Route(name="file", path="/f/{key}", keys=Keys(file="k.txt", popularity="uniform")),
        Route(name="none", path="/n"),
    ]
    schedule = schedule_for(workload(*routes), 3, 1, Inputs({"file": KeyTable(("x", "y"))}))
    slots = np.arange(len(schedule))[::-1]
    texts = schedule.key_texts(slots).to_pylist()
    for route, allowed in enumerate([set("56789"), set("xy"), {None}]):
        assert {text for text, slot in zip(texts, slots, strict=True) if schedule.route[slot] == route} == allowed
    assert schedule.distinct_keys == 7
    assert schedule.key_texts(slots[:0]).to_pylist() == []


def test_keys_of_a_file_that_was_not_read() -> None:
    with pytest.raises(ArgumentError, match="'item'"):
        schedule_for(workload(Route(name="item", path="/{key}", keys=Keys(file="k.txt"))), 1, 1)


@pytest.mark.parametrize("size", [1000, LARGEST_TABLE + 1000])
def test_the_hot_keys_and_the_others_share_evenly(size: int) -> None:
    hot_set = keys(1, size, popularity="hot-set", hot=4, hot_share="80 %")
    drawn = draw_keys(hot_set, 100_000, np.random.default_rng(1), 5)
    distinct, counts = np.unique(drawn, return_counts=True)
    order = np.argsort(counts)[::-1]
    assert counts[order[:4]] / 100_000 == pytest.approx(np.full(4, 0.2), rel=0.05)
    assert counts[order[4:]].sum() == pytest.approx(20_000, rel=0.05) and counts[order[4]] < 60
    # The hot ones are spread by the seed, and are the same in the next block.
    again, recounts = np.unique(draw_keys(hot_set, 5_000, np.random.default_rng(2), 5), return_counts=True)
    assert set(again[np.argsort(recounts)[::-1][:4]]) == set(distinct[order[:4]]) != {1, 2, 3, 4}


@pytest.mark.parametrize(
    "headers", [{"X-Token": "s3cret\r\nX-Evil: 1"}, {"X\r\nY": "1"}, {"Host": "x"}, {"Content-Length": "3"}]
)
def test_a_request_cannot_be_split(headers: dict[str, str]) -> None:
    with pytest.raises(ArgumentError) as refused:
        RouteTemplate(Route(name="a", path="/a"), ORIGIN, headers)
    assert "s3cret" not in str(refused.value)


@given(st.text(max_size=20))
def test_any_header_makes_one_request(value: str) -> None:
    try:
        request = RouteTemplate(Route(name="a", path="/a"), ORIGIN, {"X-A": value}).render(0, 1)
    except ArgumentError:
        return
    assert request.count(b"\r\n\r\n") == 1 and request.count(b"\n") == request.count(b"\r\n") == 7
