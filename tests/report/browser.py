"""A real Chromium, driven through its DevTools: what a reader's browser makes of a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")


def browser() -> str:
    """The path of the browser; the test is skipped, saying so, where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on PATH: not looked at in a browser")
    return found


@contextmanager
def a_browser() -> Iterator[Browser]:
    """One that runs. It takes longer to start than most tests take, so that tests of one module share it."""
    path = browser()
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-quic"])
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def open_page(
    chromium: Browser,
    *,
    width: int = 1280,
    height: int = 900,
    scheme: Literal["light", "dark"] = "light",
    asked: list[str] | None = None,
) -> Iterator[Page]:
    """An empty page, which knows nothing of any other. Each address that the browser asks for beside files goes to
    `asked`."""
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    try:
        if asked is not None:
            page.on("request", lambda request: None if is_local(request.url) else asked.append(request.url))
        yield page
    finally:
        page.close()


def is_local(url: str) -> bool:
    return url.startswith(("file:", "data:", "about:"))
