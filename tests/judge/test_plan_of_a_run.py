"""The numbers of a plan in a run directory: written before anything is measured, and again after the baseline."""

from __future__ import annotations

from pathlib import Path

import pytest

from luckyhit.case.docs.template import new_case
from luckyhit.case.load import load_case
from luckyhit.case_run import CaseRun
from luckyhit.designs import design_of
from luckyhit.errors import ArgumentError
from luckyhit.judge.guards.run_guards import case_guard
from luckyhit.judge.power import to_size
from luckyhit.load.block import inputs_of
from luckyhit.project import Project
from luckyhit.report import notebook_tables as tables
from luckyhit.text.quantities import name_of
from luckyhit.workflow.notebook.cell_contents import CellContents
from luckyhit.workflow.planning import lines_of, plan_again, planning_after, planning_of, sized_fields
from luckyhit.workflow.probe_controls import probe_share, with_controls
from luckyhit.workflow.steps import longest_seconds
from luckyhit.workflow.unattended.run_case import new_run


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, tmp_path / "runs", tmp_path / "reports")


def case_file(project: Project, *changes: tuple[str, str]) -> Path:
    text = new_case("basket")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = project.root / "basket.yml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def baseline_of(simulate):
    def measured(run: CaseRun, share: float = 0.3) -> CaseRun:
        records = simulate(1, blocks=0, seconds=10)
        (entry, *_) = records.blocks
        records.write(run.path, block=entry["block"])
        run.update(blocks=[{**entry, "probe": {"share": share}}])
        return run

    return measured


def test_a_new_run_has_the_numbers_of_its_plan(project: Project) -> None:
    path = case_file(project)
    run = new_run(project, path)
    assert to_size(load_case(path)) == tuple(sized_fields(run)) != ()
    assert to_size(run.case) == ()
    assert run.case == planning_of(load_case(path)).case
    assert case_guard(run, run.manifest, run.case).ok
    assert design_of(run.case).load_s(run.case.plan) <= 120 < longest_seconds(run.case)


def test_the_plan_counts_on_the_keys_of_a_file(project: Project) -> None:
    """As the check before the run: the workload's own writes are pairs of stale reads too."""
    keys = [str(key) for key in range(1, 501)]
    (project.root / "keys.txt").write_text("\n".join(keys), encoding="utf-8")
    versions = [
        ("keys: {first: 1, last: 500, popularity: zipf, exponent: 1.0}", 'keys: {file: keys.txt}\n      version: "$.price"'),
        ("keys: {first: 1, last: 500, popularity: uniform}", 'keys: {file: keys.txt}\n      version: "{number}"'),
    ]  # fmt: skip
    path = case_file(project, *versions)
    run = new_run(project, path)
    listed = {"item": keys, "update": keys}
    inputs = inputs_of(run)
    assert inputs is not None and inputs.listed == listed
    assert run.case == planning_of(load_case(path), listed=listed).case
    shown = CellContents().power(load_case(path), None, project)
    assert shown.equals(CellContents().power(run.case, run, project))
    assert shown.equals(tables.power(planning_of(load_case(path), listed=listed)))
    assert not shown.equals(tables.power(planning_of(load_case(path))))


def test_a_plan_with_numbers_is_kept_byte_for_byte(project: Project) -> None:
    path = case_file(
        project, ("plan: auto", "plan: {block: 5s}"), ("stale_reads: {want: no-worse, margin: 5 %, at_most: 10 %}", "")
    )
    run = new_run(project, path)
    assert (run.path / "case.yml").read_bytes() == path.read_bytes()
    assert sized_fields(run) == []


def test_a_ceiling_that_holds_no_plan_makes_no_run(project: Project) -> None:
    with pytest.raises(ArgumentError):
        new_run(project, case_file(project, ("plan: auto", "plan: {auto: true, at_most: 9s}")))
    assert not project.runs.exists()


def test_after_the_baseline_the_plan_is_sized_again_and_noted(project: Project, baseline_of) -> None:
    run = baseline_of(new_run(project, case_file(project)))
    before = run.case
    planning = plan_again(run)
    assert CaseRun.open(run.path).case == run.case == planning.case
    assert case_guard(run, run.manifest, run.case).ok
    assert run.case.plan.baseline == before.plan.baseline  # it is measured by now
    blocks, _ = with_controls(run.case.plan.blocks, probe_share(run.manifest.blocks), on_top=True)
    assert design_of(run.case).load_s(run.case.plan, blocks) <= 120
    plan = run.manifest.plan
    assert [fact["name"] for fact in plan.power] == list(run.case.goals)
    assert all(fact["needs"] >= fact["at_least"] for fact in plan.power)
    assert planning_after(run) == planning  # whoever asks later hears the same
    assert len(lines_of(planning)) == 1 + len(run.case.goals)


def test_a_declared_plan_is_not_touched_after_the_baseline(project: Project, baseline_of) -> None:
    path = case_file(project, ("plan: auto", "plan: {blocks: 3}"))
    run = baseline_of(new_run(project, path))
    plan_again(run)
    assert (run.path / "case.yml").read_bytes() == path.read_bytes()
    short = {fact["name"]: fact["changes"] for fact in run.manifest.plan.power if fact["state"] == "short"}
    assert short["stale_reads"]


def test_the_table_has_a_row_for_each_goal(project: Project) -> None:
    case = load_case(case_file(project))
    table = tables.power(planning_of(case, hidden=["hit_ratio"]))
    assert list(table["goal"]) == [name_of(name) for name in case.goals]
    assert "target.cache_header" in table["what to change"][0]
