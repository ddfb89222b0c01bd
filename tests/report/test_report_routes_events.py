"""The report shows each route, and what happened inside the arms; nothing of it where there is nothing to show."""

from __future__ import annotations

import json
import re

import pytest
from page_reader import Page, assert_self_contained
from synthetic_run import judged

from luckyhit.case_run import CaseRun
from luckyhit.designs import design_of
from luckyhit.records import METRICS, Metric, MetricName, Moved, Result, RunEvent
from luckyhit.report.figures import hit_ratio
from luckyhit.report.page import render
from luckyhit.report.recorded import recorded
from luckyhit.report.tables.event_rows import other_notes, shift_times
from luckyhit.report.tables.route_rows import route_table
from luckyhit.text.wording import note

pytestmark = pytest.mark.usefixtures("plain_figures")

BOTH = {"before": Moved(was=0.93, became=0.7, size=-0.23), "after": Moved(was=0.78, became=0.6, size=-0.18)}
EVENTS = [
    RunEvent(kind="shift", metric="hit_ratio", arms=["before", "after"], at_s=17.5, block=2, moved=BOTH),
    RunEvent(
        kind="drift", metric="latency_ms", arms=["after"], at_s=11.0, until_s=40.0, block=1,
        moved={"after": Moved(was=2.0, became=3.1, size=1.1)},
    ),
]  # fmt: skip


def page_of(run: CaseRun, result: Result, folder) -> Page:  # type: ignore[no-untyped-def]
    page = Page(render(run, result, folder).read_text(encoding="utf-8"))
    assert page.open == []
    assert_self_contained(page)
    return page


def metric(name: MetricName, before: float, after: float, half: float) -> Metric:
    effect = after - before
    return Metric(
        unit=METRICS[name].unit, before=before, after=after, effect=effect, low=effect - half, high=effect + half
    )


def with_events(result: Result) -> Result:
    from luckyhit.judge.context.run_events import event_notes

    return result.model_copy(
        update={"events": EVENTS, "notes": [*event_notes(EVENTS, design_of(result).words), note("no-manifest")]}
    )


def test_every_route_of_the_case_stands_beside_all_requests(judged_run, tmp_path) -> None:
    run, result = judged_run
    assert list(result.routes) == ["product", "list"]
    page = page_of(run, result, tmp_path)
    after = page.text.partition("Route by route")[2]
    table = after.partition("Every goal against its margin")[0]
    assert "Both arms got the same mix of routes from one schedule, so no difference here is the traffic's." in table
    assert "No verdicts: the goals are about all requests together." in table
    for name in ("All requests", "product", "list", "Hit ratio", "Median latency", "Database calls"):
        assert name in table, name
    # 0.93 and 0.78 in the arms, with every route alike.
    assert len(re.findall(r"9\d → 7\d %", table)) == 3
    assert "stale" not in table.lower()  # the probe's metrics are of no route
    assert "All 2 routes" not in page.text  # not folded


def test_a_route_against_the_whole_is_marked(judged_run, tmp_path) -> None:
    run, result = judged_run
    whole = result.metrics | {"hit_ratio": metric("hit_ratio", 0.5, 0.6, 0.02)}
    routes = {
        "product": {"hit_ratio": metric("hit_ratio", 0.5, 0.7, 0.02)},
        "<b>list</b>": {"hit_ratio": metric("hit_ratio", 0.5, 0.4, 0.02)},
        "quiet": {"hit_ratio": metric("hit_ratio", 0.5, 0.49, 0.02)},
    }
    page = page_of(run, result.model_copy(update={"metrics": whole, "routes": routes}), tmp_path)
    assert "These go surely against the whole: <b>list</b> (hit ratio)." in page.text
    assert page.text.count("against the whole") == 2
    assert "50 → 40 % −10 points (−12 to −8 points) against the whole" in page.text
    assert page.all("b") == []


@pytest.mark.parametrize(("count", "folded"), [(6, False), (7, True)])
def test_more_than_six_routes_are_folded(count: int, folded: bool, judged_run, tmp_path) -> None:
    run, result = judged_run
    routes = {f"route-{number}": {"hit_ratio": metric("hit_ratio", 0.5, 0.6, 0.02)} for number in range(count)}
    result = result.model_copy(update={"routes": routes})
    assert route_table(result).folded == folded
    page = page_of(run, result, tmp_path)
    assert (f"All {count} routes" in page.text) == folded
    assert all(f"route-{number}" in page.text for number in range(count))


