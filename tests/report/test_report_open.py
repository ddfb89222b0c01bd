"""A run that died, or was judged by hand all the same: what is open, its inverse in words, and never a plain verdict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journalled import HTTP, RESTORE, Book
from page_reader import Page, assert_self_contained
from synthetic_run import judged

from luckyhit.case_run import CaseRun
from luckyhit.records.journal import JournalNote, Step
from luckyhit.report.evidence.actions import action_rows
from luckyhit.report.evidence.journal_view import JournalEvidence, journal_of
from luckyhit.report.evidence.open_steps import inverse_text, open_steps
from luckyhit.report.index import write_index
from luckyhit.report.page import render
from luckyhit.report.recorded import Recorded
from noted import manifest_with
from tier import examples

pytestmark = pytest.mark.usefixtures("plain_figures")
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e{{ 7 * 7 }}"


def test_a_run_that_died_shows_what_is_open_with_its_inverse_and_the_command(copied, tmp_path) -> None:
    run, _ = copied
    book = Book()
    book.taken("apply", {"change": "http", "what": "The flag is on"}, HTTP)
    book.intent("clear", {"listed": 96}, RESTORE)
    book.write(run.path)
    with (run.path / "journal.jsonl").open("a") as file:
        file.write('{"event": "confirm", "id": 2, "det')
    run.update(state="measuring")
    page = Page(render(run, None, tmp_path, incomplete="a notebook ended early").read_text(encoding="utf-8"))
    assert_self_contained(page)
    header = page.text.split("What is open")[0]
    assert "INCOMPLETE" in header and "2 steps are open" in header and f"luckyhit revert {run.id}" in header
    for words in (
        "The change: The flag is on", 'Send PUT /flags/x with {"on": 0} to http://127.0.0.1:8100',
        "until GET /flags shows “0” at $.x", "By hand: curl --fail -X PUT http://127.0.0.1:8100/flags/x",
        "Put up to 96 cleared keys of the cache 127.0.0.1:6379/0 back from cleared-1.backup",
        "begun, and not confirmed", "ends in the middle of a line", "2 of 2 steps are open (apply and clear)",
    ):  # fmt: skip
        assert words in page.text, words


@pytest.mark.parametrize("state", ["failed", "measuring"])
def test_a_run_that_ended_early_and_was_judged_by_hand_is_still_incomplete(state: str, copied, tmp_path) -> None:
    run, result = copied
    run.update(state=state, failure={"message": "the service stopped", "hint": "Look at its log."})
    page = Page(render(run, result, tmp_path).read_text(encoding="utf-8"))
    header = page.text.split("What changed")[0]
    assert "INCOMPLETE" in header and "no verdict to go by" in header
    assert ("the service stopped" if state == "failed" else "has not been measured to its end") in header
    assert "INCOMPLETE: " in page.text[:40]
    index = Page((tmp_path / "index.html").read_text(encoding="utf-8")).text
    assert (result.verdict in index) == (state == "measuring")


def test_open_steps_alone_make_a_finished_run_incomplete(copied, tmp_path) -> None:
    run, result = copied
    lines = (run.path / "journal.jsonl").read_text().splitlines(keepends=True)
    (run.path / "journal.jsonl").write_text("".join(line for line in lines if '"undone"' not in line))
    run.update(state="finished")
    page = Page(render(run, result, tmp_path).read_text(encoding="utf-8"))
    assert "2 of the 8 steps in its journal are open" in page.text and "✗ open" in page.text


def test_a_died_run_is_no_verdict_in_the_list(new_run, tmp_path) -> None:
    run = new_run(probes=0, blocks=1, manifest={"state": "failed", "failure": {"message": "it hurt"}})
    judged(run)
    write_index(tmp_path / "runs", tmp_path / "reports")
    text = Page((tmp_path / "reports" / "index.html").read_text()).text
    assert "NO VERDICT" in text and "died: it hurt" in text


@pytest.mark.parametrize(
    ("step", "inverse", "said"),
    [
        ("start", {"kind": "end-processes"}, "End the processes that the run had started (pid 7)"),
        ("apply", {"kind": "end-processes", "name": "hz"}, "hz is gone with it"),
        ("apply", {"kind": "restart"}, "End the run's own service"),
        ("apply", {"kind": "setting", "name": "maxmemory-policy", "value": "noeviction", "cache": "c:1/0"},
         "Set maxmemory-policy of the cache c:1/0 back to “noeviction”, unless somebody else"),
        ("notify", {"kind": "notify", "value": "", "cache": "c:1/0"}, "Set notify-keyspace-events of the cache c:1/0 back to empty"),
        ("apply", HTTP, "until GET /flags shows “0” at $.x"),
        ("apply", {"kind": "command", "command": ["sh", "off now"], "verify": ["cat"], "shows": "off"},
         "Run `sh 'off now'`, until `cat` prints “off”"),
        ("apply", {"kind": "command", "gone_with_it": True}, "gone with the run's own service"),
        ("clear", RESTORE, "with the time to live that is left of each"),
        ("worktree", {"kind": "worktree", "path": "a", "repository": "b"}, "Remove the worktree a and its entry in the repository b"),
        ("probe", {"kind": "probe", "ledger": "probe/block-001-before.jsonl"}, "as noted in probe/block-001-before.jsonl"),
        ("purge", {}, "can't be put back, and the next reader fetches it anew"),
        ("levitate", {"kind": "land", "at": 3}, 'does not know it: {"kind": "land", "at": 3}'),
    ],
)  # fmt: skip
def test_each_inverse_is_said_in_words_and_a_missing_field_is_a_dash(
    step: str, inverse: dict[str, Any], said: str
) -> None:
    confirmed = (JournalNote(1.0, {"processes": [{"pid": 7}]}),) if step == "start" else ()
    assert said in inverse_text(Step(1, step, 1.0, {}, inverse, confirmed))
    bare = inverse_text(Step(1, step, None, {}, {"kind": inverse["kind"]} if inverse else {}))
    assert bare and "None" not in bare


# Journals that can't be read, or are hostile


def test_a_damaged_line_is_named_and_what_can_be_read_is_shown(copied, tmp_path) -> None:
    run, result = copied
    lines = (run.path / "journal.jsonl").read_text().splitlines()
    lines[3] = '{"event": "confirm", "id'
    lines.insert(5, "\x00")
    (run.path / "journal.jsonl").write_text("\n".join(lines) + "\n")
    page = Page(render(run, result, tmp_path).read_text(encoding="utf-8"))
    assert "The journal is damaged in 2 lines (4, 6)" in page.text and "What could not be read" in page.text
    assert "INCOMPLETE" in page.text.split("What changed")[0] and "Processes started and ended" in page.text
    passed = page.text.split("Retry-safe path")[0].rsplit("✗", 1)[-1]
    assert passed.strip() == "not passed"


def test_a_journal_that_may_not_be_read_is_told(copied, tmp_path) -> None:
    run, result = copied
    (run.path / "journal.jsonl").unlink()
    (run.path / "journal.jsonl").mkdir()
    page = Page(render(run, result, tmp_path).read_text(encoding="utf-8"))
    assert "The journal can't be read: Is a directory." in page.text


def test_a_run_without_a_journal_that_changed_something_claims_nothing(copied, tmp_path) -> None:
    run, result = copied
    (run.path / "journal.jsonl").unlink()
    page = Page(render(run, result, tmp_path).read_text(encoding="utf-8"))
    assert "The run left no journal, so nothing shows what it did." in page.text
    assert "INCOMPLETE" in page.text.split("What changed")[0]
    assert "✓ shown Everything else of the target" not in page.text and "✓ shown Keys of the cache" not in page.text


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
    html = render(run, result, tmp_path).read_text(encoding="utf-8")
    page = Page(html)
    assert_self_contained(page)
    assert "<script>alert" not in html and "<script>alert(1)</script>" in page.text
    assert "\x1b" not in html and "\u202e" not in html and "{{ 7 * 7 }}" in page.text


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
def test_whatever_stands_in_a_journal_it_is_read_and_shown(
    events: list[dict[str, Any]], torn: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    (folder / "journal.jsonl").write_bytes(b"".join(json.dumps(event).encode() + b"\n" for event in events) + torn)
    journal = journal_of(CaseRun(folder))
    assert journal.there and len(journal.steps) <= 3
    found = Recorded(manifest=manifest_with(started="2026-11-23T02:15:30+00:00"))
    rows, opened = action_rows(found, journal), open_steps(found, journal)
    assert len(opened) == len(journal.open)
    assert all(isinstance(text, str) for row in rows for text in (row.what, row.times, row.when, row.done, row.back))


def test_no_journal_is_told_apart_from_an_empty_one(tmp_path) -> None:
    assert journal_of(CaseRun(tmp_path)) == JournalEvidence()
    (tmp_path / "journal.jsonl").touch()
    assert journal_of(CaseRun(tmp_path)) == JournalEvidence(there=True)
