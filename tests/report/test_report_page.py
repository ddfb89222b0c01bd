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
from page_reader import Page, assert_self_contained
from synthetic_run import ROOT, judged

from luckyhit.case_run import CaseRun
from luckyhit.errors import ReportNotWritten
from luckyhit.judge.table.rows import RequestTable
from luckyhit.report.page import render
from luckyhit.report.recorded import recorded


@pytest.fixture(scope="module")
def rendered(rendered_once: Path) -> tuple[Path, Page]:
    return rendered_once, Page(rendered_once.read_text(encoding="utf-8"))


def test_the_file_is_named_by_date_case_and_run(rendered, judged_run) -> None:
    assert rendered[0].name == f"2026-11-23-stale-price-{judged_run[0].id}.html"


def test_it_is_self_contained_and_small(rendered) -> None:
    path, page = rendered
    assert_self_contained(page)
    assert path.stat().st_size < 2_000_000
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src" not in policy


def test_it_is_well_formed_and_accessible(rendered) -> None:
    _, page = rendered
    assert page.open == []
    assert page.all("html") == [{"lang": "en"}]
    for landmark in ("h1", "header", "main", "footer", "nav"):
        assert len(page.all(landmark)) == 1, landmark
    assert page.all("nav")[0]["aria-label"]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for link in page.all("a"):
        assert not link["href"].startswith("#") or link["href"][1:] in ids
    for section in page.all("section"):
        assert section["aria-labelledby"] in ids
    pictures = page.all("img")
    assert len(pictures) == 9
    for picture in pictures:
        assert len(picture["alt"]) > 40 and re.search(r"\d", picture["alt"])
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in cell for cell in page.all("th"))
    assert all("tabindex" in attrs for _, attrs in page.tags if attrs.get("class") == "scroll")


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_colours_of_texts_reach_contrast_aa_on_light_dark_and_paper(rendered) -> None:
    css = re.sub(r"(#)([0-9a-f])([0-9a-f])([0-9a-f])\b", r"\1\2\2\3\3\4\4", rendered[1].style)
    palettes = [
        dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    assert len(palettes) == 3
    for palette in palettes:
        for text in ("ink", "soft", "link", "before", "after", "ok", "bad"):
            for ground in ("page", "card", "shade", "code"):
                assert contrast(palette[text], palette[ground]) >= 4.5, (text, ground, palette)
    for tone in re.findall(r"--tone: (#[0-9a-f]{6})", css):
        assert contrast("#ffffff", tone) >= 4.5


def test_the_first_screen_has_the_verdict_the_change_the_owner_and_three_numbers(rendered, judged_run) -> None:
    path, _ = rendered
    result = judged_run[1]
    html = path.read_text(encoding="utf-8")
    header = Page(html[html.index("<header>") : html.index("</header>") + 9])
    assert result.verdict in header.text and result.reason in header.text
    assert "CATALOGUE_INVALIDATION writer-key → reader-key" in header.text
    assert "Catalogue team" in header.text and "2026-11-23" in header.text
    for number in ("Stale reads", "Hit ratio", "Median latency"):
        assert number in header.text
    assert header.text.count("interval") >= 3 + 1


def test_it_follows_the_order_of_the_work(rendered) -> None:
    sections = [section["id"] for section in rendered[1].all("section")]
    assert sections == [
        "naive", "case", "baseline", "change", "effect", "overturn", "checklist", "assumptions", "actions", "rollback", "repeat",
        "environment",
    ]  # fmt: skip


def test_what_another_engineer_needs_is_there(rendered, judged_run) -> None:
    from luckyhit.judge.verdict import RULES

    run, result = judged_run
    text = rendered[1].text
    wanted = [
        run.case.noticed, run.case.hypothesis, run.case.failure_mode, run.case.rollback.note, run.case.rollback.notice,
        *run.case.assumptions, run.case.suspect, run.case.change.smallest, result.naive.sentence, *(note.text for note in result.notes),
        "- CATALOGUE_INVALIDATION=writer-key", "+ CATALOGUE_INVALIDATION=reader-key",
        "luckyhit run stale-price", f"luckyhit judge {run.id}", f"luckyhit revert {run.id}", "git checkout 0123456789ab",
        *RULES, *(guard.detail for guard in result.guards), result.rollback.detail, "seed", "20251",
    ]  # fmt: skip
    for words in wanted:
        assert re.sub(r"\s+", " ", words) in text, words


def test_the_hashes_are_those_of_the_files(rendered, judged_run) -> None:
    listed = subprocess.run(
        ["sha256sum", "case.yml", "requests/block-000-part-0000.parquet"],
        cwd=judged_run[0].path,
        capture_output=True,
        text=True,
    )
    for line in listed.stdout.splitlines():
        digest, name = line.split()
        assert f"{name} " in rendered[1].text and digest in rendered[1].text


def test_a_report_can_be_made_again_and_is_the_same(rendered, judged_run, tmp_path) -> None:
    assert render(*judged_run, tmp_path).read_bytes() == rendered[0].read_bytes()


# What the run left is incomplete


@pytest.mark.usefixtures("plain_figures")
def test_without_a_result_it_is_incomplete_with_the_reason_and_shows_what_there_is(new_run, tmp_path) -> None:
    failure = {"message": "the service stopped", "hint": "Look at its log.", "error": "ServiceStopped", "exit_code": 4}
    run = new_run(stages=("baseline",), manifest={"state": "failed", "failure": failure})
    page = Page(render(run, None, tmp_path, incomplete="the service stopped").read_text(encoding="utf-8"))
    assert "INCOMPLETE" in page.text and "the service stopped" in page.text and "Look at its log." in page.text
    assert "HELPED" not in page.text.split("The rules of the verdict")[0]
    assert "Median latency" in page.text and len(page.all("img")) >= 4
    assert_self_contained(page)


@pytest.mark.usefixtures("plain_figures")
def test_a_missing_result_is_never_passed_off_as_complete(new_run, tmp_path) -> None:
    page = Page(render(new_run(), None, tmp_path).read_text(encoding="utf-8"))
    assert "INCOMPLETE" in page.text and "the run was not judged" in page.text


@pytest.mark.usefixtures("plain_figures")
@pytest.mark.parametrize("spoil", ["requests", "reads", "writes", "case", "manifest", "journal", "everything"])
def test_whatever_is_missing_or_damaged_there_is_a_report_that_says_so(spoil: str, copied, tmp_path) -> None:
    run, _ = copied
    if spoil in ("requests", "reads", "writes"):
        part = sorted((run.path / spoil).glob("*.parquet"))[0]
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    files = {"case": "case.yml", "manifest": "manifest.json", "journal": "journal.jsonl"}
    if spoil in files:
        (run.path / files[spoil]).write_text('{"a: [', encoding="utf-8")
    if spoil == "everything":
        for path in run.path.rglob("*"):
            if path.is_file():
                path.unlink()
    path = render(CaseRun(run.path), None, tmp_path / "reports", incomplete="damaged")
    page = Page(path.read_text(encoding="utf-8"))
    assert path.name.startswith("2026-11-23-stale-price-")
    assert "INCOMPLETE" in page.text and page.open == []
    if spoil not in ("journal",):
        assert "What could not be read" in page.text
    if spoil in ("requests", "reads"):
        assert f"{spoil}/block-000" in page.text


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


def test_a_run_that_died_in_its_first_block_shows_what_it_measured(new_run, tmp_path) -> None:
    run = new_run(stages=("baseline",))
    run.update(blocks=[], state="failed")
    page = Page(render(run, None, tmp_path, incomplete="interrupted").read_text(encoding="utf-8"))
    assert "The first block was not finished" in page.text and "Median latency" in page.text


@pytest.mark.usefixtures("plain_figures")
def test_an_invalid_run_says_that_no_number_may_be_relied_on(judged_run, tmp_path) -> None:
    run, result = judged_run
    guard = result.guards[0].model_copy(update={"ok": False, "remedy": "Measure again."})
    invalid = result.model_copy(
        update={"verdict": "INVALID", "reason": "The guard failed.", "guards": [guard, *result.guards[1:]]}
    )
    page = Page(render(run, invalid, tmp_path).read_text(encoding="utf-8"))
    assert "none of them may be relied on" in page.text
    assert "✗ failed" in page.text and "What to do: Measure again." in page.text
    assert "HELPED" not in page.text.split("The rules of the verdict")[0]


# Writing


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that gets full: no file of this process may grow beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("plain_figures")
def test_a_full_disk_gives_a_clear_error_and_no_file(copied, tmp_path) -> None:
    whole = render(*copied, tmp_path / "elsewhere")
    with files_of_at_most(whole.stat().st_size // 2), pytest.raises(ReportNotWritten) as full:
        render(*copied, tmp_path / "reports")
    assert "could not be written" in str(full.value) and "what to do: Make room" in str(full.value)
    assert list((tmp_path / "reports").iterdir()) == []


@pytest.mark.usefixtures("plain_figures")
def test_an_older_report_stays_whole_when_the_new_one_can_not_be_written(copied, tmp_path, monkeypatch) -> None:
    path = render(*copied, tmp_path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ReportNotWritten, match="No space left on device"):
        render(*copied, tmp_path)
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_file()) == sorted([path.name, "index.html"])


@pytest.mark.usefixtures("plain_figures")
def test_a_reports_folder_that_is_a_file_is_explained(copied, tmp_path) -> None:
    (tmp_path / "reports").write_text("not a folder")
    with pytest.raises(ReportNotWritten, match="could not be written"):
        render(*copied, tmp_path / "reports")


@pytest.mark.usefixtures("plain_figures")
def test_many_data_files_are_listed_as_one_digest_that_sha256sum_prints(new_run, tmp_path) -> None:
    run = new_run()
    part = next((run.path / "counters").parent.glob("reads/*.parquet")).read_bytes()
    for number in range(40):
        (run.path / "counters" / f"part-{number:03d}.parquet").write_bytes(part + bytes([number]))
    page = Page(render(run, judged(run), tmp_path).read_text(encoding="utf-8"))
    shell = subprocess.run(
        "sha256sum *.parquet | sha256sum", shell=True, cwd=run.path / "counters", capture_output=True, text=True
    )
    assert shell.stdout.split()[0] in page.text


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, luckyhit.report, luckyhit.scrub.redactor, luckyhit.scrub.sweep; print([m for m in ('matplotlib', 'jinja2', 'scipy', 'nbformat') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_templates_are_shipped_with_the_package() -> None:
    folder = ROOT / "lib" / "luckyhit" / "report" / "templates"
    assert {path.name for path in folder.iterdir()} >= {"report.html.j2", "index.html.j2", "page.css"}


@pytest.mark.usefixtures("plain_figures")
def test_a_foreign_manifest_can_not_choose_another_folder(copied, tmp_path) -> None:
    run, result = copied
    manifest = json.loads((run.path / "manifest.json").read_text())
    (run.path / "manifest.json").write_text(json.dumps({**manifest, "case": "../../etc/x", "started": "<b>"}))
    path = render(CaseRun(run.path), result, tmp_path / "reports")
    assert path.parent == tmp_path / "reports" and path.is_file()
    assert re.fullmatch(r"2026-11-23-[\w.-]+\.html", path.name) and ".." not in path.name.removesuffix(".html")
