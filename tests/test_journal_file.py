"""One parser of the journal: what can be read is a step, what can't is named by its line."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.records.journal import AT_REST, load_journal
from tier import examples

INTENT = {"event": "intent", "id": 1, "at": 5.0, "step": "apply", "detail": {}, "inverse": {"kind": "restart"}}
CONFIRM = {"event": "confirm", "id": 1, "at": 6.0, "detail": {"shows": "300"}}
UNDONE = {"event": "undone", "id": 1, "at": 7.0, "detail": {"how": "restarted"}}


def lines_of(*events: Any) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def test_a_step_is_open_until_its_inverse_is_done() -> None:
    (step,) = load_journal(lines_of(INTENT, CONFIRM)).steps
    assert step.open and step.confirmed and step.kind == "restart" and step.outcome == {"shows": "300"}
    (step,) = load_journal(lines_of(INTENT, CONFIRM, UNDONE)).steps
    assert not step.open and step.how == "restarted" and step.times == [5.0, 6.0, 7.0]
    resting = {**CONFIRM, "detail": {AT_REST: True}}
    assert load_journal(lines_of(INTENT, resting)).steps[0].at_rest


def test_each_line_that_can_not_be_read_is_named() -> None:
    bad: list[Any] = [
        [1], {"event": "confirm", "id": 9, "detail": {}}, {**CONFIRM, "event": "odd"}, {**CONFIRM, "id": True}, INTENT,
        {**CONFIRM, "detail": 3},
    ]  # fmt: skip
    journal = load_journal(lines_of(INTENT, *bad, CONFIRM) + b'{"event": "undo')
    assert [line.number for line in journal.damaged] == [2, 3, 4, 5, 6, 7] and journal.torn
    assert [step.confirmed for step in journal.steps] == [True] and len(journal.lines) == 7


anything = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just({}) | st.just([])
events = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(["intent", "confirm", "undone", "odd"]) | anything, "id": st.integers(1, 3) | anything,
        "at": anything, "detail": anything, "step": anything, "inverse": anything,
    },
)  # fmt: skip


@given(st.lists(events | anything, max_size=8), st.binary(max_size=20))
@settings(max_examples=examples(100), deadline=None)
def test_any_journal_is_read_as_far_as_it_goes(written: list[Any], rest: bytes) -> None:
    journal = load_journal(lines_of(*written) + rest)
    assert len(journal.steps) <= len(journal.lines) <= len(written) + rest.count(b"\n")
    assert len(journal.damaged) <= len(written) + rest.count(b"\n")
    assert all(isinstance(step.open, bool) and isinstance(step.how, str) for step in journal.steps)
