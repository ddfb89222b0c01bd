"""A run with a diagnosis has it in its report, behind the first screen; one without has no such section."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import get_args

import pytest
from page_reader import Page

from luckyhit.case_run import CaseRun
from luckyhit.experiments.diagnosing import Diagnosed
from luckyhit.records import Result
from luckyhit.records.diagnosis import (
    ClassStanding,
    Diagnosis,
    DiagnosisConclusion,
    DiagnosisEnd,
    EvidenceRow,
    ExperimentRecord,
    Reason,
)
from luckyhit.records.experiment_requests import EXPERIMENT_TABLE
from luckyhit.report.diagnosis_view import diagnosis_in
from luckyhit.report.page import render, render_diagnosis
from luckyhit.scrub.redactor import Redactor
from luckyhit.workflow.case_diagnosis import keep


def _with_diagnosis(run: CaseRun) -> None:
    evidence = [EvidenceRow(table=EXPERIMENT_TABLE, row=0)]
    reason = Reason(experiment="write-then-read", outcome="stays-stale", evidence=evidence)
    record = ExperimentRecord(
        id=reason.experiment, outcome=reason.outcome, count=4, total=4, seconds=1, evidence=evidence
    )
    made = Diagnosis(
        conclusion="shown", ended="explained", read="GET /items/{key}", experiments=[record],
        classes=[ClassStanding(id="missing-invalidation", status="shown", because=[reason])],
    )  # fmt: skip
    row = ("write-then-read", "read", "item", "GET /<items>/7", "7", 0, 1, 200, 11, "hit", 0, None, None)
    keep(Diagnosed(made, [row]), run.path, run.case, os.environ)


def test_the_section_stands_in_the_page(copied: tuple[CaseRun, Result], tmp_path: Path) -> None:
    run, result = copied
    assert "diagnosis" not in Page.read(render(run, result, tmp_path)).ids
    _with_diagnosis(run)
    page = Page.read(render(run, result, tmp_path))
    assert page.ids.index("diagnosis") < page.ids.index("naive")
    assert "missing-invalidation" in page.text and "GET /<items>/7" in page.text


def test_a_damaged_diagnosis_leaves_the_page(copied: tuple[CaseRun, Result], tmp_path: Path) -> None:
    run, result = copied
    (run.path / "diagnosis.json").write_text(json.dumps({"schema": 1, "classes": "none"}), encoding="utf-8")
    assert "naive" in Page.read(render(run, result, tmp_path)).ids


def test_a_diagnosis_alone_has_a_page_of_its_own(copied: tuple[CaseRun, Result]) -> None:
    run, _ = copied
    _with_diagnosis(run)
    made = diagnosis_in(run.path)
    assert made is not None
    path = render_diagnosis(run.path, made, case=run.case, name=run.name, redactor=Redactor(()))
    page = Page.read(path)
    (conclusion,) = [one for one in page.all("div") if one.get("id") == "conclusion"]
    assert path.parent == run.path and conclusion["data-conclusion"] == "shown"
    assert page.text.count("missing-invalidation") == 1 and "GET /<items>/7" in page.text
    assert run.case.owner.name in page.text and not page.all("script")
    assert {"diagnosis.json", "case.yml"} <= {link["href"] for link in page.all("a")}


@pytest.mark.parametrize("ended", get_args(DiagnosisEnd))
@pytest.mark.parametrize("conclusion", get_args(DiagnosisConclusion))
def test_each_conclusion_and_each_end_has_a_page(
    conclusion: DiagnosisConclusion, ended: DiagnosisEnd, copied: tuple[CaseRun, Result]
) -> None:
    run, _ = copied
    made = Diagnosis(conclusion=conclusion, ended=ended, read="GET /items/{key}")
    page = Page.read(render_diagnosis(run.path, made, case=run.case, name=run.name, redactor=Redactor(())))
    assert [one["data-conclusion"] for one in page.all("div") if one.get("id") == "conclusion"] == [conclusion]
