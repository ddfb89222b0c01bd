"""What a run shows beside its metrics: findings, doubts, and answers that were not as expected beforehand.

What a reader has to know beside the verdict, or beside one number.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from luckyhit.records.file_record import FileRecord
from luckyhit.records.goal_names import GoalName
from luckyhit.records.vocabulary import Arm, NoteId

PREFLIGHT_MET_FAULT = "preflight-met-fault"
"""Id of a note of `luckyhit check`, and of a finding: before anything was measured, a route gave an answer that the
case does not expect, and a goal covers it."""


class UnexpectedAnswer(FileRecord):
    """An answer that was not as expected, without secrets: `request` is its line, `wrong` half a sentence, `body` how
    it begins."""

    arm: Arm
    route: str
    request: str
    status: int
    wrong: str
    body: str


class Preflight(FileRecord):
    """What asking each safe route once came to, before anything was measured; `preflight` in the manifest."""

    id: str = PREFLIGHT_MET_FAULT
    asked: int = Field(default=0, ge=0)
    unexpected: list[UnexpectedAnswer] = Field(default=[])


class CountOf(FileRecord):
    """`count` out of `of`."""

    count: int
    of: int


class RunFinding(FileRecord):
    """Something that a run shows beside its metrics, with its counts in each arm (null: not visible there). The ids are
    those of `luckyhit.judge.findings.FINDERS`; `luckyhit.report.tables.finding_sentences` words them."""

    id: str
    before: CountOf | None = None
    after: CountOf | None = None
    facts: dict[str, float | int | str | bool | None] = Field(
        default={}, description="numbers and names that belong to it; units are in the names"
    )
    examples: list[dict[str, float | int | str | bool | None]] = Field(
        default=[], description="rows that show it, a few at most"
    )


DoubtId = Literal[
    "hit-on-write", "hit-with-db-calls", "hit-with-new-body", "counters-disagree", "hits-as-slow-as-misses"
]


class Doubt(FileRecord):
    """What shows that the cache status of one arm can't be believed: `count` of `of` answers do (see
    `luckyhit.judge.belief`)."""

    id: DoubtId
    count: int = 0
    of: int = 0
    facts: dict[str, float | int | str | bool | None] = Field(
        default={}, description="numbers and names that belong to it; units are in the names"
    )


Fact = float | int | str | bool | list[str] | None


class Note(FileRecord):
    """One note: what it is about, the facts in it, and its words (see `luckyhit.text.wording`)."""

    id: NoteId
    metric: GoalName | None = Field(default=None, description="in the result's own notes: the metric that it is of")
    facts: dict[str, Fact] = Field(
        default={}, description="numbers and names that belong to it; units are in the names, or in the text"
    )
    text: str = Field(description="a sentence or two")
