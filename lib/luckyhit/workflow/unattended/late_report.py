"""The report of a run whose notebooks did not get to it, made outside of them.

It takes judge and report along, a second to import: most runs end without it.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from luckyhit.case_run import CaseRun
from luckyhit.errors import LuckyHitError
from luckyhit.judge import judge
from luckyhit.judge.context.earlier_baselines import with_earlier
from luckyhit.records import Result
from luckyhit.report.page import render
from luckyhit.workflow.unattended.export import export, keep_result


def judged_and_exported(run: CaseRun, reports_dir: Path) -> tuple[Result | None, Path | None, LuckyHitError | None]:
    """(result, report, error) of a run that was measured to its end: with an error there is no report, and no result
    either where it can't be judged."""
    result: Result | None = None
    try:
        result = run.redacted(with_earlier(run, judge(run)))
        return result, export(run, result, reports_dir), None
    except LuckyHitError as error:
        return result, None, error


def judged_so_far(run: CaseRun) -> Result | None:
    """What can be said of a run that its time limit or a guard ended: INVALID or INCONCLUSIVE, with the reason,
    whatever the blocks that it has would show. None where its records can't be judged."""
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
    """(report, error): the page of what there is, or why there is none."""
    try:
        return render(run, result, reports_dir, incomplete=reason), None
    except LuckyHitError as error:
        return None, error
