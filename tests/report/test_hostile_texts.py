"""Hostile texts appear as text: read by a parser, and by a real browser."""

from __future__ import annotations

import http.server
import re
import subprocess
import threading
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from page_reader import Page, assert_self_contained

from browser import browser
from luckyhit.records import Guard, Note
from luckyhit.records.manifest import ProbeNotes
from luckyhit.report import notebook_tables as tables
from luckyhit.report.page import page_of
from luckyhit.report.recorded import Recorded
from noted import manifest_with

pytestmark = pytest.mark.usefixtures("plain_figures")
SCRIPT = "</style></script><script>document.documentElement.dataset.ran='1'</script>"
IMAGE = "\"'><img src=x onerror=\"document.documentElement.dataset.ran='1'\"><svg onload=alert(1)>"
ANSI = "\x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07 back\x08space \x00nul"
HOSTILE = {
    "script": (SCRIPT, SCRIPT),
    "image": (IMAGE, IMAGE),
    "template": ("{{ 7 * 7 }}{% raw %}{# comment #}", "{{ 7 * 7 }}{% raw %}{# comment #}"),
    "ansi": (ANSI, "red "),
    "bidi": ("price \u202e0001\u202c \u2066isolated\u2069", "price [U+202E]0001[U+202C]"),
    "emoji": ("🔥👩‍👩‍👧‍👦🏳️‍🌈", "🔥👩‍👩‍👧‍👦🏳️‍🌈"),
    "surrogate": ("lone \ud800 surrogate", "lone \ufffd surrogate"),
}
"""(text, how it is shown), by name."""
MOST_BYTES = 2_000_000


def spoilt(recorded: Recorded, text: str) -> Recorded:
    """The run with a text wherever a text can stand."""
    result, case, note = recorded.result, recorded.case, Note(id="no-manifest", text=text)
    guards = [Guard(id="cache-rights", ok=False, detail=text, remedy=text), *result.guards]
    metric = result.metrics["hit_ratio"].model_copy(update={"notes": [note]})
    result = result.model_copy(
        update={
            "reason": text,
            "guards": guards,
            "notes": [note],
            "metrics": {**result.metrics, "hit_ratio": metric},
            "naive": result.naive.model_copy(update={"sentence": text}),
            "rollback": result.rollback.model_copy(update={"detail": text}),
        }
    )
    texts = dict.fromkeys(("title", "route", "input", "suspect", "noticed", "hypothesis", "failure_mode"), text)
    changed = dict.fromkeys(("what", "before", "after", "smallest"), text)
    owner = case.owner.model_copy(update={"name": text, "contact": text})
    change = case.change.model_copy(update=changed)
    case = case.model_copy(update={**texts, "assumptions": [text], "owner": owner, "change": change})
    foreign = {"revision": text, "host": {"system": text, text: text}, "versions": {"python": text}, "command": text}
    manifest = manifest_with(**{**recorded.manifest.model_dump(by_alias=True, exclude_unset=True), **foreign})
    noted = {"unexpected": text, "probe": ProbeNotes(problems=[text])}
    blocks = [block.model_copy(update=noted) for block in recorded.blocks]
    problems = [text, f"{text} again"]
    return replace(recorded, result=result, case=case, manifest=manifest, blocks=blocks, problems=problems)


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_texts_appear_as_text(text: str, shown: str, judged_run, recorded_run, tmp_path) -> None:
    html = page_of(judged_run[0], spoilt(recorded_run, text), tmp_path, incomplete=text)
    page = Page(html)
    assert page.open == []
    assert_self_contained(page)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    assert re.sub(r"\s+", " ", shown) in page.text


@pytest.mark.parametrize("text", ["long " * 2000, "\x1b[31m<b>&" * 120_000], ids=["10 kB", "1 MB"])
def test_long_texts_are_cut_and_the_page_stays_small(text: str, judged_run, recorded_run, tmp_path) -> None:
    html = page_of(judged_run[0], spoilt(recorded_run, text), tmp_path, incomplete=text)
    assert_self_contained(Page(html))
    heading = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert heading is not None and len(heading[1]) < 3000 and len(html.encode()) < MOST_BYTES


def test_ten_thousand_guards_and_notes_are_not_all_listed(judged_run, recorded_run, tmp_path) -> None:
    guards = [Guard(id="cache-rights", ok=False, detail="y" * 200, remedy="z")] * 10_000
    notes = [Note(id="no-manifest", text="n" * 200)] * 10_000
    result = recorded_run.result.model_copy(update={"guards": guards, "notes": notes})
    html = page_of(judged_run[0], replace(recorded_run, result=result, problems=["p" * 200] * 10_000), tmp_path)
    assert len(html.encode()) < MOST_BYTES


def test_tables_of_the_notebooks_escape_too(recorded_run) -> None:
    html = tables.declared(spoilt(recorded_run, IMAGE).case)._repr_html_()
    assert "<img" not in html and IMAGE in unescape(html)


class Counting(http.server.BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def dump_dom(page: Path, profile: Path) -> str:
    done = subprocess.run(
        [
            browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
            f"--user-data-dir={profile}", "--virtual-time-budget=2000", "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "</html>" in done.stdout, done.stderr[-2000:]
    return done.stdout


@pytest.mark.browser
@pytest.mark.parametrize("policy", ["with the policy", "by escaping alone"])
def test_in_a_browser_no_script_runs_and_nothing_is_requested(policy: str, judged_run, recorded_run, tmp_path) -> None:
    asked: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Counting,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        away = f"http://127.0.0.1:{server.server_port}"
        text = f"{SCRIPT}{IMAGE}<img src={away}/image><link rel=stylesheet href={away}/style><iframe src={away}/frame>"
        html = page_of(judged_run[0], spoilt(recorded_run, text), tmp_path, incomplete=text)
        if policy == "by escaping alone":
            html = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", html)
            # The test tests: the same page with a script of its own does run it.
            armed = html.replace("</main>", SCRIPT.removeprefix("</style></script>") + "</main>")
            (tmp_path / "armed.html").write_text(armed)
            assert 'data-ran="1"' in dump_dom(tmp_path / "armed.html", tmp_path / "profile")
        (tmp_path / "page.html").write_text(html, encoding="utf-8")
        dom = dump_dom(tmp_path / "page.html", tmp_path / "profile")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert "data-ran" not in re.sub(r">[^<]*<", "><", dom)
    assert not re.search(r"<(?:iframe|link)\b", dom) and len(re.findall(r"<script\b", dom)) == 1, "the page's own"
    assert asked == []
