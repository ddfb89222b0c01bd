"""The tables of freshness: what readers saw, what the cache did, and whether the probed keys were restored."""

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
from luckyhit.report.recorded import Recorded
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


def with_facts(run: Recorded, **facts: FreshnessFacts) -> Recorded:
    return run.with_result(run.result.model_copy(update={"freshness": facts}))


@pytest.fixture
def run(recorded_run) -> Recorded:
    return with_facts(recorded_run, before=BEFORE, after=AFTER)


def cells(run: Recorded) -> dict[str, list[str]]:
    """By the beginning of the row's name."""
    table = readers(run)
    assert table is not None
    return dict(table.rows)


@pytest.mark.parametrize(
    ("begins", "row"),
    [
        ("Stale single reads", ["30 of 40 (75 %), interval 59 % to 87 %", "0 of 40 (0 %)"]),
        ("No stale read", ["–", "up to 7 %"]),
        ("… in-flight", ["2 of 4 (50 %)", "–"]),
        ("… route detail", ["30 of 40 (75 %)", "0 of 40 (0 %)"]),
        ("… new connections", ["5 of 10 (50 %)", "–"]),
        ("… conditional reads", ["0 of 2 (0 %)", "–"]),
        ("The old value lasted, p50", ["120 to 180 ms", "up to 2 ms"]),
        ("The old value lasted, p99", ["longer than was polled", "up to 2.5 ms"]),
        ("Stuck", ["1 of 4 (25 %)", "0 of 4 (0 %)"]),
        ("Versions behind", ["1.5 on average, 3 at most", "–"]),
        ("Read-your-writes", ["7", "not visible"]),
        ("Monotonic-read", ["2", "0"]),
        ("Probes in which workers", ["3 of 41", "0 of 40"]),
        ("Stale reads of the workload", ["120 of 4,000 (3 %)", "–"]),
        ("Added to the load", ["160 requests (1.9 %)", "–"]),
        ("Keys restored", ["240", "160"]),
        ("Reads of a value never committed", ["0", "0"]),
    ],
)
def test_each_number_stands_in_the_column_of_its_arm(begins: str, row: list[str], run) -> None:
    assert [cell for name, cell in cells(run).items() if name.startswith(begins)] == [row]


def test_rows_that_are_empty_in_both_arms_are_left_out(run) -> None:
    assert "Reads of a refused value" not in cells(run)
    refused = with_facts(run, after=AFTER.model_copy(update={"refused_writes": 12}))
    assert cells(refused)["Reads of a refused value"][0].startswith("0, of 12")


def test_without_a_result_or_facts_there_is_no_table(run) -> None:
    assert readers(run.with_result(None)) is None and readers(with_facts(run)) is None
    assert tables.readers(with_facts(run)).empty
    assert list(tables.readers(run).columns) == ["readers", "before", "after"]


@pytest.mark.usefixtures("plain_figures")
def test_the_page_has_the_table_under_its_figures(judged_run, run, tmp_path) -> None:
    page = Page(page_of(judged_run[0], run, tmp_path))
    assert page.figures[:5] == ["over-time", "forest", "freshness", "staleness-windows", "freshness-strip"]
    order = [id for id in page.ids if id in ("figure-freshness-strip", "readers", "figure-hit-ratio")]
    assert order == ["figure-freshness-strip", "readers", "figure-hit-ratio"] and "120 of 4,000" in page.text


@pytest.mark.usefixtures("plain_figures")
def test_a_case_without_a_probe_has_one_figure_of_freshness(judged_run, recorded_run, tmp_path) -> None:
    case = recorded_run.case.model_copy(update={"freshness": None})
    blind = replace(with_facts(recorded_run), case=case, reads=recorded_run.reads[:0], writes=recorded_run.writes[:0])
    figures = Page(page_of(judged_run[0], blind, tmp_path)).figures
    assert "freshness" in figures and not {"staleness-windows", "freshness-strip"} & set(figures)


