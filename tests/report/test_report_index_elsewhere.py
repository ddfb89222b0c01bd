"""The list of all runs, where the reports in a folder come from more than one folder of runs."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from page_reader import Page, assert_self_contained
from plain_figures import PLAINLY
from synthetic_run import START, judged, make_run

from luckyhit.case_run import CaseRun
from luckyhit.report.index import write_index
from luckyhit.report.page import render

pytestmark = pytest.mark.usefixtures("plain_figures")
ELSEWHERE = "its data are elsewhere, not in this folder of runs"


def index_of(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


@pytest.fixture
def other(tmp_path: Path):
    """A run in another folder of runs, an hour older than those of `new_run`."""
    (tmp_path / "other").mkdir()
    return make_run(tmp_path / "other", now=START - timedelta(hours=1), probes=20)


def test_a_report_stays_listed_when_the_list_is_made_from_other_runs(new_run, other, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    path = render(other, judged(other), reports)
    before = index_of(reports).text
    assert ELSEWHERE not in before
    mine = new_run(probes=0)
    render(mine, judged(mine), reports)
    page = index_of(reports)
    assert_self_contained(page)
    assert page.text.index(mine.id) < page.text.index(other.id), "newest first, wherever they lie"
    assert page.text.count(ELSEWHERE) == 1
    # Verdict, sentence and numbers are those it had.
    for told in (other.result.verdict, other.result.reason, "% → 0 %", "2026-11-23 01:15"):
        assert told in before and told in page.text
    links = [link["href"] for link in page.all("a")]
    assert path.name in links and all((reports / link).exists() for link in links)


def test_what_a_report_says_of_itself_is_no_script_and_no_more_than_it_shows(other, tmp_path: Path) -> None:
    page = Page(render(other, judged(other), tmp_path / "reports").read_text(encoding="utf-8"))
    assert_self_contained(page)
    told = {meta["name"]: meta["content"] for meta in page.all("meta") if meta.get("name", "").startswith("luckyhit:")}
    assert told["luckyhit:run"] == other.id and told["luckyhit:verdict"] == other.result.verdict
    assert told["luckyhit:because"] in page.text


def test_an_incomplete_report_has_no_verdict_there_either(new_run, other, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    render(other, None, reports, incomplete="The service stopped.")
    write_index(tmp_path / "runs", reports)
    text = index_of(reports).text
    assert "NO VERDICT" in text and "not complete: The service stopped." in text and ELSEWHERE in text


FOREIGN = {
    "notes.html": "<h1>not ours</h1>",
    "2026-11-22-other-20261122-010101-abcd.html": "<p>a report of an earlier version",
    "2026-11-22-torn-20261122-010102-abcd.html": '<!doctype html><meta name="luckyhit:run" content="20261122-0101',
    "2026-11-22-lying-20261122-010103-abcd.html": '<meta name="luckyhit:run" content="20261122-999999-ffff">',
    "2026-11-22-hostile-20261122-010104-abcd.html": (
        '<meta name="luckyhit:run" content="20261122-010104-abcd"><meta name="luckyhit:verdict" content="&quot;><script>">'
        '<meta name="luckyhit:case" content="&lt;img src=x onerror=y&gt;"><meta name="luckyhit:because" content="x">'
        '<meta name="luckyhit:number" content="{"><meta name="luckyhit:number" content="[[[[">'
    ),
}


def test_damaged_and_foreign_files_beside_the_reports_stop_nothing(new_run, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    for name, text in FOREIGN.items():
        (reports / name).write_text(text)
    (reports / "2026-11-22-bytes-20261122-010105-abcd.html").write_bytes(bytes(range(256)) * 400)
    (reports / "2026-11-22-folder-20261122-010106-abcd.html").mkdir()
    (reports / "2026-11-22-gone-20261122-010107-abcd.html").symlink_to("nowhere.html")
    run = new_run(stages=())
    write_index(tmp_path / "runs", reports)
    page = index_of(reports)
    assert_self_contained(page)
    listed = {link["href"] for link in page.all("a") if link["href"].endswith(".html")}
    named = {name for name in FOREIGN if name != "notes.html"} | {"2026-11-22-bytes-20261122-010105-abcd.html"}
    assert listed == named
    assert page.text.count("its report says nothing that can be read here") == 4
    assert "<img src=x onerror=y>" in page.text
    assert run.id in page.text


@pytest.mark.parametrize("title", ["🔥" * 50, "Ein sehr langer Titel " * 480, "‮ab\u200bc"])
def test_whatever_the_case_is_called_its_report_is_listed(title: str, other, tmp_path: Path) -> None:
    """The strict loader refuses the longest; its run is one whose case can't be read then."""
    result = judged(other)
    case = other.path / "case.yml"
    case.write_text(case.read_text().replace("title: Product pages go on showing", f"title: {title} Product pages"))
    reports = tmp_path / "reports"
    path = render(CaseRun(other.path), result, reports)
    write_index(tmp_path / "runs", reports)
    page = index_of(reports)
    assert_self_contained(page)
    assert [link["href"] for link in page.all("a")] == [path.name]
    assert len((reports / "index.html").read_bytes()) < 40_000


def test_runs_of_two_folders_that_end_at_once_are_all_in_it(new_run, other, tmp_path: Path) -> None:
    """Two processes, each with a folder of runs of its own, export into one folder of reports at the same time."""
    mine = new_run(probes=0)
    for run in (mine, other):
        judged(run)
    code = """
from pathlib import Path
from luckyhit.report.page import render
from luckyhit.case_run import CaseRun
run = CaseRun(Path(sys.argv[1]))
for _ in range(2):
    render(run, run.result, Path(sys.argv[2]))
"""
    reports = tmp_path / "reports"
    started = [
        subprocess.Popen([sys.executable, "-c", PLAINLY + code, str(run.path), str(reports)], stderr=subprocess.PIPE)
        for run in (mine, other)
    ]
    for process in started:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()
    page = index_of(reports)
    assert page.open == [] and page.text.count(ELSEWHERE) == 1
    links = [link["href"] for link in page.all("a") if link["href"].endswith(".html")]
    assert len(links) == 2 and all((reports / link).is_file() for link in links)
    assert not [path for path in reports.iterdir() if path.name.startswith(".")]


def test_a_baseline_alone_is_listed_as_what_it_is(new_run, tmp_path: Path) -> None:
    """Not as a comparison that failed, whether its data are here or elsewhere."""
    run = new_run(stages=("baseline",), manifest={"state": "measured", "observe": True}, probes=20)
    reports = tmp_path / "reports"
    render(run, judged(run), reports)
    here = index_of(reports).text
    write_index(tmp_path / "nothing", reports)
    for text in (here, index_of(reports).text):
        assert (
            "OBSERVED" in text and "INCONCLUSIVE" not in text and "nothing was changed, so there is no verdict" in text
        )
        assert re.search(r"Stale reads \d+ % (± |no noise floor)", text)
        assert "→" not in text and "interval –" not in text
