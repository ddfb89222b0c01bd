"""`luckyhit.runs()` and `luckyhit.compare()`: all runs in one frame, two of them side by side."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import luckyhit
from luckyhit.api.compared_runs import SAME_RUN
from luckyhit.case_run import CaseRun
from luckyhit.errors import ArgumentError
from luckyhit.records.column_docs import documented
from luckyhit.records.manifest import RunFailure
from luckyhit.run import Run


@pytest.fixture
def pair(copied, observed_run, tmp_path: Path) -> tuple[CaseRun, CaseRun]:
    """A judged run, and an older baseline of the same case."""
    run, result = copied
    run.write_result(result)
    older = run.path.with_name("20251101-120000-0a1b")
    shutil.move(observed_run.path, older)
    return run, CaseRun(older)


def folder_of(run: Run) -> Path:
    return run.path.parents[1]


def test_each_run_has_a_row_with_its_numbers(pair) -> None:
    run, older = pair
    frame = luckyhit.runs(runs_dir=folder_of(run))
    assert frame["run"].tolist() == [older.id, run.id], "oldest first"
    assert frame["verdict"].tolist()[1] == run.result.verdict and frame["observed"].tolist() == [True, False]
    metric = run.result.metrics["hit_ratio"]
    row = frame.iloc[1]
    assert (row["hit_ratio_before"], row["hit_ratio_after"]) == (metric.before, metric.after)
    assert row["hit_ratio_effect"] == metric.effect and row["requests"] == run.result.accounting.scheduled
    assert isinstance(row["started"], pd.Timestamp) and frame["started"].dt.tz is not None
    named = {column.name for column in documented("runs") if not column.name.startswith("*")}
    assert named <= set(frame.columns)
    assert {name.rpartition("_")[2] for name in set(frame.columns) - named} == {"before", "after", "effect"}


def test_runs_of_one_case_and_of_none(pair) -> None:
    run, _ = pair
    other = folder_of(run) / "placebo" / "20261101-120000-0a1b"
    shutil.copytree(run.path, other)
    assert luckyhit.runs(run.path.parent.name, runs_dir=folder_of(run))["run"].nunique() == 2
    assert luckyhit.runs("placebo", runs_dir=folder_of(run))["run"].tolist() == [other.name]
    nothing = luckyhit.runs("no-such-case", runs_dir=folder_of(run))
    assert len(nothing) == 0 and {"case", "run", "verdict"} <= set(nothing.columns)


def test_incomplete_and_unreadable_runs_have_a_row(pair) -> None:
    run, older = pair
    run.update(state="failed", failure=RunFailure(error="Interrupted", message="interrupted", exit_code=130))
    (older.path / "manifest.json").write_text("{")
    frame = luckyhit.runs(runs_dir=folder_of(run)).set_index("run")
    assert frame.loc[run.id, "state"] == "incomplete" and frame.loc[run.id, "reason"] == "interrupted"
    assert frame.loc[older.id, "state"] == "unreadable" and "manifest.json" in frame.loc[older.id, "reason"]
    assert frame["verdict"].isna().all(), "a run that ended early has no verdict"


def test_two_runs_side_by_side(pair) -> None:
    run, older = pair
    both = luckyhit.compare(older.path, luckyhit.open_run(run.path))
    numbers = both.numbers
    assert list(numbers.columns) == [column.name for column in documented("compare")]
    row = numbers[(numbers["metric"] == "hit_ratio") & (numbers["arm"] == "before")].iloc[0]
    first, second = (each.result.metrics["hit_ratio"].before for each in (older, run))
    assert (row["first"], row["second"]) == (first, second) and row["difference"] == second - first
    assert row["better"] == ("second" if second > first else "first" if second < first else None)
    after = numbers[numbers["arm"] == "after"]
    assert after["first"].isna().all() and after["difference"].isna().all(), "the baseline has no other arm"
    fields = both.conditions["field"].tolist()
    assert "observe" in fields and len(both.conditions) == both.conditions["field"].nunique()
    for shown in (repr(both), both._repr_html_()):
        assert run.id in shown and older.id in shown and "no verdict" in shown


def test_a_run_beside_itself_has_no_difference(pair) -> None:
    both = luckyhit.compare(pair[0].path, pair[0].path)
    assert len(both.conditions) == 0 and (both.numbers["difference"].dropna() == 0).all()
    assert both.numbers["better"].isna().all() and "Nothing else" in both._repr_html_()
    assert (
        SAME_RUN in both._repr_html_() and SAME_RUN not in luckyhit.compare(*(run.path for run in pair))._repr_html_()
    )


def test_a_run_that_is_not_judged_is_refused(pair) -> None:
    run, older = pair
    (older.path / "result.json").unlink()
    with pytest.raises(ArgumentError, match=older.id) as error:
        luckyhit.compare(run.path, older.path)
    assert "luckyhit judge" in error.value.hint


def test_hostile_texts_of_a_case_are_escaped(pair) -> None:
    run, older = pair
    case = older.path / "case.yml"
    case.write_text(case.read_text().replace("title: ", "title: <img src=x onerror=y> ", 1))
    shown = luckyhit.compare(run.path, older.path)._repr_html_()
    assert "<img" not in shown and "&lt;img" in shown
