"""The metrics of each route: where an overall effect comes from, and routes that go against it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from declared import a_case
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_blocks import Records, a_run

from luckyhit.case import Case
from luckyhit.judge.context.route_metrics import route_notes
from luckyhit.judge.table.samples import rows_of
from luckyhit.records import METRICS, Metric, MetricName, Result
from luckyhit.text.wording import has, note
from tier import examples

GOALS = {"latency_p50_ms": {"want": "better", "margin": "10 %"}, "hit_ratio": {"want": "no-worse", "margin": "5 %"}}
REQUEST_METRICS = {name for name, kind in METRICS.items() if not kind.probe}


def with_routes(*names: str, **declared: str) -> Case:
    data = a_case(GOALS, **declared).model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    first = data["workload"]["routes"][0]
    data["workload"]["routes"] = [{**first, "name": name, "path": f"/{name}/{{key}}"} for name in names]
    return Case.model_validate(data)


def split(run: Records, proportion: float = 0.7, slower: dict[str, float] | None = None) -> Records:
    """Give `proportion` of the slots to `detail`, the rest to `list`, the same in both arms; then make `after` slower (or
    faster) by a factor for each route."""
    frame = run.requests
    draw = np.random.default_rng(5).random(4096)[(frame["slot"] + 97 * frame["block"]) % 4096]
    frame["route"] = np.where(draw < proportion, "detail", "list")
    for route, factor in (slower or {}).items():
        slowed = (frame["arm"] == "after") & (frame["route"] == route)
        latency = (frame.loc[slowed, "done_ns"] - frame.loc[slowed, "due_ns"]) * factor
        frame.loc[slowed, "done_ns"] = frame.loc[slowed, "due_ns"] + latency.astype(np.int64)
        frame.loc[slowed, "first_byte_ns"] = frame.loc[slowed, "done_ns"]
    return run


@pytest.fixture(scope="module")
def against() -> Result:
    """Overall faster, since 70 % of the requests got faster; the rest got slower."""
    run = split(a_run(2, before={"hit": 0.9}, after={"hit": 0.9}), slower={"detail": 0.5, "list": 1.6})
    return run.judge(with_routes("detail", "list"))


def test_each_route_has_every_request_metric_and_no_verdict(against: Result) -> None:
    assert list(against.routes) == ["detail", "list"]
    for metrics in against.routes.values():
        assert set(metrics) == REQUEST_METRICS
        assert all(metric.verdict is None and metric.margin is None for metric in metrics.values())
        median = metrics["latency_p50_ms"]
        assert median.low <= median.effect <= median.high and median.pairs > 100
        assert median.before > 0 and median.after > 0


def test_a_route_against_the_whole_is_noted(against: Result) -> None:
    whole = against.metrics["latency_p50_ms"]
    fast, slow = (against.routes[name]["latency_p50_ms"] for name in ("detail", "list"))
    assert whole.high < 0 and fast.high < 0 and slow.low > 0
    assert fast.after / fast.before == pytest.approx(0.5, rel=0.1)
    assert slow.after / slow.before == pytest.approx(1.6, rel=0.1)
    (noted,) = [noted for noted in against.notes if noted.facts.get("route") == "list"]
    assert noted.id == "route-against-the-whole"


def test_the_routes_change_nothing_of_the_verdict(against: Result) -> None:
    run = split(a_run(2, before={"hit": 0.9}, after={"hit": 0.9}), slower={"detail": 0.5, "list": 1.6})
    one = run.judge(a_case(GOALS))
    assert one.routes == {}  # the case declares one route only
    assert (one.verdict, one.metrics) == (against.verdict, against.metrics)


def test_both_arms_have_the_same_mix(against: Result) -> None:
    for metrics in against.routes.values():
        assert not any(has(metric.notes, "seen-on", "seen-on-by-arm") for metric in metrics.values())
    assert (
        sum(metrics["error_rate"].pairs for metrics in against.routes.values()) == against.metrics["error_rate"].pairs
    )


def test_more_routes_make_wider_intervals() -> None:
    def width(names: tuple[str, ...]) -> float:
        run = split(a_run(3, blocks=3), proportion=0.7)
        # The others have their own few requests, taken away from `list` in both arms.
        frame = run.requests
        rest = frame["route"] == "list"
        frame.loc[rest, "route"] = np.array(names[1:])[frame.loc[rest, "slot"] % len(names[1:])]
        metric = run.judge(with_routes(*names)).routes["detail"]["hit_ratio"]
        return metric.high - metric.low

    assert width(("detail", "list", "c", "d", "e", "f")) > 1.05 * width(("detail", "list"))


def test_routes_that_part_are_both_named() -> None:
    run = split(a_run(4, before={"hit": 0.5}, after={"hit": 0.5}), proportion=0.5)
    frame = run.requests
    frame["db_calls"] = None
    for route, status in (("detail", "hit"), ("list", "miss")):
        which = (frame["arm"] == "after") & (frame["route"] == route) & (frame["slot"] % 3 == 0)
        frame.loc[which, "cache"] = status
    result = run.judge(with_routes("detail", "list"))
    whole = result.metrics["hit_ratio"]
    assert whole.low < 0 < whole.high
    (noted,) = [noted for noted in result.notes if noted.id == "routes-part"]
    detail, listing = noted.facts["parts"]
    assert (detail[0], detail.split()[-1]) == ("+", "detail") and (listing[0], listing.split()[-1]) == ("−", "list")


def test_idle_and_unknown_routes_are_left_out() -> None:
    run = split(a_run(5, blocks=2))
    assert list(run.judge(with_routes("detail", "list", "idle")).routes) == ["detail", "list"]
    run.requests.loc[run.requests["route"] == "list", "route"] = "nobody knows"
    assert run.judge(with_routes("detail", "list")).routes == {}


@pytest.mark.parametrize("design", ["crossover", "before-after"])
def test_arms_that_took_turns_have_routes_too(design: str) -> None:
    run = split(a_run(6, design=design, blocks=4), slower={"list": 3.0})
    result = run.judge(with_routes("detail", "list", design=design))
    slow = result.routes["list"]["latency_p50_ms"]
    assert slow.low > 0 and slow.after / slow.before == pytest.approx(3, rel=0.2)
    assert abs(result.routes["detail"]["latency_p50_ms"].effect) < slow.effect / 5


def test_a_baseline_alone_has_no_routes_to_compare() -> None:
    run = split(a_run(7, blocks=2))
    run.blocks = [entry for entry in run.blocks if entry["stage"] == "baseline"]
    run.requests = run.requests[run.requests["block"] == 0]
    assert run.judge(with_routes("detail", "list")).routes == {}


@pytest.mark.parametrize("dtype", ["category", "object", "string", "unused category"])
@given(st.lists(st.sampled_from(["b", "a", "list", None]), min_size=1, max_size=30))
@settings(max_examples=examples(30), deadline=None)
def test_the_names_are_in_the_order_of_the_codes(dtype: str, routes: list[str | None]) -> None:
    column = pd.Series(routes, dtype=object)
    if dtype == "unused category":
        column = column.astype(pd.CategoricalDtype(["z", "list", "b", "a"]))
    else:
        column = column.astype(dtype)
    frame = pd.DataFrame({"route": column, "arm": "before", "slot": range(len(routes))})
    rows = rows_of(frame)
    names, codes = rows.routes, rows.route
    assert [names[code] if code >= 0 else None for code in codes] == routes


def metric(name: MetricName, low: float, high: float) -> Metric:
    return Metric(
        unit=METRICS[name].unit, before=0.5, after=0.5 + (low + high) / 2, effect=(low + high) / 2, low=low, high=high
    )


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=5))
@settings(max_examples=examples(80), deadline=None)
def test_routes_are_noted_only_where_sure(ends: list[tuple[float, float]]) -> None:
    """A note needs an interval without 0 on either side of the whole's."""
    routes = {f"r{index}": {"hit_ratio": metric("hit_ratio", min(pair), max(pair))} for index, pair in enumerate(ends)}
    for low, high in ((0.1, 0.2), (-0.2, -0.1), (-0.1, 0.1)):
        notes = route_notes(routes, {"hit_ratio": metric("hit_ratio", low, high)})
        up = [name for name, of_route in routes.items() if of_route["hit_ratio"].low > 0]
        down = [name for name, of_route in routes.items() if of_route["hit_ratio"].high < 0]
        wanted = down if low > 0 else up if high < 0 else (["parts"] if up and down else [])
        assert len(notes) == len(wanted)
        assert [noted.facts.get("route", "parts") for noted in notes] == wanted


def test_many_contrary_routes_are_counted_not_listed() -> None:
    routes = {f"r{index}": {"hit_ratio": metric("hit_ratio", -0.2, -0.1)} for index in range(20)}
    notes = route_notes(routes, {"hit_ratio": metric("hit_ratio", 0.1, 0.2)})
    assert len(notes) == 7
    assert notes[-1] == note("routes-more", count=14)


def test_an_older_result_without_routes_still_loads(against: Result) -> None:
    old = against.model_dump(mode="json", by_alias=True)
    del old["routes"]
    assert Result.model_validate(old).routes == {}
    assert Result.model_validate_json(against.model_dump_json(by_alias=True)) == against
    assert set(against.metrics) == set(METRICS)
