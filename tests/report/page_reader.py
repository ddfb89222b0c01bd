"""Reading a page with a parser: its elements, its text, and whether it is well formed and self-contained."""

from __future__ import annotations

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "source", "hr", "input"}


class Page(HTMLParser):
    """The page's elements with their attributes, its text, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data) -> None:
        if "style" in self.open:
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


def assert_self_contained(page: Page) -> None:
    """Nothing that leaves the file: only data: pictures, anchors and relative links; no script, no handler."""
    assert not {"script", "iframe", "object", "embed", "form", "base", "link", "svg"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "srcset", "poster", "data"):
                assert value.startswith("data:image/"), (tag, name, value[:60])
            if name in ("href", "action"):
                assert not re.match(r"\s*(?:[a-z][a-z0-9+.-]*:|//)", value, re.IGNORECASE), (tag, value[:80])
    assert "url(" not in page.style and "@import" not in page.style
