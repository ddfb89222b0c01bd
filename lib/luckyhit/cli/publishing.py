"""What a run came to: its first lines for the terminal, `--summary` and `--junit` for other machines.

It takes judge and report along, a second to import.
"""

from __future__ import annotations

from pathlib import Path

from luckyhit.errors import LuckyHitError
from luckyhit.project import Project
from luckyhit.records import Result
from luckyhit.report.ci_summary import summary as as_markdown
from luckyhit.report.junit import junit as as_xml
from luckyhit.report.run_outcome import Told, lines_of, publish, told_of_error, told_of_run
from luckyhit.workflow.unattended.ending import Outcome


def publish_error(case_file: Path, error: LuckyHitError, project: Project, *, summary: str, junit: str) -> None:
    """Where nothing could be measured: whoever waits for the file has to learn that. Raises ReportNotWritten."""
    write_told(told_of_error(case_file, error, [project.runs, project.reports]), summary=summary, junit=junit)


def publish_outcome(outcome: Outcome, project: Project, *, summary: str, junit: str) -> None:
    """How a run ended, whole or not, where that was asked for. Raises ReportNotWritten."""
    if not summary and not junit:
        return
    told = told_of_run(
        outcome.run,
        outcome.result,
        project.reports,
        incomplete=outcome.reason,
        hint=outcome.failure.hint if outcome.failure else "",
        unreported=outcome.error.message if outcome.error else "",
        report=outcome.report,
        seconds=outcome.seconds,
    )
    write_told(told, summary=summary, junit=junit)


def write_told(outcome: Told, *, summary: str, junit: str) -> None:
    """Write what was asked for; an empty name asks for nothing. Raises ReportNotWritten."""
    if summary:
        publish(as_markdown(outcome), summary)
    if junit:
        publish(as_xml(outcome), junit)


def first_lines(result: Result) -> str:
    """What stands below the verdict on the terminal."""
    return "\n".join(lines_of(result))
