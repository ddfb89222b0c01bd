"""Reading a page with a parser: its elements, its text, and whether it is well formed and self-contained."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "br", "img", "source", "hr", "input"}


class Page(HTMLParser):
    """The page's elements with their attributes, its text, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.style = ""
        self.script = ""
        self._section = ""
        self._rows: dict[tuple[str, str], dict[str, str]] = {}
        self.feed(html)
        self.close()

    @classmethod
    def read(cls, path: Path) -> Page:
        """A page that is whole, and asks nothing of any network."""
        page = cls(path.read_text(encoding="utf-8"))
        assert page.open == []
        assert_self_contained(page)
        return page

    def handle_starttag(self, tag, attrs) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._section = attributes.get("id", "")
        if "data-id" in attributes:
            self._rows[self._section, attributes["data-id"]] = attributes

    def handle_endtag(self, tag) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data) -> None:
        if "style" in self.open:
            self.style += data
        elif "script" in self.open:
            self.script += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    @property
    def headline(self) -> str:
        """The first word of the title: the verdict."""
        return self.text.strip().partition(":")[0]

    @property
    def ids(self) -> list[str]:
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]

    @property
    def figures(self) -> list[str]:
        return [attrs["id"].removeprefix("figure-") for attrs in self.all("figure")]

    @property
    def metadata(self) -> dict[str, str]:
        """What the page says about itself to the index."""
        named = [meta for meta in self.all("meta") if meta.get("name", "").startswith("luckyhit:")]
        return {meta["name"].partition(":")[2]: meta["content"] for meta in named}

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def rows(self, section: str) -> dict[str, dict[str, str]]:
        """The actions, claims, guards or checks of a section, with their attributes, by id."""
        return {id: attrs for (within, id), attrs in self._rows.items() if within == section}

    def results(self, section: str) -> dict[str, str]:
        """`True`, `False` or `None` of its claims, guards or checks."""
        return {id: attrs["data-ok"] for id, attrs in self.rows(section).items() if "data-ok" in attrs}


ACTIVE = {"iframe", "object", "embed", "form", "base", "link", "foreignobject", "use", "image", "animate", "set"}


def assert_self_contained(page: Page) -> None:
    """Nothing that leaves the file: only data: pictures and numbers, anchors and relative links; one script, which the
    policy allows by its hash, and no handler."""
    assert not ACTIVE & {tag for tag, _ in page.tags}
    scripts = page.all("script")
    assert scripts in ([], [{}])
    if scripts:
        (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
        digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
        assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    for tag, attrs in page.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "srcset", "poster", "data"):
                assert value.startswith("data:image/"), (tag, name, value[:60])
            if name in ("href", "action", "xlink:href") and not (
                "download" in attrs and value.startswith("data:text/csv;charset=utf-8,")
            ):
                assert not re.match(r"\s*(?:[a-z][a-z0-9+.-]*:|//)", value, re.IGNORECASE), (tag, value[:80])
    assert "url(" not in page.style and "@import" not in page.style
