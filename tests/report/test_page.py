"""The HTML report: complete, self-contained, accessible; whatever the run left; and never half a file."""

from __future__ import annotations

import itertools
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from page_reader import Page

from luckyhit.case_run import CaseRun
from luckyhit.errors import ReportNotWritten
from luckyhit.judge.table.rows import RequestTable
from luckyhit.judge.verdict import RULES
from luckyhit.records import Verdict
from luckyhit.report.figures.figure_rows import FIGURES
from luckyhit.report.page import render
from luckyhit.report.recorded import recorded
from luckyhit.report.run_folders import FOLDERS_FILE
from luckyhit.text.messages import VERDICT_MEANINGS

# A whole report


def test_the_file_is_named_by_date_case_and_run_and_small(rendered_once, judged_run) -> None:
    assert rendered_once.name == f"2026-11-23-stale-price-{judged_run[0].id}.html"
    assert rendered_once.stat().st_size < 1_000_000


def test_it_has_a_policy_landmarks_and_labels(page_once) -> None:
    (policy,) = [
        meta["content"] for meta in page_once.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy.partition("script-src")[2]
    assert page_once.all("html") == [{"lang": "en"}] and page_once.all("nav")[0]["aria-label"]
    for landmark in ("h1", "header", "main", "footer", "nav"):
        assert len(page_once.all(landmark)) == 1, landmark
    assert len(page_once.ids) == len(set(page_once.ids))
    anchors = {link["href"][1:] for link in page_once.all("a") if link["href"].startswith("#")}
    labels = {section["aria-labelledby"] for section in page_once.all("section")}
    assert anchors | labels <= set(page_once.ids)
    drawings = page_once.all("svg")
    assert len(drawings) == len(page_once.figures) == len(FIGURES) - 1  # it is the first run of its case
    assert all(set(drawing["aria-labelledby"].split()) <= set(page_once.ids) for drawing in drawings)
    levels = [int(tag[1]) for tag, _ in page_once.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in cell for cell in page_once.all("th"))
    assert all("tabindex" in attrs for _, attrs in page_once.tags if attrs.get("class") == "scroll")


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_colours_reach_contrast_aa_on_every_page(page_once) -> None:
    css = re.sub(r"(#)([0-9a-f])([0-9a-f])([0-9a-f])\b", r"\1\2\2\3\3\4\4", page_once.style)
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    palettes = [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block)) for block in blocks]
    assert len(palettes) == 3
    for palette in palettes:
        for text in ("ink", "soft", "link", "before", "after", "ok", "bad"):
            for ground in ("page", "card", "shade", "code"):
                assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground, palette)
    for tone in re.findall(r"--tone: (#[0-9a-f]{6})", css):
        assert contrast("#ffffff", tone) >= 4.5


def test_the_first_screen_decides(rendered_once, judged_run) -> None:
    result, html = judged_run[1], rendered_once.read_text(encoding="utf-8")
    header = Page(html[html.index("<header>") : html.index("</header>") + 9])
    for fact in (
        result.verdict, result.reason, VERDICT_MEANINGS[result.verdict], "CATALOGUE_INVALIDATION writer-key → reader-key",
        "Catalogue team", "2026-11-23", "Stale reads", "Hit ratio", "Median latency",
    ):  # fmt: skip
        assert fact in header.text, fact


def test_each_verdict_has_a_meaning() -> None:
    assert set(VERDICT_MEANINGS) == {*Verdict.__args__, "OBSERVED"}


def test_it_follows_the_order_of_the_work(page_once) -> None:
    assert [one["id"] for one in page_once.all("details") if one.get("class") == "question"] == [
        "q-measured", "q-trust", "q-change", "q-repeat", "q-send",
    ]  # fmt: skip
    assert [section["id"] for section in page_once.all("section") if "id" in section] == [
        "glance", "effect", "baseline", "naive", "not-visible", "overturn", "checklist", "assumptions", "change", "case",
        "actions", "rollback", "repeat", "environment",
    ]  # fmt: skip


