"""Diagnose a case: make the experiments, and keep the record with the rows that it refers to."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from luckyhit.atomic import write_atomically
from luckyhit.case import Case
from luckyhit.case.load import load_case
from luckyhit.case.values.units import parse_duration
from luckyhit.case.values.variables import known_secrets, noted_variables, refuse_unset
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError, RunUnreadable
from luckyhit.experiments.diagnosing import BUDGET_S, Diagnosed, Progress, diagnose
from luckyhit.judge.diagnosis.baseline_looks import baseline_looks
from luckyhit.judge.diagnosis.outcome import Observations
from luckyhit.judge.evidence import evidence_of
from luckyhit.project import Project, case_name
from luckyhit.records.diagnosis import Diagnosis, diagnosis_document, load_diagnosis
from luckyhit.records.experiment_requests import EXPERIMENT_REQUESTS
from luckyhit.records.parquet import table_of, write_table
from luckyhit.report.diagnosis_view import DIAGNOSIS_FILE, EXPERIMENTS_FILE
from luckyhit.report.page import render_diagnosis
from luckyhit.report.run_index import refresh_index
from luckyhit.report.tables.other_pages import DIAGNOSES
from luckyhit.scrub.redactor import Redactor, project_roots
from luckyhit.workflow.next_case import NEXT_CASE, next_case
from luckyhit.workflow.preflight import secret_headers


def diagnose_case(
    project: Project,
    case_file: Path,
    *,
    budget_s: float = BUDGET_S,
    seed: int | None = None,
    outage: bool = False,
    earlier: CaseRun | None = None,
    environ: Mapping[str, str] = os.environ,
    progress: Progress = lambda text: None,
) -> tuple[Diagnosis, Path]:
    """A diagnosis in a folder of its own, beside the folder of the runs, with its page, which the index links.
    `earlier`: a run of the case, whose records are looked at first. Raises what loading the case and starting its
    service raise, and ReportNotWritten."""
    if earlier is not None and earlier.name != case_name(case_file):
        raise ArgumentError(
            f"the run {earlier.id} is one of the case {earlier.name} (expected one of {case_name(case_file)})",
            hint="`luckyhit runs` lists all runs with their cases.",
        )
    case = load_case(case_file)
    refuse_unset(case, environ)
    case = load_case(case_file, variables=noted_variables(case, environ))
    made = diagnose(
        case, project=project.root, name=case_name(case_file), headers=secret_headers(case, environ), environ=environ,
        budget_s=budget_s, seed=seed, outage=outage, progress=progress, run=earlier.id if earlier else "",
        baseline=_recorded(earlier) if earlier else (),
    )  # fmt: skip
    stamp = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    folder = project.runs.parent / DIAGNOSES / case_name(case_file) / stamp
    folder.mkdir(parents=True)
    text = case_file.read_text(encoding="utf-8")
    write_atomically(folder / "case.yml", text)
    proposed = next_case(text, made.diagnosis)
    if proposed is not None:
        write_atomically(folder / NEXT_CASE, proposed)
        made = replace(made, diagnosis=made.diagnosis.model_copy(update={"next_case": NEXT_CASE}))
    kept = keep(made, folder, case, environ)
    redactor = Redactor(known_secrets(case, environ), roots=project_roots(folder))
    render_diagnosis(folder, kept, case=case, name=case_name(case_file), redactor=redactor)
    refresh_index(project.runs, project.reports, progress)
    return kept, folder


def diagnose_run(run: CaseRun, project: Project, budget: str, *, outage: bool = False) -> Diagnosis:
    """A diagnosis of the case of a run, kept in the run's directory. Raises ArgumentError for a budget that is no
    time, and what starting the service raises."""
    environ = os.environ
    budget_s = budget_of(budget, "budget")
    made = diagnose(
        run.case, project=project.root, name=run.name, run=run.id, headers=secret_headers(run.case, environ),
        environ=environ, budget_s=budget_s, outage=outage, progress=run.progress, baseline=_recorded(run),
    )  # fmt: skip
    return keep(made, run.path, run.case, environ)


def _recorded(run: CaseRun) -> list[Observations]:
    """What the records of a run say before any experiment; nothing where a file of it is damaged."""
    with suppress(RunUnreadable):
        return baseline_looks(evidence_of(run, run.manifest))
    return []


def budget_of(text: str, where: str) -> float:
    """Seconds of a text such as `90s`. Raises ArgumentError; `where`: what it is called there."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ArgumentError(f"invalid {where} {text!r} (expected {error})") from None
    if seconds <= 0:
        raise ArgumentError(f"{where} must be greater than 0 (got {text})", hint="For example: 90s.")
    return seconds


def keep(made: Diagnosed, folder: Path, case: Case, environ: Mapping[str, str]) -> Diagnosis:
    """Write the record and its rows, without secrets; the record as it is kept."""
    redactor = Redactor(known_secrets(case, environ))
    rows = [tuple(redactor.secrets(value) if isinstance(value, str) else value for value in row) for row in made.rows]
    write_table(folder / EXPERIMENTS_FILE, table_of(rows, EXPERIMENT_REQUESTS))
    document = redactor.document(diagnosis_document(made.diagnosis))
    write_atomically(folder / DIAGNOSIS_FILE, json.dumps(document, indent=2) + "\n")
    return load_diagnosis(document)[0]
