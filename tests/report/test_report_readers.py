"""The tables of freshness: what readers saw, what the cache did, and whether the probed keys were put back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from page_reader import Page, assert_self_contained
from probed_run import OLD, an_event, probed, watched, writes_of
from synthetic_run import a_read

from luckyhit.records import FreshnessFacts
from luckyhit.records.manifest import ProbeNotes
from luckyhit.report import notebook_tables as tables
from luckyhit.report.evidence.checklist import checklist
from luckyhit.report.evidence.journal_view import journal_of
from luckyhit.report.page import page_of, render
from luckyhit.report.recorded import recorded
from luckyhit.report.tables.cache_event_table import FATE_WORDS, cache_event_table
from luckyhit.report.tables.freshness_tables import probed_keys, readers
from noted import noted

BEFORE = FreshnessFacts(
    writes=40, probes=41, reads=60, fresh=10, stale=30, unknown=2, share=0.75, low=0.588, high=0.873,
    by_prestate={"warm": (28, 36), "in-flight": (2, 4), "cold": (0, 6)}, by_route={"detail": (30, 40)},
    by_connection={"kept": (25, 30), "new": (5, 10)}, by_kind={"plain": (30, 38), "conditional": (0, 2)},
    windows=4, stuck=1, window_p50_ms=(120.0, 180.0), versions_behind_mean=1.5, versions_behind_max=3,
    read_your_writes=7, monotonic_reads=2, disagreements={"workers": 3}, workers=2, background_stale=120,
    background_reads=4000, added_requests=160, added_share=0.019,
)  # fmt: skip
AFTER = FreshnessFacts(
    writes=40, probes=40, reads=50, fresh=40, share=0.0, low=0.0, high=0.088, zero_bound=0.072, windows=4,
    by_prestate={"warm": (0, 36), "cold": (0, 6)}, by_route={"detail": (0, 40)},
    window_p50_ms=(0.0, 2.0), window_p95_ms=(0.0, 2.5), window_p99_ms=(0.0, 2.5), monotonic_reads=0,
)  # fmt: skip


def with_facts(found, result, **facts: FreshnessFacts):
    return replace(found, result=result.model_copy(update={"freshness": facts}))


@pytest.fixture
def found(judged_run):
    run, result = judged_run
    return with_facts(recorded(run, result), result, before=BEFORE, after=AFTER)


def cells(found) -> dict[str, list[str]]:
    table = readers(found)
    assert table is not None
    return {name: [cell.replace("\u00a0", " ") for cell in row] for name, row in table.rows}


def test_each_number_stands_in_the_column_of_its_arm(found) -> None:
    shown = cells(found)
    for name, row in {
        "Stale single reads of the probe, later than 5 ms after the write": [
            "30 of 40 (75 %), interval 59 % to 87 %", "0 of 40 (0 %)",
        ],
        "No stale read at all still leaves possible (metric stale reads)": ["–", "up to 7 %"],
        "… in-flight: a read under way": ["2 of 4 (50 %)", "–"],
        "… route detail": ["30 of 40 (75 %)", "0 of 40 (0 %)"],
        "… new connections": ["5 of 10 (50 %)", "–"],
        "… conditional reads": ["0 of 2 (0 %)", "–"],
        "The old value lasted, p50": ["120 to 180 ms", "up to 2 ms"],
        "The old value lasted, p99": ["longer than was polled", "up to 2.5 ms"],
        "Stuck: stale until the polling ended": ["1 of 4 (25 %)", "0 of 4 (0 %)"],
        "Versions behind, of a stale read": ["1.5 on average, 3 at most", "–"],
        "Read-your-writes violations, for longer than 5 ms": ["7", "not visible"],
        "Monotonic-read violations": ["2", "0"],
        "Probes in which workers disagreed": ["3 of 41", "0 of 40"],
        "Stale reads of the workload itself, for longer than 5 ms": ["120 of 4,000 (3 %)", "–"],
        "Added to the load by the probe (all arms)": ["160 requests (1.9 %)", "–"],
        "Keys put back as they were (whole run)": ["240", "160"],
    }.items():  # fmt: skip
        assert shown[name] == row, name


def test_rows_that_are_empty_in_both_arms_are_left_out_and_zero_is_not_empty(found) -> None:
    shown = cells(found)
    assert "Reads of a refused value" not in shown
    assert shown["Reads of a value never committed"] == ["0", "0"]
    seen = with_facts(found, found.result, after=AFTER.model_copy(update={"refused_writes": 12}))
    assert cells(seen)["Reads of a refused value"] == ["0, of 12 writes that had to be refused and were"]


def test_a_run_that_was_not_judged_shows_no_such_table(found) -> None:
    assert readers(replace(found, result=None)) is None
    assert readers(with_facts(found, found.result)) is None


@pytest.mark.usefixtures("plain_figures")
def test_the_page_has_the_table_under_the_figures_of_freshness(judged_run, found, tmp_path) -> None:
    html = page_of(judged_run[0], found, tmp_path)
    order = ["forest", "freshness", "staleness-windows", "freshness-strip"]
    figures = [attrs["id"].removeprefix("figure-") for attrs in Page(html).all("figure")]
    assert figures[:4] == order
    marks = [html.index(f'id="{mark}"') for mark in ("figure-freshness-strip", "readers", "figure-hit-ratio")]
    assert marks == sorted(marks)
    assert "120 of 4,000" in Page(html).text


@pytest.mark.usefixtures("plain_figures")
def test_a_case_without_a_probe_says_so_once(judged_run, found, tmp_path) -> None:
    run, result = judged_run
    blind = replace(
        with_facts(found, result),
        case=run.case.model_copy(update={"freshness": None}),
        reads=found.reads[:0],
        writes=found.writes[:0],
    )
    page = Page(page_of(run, blind, tmp_path))
    assert page.text.count("declares no freshness probe") == 1
    figures = {attrs["id"] for attrs in page.all("figure")}
    assert "figure-freshness" in figures and not figures & {"figure-staleness-windows", "figure-freshness-strip"}


def test_the_notebooks_show_the_same_rows(judged_run) -> None:
    run, result = judged_run
    shown = tables.readers(recorded(run, result))
    assert list(shown.columns) == ["readers", "before", "after"] and len(shown) > 10
    assert tables.readers(recorded(run, result.model_copy(update={"freshness": {}}))).empty


# The cache's side


def write_events():
    """Two writes before whose entry stays, one after whose entry is deleted."""
    stays, gone = writes_of("before", 2), writes_of("after", 1)
    events = watched("before") + watched("after")
    events += [an_event(write, -50.0, "set", 300_000) for write in stays + gone] + [an_event(gone[0], 1.0, "del")]
    reads = [a_read(write, 0.2, OLD) for write in stays] + [a_read(gone[0], 0.2, gone[0]["version"])]
    return stays + gone, reads, sorted(events, key=lambda event: event["at_ns"])


def test_what_the_cache_did_is_counted_by_arm() -> None:
    writes, reads, events = write_events()
    cache_facts = cache_event_table(probed(writes, reads, events=events))
    assert cache_facts is not None and cache_facts.table.labels == ["before", "after"]
    counted = dict(cache_facts.table.rows)
    assert (counted[FATE_WORDS["kept"]], counted[FATE_WORDS["deleted"]]) == (["2", "0"], ["0", "1"])
    assert len(cache_facts.sentences) == 2


def test_where_nobody_watched_the_cache_nothing_is_told() -> None:
    writes, reads, _ = write_events()
    assert cache_event_table(probed(writes, reads)) is None


@pytest.mark.usefixtures("plain_figures")
def test_damaged_events_leave_the_rest_of_the_report(copied, tmp_path) -> None:
    run, result = copied
    (run.path / "events").mkdir(exist_ok=True)
    (run.path / "events" / "block-001.parquet").write_bytes(b"PAR1 and then nothing")
    page = Page(render(run, result, tmp_path).read_text(encoding="utf-8"))
    assert "events/block-001.parquet can't be read" in page.text and "What readers saw" in page.text
    assert "What the cache did" not in page.text


# Putting back


def told(found, **probe):
    entries = [block.model_dump(exclude_unset=True) for block in found.blocks]
    return replace(found, blocks=noted({**entry, "probe": {**entry["probe"], **probe}} for entry in entries))


def retry_safe(found, run):
    return next(check for check in checklist(found, journal_of(run)) if check.id == "retry")


@pytest.mark.usefixtures("plain_figures")
def test_keys_that_were_put_back_are_counted_in_the_checklist_and_at_the_rollback(judged_run, found, tmp_path) -> None:
    check = retry_safe(found, judged_run[0])
    assert check.passed and "put back as they were, after each block: 400 in all" in check.evidence
    assert "The probe's keys hold what they held" in Page(page_of(judged_run[0], found, tmp_path)).text


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ({"not_put_back": {"before": 1, "after": 0}}, "could not be put back as they were"),
        ({"put_back": None}, "It was not noted whether"),
        ({"put_back": {"before": "many"}}, "It was not noted whether"),
    ],
)
def test_keys_that_were_not_put_back_or_not_told_do_not_pass(probe, said, judged_run, found) -> None:
    check = retry_safe(told(found, **probe), judged_run[0])
    assert not check.passed and said in check.evidence


def test_without_a_probe_nothing_is_said_of_its_keys(judged_run, found) -> None:
    assert (
        probed_keys(replace(found, blocks=[block.model_copy(update={"probe": ProbeNotes()}) for block in found.blocks]))
        is None
    )


# Hostile names


@pytest.mark.usefixtures("plain_figures")
def test_names_in_the_facts_are_only_text_and_cut(judged_run, found, tmp_path) -> None:
    text = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>" + "x" * 4000
    names = {text + str(number): (1, 2) for number in range(400)}
    facts = BEFORE.model_copy(update={"by_route": names, "by_prestate": names, "disagreements": {text: 3}})
    html = page_of(judged_run[0], with_facts(found, found.result, before=facts), tmp_path)
    assert_self_contained(Page(html))
    assert "<img src=x" not in html and "x" * 100 not in html
    shown = tables.readers(found.with_result(found.result.model_copy(update={"freshness": {"before": facts}})))
    assert "<img" not in shown._repr_html_()


@pytest.mark.usefixtures("plain_figures")
def test_hostile_keys_and_cache_keys_in_the_records_are_only_text_on_the_page(judged_run, tmp_path) -> None:
    text = "<script>alert(1)</script>"
    writes, reads, events = write_events()
    for row in (*writes, *reads, *events):
        row["key"] = text if row["key"] else ""
    for event in events:
        event["cache_key"] = text
    shown = probed(writes, reads, events=events)
    page = Page(page_of(judged_run[0], replace(shown, result=judged_run[1]), tmp_path))
    assert_self_contained(page)
    assert text in page.text