def test_one_route_makes_no_table(judged_run, tmp_path) -> None:
    run, result = judged_run
    result = result.model_copy(update={"routes": {}})
    assert route_table(result) is None and route_table(None) is None
    assert "Route by route" not in page_of(run, result, tmp_path).text


def test_what_was_not_visible_on_a_route_is_a_dash(judged_run) -> None:
    routes = {
        "a": {"hit_ratio": metric("hit_ratio", 0.5, 0.6, 0.02), "db_calls": Metric(unit="calls/request")},
        "b": {
            "hit_ratio": Metric(unit="share", notes=[note("not-visible-no-probe")]),
            "db_calls": Metric(unit="calls/request"),
        },
    }
    table = route_table(judged_run[1].model_copy(update={"routes": routes}))
    assert table.headings == ["Hit ratio"]
    assert [(route, cells[0].values, cells[0].effect) for route, cells in table.rows[1:]] == [
        ("a", "50 → 60 %", "+10 points (8 to 12 points)"),
        ("b", "–", ""),
    ]


def test_events_stand_where_the_verdict_may_be_overturned_those_of_one_arm_first(judged_run, tmp_path) -> None:
    run, result = judged_run
    page = page_of(run, with_events(result), tmp_path)
    section = page.text.partition("What would overturn this")[2].partition("The rules of the verdict")[0]
    table = section.partition("What happened inside the arms")[2].partition("Also to be known")[0]
    assert "None of them changes the verdict; each says what it means for it." in table
    drift, shift = table.index("From 11 to 40 s"), table.index("At 17.5 s, block 2")
    assert drift < shift
    assert (
        "Typical latency (geometric mean) drifted – 2 → 3.1 ms (+1.1 ms) one arm only Warning: the other arm did not"
        in table
    )
    assert "Hit ratio shifted 93 → 70 % (−23 points) 78 → 60 % (−18 points) Both arms met it at the same time" in table


def test_an_event_is_told_once(judged_run, tmp_path) -> None:
    run, result = judged_run
    result = with_events(result)
    assert [noted.id for noted in other_notes(result)] == ["no-manifest"]
    assert page_of(run, result, tmp_path).text.count("so the comparison is fair; the levels are those") == 1


def test_without_events_nothing_is_said_of_them(judged_run, tmp_path) -> None:
    run, result = judged_run
    page = page_of(run, result.model_copy(update={"events": []}), tmp_path)
    assert "What happened inside the arms" not in page.text


def test_shifts_are_marked_in_the_hit_ratio_over_time(judged_run) -> None:
    run, result = judged_run
    quiet = hit_ratio.data(recorded(run, result.model_copy(update={"events": []})))
    series = hit_ratio.data(recorded(run, with_events(result)))
    assert (quiet.shifts_s, series.shifts_s) == ((), (17.5,))  # a drift has no moment
    marks = [
        [line.get_xdata()[0] for line in hit_ratio.draw(one).axes[0].lines if line.get_label() == "shift inside an arm"]
        for one in (quiet, series)
    ]
    assert marks == [[], [17.5]]
    assert "Thin lines mark shifts inside an arm (at 17.5 s)." in hit_ratio.say(series, result)
    assert "Thin lines" not in hit_ratio.say(quiet, result)
    assert shift_times([*EVENTS, *EVENTS]) == (17.5,)


def test_a_result_from_before_there_were_routes_and_events_still_makes_a_report(new_run, tmp_path) -> None:
    run = new_run(blocks=2)
    judged(run)
    path = run.path / "result.json"
    old = json.loads(path.read_text(encoding="utf-8"))
    del old["routes"], old["events"]
    path.write_text(json.dumps(old), encoding="utf-8")
    page = page_of(run, run.result, tmp_path / "reports")
    assert old["reason"][:60] in page.text
    assert "Route by route" not in page.text and "What happened inside the arms" not in page.text
