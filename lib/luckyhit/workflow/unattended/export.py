"""Write the report of a judged run, list it in the index, and record it in the run. Files are written atomically.

A run can be exported repeatedly, also by several processes at once: all of them write the same. Imports judge and
report, which takes a second.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from luckyhit.case_run import CaseRun
from luckyhit.errors import LuckyHitError, ReportNotWritten
from luckyhit.judge import judge
from luckyhit.judge.context.earlier_baselines import with_earlier
from luckyhit.records import Result
from luckyhit.report.page import render
from luckyhit.report.recorded import Recorded


def export(run: CaseRun, result: Result, reports_dir: Path, *, recorded_run: Recorded | None = None) -> Path:
    """Write the result, the report and the index, and record in the manifest that the run is finished. `recorded_run`:
    the records with this result, if they were read already. Returns the report's path. Raises ReportNotWritten if a
    file can't be written; the run stays measured then."""
    keep_result(run, result)
    path = render(run, result, reports_dir, recorded_run=recorded_run)
    near = os.path.relpath(path, run.path)
    with _written(run, "manifest.json"):
        finished = {"state": "finished"} if run.state == "measured" else {}
        # A long relative path would reveal the machine's folders.
        run.update(report=near if near.count("../") <= 4 else path.name, **finished)
    keep_result(run, result.model_copy(update={"report": path.name}))
    return path


def keep_result(run: CaseRun, result: Result) -> None:
    """Write `result.json`. Raises ReportNotWritten."""
    with _written(run, "result.json"):
        run.write_result(result)


@contextmanager
def _written(run: CaseRun, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportNotWritten(
            f"{name} of run {run.id} could not be written: {error.strerror or type(error).__name__}; the measurements "
            "are kept",
            hint=f"Free disk space or fix the permissions of {run.path}, then `luckyhit report {run.called}`.",
        ) from None


def judged_and_exported(run: CaseRun, reports_dir: Path) -> tuple[Result | None, Path | None, LuckyHitError | None]:
    """(result, report, error) of a run that was measured to its end; with an error there is no report, and no result if
    it can't be judged."""
    result: Result | None = None
    try:
        result = run.redacted(with_earlier(run, judge(run)))
        return result, export(run, result, reports_dir), None
    except LuckyHitError as error:
        return result, None, error


def judged_so_far(run: CaseRun) -> Result | None:
    """The result of a run that was stopped by its time limit or a guard: INVALID or INCONCLUSIVE, with the reason. None
    if its records can't be judged."""
    try:
        result = judge(run)
    except LuckyHitError:
        return None
    with suppress(LuckyHitError):
        keep_result(run, result)
    return run.redacted(result)


def incomplete_report(
    run: CaseRun, result: Result | None, reports_dir: Path, reason: str
) -> tuple[Path | None, LuckyHitError | None]:
    """(report, error): the INCOMPLETE report, or why there is none."""
    try:
        return render(run, result, reports_dir, incomplete=reason), None
    except LuckyHitError as error:
        return None, error
