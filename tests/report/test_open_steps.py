"""A run that died, or was judged by hand all the same: what is open, its inverse, and never a plain verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journalled import HTTP, RESTORE, Book
from page_reader import Page

from luckyhit.case_run import CaseRun
from luckyhit.records.journal import JournalNote, Step
from luckyhit.report.evidence.actions import action_rows
from luckyhit.report.evidence.journal_view import JournalEvidence, inverse_text, journal_of, open_steps
from luckyhit.report.page import render
from luckyhit.report.recorded import Recorded
from noted import manifest_with
from tier import examples

pytestmark = pytest.mark.usefixtures("plain_figures")
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e{{ 7 * 7 }}"


def test_open_steps_are_in_the_order_of_their_undoing(tmp_path) -> None:
    book = Book()
    for step, inverse in (("clear", RESTORE), ("apply", HTTP), ("start", {"kind": "end-processes"})):
        book.taken(step, {}, inverse)
    book.write(tmp_path)
    assert [step.number for step in open_steps(Recorded(), journal_of(CaseRun(tmp_path)))] == [3, 2, 1]


def test_a_run_that_died_shows_what_is_open(copied, tmp_path) -> None:
    run, _ = copied
    book = Book()
    book.taken("apply", {"change": "http", "what": "The flag is on"}, HTTP)
    book.intent("clear", {"listed": 96}, RESTORE)
    book.write(run.path)
    with (run.path / "journal.jsonl").open("a") as file:
        file.write('{"event": "confirm", "id": 2, "det')
    run.update(state="measuring")
    assert journal_of(run).torn
    page = Page.read(render(run, None, tmp_path, incomplete="a notebook ended early"))
    assert page.headline == "INCOMPLETE" and "open" in page.ids
    assert [item["value"] for item in page.all("li") if "value" in item] == ["1", "2"]
    header, _, rest = page.text.partition("What is open")
    assert f"luckyhit revert {run.id}" in header and HTTP["by_hand"] in rest and "cleared-1.backup" in rest


@pytest.mark.parametrize("state", ["failed", "measuring", "finished"])
def test_a_judged_run_that_ended_early_is_incomplete(state: str, copied, tmp_path) -> None:
    run, result = copied
    if state == "finished":  # with open steps
        lines = (run.path / "journal.jsonl").read_text().splitlines(keepends=True)
        (run.path / "journal.jsonl").write_text("".join(line for line in lines if '"undone"' not in line))
    run.update(state=state, failure={"message": "the service stopped", "hint": "x"} if state == "failed" else None)
    page = Page.read(render(run, result, tmp_path))
    assert page.headline == "INCOMPLETE" and page.metadata["verdict"] == ""
    reason = {"failed": "the service stopped", "measuring": "not measured", "finished": "2 of the 8"}[state]
    assert reason in page.metadata["state"]
    index = [row for row in Page.read(tmp_path / "index.html").all("tr") if "data-run" in row]
    assert (index[0]["data-verdict"] == result.verdict) == (state != "failed")


@pytest.mark.parametrize(
    ("step", "inverse", "facts"),
    [
        ("start", {"kind": "end-processes"}, ["pid 7"]),
        ("apply", {"kind": "end-processes", "name": "hz"}, ["hz"]),
        ("apply", {"kind": "restart"}, ["service"]),
        ("apply", {"kind": "setting", "name": "maxmemory-policy", "value": "noeviction", "cache": "c:1/0"},
         ["maxmemory-policy", "c:1/0", "“noeviction”"]),
        ("notify", {"kind": "notify", "value": "", "cache": "c:1/0"}, ["notify-keyspace-events", "c:1/0", "empty"]),
        ("apply", HTTP, ["PUT /flags/x", "GET /flags shows “0” at $.x"]),
        ("apply", {"kind": "command", "command": ["sh", "off now"], "verify": ["cat"], "shows": "off"},
         ["`sh 'off now'`", "`cat` prints “off”"]),
        ("apply", {"kind": "command", "gone_with_it": True}, ["service"]),
        ("clear", RESTORE, ["96", "cleared-1.backup"]),
        ("worktree", {"kind": "worktree", "path": "a", "repository": "b"}, ["worktree a", "repository b"]),
        ("probe", {"kind": "probe", "ledger": "probe/block-001-before.jsonl"}, ["probe/block-001-before.jsonl"]),
        ("purge", {}, ["purge"]),
        ("levitate", {"kind": "land", "at": 3}, ['{"kind": "land", "at": 3}']),
    ],
)  # fmt: skip
def test_each_inverse_is_in_words(step: str, inverse: dict[str, Any], facts: list[str]) -> None:
    confirmed = (JournalNote(1.0, {"processes": [{"pid": 7}]}),) if step == "start" else ()
    text = inverse_text(Step(1, step, 1.0, {}, inverse, confirmed))
    assert all(fact in text for fact in facts), text
    bare = inverse_text(Step(1, step, None, {}, {"kind": inverse["kind"]} if inverse else {}))
    assert bare and "None" not in bare, "a missing field is a dash"


# Journals that can't be read, or are hostile


@pytest.mark.parametrize("spoil", ["damaged", "folder", "missing"])
def test_without_a_whole_journal_nothing_is_proven(spoil: str, copied, tmp_path) -> None:
    run, result = copied
    path = run.path / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.unlink()
    if spoil == "damaged":
        path.write_text("\n".join([*lines[:3], '{"event": "confirm", "id', lines[4], "\x00", *lines[5:]]) + "\n")
    elif spoil == "folder":
        path.mkdir()
    page = Page.read(render(run, result, tmp_path))
    assert page.headline == "INCOMPLETE"
    assert page.results("checklist")["retry"] == "False" and page.results("rollback")["journal"] != "True"
    assert page.results("actions")["everything-else"] == "None"
    assert ("h-problems" in page.ids) == (spoil != "missing")
    if spoil == "damaged":
        assert "(4, 6)" in page.text and "start" in page.rows("actions"), "the rest is shown"
    else:
        assert page.results("actions")["scope"] == "None"


def test_hostile_texts_in_a_journal_are_only_text(copied, tmp_path) -> None:
    run, result = copied
    book = Book()
    inverse = {"kind": "command", "command": [HOSTILE], "verify": [HOSTILE], "shows": HOSTILE, "by_hand": HOSTILE}
    book.taken("apply", {"what": HOSTILE, "change": HOSTILE}, inverse, outcome={"shows": HOSTILE})
    book.taken(HOSTILE, {"examples": [HOSTILE]}, {"kind": HOSTILE})
    book.taken("clear", {}, {"kind": "restore", "backup": HOSTILE, "cache": HOSTILE}, how=HOSTILE)
    book.taken("purge", {"calls": [{"method": HOSTILE, "url": HOSTILE}]}, outcome={"statuses": {HOSTILE: 2}})
    book.taken("notify", {"from": HOSTILE, "to": HOSTILE}, {"kind": "notify"}, how=HOSTILE)
    book.write(run.path)
    path = render(run, result, tmp_path)
    html = path.read_text(encoding="utf-8")
    assert not any(sign in html for sign in ("<script>alert", "\x1b", "\u202e"))
    assert "<script>alert(1)</script>" in Page.read(path).text and "{{ 7 * 7 }}" in html


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
_NAMED = st.dictionaries(
    st.sampled_from(["kind", "processes", "shows", "how", "backup", "keys", "call", "verify", "command", "statuses",
                     "cleared", "matched", "named", "outside", "restored", "what", "revision", "from", "to", "calls"]),
    _VALUES | st.sampled_from(["restore", "http", "command", "setting", "worktree", "probe", "notify", "end-processes"]),
    max_size=6,
)  # fmt: skip
_EVENTS = st.fixed_dictionaries(
    {
        "event": st.sampled_from(["intent", "confirm", "undone", "lost"]) | _VALUES,
        "id": st.integers(1, 3) | _VALUES,
        "at": st.floats() | _VALUES,
        "step": st.sampled_from(["start", "apply", "clear", "notify", "purge", "worktree", "probe"]) | _VALUES,
        "detail": _NAMED | _VALUES,
        "inverse": _NAMED | _VALUES,
    }
)


@given(events=st.lists(_EVENTS, max_size=8), torn=st.binary(max_size=4))
@settings(max_examples=examples(150), deadline=None)
def test_whatever_a_journal_holds_it_is_read_and_shown(
    events: list[dict[str, Any]], torn: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    (folder / "journal.jsonl").write_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in events) + torn)
    journal = journal_of(CaseRun(folder))
    assert journal.exists and len(journal.steps) <= 3
    run = Recorded(manifest=manifest_with(started="2026-11-23T02:15:30+00:00"))
    assert len(open_steps(run, journal)) == len(journal.open)
    for row in action_rows(run, journal):
        assert all(isinstance(text, str) for text in (row.title, row.times, row.when, row.done, row.outcome))


def test_no_journal_is_not_an_empty_one(tmp_path) -> None:
    assert journal_of(CaseRun(tmp_path)) == JournalEvidence()
    (tmp_path / "journal.jsonl").touch()
    assert journal_of(CaseRun(tmp_path)) == JournalEvidence(exists=True)