def test_what_another_engineer_needs_is_there(page_once, judged_run) -> None:
    run, result = judged_run
    case = run.case
    for words in (
        case.noticed, case.hypothesis, case.failure_mode, case.rollback.note, case.rollback.notice, *case.assumptions,
        case.suspect, case.change.smallest, result.naive.sentence, *(note.text for note in result.notes), *RULES,
        "- CATALOGUE_INVALIDATION=writer-key", "+ CATALOGUE_INVALIDATION=reader-key", "luckyhit run stale-price",
        f"luckyhit judge {run.id}", f"luckyhit revert {run.id}", "git checkout 0123456789ab",
        *(guard.detail for guard in result.guards), result.rollback.detail, "20251",
    ):  # fmt: skip
        assert re.sub(r"\s+", " ", words) in page_once.text, words
    assert page_once.results("overturn") == {guard.id: str(guard.ok) for guard in result.guards}


def test_the_hashes_are_those_that_sha256sum_prints(page_once, judged_run, copied, tmp_path, plain_figures) -> None:
    def shell(command: str, folder: Path) -> list[str]:
        return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True).stdout.split()

    digest, name = shell("sha256sum requests/block-000-part-0000.parquet", judged_run[0].path)
    assert f"{name} " in page_once.text and digest in page_once.text
    run, result = copied
    part = next((run.path / "reads").glob("*.parquet")).read_bytes()
    for number in range(40):  # too many to be listed one by one
        (run.path / "counters" / f"part-{number:03d}.parquet").write_bytes(part + bytes([number]))
    digest, *_ = shell("sha256sum *.parquet | sha256sum", run.path / "counters")
    assert digest in Page.read(render(run, result, tmp_path)).text


def test_a_report_can_be_made_again_and_is_the_same(copied, tmp_path, plain_figures) -> None:
    first, second = (render(*copied, tmp_path / name).read_bytes() for name in ("one", "two"))
    assert first == second


# What the run left is incomplete


@pytest.mark.usefixtures("plain_figures")
def test_a_run_that_failed_shows_why_and_what_there_is(observed_run, tmp_path) -> None:
    failure = {"message": "the service stopped", "hint": "Look at its log.", "error": "ServiceStopped", "exit_code": 4}
    observed_run.update(state="failed", failure=failure)
    page = Page.read(render(observed_run, None, tmp_path, incomplete="the service stopped"))
    assert page.headline == "INCOMPLETE" and page.metadata["verdict"] == ""
    assert all(fact in page.text for fact in ("the service stopped", "Look at its log.", "Median latency"))
    assert len(page.all("svg")) >= 4


@pytest.mark.usefixtures("plain_figures")
@pytest.mark.parametrize(
    "spoil", ["result", "requests", "reads", "writes", "case.yml", "manifest.json", "journal.jsonl", "everything"]
)
def test_whatever_is_damaged_there_is_a_report_that_says_so(spoil: str, copied, tmp_path) -> None:
    run, _ = copied
    if spoil in ("requests", "reads", "writes"):
        part = sorted((run.path / spoil).glob("*.parquet"))[0]
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    elif "." in spoil:
        (run.path / spoil).write_text('{"a: [', encoding="utf-8")
    elif spoil == "everything":
        for path in [path for path in run.path.rglob("*") if path.is_file()]:
            path.unlink()
    path = render(CaseRun(run.path), None, tmp_path / "reports", incomplete="" if spoil == "result" else "damaged")
    page = Page.read(path)
    assert path.name.startswith("2026-11-23-stale-price-") and page.headline == "INCOMPLETE"
    assert ("h-problems" in page.ids) == (spoil not in ("result", "journal.jsonl"))
    assert spoil not in ("requests", "reads") or f"{spoil}/block-000" in page.text


