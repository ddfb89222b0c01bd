"""The index of all runs: from run directories, from reports whose runs lie elsewhere, and how baselines changed."""

from __future__ import annotations

import json
import os
import re
import shutil
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from page_reader import Page
from plain_figures import PLAINLY, run_at_once
from synthetic_run import START, judged, make_run

from luckyhit.case_run import CaseRun
from luckyhit.records import Metric
from luckyhit.records.diagnosis import Diagnosis
from luckyhit.report.page import render, render_diagnosis
from luckyhit.report.run_folders import FOLDERS_FILE
from luckyhit.report.run_index import refresh_index, write_index
from luckyhit.report.tables.other_pages import BISECT_PAGE, DIAGNOSIS_PAGE, WHAT_IF, other_pages
from luckyhit.report.trends import HEIGHT, WIDTH, BaselinePoint, trends_of
from luckyhit.scrub.redactor import Redactor

pytestmark = pytest.mark.usefixtures("plain_figures")


class Index(Page):
    """The index, with the attributes of each run by id, newest first."""

    @property
    def runs(self) -> dict[str, dict[str, str]]:
        return {row["data-run"]: row for row in self.all("tr") if "data-run" in row}

    @property
    def reports(self) -> list[str]:
        return [link["href"] for link in self.all("a") if link["href"].endswith(".html")]


def index_of(reports: Path) -> Index:
    page = Index.read(reports / "index.html")
    assert isinstance(page, Index)
    return page


@pytest.fixture
def other(tmp_path: Path) -> CaseRun:
    """A run in another folder of runs, an hour older than those of `new_run`."""
    (tmp_path / "other").mkdir()
    run = make_run(tmp_path / "other", now=START - timedelta(hours=1), probes=20, blocks=2)
    judged(run)
    return run


# From run directories


def test_newest_first_with_verdict_numbers_and_links(copied, new_run, tmp_path: Path) -> None:
    older, result = copied
    older.write_result(result)
    newer = new_run(case="short-ttl", now=START + timedelta(hours=1), probes=0, blocks=1)
    for run in (newer, older):
        render(run, run.result or judged(run), tmp_path / "reports")
    page = index_of(tmp_path / "reports")
    assert list(page.runs) == [newer.id, older.id]
    assert page.runs[older.id]["data-verdict"] == result.verdict and result.reason in page.text
    assert re.search(r"Stale reads \d\d % → 0 %", page.text)
    links = [link["href"] for link in page.all("a")]
    assert len(links) == 4
    assert all(not link.startswith("/") and (tmp_path / "reports" / link).exists() for link in links)


def test_runs_without_a_verdict_say_why(new_run, tmp_path: Path) -> None:
    new_run(stages=(), manifest={"state": "failed", "failure": {"message": "<img src=x onerror=y>"}})
    silent, unreadable = new_run(stages=(), manifest={"state": "measuring"}), new_run(stages=())
    (unreadable.path / "manifest.json").write_text("{")
    last_s = silent.path.joinpath("manifest.json").stat().st_mtime
    for now_s, states in ((last_s + 10, ("running",)), (last_s + 3600, ("incomplete: it went silent",))):
        write_index(tmp_path / "runs", tmp_path / "reports", now_s=now_s)
        page = index_of(tmp_path / "reports")
        assert all(state in page.text for state in (*states, "incomplete: <img src=x onerror=y>", "unreadable: "))
        assert {run["data-verdict"] for run in page.runs.values()} == {""} and page.reports == []


def test_a_died_run_has_no_verdict_even_if_judged(copied, tmp_path: Path) -> None:
    run, result = copied
    run.write_result(result)
    run.update(state="failed", failure={"message": "it hurt"})
    write_index(run.path.parents[1], tmp_path / "reports")
    page = index_of(tmp_path / "reports")
    assert page.runs[run.id]["data-verdict"] == "" and result.verdict not in page.text


def test_without_runs_it_says_how_to_make_one(tmp_path: Path) -> None:
    write_index(tmp_path / "runs", tmp_path / "reports")
    assert "luckyhit run " in index_of(tmp_path / "reports").text


# From reports whose runs lie elsewhere


