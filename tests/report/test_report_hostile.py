"""Hostile texts appear as text: read by a parser, and by a real browser."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from browser import browser
from page_reader import Page, assert_self_contained

from luckyhit.records import Guard, Note
from luckyhit.records.manifest import ProbeNotes
from luckyhit.report import notebook_tables as tables
from luckyhit.report.page import page_of
from luckyhit.report.recorded import recorded
from noted import manifest_with
from world import Reply, Service

pytestmark = pytest.mark.usefixtures("plain_figures")
SCRIPT = "</style></script><script>document.documentElement.dataset.ran='1'</script>"
IMAGE = "\"'><img src=x onerror=\"document.documentElement.dataset.ran='1'\"><svg onload=alert(1)>"
TEMPLATE = "{{ 7 * 7 }}{% raw %}{# comment #}"
ANSI = "\x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07 back\x08space \x00nul"
BIDI = "price \u202e0001\u202c \u2066isolated\u2069"
EMOJI = "🔥👩‍👩‍👧‍👦🏳️‍🌈"
SURROGATE = "lone \ud800 surrogate"
ALL = [SCRIPT, IMAGE, TEMPLATE, ANSI, BIDI, EMOJI, SURROGATE]


def spoilt(judged_run, text: str, where: str = "everywhere"):
    """The run with a text wherever a text can stand."""
    run, result = judged_run
    found = recorded(run, result)
    guards = [Guard(id="cache-rights", ok=False, detail=text, remedy=text), *result.guards]
    metric = result.metrics["hit_ratio"].model_copy(update={"notes": [Note(id="no-manifest", text=text)]})
    spoilt_result = result.model_copy(
        update={
            "reason": text,
            "guards": guards,
            "notes": [Note(id="no-manifest", text=text)],
            "metrics": {**result.metrics, "hit_ratio": metric},
            "naive": result.naive.model_copy(update={"sentence": text}),
            "rollback": result.rollback.model_copy(update={"detail": text}),
        }
    )
    case = run.case.model_copy(
        update={
            **dict.fromkeys(("title", "route", "input", "suspect", "noticed", "hypothesis", "failure_mode"), text),
            "assumptions": [text],
            "owner": run.case.owner.model_copy(update={"name": text, "contact": text}),
            "change": run.case.change.model_copy(
                update={"what": text, "before": text, "after": text, "smallest": text}
            ),
        }
    )
    foreign = {"revision": text, "host": {"system": text, text: text}, "versions": {"python": text}, "command": text}
    manifest = manifest_with(**{**found.manifest.model_dump(by_alias=True, exclude_unset=True), **foreign})
    spoilt = {"unexpected": text, "probe": ProbeNotes(problems=[text])}
    blocks = [block.model_copy(update=spoilt) for block in found.blocks]
    return run, replace(
        found, result=spoilt_result, case=case, manifest=manifest, blocks=blocks, problems=[text, f"{text} again"]
    )


@pytest.mark.parametrize("text", ALL, ids=["script", "image", "template", "ansi", "bidi", "emoji", "surrogate"])
def test_hostile_texts_appear_as_text(text: str, judged_run, tmp_path) -> None:
    run, found = spoilt(judged_run, text)
    html = page_of(run, found, tmp_path, incomplete=text)
    page = Page(html)
    assert page.open == []
    assert_self_contained(page)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", html)
    plain = {ANSI: "red ", BIDI: "price [U+202E]0001[U+202C]", SURROGATE: "lone \ufffd surrogate"}.get(text, text)
    assert re.sub(r"\s+", " ", plain) in page.text


def test_a_title_of_10_kb_is_cut_and_the_page_stays_small(judged_run, tmp_path) -> None:
    run, found = spoilt(judged_run, "long " * 2000)
    html = page_of(run, found, tmp_path)
    heading = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert heading is not None and len(heading[1]) < 300 and "more characters" in heading[1]
    assert len(html.encode()) < 2_000_000


def test_a_megabyte_in_every_text_still_gives_a_report_below_two_megabytes(judged_run, tmp_path) -> None:
    run, found = spoilt(judged_run, "\x1b[31m<b>&" * 120_000)
    html = page_of(run, found, tmp_path, incomplete="<i>" * 400_000)
    assert len(html.encode()) < 2_000_000
    assert_self_contained(Page(html))


def test_ten_thousand_guards_notes_and_problems_are_not_all_listed(judged_run, tmp_path) -> None:
    run, found = spoilt(judged_run, "x")
    many = [Guard(id="cache-rights", ok=False, detail="y" * 200, remedy="z") for _ in range(10_000)]
    result = found.result.model_copy(
        update={"guards": many, "notes": [Note(id="no-manifest", text="n" * 200)] * 10_000}
    )
    html = page_of(run, replace(found, result=result, problems=["p" * 200] * 10_000), tmp_path)
    assert len(html.encode()) < 2_000_000


def test_tables_of_the_notebooks_escape_too(judged_run) -> None:
    _, found = spoilt(judged_run, IMAGE)
    shown = tables.declared(found.case)._repr_html_()
    assert "<img" not in shown and "&lt;img" in shown
    assert IMAGE in unescape(shown)


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
def test_in_a_real_browser_no_script_runs_and_nothing_is_asked_for(policy: str, judged_run, tmp_path) -> None:
    with Service(lambda _: Reply(status=204)) as away:
        text = f"{SCRIPT}{IMAGE}<img src={away.url}/image><link rel=stylesheet href={away.url}/style><iframe src={away.url}/frame>"
        run, found = spoilt(judged_run, text)
        html = page_of(run, found, tmp_path, incomplete=text)
        if policy == "by escaping alone":
            html = re.sub(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", "", html)
            # The test tests: the same page with a script of its own does run it.
            (tmp_path / "armed.html").write_text(
                html.replace("</main>", SCRIPT.removeprefix("</style></script>") + "</main>")
            )
            assert 'data-ran="1"' in dump_dom(tmp_path / "armed.html", tmp_path / "profile")
        (tmp_path / "page.html").write_text(html, encoding="utf-8")
        dom = dump_dom(tmp_path / "page.html", tmp_path / "profile")
    assert "data-ran" not in re.sub(r">[^<]*<", "><", dom)
    assert not re.search(r"<(?:script|iframe|link)\b", dom)
    assert away.requests == []
