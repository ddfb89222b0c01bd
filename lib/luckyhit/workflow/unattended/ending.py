"""How an unattended run ends, whatever became of its notebooks: what its exit code says, and which report there is.

Measuring and reporting are two things. Where everything was measured and taken back, and the report alone could not be
made or written, the run stays measured: its records are as good as ever, and `luckyhit report` makes the report later.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luckyhit.case_run import CaseRun
from luckyhit.change import revert_run
from luckyhit.change.journal import Journal
from luckyhit.change.lock import steps_left_open
from luckyhit.errors import GuardError, LuckyHitError
from luckyhit.project import Project
from luckyhit.records import Result, Rollback
from luckyhit.records.manifest import RunFailure
from luckyhit.workflow.step import scrub
from luckyhit.workflow.unattended.interruptions import Interruptions

INTERRUPTED = 130
INTERRUPTED_ERROR = "Interrupted"
GUARD_AFTER_CHANGE = 4
"""Exit code of a run that a guard ended with the change in place: it was taken back."""


@dataclass
class Outcome:
    """How a run ended: its directory, its report (None where not even that could be written), its exit code. `reason`:
    why it is incomplete. `result`: of a run that was measured to its end, or that its time limit or a guard ended.
    `error`: why there is no report. `note`: what else went wrong with a run that is complete.
    `seconds`: how long it took."""

    run: CaseRun
    report: Path | None
    exit_code: int
    reason: str = ""
    result: Result | None = None
    error: LuckyHitError | None = None
    note: str = ""
    failure: RunFailure | None = None
    seconds: float = 0.0


def finish(project: Project, run: CaseRun, interruptions: Interruptions) -> Outcome:
    """Read how the notebooks ended; where they did not get to the report, render what there is as INCOMPLETE."""
    manifest = run.manifest
    report = manifest.report
    if manifest.state == "finished" and report:  # an interruption that came too late changes nothing
        return Outcome(run, project.reports / Path(report).name, 0, result=run.result)
    from luckyhit.workflow.unattended import late_report  # takes judge and report along: most runs end without it

    failure = manifest.failure
    if manifest.ended and failure is None and not _open(run):
        return _reported_late(run, interruptions, *late_report.judged_and_exported(run, project.reports))
    died = failure is None  # a step that could still do so has noted why, and rolled back
    interrupted = interruptions.count > 0
    if failure is None:
        message = "interrupted" if interrupted else "a notebook ended early; its executed copy says why"
        failure = RunFailure(
            error=INTERRUPTED_ERROR if interrupted else "NotebookFailed",
            message=message,
            hint=f"Look at the executed notebooks in {run.path / 'notebooks'}.",
            exit_code=INTERRUPTED if interrupted else 1,
            refusal=None,
        )
        _note(run, state="failed", failure=failure)
    if died or manifest.changed:
        failure = _rolled_back(project, run, failure)
    too_late = interruptions.too_late and failure.error == INTERRUPTED_ERROR and failure.exit_code != 5
    if too_late:
        failure = failure.model_copy(update=interruptions.as_failure())
        _note(run, failure=failure)
    # A guard that fails for good is a verdict, whatever more could have been measured.
    guarded = failure.error == GuardError.__name__ and failure.exit_code == GUARD_AFTER_CHANGE
    result = late_report.judged_so_far(run) if too_late or guarded else None
    with suppress(OSError):
        scrub(run, closed=True)
    path, error = late_report.incomplete_report(run, result, project.reports, failure.message)
    code = failure.exit_code
    if interrupted and not interruptions.too_late and code != 5:
        code = INTERRUPTED
    failure = run.manifest.failure or failure  # as it may be shown
    return Outcome(run, path, code, reason=failure.message, result=result, error=error, failure=failure)


def _reported_late(
    run: CaseRun, interruptions: Interruptions, result: Result | None, path: Path | None, error: LuckyHitError | None
) -> Outcome:
    """Everything was measured and taken back, and the notebooks ended before the report was there: it was made here.
    What keeps it from being written is told by the exit code, and the run stays as it was measured."""
    if error is not None:
        return Outcome(run, None, error.exit_code, result=result, error=error)
    if interruptions.too_late:  # the limit came too late to cost anything
        return Outcome(run, path, 0, result=result)
    if interruptions.count:
        note = "interrupted while the report was made; everything had been measured, and the report is whole"
        return Outcome(run, path, INTERRUPTED, result=result, note=note)
    note = (
        "a notebook ended early, after everything had been measured; its executed copy in "
        f"{run.path / 'notebooks'} says why. The report is whole"
    )
    return Outcome(run, path, 1, result=result, note=note)


def _open(run: CaseRun) -> bool:
    """Whether anything is left to be undone: a kernel that was killed right after its last block had no time for it."""
    journal = run.path / "journal.jsonl"
    try:
        return run.manifest.changed or (journal.exists() and bool(steps_left_open(Journal(journal))))
    except (LuckyHitError, OSError):
        return True


def _note(run: CaseRun, **fields: Any) -> None:
    """Note it in the manifest, where that can be written: a full disk must not keep the rest from being done."""
    with suppress(OSError):
        run.update(**fields)


def _rolled_back(project: Project, run: CaseRun, failure: RunFailure) -> RunFailure:
    """Roll back from the journal what a kernel that died could not. A rollback that can't be confirmed outweighs
    whatever else went wrong. Returns the failure to report."""
    try:
        rollback = revert_run(run, project=project.root)
    except LuckyHitError as error:
        rollback = Rollback(confirmed=False, detail=error.message)
        failure = failure.model_copy(
            update={"message": error.message, "hint": error.hint, "exit_code": 5, "refusal": error.refusal}
        )
    _note(run, changed=not rollback.confirmed, rollback=rollback, failure=failure)
    return failure
