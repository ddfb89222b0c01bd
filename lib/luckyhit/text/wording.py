"""Make notes with the wording that `messages` has for their ids."""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter
from typing import Any

from luckyhit.records import Fact, GoalName, Note, NoteId
from luckyhit.text.messages import NOTES
from luckyhit.text.numbers import listed, percent, sentence_case
from luckyhit.text.quantities import name_of


class _Words(Formatter):
    """Additional formats: `percent` of a share, `listed` of several texts."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "percent":
            return percent(value)
        if format_spec == "listed":
            return listed(value)
        return str(super().format_field(value, format_spec))


_WORDS = _Words()


def note(id: NoteId, **facts: Fact) -> Note:
    """The note with its text, capitalised. Raises KeyError for a missing fact."""
    return Note(id=id, facts=facts, text=sentence_case(_WORDS.format(NOTES[id], **facts)))


def text_of(notes: Iterable[Note]) -> str:
    """Their texts, joined."""
    return " ".join(note.text for note in notes)


def has(notes: Iterable[Note], *ids: NoteId) -> bool:
    """Whether one of these ids is among them."""
    return any(note.id in ids for note in notes)


def of_metric(name: GoalName, noted: Note) -> Note:
    """A metric's note as one of the result's notes, with the metric's name in front."""
    return noted.model_copy(update={"metric": name, "text": f"{sentence_case(name_of(name))}: {noted.text}"})
