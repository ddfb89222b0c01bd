"""Ids and their words: each id has words, and no two the same."""

from __future__ import annotations

from typing import get_args

import pytest

from luckyhit.errors import REFUSALS, TargetError, refusal_of
from luckyhit.records import ACTION_IDS, GUARD_IDS, NOT_VISIBLE, NOTE_IDS, STEP_OUTCOMES, Guard, Note
from luckyhit.records.vocabulary import ActionId, StepOutcome, Verdict, id_of_title, outcome_of_words
from luckyhit.text.messages import GUARD_TITLES, NOTES, VERDICT_MEANINGS
from luckyhit.text.wording import has, note, of_metric, text_of


def test_each_guard_has_a_title_of_its_own() -> None:
    assert set(GUARD_TITLES) == set(GUARD_IDS)
    assert len(set(GUARD_TITLES.values())) == len(GUARD_IDS)


def test_each_note_has_words_of_its_own() -> None:
    assert set(NOTES) == set(NOTE_IDS)
    assert len(set(NOTES.values())) == len(NOTE_IDS)
    assert set(NOTE_IDS) >= NOT_VISIBLE


def test_each_verdict_has_a_meaning() -> None:
    assert set(VERDICT_MEANINGS) == {*get_args(Verdict), "OBSERVED"}


def test_each_id_stands_once_in_its_list() -> None:
    for ids, of in ((ACTION_IDS, ActionId), (STEP_OUTCOMES, StepOutcome)):
        assert ids == get_args(of) and len(set(ids)) == len(ids)


def test_a_guard_noted_by_its_title_is_read() -> None:
    for id in GUARD_IDS:
        assert id_of_title(id) == id
    noted = {"name": GUARD_TITLES["the-probes-writes-are-seen"], "ok": True, "detail": "seen"}
    assert Guard.model_validate(noted) == Guard(id="the-probes-writes-are-seen", ok=True, detail="seen")


def test_a_note_keeps_its_facts_beside_its_words() -> None:
    made = note("no-stale-read", reads=1200, at_most=0.0123)
    assert made.facts == {"reads": 1200, "at_most": 0.0123} and "1,200" in made.text and "1.2 %" in made.text
    assert Note.model_validate_json(made.model_dump_json()) == made
    assert of_metric("stale_reads", made).metric == "stale_reads" and made.text in of_metric("stale_reads", made).text
    assert (
        has([made], "no-stale-read") and not has([made], *NOT_VISIBLE) and text_of([made, made]).count(made.text) == 2
    )
    with pytest.raises(KeyError):
        note("no-stale-read", reads=1200)


def test_an_outcome_noted_in_words_is_read() -> None:
    # As runs of earlier versions have it.
    words = {
        "the run ended well": "ended-well",
        "somebody changed x to 'A' meanwhile; it was left so": "left-to-others",
        "3 keys put back by the probe itself": "put-back-by-the-probe",
        "x put back to 'A'": None,
    }
    assert {text: outcome_of_words(text) for text in words} == words


@pytest.mark.parametrize(("status", "refused"), [(401, "credentials"), (403, "permission"), (404, None), (None, None)])
def test_a_status_tells_what_is_refused(status: int | None, refused: str | None) -> None:
    assert refusal_of(status) == refused and (refused is None or refused in REFUSALS)
    error = TargetError("it said no", hint="a", log=["line"], refusal=refusal_of(status)).with_hint("b")
    assert (error.message, error.hint, error.log, error.refusal) == ("it said no", "b", ("line",), refused)
