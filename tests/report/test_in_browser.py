"""The report as its readers meet it: on a desk, on a phone, in the dark, on paper, with a screen reader."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from browser import a_browser, open_page
from luckyhit.records import Guard
from luckyhit.report.page import render
from luckyhit.report.run_index import write_index
from tier import in_turn

pytestmark = pytest.mark.browser
A4_PX = (794, 1123)
"""A4 at 96 dots per inch."""
MARGIN_PX = 57
"""The margins of the sheet: 15 mm."""
SIZES = {"desk": 1280, "phone": 390}


@pytest.fixture(scope="module")
def pages(rendered_once: Path, incomplete_once: Path) -> dict[str, Path]:
    """A whole report, an incomplete one, and the index beside the first."""
    return {"report": rendered_once, "incomplete": incomplete_once, "index": rendered_once.with_name("index.html")}


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[..., AbstractContextManager[Page]]]:
    """`open_page` of one browser."""
    with a_browser() as chromium:
        yield partial(open_page, chromium)


def violations(page: Page) -> dict[str, list[str]]:
    """Of axe-core's rules, by id, with the elements."""
    response = Axe().run(page).response["violations"]
    return {one["id"]: [node["target"] for node in one["nodes"][:3]] for one in response}


@pytest.mark.parametrize(("size", "scheme"), in_turn(SIZES, ["light", "dark"]))
def test_nothing_stands_in_the_way_of_any_reader(pages: dict[str, Path], size: str, scheme: str, opened) -> None:
    """axe-core, all its rules: contrast, names, landmarks, headings, tables. Nothing leaves the page, and it does not
    have to be moved sideways."""
    asked: list[str] = []
    with opened(width=SIZES[size], scheme=scheme, asked=asked) as page:
        for name, path in pages.items():
            page.goto(path.as_uri())
            assert violations(page) == {}, name
            page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
            assert violations(page) == {}, f"{name}, unfolded"
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider == 0, name
            assert page.evaluate("document.scripts.length") == 1, name
            assert not any(one.is_visible() for one in page.locator(".on-paper").all()), name
        # The test tests: what is spoilt is a violation.
        page.goto(pages["report"].as_uri())
        page.evaluate("document.querySelector('figcaption').append(document.createElement('img'))")
        page.evaluate("document.querySelector('h1').style = 'color: #888; background: #777'")
        assert violations(page).keys() >= {"image-alt", "color-contrast"}
    assert asked == []


LABELS_PX = """
() => [...document.querySelectorAll('.chart text')].map(one =>
  Number(one.getAttribute('font-size')) * one.ownerSVGElement.getBoundingClientRect().width
    / one.ownerSVGElement.viewBox.baseVal.width)
"""


BEYOND = """
() => [...document.querySelectorAll('.scroll caption, .scroll .sentence')].filter(one => {
  const text = document.createRange(); text.selectNodeContents(one);
  return text.getBoundingClientRect().right > one.closest('.scroll').getBoundingClientRect().right + 1;
}).map(one => one.textContent)
"""


