"""The shape of `diagnosis.json`: which kinds of fault are shown, possible and excluded, and what comes next.

File format history (`DIAGNOSIS_SCHEMA`):
    1  first version
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from luckyhit.records.finding import FileRecord
from luckyhit.records.lenient import UnreadPart, load_record

DIAGNOSIS_SCHEMA = 1
ClassStatus = Literal["shown", "possible", "excluded"]
DiagnosisConclusion = Literal["shown", "open", "none-found", "outside"]
DiagnosisEnd = Literal[
    "explained", "one-left", "nothing-splits", "needs-missing", "over-budget", "interrupted", "service-stopped"
]


class EvidenceRow(FileRecord):
    """A row of a table of the run, from 0, which an outcome rests on."""

    table: str
    row: int = Field(ge=0)


class Reason(FileRecord):
    """One outcome that a class's status rests on. Its numbers are under `experiments`."""

    experiment: str
    outcome: str
    evidence: list[EvidenceRow] = Field(default=[])


class ClassStanding(FileRecord):
    """One fault class. The ids are those of `luckyhit.judge.diagnosis.table.FAULTS`."""

    id: str
    status: ClassStatus
    because: list[Reason] = Field(
        default=[],
        description="shown: outcomes that only it predicts; excluded: outcomes that it can't have; possible: faulty "
        "outcomes that it would explain, empty where nothing speaks for it or against it",
    )


class ExperimentRecord(FileRecord):
    """One experiment that was made."""

    id: str
    outcome: str | None = Field(default=None, description="null: not beyond chance, or it could not be made")
    count: int = Field(default=0, description="trials with that outcome")
    total: int = Field(default=0, description="all trials")
    visible_from: float | None = Field(
        default=None, description="another outcome in this proportion of trials would have been seen; null: no outcome"
    )
    seconds: float | None = Field(default=None, description="null: it was answered by another one's records")
    lacking: list[str] = Field(default=[], description="needs that turned out not to be met")
    facts: dict[str, float | int | str | bool | None] = Field(
        default={}, description="its numbers and names, with units in the names"
    )
    evidence: list[EvidenceRow] = Field(default=[])


class NextExperiment(FileRecord):
    """The experiment that would split the classes that are left most per second."""

    experiment: str
    splits: list[str] = Field(default=[], description="the classes that it can exclude or show")
    seconds: float | None = None
    lacking: list[str] = Field(default=[], description="needs that are not met")


class NotSeen(FileRecord):
    """What could not be looked at: an experiment, the classes that it would have split, and what it needs."""

    experiment: str
    splits: list[str] = Field(default=[])
    lacking: list[str] = Field(default=[])


class Diagnosis(FileRecord):
    """`diagnosis.json`: the diagnosis of one read and the write that it shows. `schema` is the version of its shape."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    schema_: int = Field(default=DIAGNOSIS_SCHEMA, alias="schema")
    case: str = ""
    run: str = ""
    read: str = Field(default="", description="the read that was diagnosed, such as `GET /items/{id}`")
    write: str | None = Field(default=None, description="the write that it shows; null: none is declared")
    conclusion: DiagnosisConclusion = Field(
        default="open",
        description="none-found: nothing faulty in what was looked at, see `visible_from`; outside: something is "
        "wrong, and no class explains it; open: several classes would explain it, or nothing was looked at",
    )
    ended: DiagnosisEnd = Field(default="interrupted", description="why no further experiment was made")
    classes: list[ClassStanding] = Field(default=[], description="each class once")
    explaining_sets: list[list[str]] = Field(
        default=[], description="the smallest sets of classes that explain every faulty outcome"
    )
    unexplained: list[Reason] = Field(default=[], description="faulty outcomes that no class explains")
    experiments: list[ExperimentRecord] = Field(default=[], description="in the order in which they were made")
    next: NextExperiment | None = Field(default=None, description="null: nothing splits what is left")
    next_case: str | None = Field(
        default=None,
        description="a case beside this file, with the setting changed that the shown class names",
    )
    not_seen: list[NotSeen] = Field(default=[], description="what could not be looked at, and why")
    seed: int | None = None
    budget_s: float | None = None

    def having(self, status: ClassStatus) -> list[str]:
        """The ids of the classes with that status."""
        return [standing.id for standing in self.classes if standing.status == status]


def load_diagnosis(document: dict[str, Any]) -> tuple[Diagnosis, list[UnreadPart]]:
    """The diagnosis as far as it can be read, and a problem for each unreadable field or entry. Never raises.

    A class whose status can't be read is left out: no damage makes a class shown.
    """
    return load_record(Diagnosis, document)


def diagnosis_document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis as it is written to the file."""
    document: dict[str, Any] = diagnosis.model_dump(mode="json", by_alias=True)
    return document