@pytest.mark.usefixtures("plain_figures")
def test_rows_are_read_once_until_a_file_of_theirs_changes(copied) -> None:
    run, _ = copied
    rows = recorded(run).requests
    assert recorded(run).requests is rows
    parts = sorted((run.path / "requests").glob("*.parquet"))
    pq.write_table(pq.read_table(parts[0]).slice(0, 7), parts[0])
    fewer = recorded(run).requests
    assert len(fewer) < len(rows)
    parts[1].unlink()
    assert len(recorded(run).requests) < len(fewer)
    parts[0].write_bytes(b"no table")
    assert recorded(run).problems and not isinstance(recorded(run).requests, RequestTable)
    parts[0].unlink()
    parts[0].symlink_to("nowhere.parquet")
    assert any(parts[0].name in problem for problem in recorded(run).problems)


@pytest.mark.usefixtures("plain_figures")
def test_a_run_that_died_in_its_first_block_shows_its_numbers(observed_run, tmp_path) -> None:
    observed_run.update(blocks=[], state="failed")
    assert len(recorded(observed_run).problems) == 1 and recorded(observed_run).numbers("baseline") == [0]
    page = Page.read(render(observed_run, None, tmp_path, incomplete="interrupted"))
    assert "h-problems" in page.ids and "Median latency" in page.text


@pytest.mark.usefixtures("plain_figures")
def test_an_invalid_run_claims_nothing(judged_run, tmp_path) -> None:
    run, result = judged_run
    guard = result.guards[0].model_copy(update={"ok": False, "remedy": "Measure again."})
    guards = [guard, *result.guards[1:]]
    invalid = result.model_copy(update={"verdict": "INVALID", "reason": "The guard failed.", "guards": guards})
    page = Page.read(render(run, invalid, tmp_path))
    assert page.headline == "INVALID" and VERDICT_MEANINGS["INVALID"] in page.text
    assert page.results("overturn")[guard.id] == "False" and "Measure again." in page.text
    assert "HELPED" not in page.text.partition(RULES[0])[0]


# Writing


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: no file of this process may grow beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # a compiled module would be cut as well
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        sys.dont_write_bytecode = compiles
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("plain_figures")
def test_a_full_disk_leaves_no_file(copied, tmp_path) -> None:
    whole = render(*copied, tmp_path / "elsewhere")
    with files_of_at_most(whole.stat().st_size // 2), pytest.raises(ReportNotWritten) as full:
        render(*copied, tmp_path / "reports")
    assert full.value.hint and list((tmp_path / "reports").iterdir()) == []


@pytest.mark.usefixtures("plain_figures")
def test_an_older_report_stays_whole(copied, tmp_path, monkeypatch) -> None:
    path = render(*copied, tmp_path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ReportNotWritten, match="No space left"):
        render(*copied, tmp_path)
    assert path.read_bytes() == before
    assert {entry.name for entry in tmp_path.iterdir() if entry.is_file()} == {path.name, "index.html", FOLDERS_FILE}


@pytest.mark.usefixtures("plain_figures")
def test_a_reports_folder_that_is_a_file_is_explained(copied, tmp_path) -> None:
    (tmp_path / "reports").write_text("not a folder")
    with pytest.raises(ReportNotWritten) as refused:
        render(*copied, tmp_path / "reports")
    assert refused.value.hint


@pytest.mark.usefixtures("plain_figures")
def test_a_foreign_manifest_can_not_choose_another_folder(copied, tmp_path) -> None:
    run, result = copied
    manifest = json.loads((run.path / "manifest.json").read_text())
    (run.path / "manifest.json").write_text(json.dumps({**manifest, "case": "../../etc/x", "started": "<b>"}))
    path = render(CaseRun(run.path), result, tmp_path / "reports")
    assert path.parent == tmp_path / "reports" and path.is_file()
    assert re.fullmatch(r"2026-11-23-[\w.-]+\.html", path.name) and ".." not in path.name.removesuffix(".html")


def test_importing_the_package_is_cheap() -> None:
    heavy = ("matplotlib", "jinja2", "scipy", "nbformat")
    code = f"import sys, luckyhit.report, luckyhit.scrub.sweep; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
