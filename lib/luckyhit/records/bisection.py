"""The shape of `bisect.json`: which revision brought a fault, and the comparisons that say so.

The file is written before each comparison (`ahead`) and after it (`steps`), so that a search that was killed goes on
with the comparison that it was at.

File format history (`BISECT_SCHEMA`):
    1  first version
"""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import ConfigDict, Field

from luckyhit.records.finding import FileRecord
from luckyhit.records.lenient import UnreadPart, load_record
from luckyhit.records.metrics import GoalName
from luckyhit.records.vocabulary import Verdict

BISECT_SCHEMA = 1
BisectPurpose = Literal["ends", "halving", "confirmation"]
"""ends: the good revision with the bad one. halving: the good one with one between. confirmation: the last revision
without the fault with the first one that has it."""
BisectOutcome = Literal["hurt", "not-hurt", "undecided", "not-built", "not-started", "not-measured"]
"""hurt: a goal of the search got worse by more than its margin. not-hurt: none did. undecided: the intervals of all
attempts leave it open. Of the others nothing was compared: the revision can't be tested."""
COMPARED: tuple[BisectOutcome, ...] = ("hurt", "not-hurt", "undecided")
BisectConclusion = Literal["found", "cannot-tell", "no-difference", "ends-undecided", "contradictory"]
"""found: one commit. cannot-tell: it is one of `remaining`. no-difference: the bad revision is no worse than the good
one. ends-undecided: whether it is worse was not decided. contradictory: the fault begins at a commit that is no worse
than the one before it, so that no single commit explains it."""
CONCLUSIONS: tuple[BisectConclusion, ...] = get_args(BisectConclusion)


class BisectQuestion(FileRecord):
    """One comparison to make; full hashes."""

    before: str
    after: str
    purpose: BisectPurpose


class GoalReading(FileRecord):
    """One goal in one comparison, in the metric's unit. null: not visible, or no bound on that side."""

    verdict: Verdict | None = None
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None


class BisectStep(FileRecord):
    """One comparison that was made, or a revision that could not be tested."""

    number: int
    before: str
    after: str
    purpose: BisectPurpose = "halving"
    outcome: BisectOutcome
    reason: str = Field(default="", description="in words: the judge's sentence, or why it could not be tested")
    goals: dict[GoalName, GoalReading] = Field(default={}, description="of the last attempt")
    attempts: int = Field(default=0, description="runs of this comparison: a second one is longer than the first")
    runs: list[str] = Field(default=[], description="directories of the runs, relative to this file")
    reports: list[str] = Field(default=[], description="pages of the runs, relative to this file")
    seconds: float = 0.0


class RevisionFacts(FileRecord):
    """One commit, as Git shows it."""

    revision: str
    author: str = ""
    date: str = Field(default="", description="of the author, ISO 8601")
    subject: str = ""
    message: str = Field(default="", description="the whole message")
    parent: str | None = Field(default=None, description="the first parent; null: none")
    merged: list[str] = Field(default=[], description="of a merge: `hash subject` of what it brought, newest first")
    diff: str | None = Field(default=None, description="the file with the difference to the first parent")


class Bisection(FileRecord):
    """`bisect.json`. `schema` is the version of its shape."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    schema_: int = Field(default=BISECT_SCHEMA, alias="schema")
    case: str = ""
    case_sha256: str = ""
    started: str = ""
    good: str = Field(default="", description="full hash")
    bad: str = Field(default="", description="full hash")
    named_good: str = Field(default="", description="as the command line named it")
    named_bad: str = ""
    build: str = Field(default="", description="the command that builds a revision; empty: none")
    asked: list[GoalName] = Field(default=[], description="the goals that the command line named; empty: all")
    revisions: list[str] = Field(
        default=[], description="the candidates, oldest first: those after the good one, the bad one last"
    )
    at_most: int = Field(default=0, description="comparisons at most")
    margins: dict[GoalName, str] = Field(
        default={},
        description="the goals that decide, and their margins: those that the bad revision hurts. Empty before that is "
        "known",
    )
    steps: list[BisectStep] = Field(default=[], description="in the order in which they were made")
    ahead: BisectQuestion | None = Field(default=None, description="the comparison that is being made")
    conclusion: BisectConclusion | None = Field(default=None, description="null: the search is not at its end")
    last_without: str | None = Field(default=None, description="the newest revision shown not to have the fault")
    first_with: str | None = Field(default=None, description="the oldest revision shown to have the fault")
    remaining: list[str] = Field(default=[], description="the revisions that may have brought it, oldest first")
    confirmed: bool | None = Field(
        default=None,
        description="whether `first_with` was shown to be worse than `last_without` itself; null: not compared, or "
        "left open",
    )
    culprit: RevisionFacts | None = Field(default=None, description="the commit; null unless it was found")

    @property
    def compared(self) -> int:
        """How many comparisons were made."""
        return sum(step.outcome in COMPARED for step in self.steps)

    def with_step(self, step: BisectStep, **fields: Any) -> Bisection:
        """The record after one more step."""
        return self.model_copy(update={"steps": [*self.steps, step], "ahead": None, **fields})


def load_bisection(document: dict[str, Any]) -> tuple[Bisection, list[UnreadPart]]:
    """The record as far as it can be read, and a problem for each unreadable part. Never raises. A step whose outcome
    can't be read is left out: no damage turns a revision into one that was shown to have the fault."""
    return load_record(Bisection, document)


def bisection_document(bisection: Bisection) -> dict[str, Any]:
    """The record as it is written to the file."""
    document: dict[str, Any] = bisection.model_dump(mode="json", by_alias=True)
    return document
