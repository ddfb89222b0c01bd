"""Comparisons that are measured: a run of the case for each attempt, with both revisions on stacks of their own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.bisect.checkouts import Checkouts, Untestable
from luckyhit.bisect.comparison import BisectAnswer, read_ends, read_goals, readings_of
from luckyhit.bisect.step_case import LONGER, Effort, step_case
from luckyhit.case_run import CaseRun
from luckyhit.errors import (
    GuardError,
    LuckyHitError,
    NoRoom,
    RollbackNotConfirmed,
    RunUnreadable,
    TargetBusy,
)
from luckyhit.project import Project
from luckyhit.records import GoalName, Result
from luckyhit.records.bisection import BisectOutcome, BisectQuestion
from luckyhit.workflow import steps
from luckyhit.workflow.step import Sources
from luckyhit.workflow.unattended import console
from luckyhit.workflow.unattended.export import incomplete_report, judged_and_exported
from luckyhit.workflow.unattended.run_case import new_run

_OF_ALL_REVISIONS = (NoRoom, RollbackNotConfirmed, RunUnreadable, TargetBusy)
"""What another revision would meet as well: the search stops, and can go on once it is mended."""
Say = Callable[[str], None]


@dataclass(frozen=True)
class _Attempt:
    """One run of a comparison: its result, or why there is none."""

    run: CaseRun
    result: Result | None
    reason: str
    report: Path | None


@dataclass
class MeasuredComparison:
    """Measures in `folder`, the directory of the search. `case_name`, `case_text`: of its case file; `comparisons`: of
    the whole search, which share the case's error rate; `asked`: the goals that the comparison of the ends is limited
    to, with their margins. `quiet`: the progress of the runs is not shown."""

    folder: Path
    project: Project
    case_name: str
    case_text: str
    comparisons: int
    checkouts: Checkouts
    asked: Mapping[GoalName, str] = field(default_factory=dict)
    say: Say = field(default=lambda text: None)
    quiet: bool = False
    _newest: dict[BisectOutcome, str] = field(default_factory=dict)
    """By outcome, the revision that had it last."""

    @property
    def own(self) -> Project:
        """The project with the folders of this search."""
        return Project(self.project.root, self.folder / "runs", self.folder / "reports")

    def compare(self, question: BisectQuestion, margins: Mapping[GoalName, str]) -> BisectAnswer:
        started = time.monotonic()
        # The last ones of either outcome are those of the confirmation: a build may take long.
        self.checkouts.keep_only(question.before, question.after, *self._newest.values())
        try:
            before = self.checkouts.settings(question.before)
        except Untestable as untestable:
            raise GuardError(
                f"revision {question.before[:12]}, which the others are compared with, can't be tested: "
                f"{untestable.reason}",
                hint="Name a good revision that starts as the case says (target.start, --build).",
            ) from None
        try:
            sources: Sources = {"before": before, "after": self.checkouts.settings(question.after)}
        except Untestable as untestable:
            self.say(f"  {question.after[:12]} can't be tested: {untestable.reason}")
            return BisectAnswer(untestable.outcome, untestable.reason, seconds=time.monotonic() - started)
        answer = self._attempts(question, margins, sources, started)
        self._newest[answer.outcome] = question.after
        self.say(f"  {answer.outcome}: {answer.reason}")
        return answer

    def _attempts(
        self, question: BisectQuestion, margins: Mapping[GoalName, str], sources: Sources, started: float
    ) -> BisectAnswer:
        """Attempts until one decides. A longer one replaces what the shorter one left open."""
        made: list[_Attempt] = []
        outcome: BisectOutcome = "undecided"
        hurt: Mapping[GoalName, str] = {}
        for _ in LONGER:
            if made:
                self.say(f"  measuring again: {made[-1].reason}")
            attempt = 1 + sum(earlier.result is not None for earlier in made)
            made.append(self._measured(question, margins, sources, attempt))
            result = made[-1].result
            if result is None:
                # On a busy machine a run may fail that would succeed.
                outcome = "not-measured"
                continue
            if question.purpose == "ends":
                outcome, hurt = read_ends(result, self.asked)
            else:
                outcome = read_goals(result, margins)
            if outcome != "undecided":
                break
        result = made[-1].result
        return BisectAnswer(
            outcome,
            reason=made[-1].reason,
            goals=readings_of(result, margins) if result is not None else {},
            margins=hurt,
            attempts=len(made),
            runs=tuple(self._relative(attempt.run.path) for attempt in made),
            reports=tuple(self._relative(attempt.report) for attempt in made if attempt.report is not None),
            seconds=time.monotonic() - started,
        )

    def _measured(
        self, question: BisectQuestion, margins: Mapping[GoalName, str], sources: Sources, attempt: int
    ) -> _Attempt:
        """One run. Raises what no other revision would mend, and KeyboardInterrupt; the run is rolled back then."""
        decisive = self.asked if question.purpose == "ends" else margins
        text = step_case(self.case_text, question, decisive, Effort(attempt, self.comparisons))
        case_file = self.folder / "cases" / f"{question.purpose}-{question.after[:12]}-{attempt}" / self.case_name
        write_atomically(case_file, text)
        run = new_run(self.own, case_file)

        def progress(doing: str, done_s: float, total_s: float) -> None:
            run.progress(doing, done=done_s, total=total_s)

        try:
            with console.follow(run, quiet=self.quiet):
                steps.measure_baseline(run, self.own, progress, sources)
                steps.measure_change(run, self.own, progress, sources)
        except _OF_ALL_REVISIONS:
            raise
        except LuckyHitError as error:
            report, _ = incomplete_report(run, None, self.own.reports, error.message)
            return _Attempt(run, None, run.redactor.text(error.message), report)
        result, report, unwritten = judged_and_exported(run, self.own.reports)
        if result is None:
            return _Attempt(run, None, unwritten.message if unwritten else "it could not be judged", report)
        return _Attempt(run, result, f"{result.verdict}: {result.reason}", report)

    def _relative(self, path: Path) -> str:
        return os.path.relpath(path, self.folder)
