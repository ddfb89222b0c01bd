"""The shape of `nightly.json`: what a fleet ran, how each case ended, and what differs from earlier nights.

File format history (`NIGHTLY_SCHEMA`):
    1  first version
"""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import ConfigDict, Field

from luckyhit.records.finding import FileRecord
from luckyhit.records.metrics import GoalName
from luckyhit.records.vocabulary import Verdict

NIGHTLY_SCHEMA = 1
Alarm = Literal[
    "hurt", "invalid", "inconclusive", "equivalent", "outside", "worse", "lasting", "shifted", "decided-otherwise",
    "not-run",
]  # fmt: skip
"""What `--fail-on` can name. hurt … equivalent: a verdict. outside: a metric of a baseline lies beyond all earlier
ones. worse: on its worse side. lasting: so it did the night before, on the same side. shifted: a metric's level changed
for good in its newest nights. decided-otherwise: another verdict than the time before. not-run: a case has no result of
this night."""
ALARMS: tuple[Alarm, ...] = get_args(Alarm)
CaseState = Literal["finished", "not-begun", "case-invalid", "guarded", "not-enough-data", "not-rolled-back",
                    "interrupted", "lost", "failed"]  # fmt: skip
"""How a case ended. finished: to its report. not-begun: no place, no time. case-invalid: exit code 2. guarded: 3.
not-enough-data: 4. not-rolled-back: 5. interrupted: 130, on request. lost: its machine or its process was lost.
failed: 1, a defect or a report that could not be written."""
Direction = Literal["better", "worse"]


class Departure(FileRecord):
    """A metric of this night's baseline that lies beyond all earlier ones, in the metric's unit. `nights`: in a row, on
    the same side. `chance`: how often that happens where nothing changed."""

    metric: GoalName
    value: float
    median: float | None = None
    low: float | None = None
    high: float | None = None
    earlier: int
    direction: Direction
    nights: int = 1
    chance: float


class LevelShift(FileRecord):
    """A metric whose level changed for good. `date`: of the first run at the new level; `nights`: runs since then.
    `new`: not more than NEW_NIGHTS runs ago."""

    metric: GoalName
    date: str
    was: float
    became: float
    direction: Direction
    nights: int
    new: bool = False


class NightCase(FileRecord):
    """One case of the night. `refusal`: why it was not begun. `attempts`: how often it was begun; `lost`: what became
    of the attempts before the last. `observed`: only its baseline
    was measured, which no verdict is about. `before`: the verdict of the run before, where it was another one.
    `metrics`: how many were compared with earlier baselines; `by_chance`: how many of these would lie outside without
    any change."""

    case: str
    state: CaseState
    exit_code: int | None = None
    refusal: str | None = None
    run: str = ""
    host: str = ""
    report: str = ""
    verdict: Verdict | None = None
    observed: bool = False
    before: Verdict | None = None
    reason: str = ""
    hint: str = ""
    attempts: int = 0
    lost: list[str] = Field(default=[])
    seconds: float = 0.0
    overhead_s: float = 0.0
    kept: str = ""
    earlier: int = 0
    metrics: int = 0
    by_chance: float = 0.0
    outside: list[Departure] = Field(default=[])
    shifts: list[LevelShift] = Field(default=[])
    alarms: list[Alarm] = Field(default=[])


class Night(FileRecord):
    """`nightly.json`. `exit_code`: of the whole fleet. `hosts`: how many cases each machine ran. `news`: machines that
    came, went or were refused. `settled`: attempts of earlier fleets that were rolled back first."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    schema_: int = Field(default=NIGHTLY_SCHEMA, alias="schema")
    fleet: str
    started: str
    seconds: float = 0.0
    exit_code: int = 0
    chosen: list[Alarm] = Field(default=[])
    hosts: dict[str, int] = Field(default={})
    cases: list[NightCase] = Field(default=[])
    news: list[str] = Field(default=[])
    settled: list[str] = Field(default=[])
