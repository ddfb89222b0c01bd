"""README and docs as a reader meets them: every link and anchor leads somewhere, and every page can be found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from shell_blocks import PAGES, ROOT

FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        assert "://" not in link, f"{link}: nothing here needs a network"
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert target.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {target.name} has no heading {anchor!r}"


def test_a_link_that_leads_nowhere_would_be_noticed() -> None:
    assert LINK.findall("see [it](docs/nowhere.md#there), ![](a.png)") == ["docs/nowhere.md#there", "a.png"]
    assert "the-one-change-how-it-is-made-and-proven-to-be-gone" in anchors(ROOT / "docs" / "change.md")


def test_the_readme_is_short_and_begins_with_the_essentials() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    assert text.index("make demo") < text.index("make test") < text.index("docs/report.png") < text.index("## ")


@pytest.mark.parametrize("index", ["README.md", "docs/README.md"])
def test_each_page_is_in_the_indexes(index: str) -> None:
    linked = {((ROOT / index).parent / link.partition("#")[0]).resolve() for link in LINK.findall(prose(ROOT / index))}
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "docs" / "decisions"]
    assert {page for page in pages if page.name != "README.md"} <= linked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_stand_in_fences_that_say_what_they_are(page: Path) -> None:
    """Else the test that runs them would not see them."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"\n\n {4}\S", FENCED.sub("", text)), "an indented block: use a fence with its language"
    assert not re.search(r"^ +```", text, re.M), "a fence that is indented is not seen"
    for block in FENCED.findall(text):
        if "luckyhit " in block or "make " in block:
            language = block.splitlines()[0].removeprefix("```")
            assert language in ("sh", "console", "python", "yaml"), block
