"""Routes, events inside the arms and a fault met beforehand: on the page where there are any, and only there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from charted import marks_of
from hypothesis import example, given
from hypothesis import strategies as st
from page_reader import Page
from synthetic_run import judged

from luckyhit.designs import design_of
from luckyhit.judge.context.run_events import event_notes
from luckyhit.records import METRICS, PREFLIGHT_MET_FAULT, Metric, MetricName, Moved, Result, RunEvent
from luckyhit.report.charts.chart import Rule
from luckyhit.report.figures import hit_ratio
from luckyhit.report.page import render
from luckyhit.report.tables.contents import event_rows, other_notes
from luckyhit.report.tables.finding_sentences import sentence_of
from luckyhit.report.tables.route_rows import route_table
from luckyhit.text.numbers import DASH
from luckyhit.text.wording import note
from noted import manifest_with, spoil_manifest

pytestmark = pytest.mark.usefixtures("plain_figures")
BOTH = {"before": Moved(was=0.93, became=0.7, size=-0.23), "after": Moved(was=0.78, became=0.6, size=-0.18)}
EVENTS = [
    RunEvent(kind="shift", metric="hit_ratio", arms=["before", "after"], at_s=17.5, block=2, moved=BOTH),
    RunEvent(
        kind="drift", metric="latency_ms", arms=["after"], at_s=11.0, until_s=40.0, block=1,
        moved={"after": Moved(was=2.0, became=3.1, size=1.1)},
    ),
]  # fmt: skip


def metric(name: MetricName, before: float, after: float, half: float = 0.02) -> Metric:
    effect = after - before
    bounds = {"low": effect - half, "high": effect + half}
    return Metric(unit=METRICS[name].unit, before=before, after=after, effect=effect, **bounds)


def with_routes(result: Result, **routes: dict[str, Metric]) -> Result:
    whole = result.metrics | {"hit_ratio": metric("hit_ratio", 0.5, 0.6)}
    return result.model_copy(update={"metrics": whole, "routes": routes})


def with_events(result: Result) -> Result:
    notes = [*event_notes(EVENTS, design_of(result).words), note("no-manifest")]
    return result.model_copy(update={"events": EVENTS, "notes": notes})


# Routes


def test_every_route_stands_beside_all_requests(judged_run, page_once) -> None:
    table = route_table(judged_run[1])
    assert (
        table is not None
        and not table.folded
        and [route for route, _ in table.rows] == ["All requests", "product", "list"]
    )
    assert {"Hit ratio", "Median latency", "Database calls"} <= set(table.headings)
    assert not any("stale" in heading.lower() for heading in table.headings), "the probe's metrics are of no route"
    ratios = [cells[table.headings.index("Hit ratio")].values for _, cells in table.rows]
    assert all(re.fullmatch(r"9\d → 7\d %", ratio) for ratio in ratios)
    assert "routes" in page_once.ids


def test_a_route_against_the_whole_is_marked(judged_run, tmp_path) -> None:
    run, result = judged_run
    routes = {"product": 0.7, "<b>list</b>": 0.4, "quiet": 0.49}
    result = with_routes(
        result, **{name: {"hit_ratio": metric("hit_ratio", 0.5, after)} for name, after in routes.items()}
    )
    table = route_table(result)
    against = [(route, cells[0].values, cells[0].effect) for route, cells in table.rows if cells[0].against]
    assert against == [("<b>list</b>", "50 → 40 %", "−10 points (−12 to −8 points)")]
    page = Page.read(render(run, result, tmp_path))
    assert "<b>list</b> (hit ratio)" in page.text and page.all("b") == []


@pytest.mark.parametrize(("count", "folded"), [(6, False), (7, True)])
def test_more_than_six_routes_are_folded(count: int, folded: bool, judged_run) -> None:
    routes = {f"route-{number}": {"hit_ratio": metric("hit_ratio", 0.5, 0.6)} for number in range(count)}
    assert route_table(with_routes(judged_run[1], **routes)).folded == folded


def test_what_is_not_visible_on_a_route_is_a_dash(judged_run) -> None:
    routes = {"a": {"hit_ratio": metric("hit_ratio", 0.5, 0.6), "db_calls": Metric(unit="calls/request")}, "b": {}}
    table = route_table(with_routes(judged_run[1], **routes))
    assert table.headings == ["Hit ratio"]
    assert [(route, cells[0].values) for route, cells in table.rows[1:]] == [("a", "50 → 60 %"), ("b", DASH)]


# Events


def test_events_of_one_arm_come_first(judged_run) -> None:
    drift, shift = event_rows(with_events(judged_run[1]))
    assert (drift.when, drift.before, drift.after, drift.alone) == (
        "From 11 to 40 s",
        DASH,
        "2 → 3.1 ms (+1.1 ms)",
        True,
    )
    assert (shift.when, shift.before) == ("At 17.5 s, block 2", "93 → 70 % (−23 points)") and not shift.alone
    assert drift.meaning and shift.meaning and drift.meaning != shift.meaning


def test_an_event_is_not_among_the_notes_as_well(judged_run, tmp_path) -> None:
    run, result = judged_run
    assert [noted.id for noted in other_notes(with_events(result))] == ["no-manifest"]
    page = Page.read(render(run, with_events(result), tmp_path))
    assert "events" in page.ids and page.text.count(event_rows(with_events(result))[1].meaning) == 1


def test_shifts_are_marked_in_the_hit_ratio_over_time(recorded_run) -> None:
    result = recorded_run.result
    for events, shifts in (([], ()), ([*EVENTS, *EVENTS], (17.5,))):  # a drift has no moment
        series = hit_ratio.data(recorded_run.with_result(result.model_copy(update={"events": events})))
        rules = marks_of(hit_ratio.draw(series), Rule, "shift inside an arm")
        assert series.shifts_s == shifts
        assert [rule.x for rule in rules] == [*shifts]
        assert ("17.5 s" in hit_ratio.say(series, result)) == bool(shifts)


def test_an_older_result_has_neither(copied, tmp_path) -> None:
    run, result = copied
    old = {
        name: value for name, value in json.loads(result.model_dump_json()).items() if name not in ("routes", "events")
    }
    (run.path / "result.json").write_text(json.dumps(old), encoding="utf-8")
    page = Page.read(render(run, run.result, tmp_path / "reports"))
    assert page.headline == result.verdict and not {"routes", "events"} & set(page.ids)
    assert route_table(run.result) is None and route_table(None) is None


# A fault met before anything was measured


MET = {
    "arm": "before", "route": "list", "request": "GET /products?page=2", "status": 200,
    "wrong": "$.number is 1 instead of 11", "body": '{"number": 1}',
}  # fmt: skip


@pytest.mark.parametrize("noted", [{"asked": 2, "unexpected": [MET]}, {"asked": 2, "unexpected": []}, [], None, "lost"])
def test_the_request_that_met_a_fault_is_a_finding(noted: Any, copied, tmp_path) -> None:
    run, _ = copied
    spoil_manifest(run.path, preflight=noted)
    result = judged(run)
    findings = [finding for finding in result.findings if finding.id == PREFLIGHT_MET_FAULT]
    assert [finding.examples for finding in findings] == (
        [[MET]] if "unexpected" in (noted or {}) and MET in noted["unexpected"] else []
    )
    for finding in findings:
        assert finding.after is None and finding.before and (finding.before.count, finding.before.of) == (1, 2)
        header = Page.read(render(run, result, tmp_path)).text.partition("Contents")[0]
        assert sentence_of(finding) in header and MET["request"] in header


_ANY = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*MET, "asked", "unexpected"]), inner),
)


@example({"arm": None, "asked": -1})
@given(_ANY)
def test_any_manifest_can_be_asked_for_it(noted: Any) -> None:
    assert manifest_with(preflight=noted).preflight.asked >= 0
