"""The end of an unattended run, however its notebooks ended: its exit code and its report.

If everything was measured and rolled back, and only the report could not be written, the run stays measured:
`luckyhit report` makes the report later.
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
from luckyhit.errors import GuardError, LuckyHitError, NoRoom
from luckyhit.project import Project
from luckyhit.records import Result, Rollback
from luckyhit.records.manifest import RunFailure
from luckyhit.workflow.step import scrub
from luckyhit.workflow.unattended.interruptions import Interruptions

INTERRUPTED = 130
INTERRUPTED_ERROR = "Interrupted"
GUARD_AFTER_CHANGE = 4
"""Exit code of a run that a guard stopped with the change in place; it was rolled back."""


@dataclass
class RunEnding:
    """How a run ended: its directory, its report (None if it could not be written), its exit code. `reason`: why it is
    incomplete. `result`: of a run that was measured to its end, or stopped by its time limit or a guard. `error`: why
    there is no report. `note`: what went wrong in a complete run. `seconds`: its duration."""

    run: CaseRun
    report: Path | None
    exit_code: int
    reason: str = ""
    result: Result | None = None
    error: LuckyHitError | None = None
    note: str = ""
    failure: RunFailure | None = None
    seconds: float = 0.0


def finish(
    project: Project, run: CaseRun, interruptions: Interruptions, error: BaseException | None = None
) -> RunEnding:
    """Read how the notebooks ended; without a report, render the records so far as INCOMPLETE. `error`: what stopped
    the notebook."""
    manifest = run.manifest
    report = manifest.report
    if manifest.state == "finished" and report:  # an interruption after that changes nothing
        return RunEnding(run, project.reports / Path(report).name, 0, result=run.result)
    from luckyhit.workflow.unattended import export  # imports judge and report; most runs end without it

    failure = manifest.failure
    if manifest.ended and failure is None and not _open(run):
        return _reported_late(run, interruptions, error, *export.judged_and_exported(run, project.reports))
    died = failure is None  # otherwise the step has recorded why, and rolled back
    interrupted = interruptions.count > 0
    if failure is None:
        failure = _failed_notebook(run, error, interrupted=interrupted)
        _note(run, state="failed", failure=failure)
    if died or manifest.changed:
        failure = _rolled_back(project, run, failure)
    too_late = interruptions.too_late and failure.error == INTERRUPTED_ERROR and failure.exit_code != 5
    if too_late:
        failure = failure.model_copy(update=interruptions.as_failure())
        _note(run, failure=failure)
    # A guard that can no longer hold is a verdict.
    guarded = failure.error == GuardError.__name__ and failure.exit_code == GUARD_AFTER_CHANGE
    result = export.judged_so_far(run) if too_late or guarded else None
    with suppress(OSError):
        scrub(run, closed=True)
    path, unreported = export.incomplete_report(run, result, project.reports, failure.message)
    code = failure.exit_code
    if interrupted and not interruptions.too_late and code != 5:
        code = INTERRUPTED
    failure = run.manifest.failure or failure  # as it may be shown
    return RunEnding(run, path, code, reason=failure.message, result=result, error=unreported, failure=failure)


def _failed_notebook(run: CaseRun, error: BaseException | None, *, interrupted: bool) -> RunFailure:
    """Why a notebook ended, where its step recorded nothing. A full disk is named: the notebook, the kernel's files or
    the progress could not be written."""
    full = _full_disk(error)
    if full is not None and not interrupted:
        return RunFailure(
            error=type(full).__name__, message=full.message, hint=full.hint, exit_code=full.exit_code, refusal=None
        )
    return RunFailure(
        error=INTERRUPTED_ERROR if interrupted else "NotebookFailed",
        message="interrupted" if interrupted else "a notebook failed; its executed copy has the traceback",
        hint=f"See the executed notebooks in {run.path / 'notebooks'}.",
        exit_code=INTERRUPTED if interrupted else 1,
        refusal=None,
    )


def _full_disk(error: BaseException | None) -> NoRoom | None:
    """The full disk that stopped a notebook: in this process, or in its kernel, by the text of its last error."""
    if isinstance(error, OSError):
        return NoRoom.of(error)
    if getattr(error, "ename", "") == NoRoom.__name__:
        return NoRoom(str(getattr(error, "evalue", "")), hint="Free disk space, then start again.")
    return NoRoom.of_text(str(getattr(error, "evalue", "")))


def _reported_late(
    run: CaseRun,
    interruptions: Interruptions,
    stopped: BaseException | None,
    result: Result | None,
    path: Path | None,
    error: LuckyHitError | None,
) -> RunEnding:
    """Everything was measured and rolled back, and the notebooks ended before the report, which was made here. If it
    can't be written, the exit code says so, and the run stays measured."""
    if error is not None:
        return RunEnding(run, None, error.exit_code, result=result, error=error)
    if interruptions.too_late:  # the limit came after measuring
        return RunEnding(run, path, 0, result=result)
    if interruptions.count:
        note = "interrupted while the report was made; all measurements were done, and the report is complete"
        return RunEnding(run, path, INTERRUPTED, result=result, note=note)
    full = _full_disk(stopped)
    why = f": {full.message}" if full is not None else f"; see its executed copy in {run.path / 'notebooks'}"
    note = f"a notebook failed after all measurements were done{why}. The report is complete"
    return RunEnding(run, path, 1, result=result, note=note)


def _open(run: CaseRun) -> bool:
    """Whether anything is left to undo: a kernel that was killed right after its last block could not."""
    journal = run.path / "journal.jsonl"
    try:
        return run.manifest.changed or (journal.exists() and bool(steps_left_open(Journal(journal))))
    except (LuckyHitError, OSError):
        return True


def _note(run: CaseRun, **fields: Any) -> None:
    """Update the manifest if it can be written: a full disk must not prevent the rollback."""
    with suppress(OSError):
        run.update(**fields)


def _rolled_back(project: Project, run: CaseRun, failure: RunFailure) -> RunFailure:
    """Roll back from the journal what a killed kernel could not. A rollback that can't be confirmed takes precedence
    over other failures. Returns the failure to report."""
    try:
        rollback = revert_run(run, project=project.root)
    except LuckyHitError as error:
        rollback = Rollback(confirmed=False, detail=error.message)
        failure = failure.model_copy(
            update={"message": error.message, "hint": error.hint, "exit_code": 5, "refusal": error.refusal}
        )
    _note(run, changed=not rollback.confirmed, rollback=rollback, failure=failure)
    return failure