@pytest.mark.usefixtures("plain_figures")
def test_no_sentence_ends_beyond_the_screen_of_a_phone(judged_run, tmp_path: Path, opened) -> None:
    """What stands over a wide table, and the sentences in it, are read without moving it; of an invalid run as well."""
    run, result = judged_run
    guards = [Guard(id="washed-out", ok=False, detail="It moved.", remedy="Wait longer.")]
    path = render(run, result.model_copy(update={"verdict": "INVALID", "guards": guards}), tmp_path)
    with opened(width=390, height=844) as page:
        page.goto(path.as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wider == 0
        assert page.locator(".scroll caption").count() > 3 and page.evaluate(BEYOND) == []
        assert page.locator("#remedy").is_visible()
        assert page.locator(".numbers .more").all_text_contents()
        assert all("not reliable" in text for text in page.locator(".numbers .more").all_text_contents())


def test_figures_fit_a_phone_and_their_labels_stay_readable(pages: dict[str, Path], opened) -> None:
    with opened(width=390, height=844) as page:
        page.goto(pages["report"].as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        sizes = page.evaluate(LABELS_PX)
        assert len(sizes) > 100 and all(8 <= size <= 12 for size in sizes)


def test_the_verdict_is_on_the_first_screen_of_a_phone(pages: dict[str, Path], opened) -> None:
    with opened(width=390, height=844) as page:
        page.goto(pages["report"].as_uri())
        for selector in ("h1", ".badge.big", ".numbers > *:first-child"):
            box = page.locator(selector).first.bounding_box()
            assert box is not None and box["y"] + box["height"] <= 844, selector


PAPER = {"width": A4_PX[0] - 2 * MARGIN_PX}
BROKEN_WORDS = """
() => {
  const broken = [], range = document.createRange();
  for (const cell of document.querySelectorAll('th, td:not(.digest)')) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node; node = texts.nextNode()) {
      for (const word of node.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
        range.setStart(node, word.index);
        range.setEnd(node, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].map(box => Math.round(box.top)));
        if (lines.size > 1) broken.push(word[0]);
      }
    }
  }
  return broken;
}
"""
"""Words in cells of tables that begin on one line and end on another; a digest is no word."""


def on_paper(page: Page, path: Path) -> None:
    page.goto(path.as_uri())
    page.emulate_media(media="print")


def sheets(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


def test_on_paper_no_figure_is_cut_in_two(pages: dict[str, Path], opened) -> None:
    """Each figure, with its title and sentence, and each row asks not to be broken, and is short enough for a sheet."""
    with opened(**PAPER) as page:
        on_paper(page, pages["report"])
        figures = page.evaluate(
            "[...document.querySelectorAll('figure')].map(one => [one.id, one.getBoundingClientRect().height,"
            " getComputedStyle(one).breakInside, one.querySelectorAll('h3, h4, figcaption').length])"
        )
        assert len(figures) >= 7
        for name, height, inside, around in figures:
            assert inside == "avoid" and 0 < height <= A4_PX[1] - 2 * MARGIN_PX and around == 2, (name, height, inside)
        rows = page.evaluate("[...document.querySelectorAll('tr')].map(one => getComputedStyle(one).breakInside)")
        assert set(rows) == {"avoid"}
        nav = page.locator("nav").first
        assert nav.count() == 0 or not nav.is_visible()


def test_on_paper_tables_fit_the_sheet_and_break_no_word(pages: dict[str, Path], opened) -> None:
    with opened(**PAPER) as page:
        for name in ("report", "incomplete", "index"):
            on_paper(page, pages[name])
            assert page.evaluate(BROKEN_WORDS) == [], name
            wide = page.evaluate(
                "[...document.querySelectorAll('table')].filter(one => one.scrollWidth >"
                " document.documentElement.clientWidth).map(one => one.parentElement.ariaLabel)"
            )
            assert wide == [], name
            heads = "[...document.querySelectorAll('thead')].map(one => getComputedStyle(one).display)"
            assert set(page.evaluate(heads)) <= {"table-header-group"}, name  # printed again on each sheet
        on_paper(page, pages["report"])
        page.evaluate(
            "document.querySelector('.metrics th').style = 'display: block; width: 1em; word-break: break-all'"
        )
        assert page.evaluate(BROKEN_WORDS) != [], "the test tests"


@pytest.mark.usefixtures("plain_figures")
def test_long_evidence_stays_folded_on_paper(copied, tmp_path: Path, opened) -> None:
    """Four hundred more compared things add no page; opened by its reader, the list is printed."""
    counts = {}
    for things in (20, 420):
        entries = {f"package.{number:03d}": f"version {number}.0" for number in range(things)}
        copied[0].update(fingerprints={"before": entries, "after": entries})
        path = render(copied[0], None, tmp_path / f"reports-{things}")
        with opened(**PAPER) as page:
            on_paper(page, path)
            folded = page.locator("details.evidence", has_text=f"({things} things").first
            assert folded.locator(".on-paper").is_visible()
            assert not folded.locator("table").is_visible()
            assert page.locator("details:not(.evidence) table").first.is_visible()
            counts[things] = sheets(page.pdf(format="A4", prefer_css_page_size=True))
            folded.evaluate("one => one.open = true")
            counts[f"{things}, opened"] = sheets(page.pdf(format="A4", prefer_css_page_size=True))
            assert not folded.locator(".on-paper").is_visible()
    assert 1 < counts[20] == counts[420] < counts["420, opened"]


CUT_UNITS = """
() => [...document.querySelectorAll(
  '.reason, .values, .more, figcaption, .goal, #glance dd, details[open] td p, .trends p, #naive p, #effect p, #overturn li, td[colspan]'
)].flatMap(one => {
  const cut = [], range = document.createRange();
  const texts = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode())
    for (const number of node.data.matchAll(/\\d\\s(?:%|ms)/g)) {
      range.setStart(node, number.index);
      range.setEnd(node, number.index + number[0].length);
      if (new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1) cut.push(number[0]);
    }
  return cut;
})
"""


def test_no_number_is_cut_from_its_unit_on_any_screen(pages: dict[str, Path], opened) -> None:
    with opened() as page:
        for width in (320, 390, 800, 1180, 1280):
            page.set_viewport_size({"width": width, "height": 844})
            for name in ("report", "index"):
                page.goto(pages[name].as_uri())
                assert page.evaluate(CUT_UNITS) == [], (name, width)


@pytest.mark.usefixtures("plain_figures")
def test_why_a_run_died_is_not_cut_off_in_the_index_on_a_phone(new_run, tmp_path: Path, opened) -> None:
    message = "the service stopped: it ended during the measurement, and its log does not say why it did so"
    new_run(stages=(), manifest={"state": "failed", "failure": {"message": message}})
    write_index(tmp_path / "runs", tmp_path)
    with opened(width=390) as page:
        page.goto((tmp_path / "index.html").as_uri())
        box = page.get_by_text("incomplete: the service stopped").bounding_box()
        assert box is not None and box["x"] + box["width"] <= 390
