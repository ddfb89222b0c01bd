"""The numbers of a case that the form in JupyterLab shows and writes, without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from luckyhit.case import load_case
from luckyhit.errors import ArgumentError, CaseError
from luckyhit.workflow.notebook.case_form import CaseEditor, case_form

ROOT = Path(__file__).parents[2]


@pytest.fixture
def case_file(tmp_path: Path) -> Path:
    path = tmp_path / "stale-price.yml"
    path.write_bytes((ROOT / "data" / "cases" / "stale-price.yml").read_bytes())
    return path


def test_each_number_has_its_meaning_and_default(case_file: Path) -> None:
    fields = {field.name: field for field in CaseEditor(case_file).fields}
    assert fields["workload.rate"].written == "110/s" and fields["goals.stale_reads.at_most"].written == "10 %"
    assert {"plan.blocks", "freshness.within", "goals.latency_p50_ms.margin"} <= set(fields)
    assert fields["goals.hit_ratio.at_most"].written == "" == fields["goals.hit_ratio.at_most"].default
    assert all(field.meaning for field in fields.values())


def test_saved_numbers_are_in_the_file_and_comments_stay(case_file: Path) -> None:
    before = case_file.read_text()
    editor = CaseEditor(case_file)
    lines = editor.save({("workload", "rate"): " 90/s ", ("plan", "blocks"): "6", ("plan", "block"): "4s"})
    assert len(lines) == 2, "the third is as it was"
    assert case_file.read_text() == before.replace("  rate: 110/s", "  rate: 90/s").replace("blocks: 12", "blocks: 6")
    assert load_case(case_file).workload.rate == 90
    assert editor.save({("workload", "rate"): "90/s"}) == [], "shown again as it is now"


def test_a_case_without_probe_or_with_auto_has_fewer_fields(case_file: Path) -> None:
    text = case_file.read_text()
    case_file.write_text(text[: text.index("plan:")] + "plan: {auto: true}\n")
    assert any(field.name.startswith("plan.") for field in CaseEditor(case_file).fields)
    placebo = case_file.with_name("placebo.yml")
    placebo.write_bytes((ROOT / "data" / "cases" / "placebo.yml").read_bytes())
    sections = {field.path[0] for field in CaseEditor(placebo).fields}
    assert ("freshness" in sections) == (load_case(placebo).freshness is not None)


@pytest.mark.parametrize(("value", "kind"), [("fast", CaseError), ("", ArgumentError)])
def test_an_invalid_number_writes_nothing(case_file: Path, value: str, kind: type[Exception]) -> None:
    before = case_file.read_bytes()
    with pytest.raises(kind, match="rate"):
        CaseEditor(case_file).save({("workload", "rate"): value, ("plan", "blocks"): "6"})
    assert case_file.read_bytes() == before


def test_a_file_changed_by_somebody_else_is_kept(case_file: Path) -> None:
    editor = CaseEditor(case_file)
    case_file.write_text(case_file.read_text().replace("rate: 110/s", "rate: 70/s"))
    theirs = case_file.read_bytes()
    with pytest.raises(ArgumentError, match="meanwhile"):
        editor.save({("workload", "rate"): "90/s"})
    assert case_file.read_bytes() == theirs


def test_the_widget_tells_what_it_wrote_and_what_it_refused(case_file: Path) -> None:
    saved: list[bool] = []
    form = case_form(case_file, lambda: saved.append(True))
    *boxes, button, status = form.children
    rate = next(box for box in boxes if box.description == "workload.rate")
    assert rate.value == "110/s" and rate.tooltip
    rate.value = "<b>"
    button.click()
    assert "Nothing was written" in status.value and "<b>" not in status.value.replace("<br>", "") and not saved
    rate.value = "95/s"
    button.click()
    assert "110/s → 95/s" in status.value and saved == [True]
    button.click()
    assert "Nothing to change" in status.value and saved == [True]
    case_file.unlink()
    rate.value = "96/s"
    button.click()
    assert case_file.name not in status.value and not case_file.exists()
