"""The list of all runs."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta

import pytest
from page_reader import Page, assert_self_contained
from synthetic_run import START, judged

from luckyhit.report.index import write_index
from luckyhit.report.page import render


def index_of(folder) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


@pytest.mark.usefixtures("plain_figures")
def test_newest_first_with_verdict_numbers_and_links_that_lead_somewhere(new_run, tmp_path) -> None:
    older = new_run(probes=20)
    newer = new_run(case="short-ttl", now=START + timedelta(hours=1), probes=0)
    for run in (newer, older):
        render(run, judged(run), tmp_path / "reports")
    page = index_of(tmp_path / "reports")
    assert_self_contained(page)
    assert page.text.index(newer.id) < page.text.index(older.id)
    assert older.result.reason in page.text and older.result.verdict in page.text
    assert re.search(r"Stale reads \d\d % → 0 %", page.text)
    links = [link["href"] for link in page.all("a")]
    assert len(links) == 4
    for link in links:
        assert not link.startswith("/") and (tmp_path / "reports" / link).exists()


def test_a_run_that_died_is_listed_as_such(new_run, tmp_path) -> None:
    new_run(stages=("baseline",), manifest={"state": "failed", "failure": {"message": "the service stopped"}})
    silent = new_run(stages=(), manifest={"state": "measuring"})
    unreadable = new_run(stages=())
    (unreadable.path / "manifest.json").write_text("{")
    last = silent.path.joinpath("manifest.json").stat().st_mtime
    write_index(tmp_path / "runs", tmp_path / "reports", now_s=last + 10)
    assert "running" in index_of(tmp_path / "reports").text
    write_index(tmp_path / "runs", tmp_path / "reports", now_s=last + 3600)
    text = index_of(tmp_path / "reports").text
    assert "died: the service stopped" in text
    assert "died: it went silent while measuring" in text
    assert "unreadable: " in text
    assert text.count("NO VERDICT") == 3 and text.count("No report") == 3


def test_no_runs_yet_tells_how_to_make_one(tmp_path) -> None:
    write_index(tmp_path / "runs", tmp_path / "reports")
    assert "luckyhit run stale-price" in index_of(tmp_path / "reports").text


def test_runs_that_end_at_once_are_all_in_it(new_run, tmp_path) -> None:
    """Each process leaves its report and rebuilds the index, as `render` does (drawing would take most of the time)."""
    runs = [new_run(stages=(), now=START + timedelta(minutes=number)) for number in range(6)]
    code = """
import sys
from pathlib import Path
from luckyhit.report.index import write_index
from luckyhit.report.page import report_name, write_page
from luckyhit.case_run import CaseRun
reports = Path(sys.argv[1])
for path in map(Path, sys.argv[2:]):
    run = CaseRun(path)
    write_page(reports / report_name(run, run.manifest), "<p>a report</p>")
    write_index(path.parents[1], reports)
"""
    reports = tmp_path / "reports"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(reports), *(str(run.path) for run in half)], stderr=subprocess.PIPE
        )
        for half in (runs[::2], runs[1::2])
    ]
    for process in started:
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors.decode()
    page = index_of(reports)
    for run in runs:
        assert any(run.id in link["href"] and link["href"].endswith(".html") for link in page.all("a"))
    assert not [path for path in reports.iterdir() if path.name.startswith(".")]


def test_a_hostile_run_stays_text(new_run, tmp_path) -> None:
    run = new_run(stages=())
    run.update(state="failed", case="<script>x</script>", failure={"message": "<img src=x onerror=y>"})
    write_index(tmp_path / "runs", tmp_path / "reports")
    page = index_of(tmp_path / "reports")
    assert_self_contained(page)
    assert "<img src=x onerror=y>" in page.text and "<script>x</script>" in page.text
