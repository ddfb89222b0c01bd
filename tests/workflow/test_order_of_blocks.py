"""How long a run takes at most, and that it is measured once."""

from datetime import datetime
from pathlib import Path

import pytest

from luckyhit.case import load_case
from luckyhit.case_run import CaseRun
from luckyhit.errors import NotEnoughData
from luckyhit.project import Project
from luckyhit.workflow.steps import longest_seconds, measure_baseline

CASE = load_case(Path(__file__).parents[2] / "data" / "cases" / "placebo.yml")


@pytest.mark.parametrize(("design", "blocks"), [("side-by-side", 4), ("crossover", 8), ("before-after", 8)])
def test_the_longest_run_counts_its_wash_outs_and_timeouts(design: str, blocks: int) -> None:
    plan = CASE.plan.model_copy(update={"blocks": 4, "auto": False, "washout": 30.0})
    case = CASE.model_copy(update={"design": design, "plan": plan})
    load_s = (blocks + 2) * plan.warmup + plan.baseline + blocks * plan.block + plan.after_rollback
    waits_s = (blocks + 2) * (CASE.workload.timeout + (0.0 if design == "side-by-side" else 30.0))
    assert longest_seconds(case) == pytest.approx(load_s + waits_s)


def test_a_second_baseline_in_a_run_is_refused(tmp_path: Path) -> None:
    case_file = Path(__file__).parents[2] / "data" / "cases" / "placebo.yml"
    run = CaseRun.create(tmp_path / "runs", case_file, now=datetime(2026, 11, 23), manifest={})
    run.add_block(0, "baseline", ["before"], pair=0)
    project = Project.find(runs_dir=str(tmp_path / "runs"), reports_dir=str(tmp_path / "reports"))
    with pytest.raises(NotEnoughData, match="already has a baseline"):
        measure_baseline(run, project, lambda *_: None)
    assert not (run.path / "journal.jsonl").exists()
