"""What a reader does with a report for the first time: five tasks, each done with a click or two; and the figures,
tables and filters, with a script and without."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Browser, Page, expect
from synthetic_run import START, judged, make_run

from browser import a_browser, open_page
from luckyhit.report.page import render

pytestmark = pytest.mark.browser
MOST_WORDS = 600
"""Of the first page: before anything is unfolded."""
WORDS = """
() => {
  let words = 0;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const around = node.parentElement;
    if (around.closest('script, .hide, .skip') || !around.checkVisibility()) continue;
    words += (node.data.match(/\\S+/g) || []).length;
  }
  return words;
}
"""
HIT_RATIO = "#figure-hit-ratio"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(chromium: Browser) -> Callable[..., AbstractContextManager[Page]]:
    return partial(open_page, chromium)


@pytest.fixture
def report(rendered_once: Path, opened) -> Iterator[Page]:
    """The report of the judged run, as one opens it."""
    with opened() as page:
        page.goto(rendered_once.as_uri())
        yield page


# Five tasks


def test_what_happened_is_on_the_first_screen(report: Page, judged_run) -> None:
    result = judged_run[1]
    expect(report.locator(".badge.big")).to_have_text(result.verdict)
    for selector in ("h1", ".reason", ".facts", ".numbers > *:first-child"):
        expect(report.locator(selector).first).to_be_in_viewport(ratio=1)
    assert report.evaluate(WORDS) <= MOST_WORDS


def test_whether_to_trust_it_takes_one_click(report: Page, judged_run) -> None:
    held = report.locator('#glance [data-id="trust"]')
    expect(held).to_contain_text(f"of {len(judged_run[1].guards)} guards held")
    first_guard = report.locator("#overturn li").first
    expect(first_guard).not_to_be_visible()
    report.locator("nav").get_by_role("link", name="Can I trust it?").click()
    expect(report.locator("#q-trust > summary")).to_be_in_viewport()
    expect(first_guard).to_be_visible()
    assert report.locator("#overturn li[data-id]").count() == len(judged_run[1].guards)


def test_what_it_cost_is_read_without_a_click(report: Page, judged_run) -> None:
    answers = {one.get_attribute("data-id"): one for one in report.locator("#glance dd").all()}
    assert {"took", "sent", "undone", "price", "trust", "not-looked-at"} == set(answers)
    assert f"{judged_run[0].length('requests'):,} requests" in (answers["sent"].text_content() or "")
    assert answers["undone"].get_attribute("data-ok") == "True"
    assert all(answer.is_visible() for answer in answers.values())


def test_it_can_be_repeated_by_copying_a_command(report: Page, chromium: Browser) -> None:
    report.context.grant_permissions(["clipboard-read", "clipboard-write"])
    report.locator("nav").get_by_role("link", name="Repeat it?").click()
    again = report.locator(".commands li", has_text="measure again")
    again.get_by_role("button").click()
    expect(again.get_by_role("status")).to_have_text("Copied")
    assert report.evaluate("navigator.clipboard.readText()") == "luckyhit run stale-price"


def test_sent_on_alone_it_is_whole(rendered_once: Path, judged_run, tmp_path: Path, opened) -> None:
    alone = shutil.copy(rendered_once, tmp_path / "report.html")
    asked: list[str] = []
    with opened(asked=asked) as page:
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(Path(alone).as_uri())
        page.locator("nav").get_by_role("link", name="Send it on?").click()
        expect(page.locator("#summary")).to_contain_text(judged_run[1].reason)
        expect(page.locator("#q-send").get_by_role("button")).to_be_visible()
    assert asked == [] and problems == [] and Path(alone).stat().st_size < 2_000_000


# Figures


def numbers_of(page: Page, figure: str) -> list[dict[str, str]]:
    href = page.locator(f"{figure} a.csv").get_attribute("href") or ""
    return list(csv.DictReader(io.StringIO(unquote(href.partition(",")[2]))))


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


def middle_of(page: Page, figure: str) -> tuple[float, float, float]:
    """(x, y, width) of the middle of its plot on the screen."""
    marks = page.locator(f"{figure} .panel").first
    marks.scroll_into_view_if_needed()
    box = marks.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"]


def test_values_stand_under_the_pointer(report: Page) -> None:
    unfold(report)
    x, y, _ = middle_of(report, HIT_RATIO)
    report.mouse.move(x, y)
    readout = report.locator(f"{HIT_RATIO} .readout")
    expect(readout).to_contain_text("seconds since the first block")
    shown = {line.split(": ")[0]: line.split(": ")[1] for line in readout.locator("span").all_text_contents()}
    known = {(row["series"], f"{float(row['value']) * 100:.4g}\u00a0%") for row in numbers_of(report, HIT_RATIO)}
    assert shown and set(shown.items()) <= known
    report.mouse.move(5, 5)
    expect(readout).to_be_hidden()


def test_a_line_can_be_switched_off_and_on(report: Page) -> None:
    unfold(report)
    key = report.locator(f'{HIT_RATIO} .key[data-series="before"]')
    line = report.locator(f'{HIT_RATIO} .marks [data-series="before"]').first
    expect(line).to_be_visible()
    key.click()
    expect(line).to_be_hidden()
    expect(key).to_have_attribute("aria-pressed", "false")
    key.press("Enter")
    expect(line).to_be_visible()


def test_a_stretch_can_be_enlarged_and_left_again(report: Page) -> None:
    unfold(report)
    ticks = report.locator(f"{HIT_RATIO} .x-ticks text")
    before, line = ticks.all_text_contents(), report.locator(f"{HIT_RATIO} .marks path").nth(2)
    path = line.get_attribute("d")
    x, y, width = middle_of(report, HIT_RATIO)
    report.mouse.move(x, y)
    report.mouse.down()
    report.mouse.move(x + width / 8, y)
    report.mouse.up()
    out = report.locator(f"{HIT_RATIO} .zoom-out")
    expect(out).to_be_visible()
    assert ticks.all_text_contents() != before and line.get_attribute("d") != path
    out.click()
    expect(out).to_be_hidden()
    assert ticks.all_text_contents() == before and line.get_attribute("d") == path


def test_the_keyboard_reads_and_enlarges_a_figure(report: Page) -> None:
    unfold(report)
    plate = report.locator(f"{HIT_RATIO} .plate")
    plate.focus()
    plate.press("ArrowRight")
    expect(report.locator(f"{HIT_RATIO} .readout")).to_be_visible()
    plate.press("+")
    expect(report.locator(f"{HIT_RATIO} .zoom-out")).to_be_visible()
    plate.press("Escape")
    expect(report.locator(f"{HIT_RATIO} .zoom-out")).to_be_hidden()


def test_the_numbers_of_a_figure_are_a_file(report: Page) -> None:
    unfold(report)
    with report.expect_download() as download:
        report.locator(f"{HIT_RATIO} a.csv").click()
    assert download.value.suggested_filename == "hit-ratio.csv"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("panel,series,") and len(text.splitlines()) == 1 + len(numbers_of(report, HIT_RATIO))


def test_a_table_is_sorted_by_its_headings(report: Page) -> None:
    unfold(report)
    table = report.get_by_role("group", name="The slowest requests").locator("table")
    took = table.locator("tbody tr td:nth-child(6)")
    heading = table.get_by_role("columnheader", name="Took")
    slowest_first = [float(text.split()[0].replace(",", "")) for text in took.all_text_contents()]
    assert slowest_first == sorted(slowest_first, reverse=True) and len(slowest_first) == 10
    heading.get_by_role("button").click()
    expect(heading).to_have_attribute("aria-sort", "ascending")
    assert [float(text.split()[0].replace(",", "")) for text in took.all_text_contents()] == slowest_first[::-1]


def test_without_a_script_it_is_whole_and_readable(rendered_once: Path, chromium: Browser) -> None:
    page = chromium.new_page(java_script_enabled=False)
    try:
        page.goto(rendered_once.as_uri())
        page.locator("#q-measured > summary").click()
        expect(page.locator(f"{HIT_RATIO} svg")).to_be_visible()
        expect(page.locator(f"{HIT_RATIO} a.csv")).to_be_visible()
        page.locator("#q-repeat > summary").click()
        expect(page.locator(".commands code").first).to_be_visible()
        assert page.get_by_role("button", name="Copy").count() == 0
    finally:
        page.close()


def test_a_link_opens_the_fold_it_leads_into(rendered_once: Path, opened) -> None:
    with opened() as page:
        page.goto(f"{rendered_once.as_uri()}#rollback")
        expect(page.locator("#rollback")).to_be_in_viewport()


# The index


@pytest.mark.usefixtures("plain_figures")
def test_the_index_shows_runs_of_one_case_or_verdict(tmp_path: Path, opened) -> None:
    for number, case in enumerate(("stale-price", "short-ttl", "stale-price")):
        run = make_run(tmp_path, case=case, now=START + timedelta(hours=number), probes=0, blocks=1)
        render(run, judged(run), tmp_path / "reports")
    with opened() as page:
        page.goto((tmp_path / "reports" / "index.html").as_uri())
        rows = page.locator("tr[data-run]")
        assert rows.count() == 3
        page.get_by_label("Case").select_option("stale-price")
        expect(page.locator("tr[data-run]:visible")).to_have_count(2)
        page.get_by_label("Verdict").select_option(index=1)
        verdict = page.get_by_label("Verdict").input_value()
        shown = page.locator("tr[data-run]:visible")
        assert {row.get_attribute("data-verdict") for row in shown.all()} <= {verdict}
