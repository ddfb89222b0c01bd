"""Which arm is measured when, and how long the whole run measures."""

from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luckyhit.case import Case, load_case
from luckyhit.errors import NotEnoughData
from luckyhit.investigate.steps import arms_per_block, measure_baseline, measured_seconds
from luckyhit.project import Project
from luckyhit.run import Run

CASE = load_case(Path(__file__).parents[2] / "data" / "cases" / "placebo.yml")


def variant(design: str, blocks: int, seed: int = 1) -> Case:
    return CASE.model_copy(
        update={
            "design": design,
            "plan": CASE.plan.model_copy(update={"blocks": blocks}),
            "workload": CASE.workload.model_copy(update={"seed": seed}),
        }
    )


def test_side_by_side_measures_both_arms_in_every_block() -> None:
    assert arms_per_block(variant("side-by-side", 3)) == [("before", "after")] * 3


def test_before_after_measures_one_arm_and_then_the_other() -> None:
    assert arms_per_block(variant("before-after", 2)) == [("before",), ("before",), ("after",), ("after",)]


@given(blocks=st.integers(2, 60), seed=st.integers())
def test_crossover_mirrors_each_pair_so_that_a_linear_drift_cancels(blocks: int, seed: int) -> None:
    order = arms_per_block(variant("crossover", 2 * (blocks // 2), seed))
    position: Counter[str] = Counter()
    for index, (arm,) in enumerate(order):
        position[arm] += index
    assert position["before"] == position["after"]
    assert Counter(order) == {("before",): len(order) // 2, ("after",): len(order) // 2}


def test_which_arm_comes_first_is_drawn_from_the_seed() -> None:
    first = {arms_per_block(variant("crossover", 2, seed))[0] for seed in range(20)}
    assert first == {("before",), ("after",)}
    assert arms_per_block(variant("crossover", 8, 5)) == arms_per_block(variant("crossover", 8, 5))


@pytest.mark.parametrize(("design", "blocks"), [("side-by-side", 4), ("crossover", 8), ("before-after", 8)])
def test_the_seconds_of_a_run_add_up(design: str, blocks: int) -> None:
    case, plan = variant(design, 4), CASE.plan
    warmups = (blocks + 2) * plan.warmup
    assert measured_seconds(case) == pytest.approx(warmups + plan.baseline + blocks * plan.block + plan.after_rollback)


def test_a_second_baseline_in_one_run_is_refused_before_anything_starts(tmp_path: Path) -> None:
    case_file = Path(__file__).parents[2] / "data" / "cases" / "placebo.yml"
    run = Run.create(tmp_path / "runs", case_file, now=datetime(2026, 11, 23), manifest={})
    run.add_block(0, "baseline", ["before"], pair=0)
    project = Project.find(runs_dir=str(tmp_path / "runs"), reports_dir=str(tmp_path / "reports"))
    with pytest.raises(NotEnoughData, match="has its baseline already"):
        measure_baseline(run, project, lambda *_: None)
    assert not (run.path / "journal.jsonl").exists()
