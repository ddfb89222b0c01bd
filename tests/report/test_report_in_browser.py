"""The report as its readers meet it: on a desk, on a phone, in the dark, on paper, with a screen reader."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import open_page
from playwright.sync_api import Page

from tier import in_turn

pytestmark = pytest.mark.browser
A4_PX = (794, 1123)
"""A4 at 96 dots per inch."""
MARGIN_PX = 53
"""The margins of the sheet: 14 mm."""
SIZES = {"desk": 1280, "phone": 390}


@pytest.fixture(scope="module")
def pages(rendered_once: Path, incomplete_once: Path) -> dict[str, Path]:
    """A whole report, an incomplete one, and the index beside the first."""
    return {"report": rendered_once, "incomplete": incomplete_once, "index": rendered_once.with_name("index.html")}


def told(page: Page) -> list[str]:
    """What axe-core finds, each with where."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['help']} at {[node['target'] for node in one['nodes'][:3]]}" for one in found]


@pytest.mark.parametrize(("size", "scheme"), in_turn(SIZES, ["light", "dark"]))
def test_nothing_stands_in_the_way_of_any_reader(pages: dict[str, Path], size: str, scheme: str) -> None:
    """axe-core, all its rules: contrast, names, landmarks, headings, tables. Nothing leaves the page, and it does not
    have to be moved sideways."""
    asked: list[str] = []
    with open_page(width=SIZES[size], scheme=scheme, asked=asked) as page:
        for name, path in pages.items():
            page.goto(path.as_uri())
            assert told(page) == [], name
            wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider == 0, name
    assert asked == []


def test_axe_would_have_told(pages: dict[str, Path]) -> None:
    with open_page() as page:
        page.goto(pages["report"].as_uri())
        page.evaluate("document.querySelector('figure img').removeAttribute('alt')")
        page.evaluate("document.querySelector('h1').style.color = '#eee'")
        assert {line.partition(":")[0] for line in told(page)} >= {"image-alt", "color-contrast"}


def test_the_verdict_and_its_sentence_are_on_the_first_screen_of_a_phone(pages: dict[str, Path]) -> None:
    with open_page(width=390, height=844) as page:
        page.goto(pages["report"].as_uri())
        for selector in ("h1", ".badge.big", ".numbers > *:first-child"):
            box = page.locator(selector).first.bounding_box()
            assert box is not None and box["y"] + box["height"] <= 844, selector


def test_on_paper_no_figure_is_cut_in_two(pages: dict[str, Path], tmp_path: Path) -> None:
    """Each figure and each row asks not to be broken, and is short enough for a sheet, so that it can be granted."""
    with open_page(width=A4_PX[0] - 2 * MARGIN_PX) as page:
        page.goto(pages["report"].as_uri())
        page.emulate_media(media="print")
        figures = page.evaluate(
            "[...document.querySelectorAll('figure')].map(one => [one.id, one.getBoundingClientRect().height,"
            " getComputedStyle(one).breakInside])"
        )
        assert len(figures) >= 7
        for name, height, inside in figures:
            assert inside == "avoid" and 0 < height <= A4_PX[1] - 2 * MARGIN_PX, (name, height, inside)
        nav = page.locator("nav").first
        assert nav.count() == 0 or not nav.is_visible()
        pdf = page.pdf(format="A4", path=tmp_path / "report.pdf")
    assert pdf.startswith(b"%PDF") and len(pdf) > 50_000