# The cache's side


def stories():
    """Two writes before whose entry stays, one after whose entry is deleted."""
    stays, gone = writes_of("before", 2), writes_of("after", 1)
    events = watched("before") + watched("after")
    events += [an_event(write, -50.0, "set", 300_000) for write in stays + gone] + [an_event(gone[0], 1.0, "del")]
    reads = [a_read(write, 0.2, OLD) for write in stays] + [a_read(gone[0], 0.2, gone[0]["version"])]
    return stays + gone, reads, sorted(events, key=lambda event: event["at_ns"])


def test_what_the_cache_did_is_counted_by_arm() -> None:
    writes, reads, events = stories()
    story = cache_event_table(probed(writes, reads, events=events))
    assert story is not None and story.table.labels == ["before", "after"] and len(story.sentences) == 2
    rows = dict(story.table.rows)
    assert (rows[FATE_WORDS["kept"]], rows[FATE_WORDS["deleted"]]) == (["2", "0"], ["0", "1"])
    assert cache_event_table(probed(writes, reads)) is None, "nobody watched"


@pytest.mark.usefixtures("plain_figures")
def test_damaged_events_leave_the_rest_of_the_report(copied, tmp_path) -> None:
    run, result = copied
    (run.path / "events").mkdir(exist_ok=True)
    (run.path / "events" / "block-001.parquet").write_bytes(b"PAR1 and then nothing")
    page = Page.read(render(run, result, tmp_path))
    assert "events/block-001.parquet" in page.text and "readers" in page.ids and "cache-story" not in page.ids


# Restoring the keys


def with_probe(run: Recorded, **probe) -> Recorded:
    entries = [block.model_dump(exclude_unset=True) for block in run.blocks]
    return replace(run, blocks=noted({**entry, "probe": {**entry["probe"], **probe}} for entry in entries))


@pytest.mark.parametrize(
    ("probe", "restored"),
    [
        ({}, True),
        ({"not_put_back": {"before": 1, "after": 0}}, False),
        ({"put_back": None}, None),
        ({"put_back": {"before": "many"}}, None),
    ],
)
def test_only_restored_keys_pass(probe, restored: bool | None, judged_run, run) -> None:
    run = with_probe(run, **probe)
    keys = probed_keys(run)
    assert keys is not None and keys.ok is restored and ("400" in keys.text) == (restored is not None)
    (check,) = [check for check in checklist(run, journal_of(judged_run[0])) if check.id == "retry"]
    assert check.passed == (restored is True) and keys.text in check.evidence


def test_without_a_probe_there_are_no_such_keys(run) -> None:
    blocks = [block.model_copy(update={"probe": ProbeNotes()}) for block in run.blocks]
    assert probed_keys(replace(run, blocks=blocks)) is None


# Hostile names


@pytest.mark.usefixtures("plain_figures")
def test_names_in_the_facts_are_only_text_and_cut(judged_run, recorded_run, tmp_path) -> None:
    text = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>" + "x" * 4000
    names = {text + str(number): (1, 2) for number in range(400)}
    update = {"by_route": names, "by_prestate": names, "disagreements": {text: 3}}
    run = with_facts(recorded_run, before=BEFORE.model_copy(update=update))
    html = page_of(judged_run[0], run, tmp_path)
    assert_self_contained(Page(html))
    assert "<img src=x" not in html and "x" * 100 not in html and "<img" not in tables.readers(run)._repr_html_()


@pytest.mark.usefixtures("plain_figures")
def test_hostile_keys_in_the_records_are_only_text(judged_run, tmp_path) -> None:
    text = "<script>alert(1)</script>"
    writes, reads, events = stories()
    for row in (*writes, *reads, *events):
        row["key"] = text if row["key"] else ""
    for event in events:
        event["cache_key"] = text
    page = Page(page_of(judged_run[0], probed(writes, reads, events=events).with_result(judged_run[1]), tmp_path))
    assert_self_contained(page)
    assert text in page.text
