"""Publish a run's outcome: the lines below the verdict on the terminal, `--summary` and `--junit`.

Imports judge and report, which takes a second.
"""

from __future__ import annotations

from pathlib import Path

from luckyhit.errors import LuckyHitError
from luckyhit.project import Project
from luckyhit.records import Result
from luckyhit.report.ci_summary import summary as as_markdown
from luckyhit.report.junit import junit as as_xml
from luckyhit.report.run_outcome import RunOutcome, lines_of, outcome_of_error, outcome_of_run, publish
from luckyhit.workflow.unattended.ending import RunEnding


def publish_error(case_file: Path, error: LuckyHitError, project: Project, *, summary: str, junit: str) -> None:
    """Write the files for a run that could not start. Raises ReportNotWritten."""
    write_outcome(outcome_of_error(case_file, error, [project.runs, project.reports]), summary=summary, junit=junit)


def publish_outcome(outcome: RunEnding, project: Project, *, summary: str, junit: str) -> None:
    """Write the files for a run that ended. Raises ReportNotWritten."""
    if not summary and not junit:
        return
    outcome_facts = outcome_of_run(
        outcome.run,
        outcome.result,
        project.reports,
        incomplete=outcome.reason,
        hint=outcome.failure.hint if outcome.failure else "",
        unreported=outcome.error.message if outcome.error else "",
        report=outcome.report,
        seconds=outcome.seconds,
    )
    write_outcome(outcome_facts, summary=summary, junit=junit)


def write_outcome(outcome: RunOutcome, *, summary: str, junit: str) -> None:
    """Write the summary and the JUnit file; an empty name writes none. Raises ReportNotWritten."""
    if summary:
        publish(as_markdown(outcome), summary)
    if junit:
        publish(as_xml(outcome), junit)


def first_lines(result: Result) -> str:
    """The lines below the verdict on the terminal."""
    return "\n".join(lines_of(result))
