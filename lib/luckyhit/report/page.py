"""The HTML report: one self-contained file, whatever the run left; whole under its final name, or not there at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from luckyhit.case import Case
from luckyhit.case_run import CaseRun
from luckyhit.records.diagnosis import Diagnosis
from luckyhit.report.context import context
from luckyhit.report.diagnosis_view import (
    CONCLUSION_WORDS,
    EXPERIMENT_HEADINGS,
    STRIP_HEADINGS,
    diagnosis_rows,
    view_of,
)
from luckyhit.report.evidence.journal_view import journal_of, why_incomplete
from luckyhit.report.html_files import chart_text, environment, link_to, redactor_for, report_name, write_page
from luckyhit.report.page_metadata import meta_elements
from luckyhit.report.recorded import Recorded, recorded
from luckyhit.report.run_index import write_index
from luckyhit.report.tables.other_pages import DIAGNOSIS_PAGE, time_in
from luckyhit.scrub.redactor import Redactor

if TYPE_CHECKING:
    from luckyhit.records import Result


def render(
    run: CaseRun,
    result: Result | None,
    reports_dir: Path,
    *,
    incomplete: str | None = None,
    recorded_run: Recorded | None = None,
) -> Path:
    """Write the report of a run as `YYYY-MM-DD-<case>-<run>.html`, and the index beside it. Returns its path.

    `incomplete` (a reason): a report with a banner. So is that of a run without a result, that ended early, or whose
    journal has open steps. `recorded_run`: what was recorded, with this result, if the caller has read it already.
    Damage in the run's directory never stops it. Raises ReportNotWritten; an older report then stays as it was.
    """
    recorded_run = recorded_run or recorded(run, result)
    incomplete = incomplete or why_incomplete(recorded_run, journal_of(run))
    page = page_of(run, recorded_run, reports_dir, incomplete=incomplete)
    path = reports_dir / report_name(run, recorded_run.manifest)
    write_page(path, page)
    write_index(run.path.parents[1], reports_dir)
    return path


def render_diagnosis(folder: Path, diagnosis: Diagnosis, *, case: Case, name: str, redactor: Redactor) -> Path:
    """Write the page of a diagnosis beside its record (`diagnosis.html`): what a report on a run says of one, alone.
    Returns its path. Raises ReportNotWritten."""
    page = (
        environment(redactor)
        .get_template("diagnosed.html.j2")
        .render(
            case=case,
            name=name,
            stamp=folder.name,
            made=time_in(folder.name),
            conclusion=diagnosis.conclusion,
            meaning=CONCLUSION_WORDS[diagnosis.conclusion],
            next_case=diagnosis.next_case,
            diagnosis=view_of(diagnosis, diagnosis_rows(folder)),
            strip_headings=STRIP_HEADINGS,
            experiment_headings=EXPERIMENT_HEADINGS,
        )
    )
    path = folder / DIAGNOSIS_PAGE
    write_page(path, page)
    return path


def page_of(run: CaseRun, recorded: Recorded, reports_dir: Path, *, incomplete: str | None = None) -> str:
    """The report's HTML."""
    redactor = redactor_for(run, reports_dir)
    values = context(run, recorded, journal_of(run), incomplete, chart_text(redactor))
    values["metadata"] = meta_elements(values)
    history = values["history"]
    # A link to a page that is not there would only lead nowhere.
    linked = {row.report for row in history.rows if (reports_dir / row.report).is_file()} if history else set()
    return (
        environment(redactor)
        .get_template("report.html.j2")
        .render(**values, data_link=link_to(run.path, reports_dir), linked=linked)
    )
