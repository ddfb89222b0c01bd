"""The second and third notebook find the newest run of a case that is named by its file."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from luckyhit.case_run import CaseRun
from luckyhit.workflow.workbook import change, report

PLACEBO = Path(__file__).parents[2] / "data" / "cases" / "placebo.yml"


@pytest.mark.parametrize("book", [change, report])
@pytest.mark.parametrize("name", ["shop/case.yml", "shop/quiet.yml"])
def test_the_newest_run_of_a_case_file_is_opened(book, name: str, tmp_path: Path) -> None:
    files = [tmp_path / name, tmp_path / "stock" / Path(name).name]
    made = []
    for day, file in enumerate(files, 1):
        file.parent.mkdir(exist_ok=True)
        shutil.copy(PLACEBO, file)
        made.append(CaseRun.create(tmp_path / "runs", file, now=datetime(2026, 1, day, tzinfo=UTC), manifest={}))
    opened = book(case=str(files[0]), runs_dir=str(tmp_path / "runs"), reports_dir=str(tmp_path / "reports"))
    # Of the same name, they are one case's.
    assert opened.run.id == made[0 if name.endswith("case.yml") else 1].id