def test_runs_of_all_folders_that_reported_are_listed(copied, other, new_run, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    render(other, other.result, reports)
    unreported = make_run(tmp_path / "other", now=START + timedelta(hours=1), stages=())
    render(*copied, reports)
    page = index_of(reports)
    assert list(page.runs) == [unreported.id, copied[0].id, other.id], "newest first, wherever they lie"
    assert not any("data-elsewhere" in run for run in page.runs.values())
    assert "other/runs" in page.text and str(tmp_path) not in page.text
    links = [link["href"] for link in page.all("a") if link["href"].endswith("/")]
    assert len(links) == 3 and all((reports / link).is_dir() for link in links)


@pytest.mark.parametrize("noted", ["{", '{"folders": 7}', '{"folders": [1, "\\u0000", "../gone", "../file"]}'])
def test_a_damaged_note_of_folders_stops_nothing(noted: str, new_run, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    (tmp_path / "file").write_text("no folder")
    (reports / FOLDERS_FILE).write_text(noted)
    run = new_run(stages=())
    write_index(tmp_path / "runs", reports)
    assert list(index_of(reports).runs) == [run.id]
    assert json.loads((reports / FOLDERS_FILE).read_text())["folders"][0] == "../runs"


def test_a_report_stays_listed_without_its_run(copied, other, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    path = render(other, other.result, reports)
    before = index_of(reports)
    result = other.result
    shutil.rmtree(tmp_path / "other")
    render(*copied, reports)
    page = index_of(reports)
    assert list(page.runs) == [copied[0].id, other.id], "newest first, wherever they lie"
    assert [id for id, run in page.runs.items() if "data-elsewhere" in run] == [other.id]
    for fact in (result.verdict, result.reason, "% → 0 %", "2026-11-23 01:15"):
        assert fact in before.text and fact in page.text
    assert path.name in page.reports and all((reports / link).exists() for link in page.reports)


def test_metadata_says_no_more_than_the_page_shows(judged_run, page_once) -> None:
    run, result = judged_run
    assert page_once.metadata["run"] == run.id and page_once.metadata["verdict"] == result.verdict
    assert page_once.metadata["reason"] in page_once.text


def test_a_report_without_a_verdict_has_none_in_the_index(copied, tmp_path: Path) -> None:
    render(copied[0], None, tmp_path, incomplete="gone")
    shutil.rmtree(copied[0].path)
    write_index(tmp_path / "nothing", tmp_path)
    page = index_of(tmp_path)
    assert page.runs[copied[0].id]["data-verdict"] == "" and "not complete: gone" in page.text


def test_a_baseline_alone_is_listed_as_observed(observed_run, tmp_path: Path) -> None:
    render(observed_run, observed_run.result, tmp_path / "reports")
    for runs in (observed_run.path.parents[1], tmp_path / "nothing"):
        write_index(runs, tmp_path / "reports")
        page = index_of(tmp_path / "reports")
        assert page.runs[observed_run.id]["data-verdict"] == "OBSERVED"
        assert "→" not in page.text and "INCONCLUSIVE" not in page.text


FOREIGN = {
    "notes.html": "<h1>not ours</h1>",
    "2026-11-22-other-20261122-010101-abcd.html": "<p>a report of an earlier version",
    "2026-11-22-torn-20261122-010102-abcd.html": '<!doctype html><meta name="luckyhit:run" content="20261122-0101',
    "2026-11-22-lying-20261122-010103-abcd.html": '<meta name="luckyhit:run" content="20261122-999999-ffff">',
    "2026-11-22-hostile-20261122-010104-abcd.html": (
        '<meta name="luckyhit:run" content="20261122-010104-abcd"><meta name="luckyhit:verdict" content="&quot;><script>">'
        '<meta name="luckyhit:case" content="&lt;img src=x onerror=y&gt;"><meta name="luckyhit:reason" content="x">'
        '<meta name="luckyhit:number" content="{"><meta name="luckyhit:number" content="[[[[">'
    ),
}


def test_damaged_and_foreign_files_in_reports_stop_nothing(new_run, tmp_path: Path) -> None:
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
    assert sorted(page.reports) == sorted({*FOREIGN, "2026-11-22-bytes-20261122-010105-abcd.html"} - {"notes.html"})
    assert page.runs["20261122-010104-abcd"]["data-case"] == "<img src=x onerror=y>"
    assert {entry["data-verdict"] for entry in page.runs.values()} == {""} and run.id in page.runs


@pytest.mark.parametrize(
    "title", ["🔥" * 50, "Ein sehr langer Titel " * 480, "‮ab\u200bc"], ids=["emoji", "long", "bidi"]
)
def test_whatever_the_case_is_called_its_report_is_listed(title: str, other, tmp_path: Path) -> None:
    """The strict loader refuses the longest; its run is one whose case can't be read then."""
    case = other.path / "case.yml"
    case.write_text(case.read_text().replace("title: Product pages go on showing", f"title: {title} Product pages"))
    reports = tmp_path / "reports"
    path = render(CaseRun(other.path), other.result, reports)
    write_index(tmp_path / "runs", reports)
    assert index_of(reports).reports == [path.name] and len((reports / "index.html").read_bytes()) < 40_000


def test_two_folders_of_runs_can_share_one_of_reports(copied, other, tmp_path: Path) -> None:
    copied[0].write_result(copied[1])
    code = """
from pathlib import Path
from luckyhit.report.page import render
from luckyhit.case_run import CaseRun
run = CaseRun(Path(sys.argv[1]))
for _ in range(2):
    render(run, run.result, Path(sys.argv[2]))
"""
    reports = tmp_path / "reports"
    run_at_once(PLAINLY + code, *([str(run.path), str(reports)] for run in (copied[0], other)))
    page = index_of(reports)
    assert len(page.reports) == len(page.runs) == 2 and not any("data-elsewhere" in run for run in page.runs.values())
    assert [path.name for path in reports.iterdir() if path.name.startswith(".")] == [FOLDERS_FILE]


# Pages that are no reports on runs


def a_page(path: Path, **facts: str) -> Path:
    metas = "".join(f'<meta name="luckyhit:{name}" content="{text}">' for name, text in facts.items())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<!doctype html><html><head>{metas}</head></html>", encoding="utf-8")
    return path


def others_in(page: Index) -> list[tuple[str, str | None]]:
    """(kind, case) of the other pages that are listed, in their order."""
    return [(row["data-page"], row.get("data-of")) for row in page.all("tr") if "data-page" in row]


def test_pages_beside_the_reports_are_linked_with_their_dates(new_run, tmp_path: Path) -> None:
    runs, reports = tmp_path / "runs", tmp_path / "reports"
    new_run(stages=())
    a_page(tmp_path / "diagnoses" / "basket" / "20261123-101500-1a2b" / DIAGNOSIS_PAGE, says="Shown: it is the key.")
    a_page(reports / WHAT_IF / "basket-r1.html", case="basket", made="2026-11-24 09:00", says="It fits &lt;b&gt;.")
    a_page(runs / "other" / "bisect-20261122-101500-1a2b" / BISECT_PAGE, made="nonsense")
    write_index(runs, reports)
    page = index_of(reports)
    assert others_in(page) == [("what-if", "basket"), ("diagnosis", "basket"), ("bisect", "other")]
    assert all(
        text in page.text for text in ("2026-11-24 09:00", "2026-11-23 10:15", "2026-11-22 10:15", "It fits <b>.")
    )
    links = [link["href"] for link in page.all("a") if link["href"].endswith(".html")]
    assert len(links) == 3 and all(not link.startswith("/") and (reports / link).is_file() for link in links)


def test_the_page_of_a_diagnosis_says_what_the_index_lists(copied, tmp_path: Path) -> None:
    run, _ = copied
    folder = tmp_path / "diagnoses" / run.name / "20261123-101500-1a2b"
    folder.mkdir(parents=True)
    made = Diagnosis(case=run.name, conclusion="none-found", ended="nothing-splits")
    path = render_diagnosis(folder, made, case=run.case, name=run.name, redactor=Redactor(()))
    write_index(tmp_path / "runs", tmp_path / "reports")
    (shown,) = other_pages([tmp_path / "runs"], tmp_path / "reports")
    assert (shown.kind, shown.case, shown.made) == ("diagnosis", run.name, "2026-11-23 10:15")
    assert shown.says and shown.says in index_of(tmp_path / "reports").text
    assert Page.read(path).metadata == {"case": run.name, "made": shown.made, "says": shown.says}


def test_damaged_folders_of_other_pages_stop_nothing(new_run, tmp_path: Path) -> None:
    runs, reports, diagnoses = tmp_path / "runs", tmp_path / "reports", tmp_path / "diagnoses"
    run = new_run(stages=())
    (diagnoses / "a-file").parent.mkdir()
    (diagnoses / "a-file").write_text("no folder")
    (diagnoses / "basket" / "20261123-101501-1a2b" / DIAGNOSIS_PAGE).mkdir(parents=True)
    (diagnoses / "basket" / "no-time").mkdir()
    (diagnoses / "basket" / "no-time" / DIAGNOSIS_PAGE).write_bytes(bytes(range(256)) * 400)
    (diagnoses / "basket" / "round").symlink_to("round")
    (diagnoses / os.fsdecode(b"n\xffme") / "20261199-999999-1a2b").mkdir(parents=True)
    (diagnoses / os.fsdecode(b"n\xffme") / "20261199-999999-1a2b" / DIAGNOSIS_PAGE).write_text("<p>cut off, <meta")
    reports.mkdir()
    (reports / WHAT_IF).write_text("no folder")
    write_index(runs, reports)
    page = index_of(reports)
    assert run.id in page.runs and [kind for kind, _ in others_in(page)] == ["diagnosis"] * 2
    links = [os.fsdecode(unquote_to_bytes(link["href"])) for link in page.all("a") if link["href"].endswith(".html")]
    assert len(links) == 2 and all((reports / link).is_file() for link in links)


def test_an_index_that_cant_be_written_is_told_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "reports" / "index.html").mkdir(parents=True)
    told: list[str] = []
    refresh_index(tmp_path / "runs", tmp_path / "reports", told.append)
    assert len(told) == 1 and str(tmp_path) not in told[0]


# How baselines changed from run to run


def nights(hit_ratios, case: str = "stale-price", *, alone: bool = True, first: int = 0) -> list[BaselinePoint]:
    days = [(START + timedelta(days=first + day)).isoformat()[:16] for day in range(len(hit_ratios))]
    return [BaselinePoint(case, day, alone, {"hit_ratio": float(x)}) for day, x in zip(days, hit_ratios, strict=True)]


def test_a_shift_is_marked_with_its_day_and_its_levels() -> None:
    values = np.repeat([0.91, 0.70], [30, 15]) + 0.01 * np.random.default_rng(3).normal(size=45)
    (trend,) = trends_of(nights(values))
    (line,) = trend.lines
    assert (trend.case, trend.runs, line.name, len(line.shifts)) == ("stale-price", 45, "Hit ratio", 1)
    assert f"{(START + timedelta(days=30)).date().isoformat()}: 91 % → 70 %" in line.text
    x, y = zip(*line.points, strict=True)
    assert len(x) == 45 and list(x) == sorted(x) and x[29] < line.shifts[0] < x[30]
    assert min(x) >= 0 and max(x) <= WIDTH and min(y) >= 0 and max(y) <= HEIGHT
    assert min(y[30:]) > max(y[:30]), "less is further down"


@pytest.mark.parametrize("seed", range(5))
def test_noise_is_no_shift(seed: int) -> None:
    (trend,) = trends_of(nights(0.9 + 0.01 * np.random.default_rng(seed).normal(size=60)))
    assert trend.lines[0].shifts == ()


def test_few_runs_have_a_line_without_a_shift() -> None:
    assert trends_of(nights([0.9, 0.5])) == []
    (trend,) = trends_of(nights([0.9, 0.9, 0.1, 0.1]))
    assert trend.lines[0].text == "4 baselines, 10 % to 90 %"
    (flat,) = trends_of(nights([0.9] * 30))
    assert flat.lines[0].text == "30 baselines, 90 %" and np.isfinite(flat.lines[0].points).all()


def test_cases_and_kinds_of_runs_are_kept_apart() -> None:
    observed, changed = nights([0.9] * 4), nights([0.2] * 5, alone=False, first=10)
    first, second = trends_of([*observed, *changed, *nights([0.5] * 3, "short-ttl", first=20)])
    assert (first.case, second.case) == ("short-ttl", "stale-price")
    assert second.runs == 5 and second.lines[0].newest == "20 %"


def test_the_index_shows_trends_of_trusted_runs(new_run, judged_run, tmp_path: Path) -> None:
    _, result = judged_run
    for day, (ratio, verdict, state) in enumerate([
        (0.8, "HELPED", "finished"), (0.82, "HURT", "finished"), (0.79, "HELPED", "finished"), (0.81, "HURT", "finished"),
        (0.1, "INVALID", "finished"), (0.1, "HELPED", "failed"),
    ]):  # fmt: skip
        run = new_run(stages=(), now=START + timedelta(days=day), manifest={"state": state})
        metrics = {"hit_ratio": Metric(**{**result.metrics["hit_ratio"].model_dump(), "before": ratio})}
        run.write_result(result.model_copy(update={"run": run.id, "metrics": metrics, "verdict": verdict}))
    write_index(tmp_path / "runs", tmp_path / "reports")
    text = index_of(tmp_path / "reports").text
    assert "4 baselines, 79 % to 82 %" in text and "Hit ratio 81 %" in text
