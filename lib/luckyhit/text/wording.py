"""Notes: records with the words that `messages` has for their ids."""

from __future__ import annotations

from collections.abc import Iterable
from string import Formatter
from typing import Any

from luckyhit.records import Fact, GoalName, Note, NoteId
from luckyhit.text.messages import NOTES
from luckyhit.text.numbers import listed, percent, sentence_case
from luckyhit.text.quantities import name_of


class _Words(Formatter):
    """Formats beside Python's own: `percent` of a share, `listed` of several texts."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "percent":
            return percent(value)
        if format_spec == "listed":
            return listed(value)
        return str(super().format_field(value, format_spec))


_WORDS = _Words()


def note(id: NoteId, **facts: Fact) -> Note:
    """The note with its words, which begin with a capital. Raises KeyError for a fact that they name and that is not
    given."""
    return Note(id=id, facts=facts, text=sentence_case(_WORDS.format(NOTES[id], **facts)))


def text_of(notes: Iterable[Note]) -> str:
    """Their texts, one after the other."""
    return " ".join(note.text for note in notes)


def has(notes: Iterable[Note], *ids: NoteId) -> bool:
    """Whether one of these is among them."""
    return any(note.id in ids for note in notes)


def of_metric(name: GoalName, noted: Note) -> Note:
    """The note of a metric as it stands among those of the result: led by its name."""
    return noted.model_copy(update={"metric": name, "text": f"{sentence_case(name_of(name))}: {noted.text}"})
