"""A real Chromium, driven through its DevTools: what a reader's browser makes of a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright


def browser() -> str:
    """The path of the browser; the test is skipped, saying so, where there is none."""
    paths = map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))
    return next(filter(None, paths), None) or pytest.skip("no Chromium on PATH: not looked at in a browser")


@contextmanager
def a_browser() -> Iterator[Browser]:
    """One that runs. Its start takes longer than most tests, so the tests of one module share it."""
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser(), args=["--no-sandbox", "--disable-quic"])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def open_page(
    chromium: Browser, *, width: int = 1280, height: int = 900, scheme: Literal["light", "dark"] = "light",
    asked: list[str] | None = None,
) -> Iterator[Page]:  # fmt: skip
    """An empty page of its own. Addresses that the browser requests beside files go to `asked`."""
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    try:
        if asked is not None:
            page.on("request", lambda request: None if is_local(request.url) else asked.append(request.url))
        yield page
    finally:
        page.close()


def is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "about:"))
