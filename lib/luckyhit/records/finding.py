"""What a run shows beside its metrics: findings, doubts about the cache status, unexpected answers, and notes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from luckyhit.records.metrics import GoalName
from luckyhit.records.vocabulary import Arm, NoteId


class FileRecord(BaseModel):
    """A record without unknown fields, never changed after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


PREFLIGHT_MET_FAULT = "preflight-met-fault"
"""Id of a note of `luckyhit check`, and of a finding: before measuring, a route gave an unexpected answer, and a goal
covers it."""


class UnexpectedAnswer(FileRecord):
    """An unexpected answer, without secrets: `request` is the request line, `wrong` half a sentence, `body` its
    beginning."""

    arm: Arm
    route: str
    request: str
    status: int
    wrong: str
    body: str


class Preflight(FileRecord):
    """The answers of each safe route before measuring; `preflight` in the manifest."""

    id: str = PREFLIGHT_MET_FAULT
    asked: int = Field(default=0, ge=0)
    unexpected: list[UnexpectedAnswer] = Field(default=[])


class CountOf(FileRecord):
    """`count` out of `of`."""

    count: int
    of: int


class RunFinding(FileRecord):
    """Something that a run shows beside its metrics, with its counts in each arm (null: not visible). The ids are those
    of `luckyhit.judge.findings.FINDERS`; `luckyhit.report.tables.finding_sentences` words them."""

    id: str
    before: CountOf | None = None
    after: CountOf | None = None
    facts: dict[str, float | int | str | bool | None] = Field(
        default={}, description="its numbers and names, with units in the names"
    )
    examples: list[dict[str, float | int | str | bool | None]] = Field(
        default=[], description="a few rows that show it"
    )


DoubtId = Literal[
    "hit-on-write", "hit-with-db-calls", "hit-with-new-body", "counters-disagree", "hits-as-slow-as-misses"
]


class Doubt(FileRecord):
    """Evidence that the cache status of one arm can't be trusted: `count` of `of` responses (see
    `luckyhit.judge.belief`)."""

    id: DoubtId
    count: int = 0
    of: int = 0
    facts: dict[str, float | int | str | bool | None] = Field(
        default={}, description="numbers and names that belong to it; units are in the names"
    )


Fact = float | int | str | bool | list[str] | None


class Note(FileRecord):
    """One note: its id, its facts, and its text (see `luckyhit.text.wording`)."""

    id: NoteId
    metric: GoalName | None = Field(default=None, description="in the notes of the result: its metric")
    facts: dict[str, Fact] = Field(
        default={}, description="its numbers and names, with units in the names or in the text"
    )
    text: str = Field(description="a sentence or two")
