"""What a reader has to know beside the verdict, or beside one number."""

from __future__ import annotations

from pydantic import Field

from luckyhit.records.base import FileRecord
from luckyhit.records.goal_names import GoalName
from luckyhit.records.vocabulary import NoteId

Fact = float | int | str | bool | list[str] | None


class Note(FileRecord):
    """One note: what it is about, the facts in it, and its words (see `luckyhit.text.wording`)."""

    id: NoteId
    metric: GoalName | None = Field(default=None, description="in the result's own notes: the metric that it is of")
    facts: dict[str, Fact] = Field(
        default={}, description="numbers and names that belong to it; units are in the names, or in the text"
    )
    text: str = Field(description="a sentence or two")
