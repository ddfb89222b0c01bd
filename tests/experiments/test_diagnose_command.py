"""`luckyhit diagnose` as it is typed, wrongly too; and what is kept of a diagnosis in a folder and in a report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from luckyhit.case.load import load_case
from luckyhit.experiments.diagnosing import Diagnosed
from luckyhit.records.diagnosis import ClassStanding, Diagnosis, EvidenceRow, ExperimentRecord, Reason, load_diagnosis
from luckyhit.records.experiment_requests import EXPERIMENT_TABLE
from luckyhit.report.diagnosis_view import diagnosis_in, diagnosis_rows, markdown_of, text_of, view_of
from luckyhit.workflow.case_diagnosis import keep
from sick import HERE, SICK

LIBRARY = HERE.parents[1] / "lib"
CASE = SICK["uncacheable-key"] / "case.yml"
KEY = "item:7|a"


def luckyhit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "data" / "cases").mkdir(parents=True, exist_ok=True)
    (folder / "notebooks").mkdir(exist_ok=True)
    (folder / "notebooks" / "1-baseline.ipynb").write_text("{}", encoding="utf-8")
    own = {"PYTHONPATH": str(LIBRARY), "TESTS": str(HERE.parent), "PYTHON": sys.executable}
    command = [sys.executable, "-m", "luckyhit", "diagnose", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )  # fmt: skip


def test_a_case_is_diagnosed_from_the_shell(tmp_path: Path) -> None:
    ended = luckyhit(tmp_path, str(CASE), "--fail-on", "shown")
    assert ended.returncode == 1, ended.stderr
    page = Path(ended.stdout.splitlines()[-1])
    assert page.is_relative_to(tmp_path / "data" / "diagnoses") and page.name == "diagnosis.html"
    text = page.read_text(encoding="utf-8")
    assert 'data-conclusion="shown"' in text and "uncacheable-key" in text and str(tmp_path) not in text
    path = page.with_suffix(".json")
    made, unread = load_diagnosis(json.loads(path.read_text(encoding="utf-8")))
    assert made.having("shown") == ["uncacheable-key"] and unread == []
    rows = diagnosis_rows(path.parent)
    evidence = [row.row for one in made.experiments for row in one.evidence]
    assert evidence and all(row < len(rows) for row in evidence)
    assert load_case(path.with_name("case.yml")) == load_case(CASE)
    assert f"/{page.parent.name}/{page.name}" in (tmp_path / "reports" / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["no-such-case"], 2),
        ([str(CASE), "--budget", "soon"], 2),
        ([str(CASE), "--budget", "0s"], 2),
        ([str(CASE), "--fail-on", "showm"], 2),
        ([str(CASE), "--run", "no-such-run"], 2),
    ],
)
def test_wrong_words_are_refused_at_once(tmp_path: Path, arguments: list[str], code: int) -> None:
    ended = luckyhit(tmp_path, *arguments)
    assert ended.returncode == code and ended.stdout == ""
    assert not (tmp_path / "data" / "diagnoses").exists()


def made_up(secret: str = "") -> Diagnosed:
    """A diagnosis with a shown class, and the rows that it refers to."""
    reason = Reason(
        experiment="write-then-read", outcome="stays-stale", evidence=[EvidenceRow(table=EXPERIMENT_TABLE, row=1)]
    )
    record = ExperimentRecord(
        id="write-then-read", outcome="stays-stale", count=4, total=4, seconds=1.0, facts={"key": KEY + secret},
        evidence=reason.evidence,
    )  # fmt: skip
    diagnosis = Diagnosis(
        case="tried", read="GET /items/{key}", write="PUT /items/{key}", conclusion="shown", ended="explained",
        classes=[ClassStanding(id="missing-invalidation", status="shown", because=[reason])], experiments=[record],
    )  # fmt: skip
    row = ("write-then-read", "write", None, f"PUT /items/7{secret}", "7", 0, 5_000_000, 200, 12, None, 1, None, None)
    return Diagnosed(
        diagnosis,
        [row, (*row[:1], "read", "item", "GET /items/7", "7", 9_000_000, 9_500_000, 200, 11, "hit", 0, None, None)],
    )


def test_what_is_kept_has_no_secret(tmp_path: Path) -> None:
    case = load_case(CASE)
    environ = {"TESTS": "4v3ry-s3cr3t-v4lu3", "PYTHON": sys.executable}
    keep(made_up("4v3ry-s3cr3t-v4lu3"), tmp_path, case, environ)
    assert not any(b"4v3ry-s3cr3t-v4lu3" in path.read_bytes() for path in tmp_path.iterdir())


def test_every_view_shows_class_and_evidence(tmp_path: Path) -> None:
    keep(made_up(), tmp_path, load_case(CASE), os.environ)
    made = diagnosis_in(tmp_path)
    assert made is not None
    view = view_of(made, diagnosis_rows(tmp_path))
    assert [(one.id, one.status) for one in view.classes] == [("missing-invalidation", "shown")]
    assert [row[1] for row in view.classes[0].strip] == ["GET /items/7"]
    for text in (text_of(view), markdown_of(view)):
        assert "missing-invalidation" in text and "GET /items/7" in text


def test_rows_of_the_run_itself_are_not_taken_for_experiments(tmp_path: Path) -> None:
    """A look at the run's records has more rows than the experiment, of another table with other numbers."""
    made = made_up()
    keep(made, tmp_path, load_case(CASE), {})
    (standing,) = made.diagnosis.classes
    recorded = Reason(
        experiment="baseline-staleness", outcome="stale",
        evidence=[EvidenceRow(table="requests", row=row) for row in range(9)],
    )  # fmt: skip
    both = standing.model_copy(update={"because": [recorded, *standing.because]})
    rows = diagnosis_rows(tmp_path)
    shown = [
        view_of(made.diagnosis.model_copy(update={"classes": [one]}), rows).classes[0].strip for one in (standing, both)
    ]
    assert shown[0] and shown[0] == shown[1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1, "classes": [{"id": 3}]}'])
def test_a_damaged_record_leaves_a_page(tmp_path: Path, text: str) -> None:
    (tmp_path / "diagnosis.json").write_text(text, encoding="utf-8")
    made = diagnosis_in(tmp_path)
    assert made is None or view_of(made, diagnosis_rows(tmp_path)).classes == []
