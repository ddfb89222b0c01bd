"""`luckyhit judge`, `report` and `revert`: what starts from a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import typer

from luckyhit.case_run import CaseRun
from luckyhit.change import revert_run
from luckyhit.change.journal import Journal
from luckyhit.change.lock import steps_left_open
from luckyhit.cli.app import print_json, print_verdict, refuse_two_on_stdout
from luckyhit.cli.publishing import write_outcome
from luckyhit.errors import ArgumentError, CaseError, LuckyHitError
from luckyhit.judge import judge as judge_run
from luckyhit.judge import records_only
from luckyhit.judge.context.earlier_baselines import with_earlier
from luckyhit.project import Project
from luckyhit.records import Result
from luckyhit.report.page import render
from luckyhit.report.run_outcome import outcome_of_records, outcome_of_run
from luckyhit.report.tables.metric_rows import number_lines
from luckyhit.run import Run, runs
from luckyhit.scrub.characters import visible
from luckyhit.scrub.sweep import scrub_notebook
from luckyhit.text.messages import guard_title
from luckyhit.workflow.step import scrub
from luckyhit.workflow.unattended.export import export, keep_result


def judge(run: str, *, as_json: bool, write: bool, summary: str, junit: str, runs_dir: str) -> None:
    """Judge a run, or a directory with records only, and print the result."""
    refuse_two_on_stdout(summary, junit, as_json=as_json)
    if records_only.is_records_only(Path(run)):
        if write:
            raise ArgumentError(f"--write needs a run directory; {run} has records only", hint="Leave --write out.")
        result = records_only.judge_records_only(Path(run))
        outcome = outcome_of_records(result, Path(run))
        numbers = number_lines(result)  # no report shows them
    else:
        project = Project.find(runs_dir=runs_dir)
        run_files = CaseRun.find(project.runs, run)
        result = run_files.redacted(with_earlier(run_files, judge_run(run_files)))
        # An existing result is kept even if it can't be read: it may be the only trace of what was reported.
        if write or not (run_files.path / "result.json").exists():
            keep_result(run_files, result)
        outcome = outcome_of_run(run_files, result, project.reports, incomplete=ended_early(run_files))
        numbers = []
    if as_json:
        print(result.model_dump_json(by_alias=True, indent=2))
    else:
        print_verdict(result)
        shown = (*numbers, outcome.old_data, *outcome.findings)
        print("".join(f"  {line}\n" for line in shown if line), end="")
        print("".join(failed_guards(result)), end="")
    write_outcome(outcome, summary=summary, junit=junit)


def failed_guards(result: Result) -> Iterator[str]:
    """A line for each failed guard, and one for what to do about it."""
    for guard in result.guards:
        if not guard.ok:
            yield f"  guard failed: {visible(guard_title(guard.id))}: {visible(guard.detail)}\n"
            yield f"    what to do: {visible(guard.remedy)}\n" if guard.remedy else ""


def report(run: str, *, summary: str, junit: str, runs_dir: str, reports_dir: str) -> None:
    """Judge a run, write its report, and print the report's path."""
    refuse_two_on_stdout(summary, junit, as_json=False)
    project = Project.find(runs_dir=runs_dir, reports_dir=reports_dir)
    run_files = CaseRun.find(project.runs, run)
    reason = ended_early(run_files) or "the run did not finish"
    result = None
    if run_files.manifest.ended:
        try:
            result = with_earlier(run_files, judge_run(run_files))
        except CaseError as error:
            reason = f"its case file is no longer valid: {error.message}"
        else:
            reason = ""
    if result is not None:
        path = export(run_files, result, project.reports)
    else:
        path = render(run_files, None, project.reports, incomplete=reason)
    outcome = outcome_of_run(run_files, result, project.reports, incomplete=reason, report=path)
    write_outcome(outcome, summary=summary, junit=junit)
    print(path)


def ended_early(run: CaseRun) -> str:
    """Why a run ended early; empty if it did not, or if no failure was recorded."""
    failure = run.manifest.failure
    return failure.message or "no reason was recorded" if failure else ""


def revert(run: str, *, as_json: bool, runs_dir: str) -> None:
    """Finish a rollback, and print its outcome, and which other runs left a step open. Of several runs (`latest`, a
    case's name) it is the newest that did: a later one may have been refused because of it. Raises typer.Exit(5) if it
    is not confirmed."""
    project = Project.find(runs_dir=runs_dir)
    left_open = [one for one in runs(project.runs) if _left_open(one)]
    run_files = CaseRun.find(project.runs, run)
    if len(Path(run).parts) == 1 and not run_files.id.endswith(run):
        case = "" if run == "latest" else run.removeprefix("latest:")
        of_case = [one for one in left_open if case in ("", one.path.parent.name)]
        run_files = CaseRun.open(of_case[-1].path) if of_case else run_files
    try:
        rollback = revert_run(run_files, project=project.root)
    except LuckyHitError as error:
        error.reword(run_files.redactor.secrets)
        raise
    run_files.update(rollback=rollback, changed=not rollback.confirmed)
    # A run that was killed was not scrubbed.
    scrub(run_files, closed=True)
    for notebook in sorted((run_files.path / "notebooks").glob("*.ipynb")):
        scrub_notebook(notebook, run_files.redactor)
    if as_json:
        print_json(run_files.redactor.document(rollback.model_dump()))
    else:
        detail = run_files.redactor.secrets(rollback.detail)
        print(f"rollback {'confirmed' if rollback.confirmed else 'NOT confirmed'}: {detail}")
    for other in left_open:
        if other.path != run_files.path:
            print(f"run {other.id} left a step open, too: `luckyhit revert {other.id}`", file=sys.stderr)
    if not rollback.confirmed:
        raise typer.Exit(5)


def _left_open(run: Run) -> bool:
    """Whether a run's journal has steps that still need undoing; False where it can't be read."""
    journal = run.path / "journal.jsonl"
    try:
        return journal.exists() and bool(steps_left_open(Journal(journal)))
    except (LuckyHitError, OSError):
        return False
