"""`luckyhit diagnose`: which kind of fault a service has."""

from __future__ import annotations

import sys
from typing import get_args

import typer

from luckyhit.case_run import CaseRun
from luckyhit.cli.app import print_json
from luckyhit.errors import ArgumentError
from luckyhit.project import Project
from luckyhit.records.diagnosis import DiagnosisConclusion, diagnosis_document
from luckyhit.report.diagnosis_view import DIAGNOSIS_FILE, diagnosis_rows, text_of, view_of
from luckyhit.report.tables.other_pages import DIAGNOSIS_PAGE
from luckyhit.text.experiment_words import QUESTIONS
from luckyhit.workflow.case_diagnosis import budget_of, diagnose_case


def diagnose(case: str, *, budget: str, seed: int | None, outage: bool, run: str, fail_on: str, as_json: bool) -> None:
    """Make a diagnosis and print it. `run`: an earlier run, whose records are looked at first. Raises typer.Exit(1)
    on a conclusion that `fail_on` names."""
    chosen = _conclusions(fail_on)
    budget_s = budget_of(budget, "--budget")
    project = Project.find()

    def show(text: str) -> None:
        print(f"  {QUESTIONS.get(text, text)}", file=sys.stderr, flush=True)

    earlier = CaseRun.find(project.runs, run) if run else None
    made, folder = diagnose_case(
        project, project.case_file(case), budget_s=budget_s, seed=seed, outage=outage, earlier=earlier, progress=show
    )
    page = folder / DIAGNOSIS_PAGE
    if as_json:
        record = folder / DIAGNOSIS_FILE
        print_json({"path": str(record), "page": str(page), "diagnosis": diagnosis_document(made)})
    else:
        print(text_of(view_of(made, diagnosis_rows(folder))))
        print(page)
    if made.conclusion in chosen:
        raise typer.Exit(1)


def _conclusions(value: str) -> set[str]:
    names = {name.strip().lower() for name in value.split(",") if name.strip()}
    known = set(get_args(DiagnosisConclusion))
    if names - known:
        raise ArgumentError(
            f"unknown conclusion for --fail-on: {', '.join(map(repr, sorted(names - known)))}",
            hint=f"Choose from {', '.join(sorted(known))}.",
        )
    return names
