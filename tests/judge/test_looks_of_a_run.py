"""Looks after each block of a case that may stop early: recorded, and stopped only where all is decided."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from luckyhit.case_run import CaseRun
from luckyhit.records import Guard
from luckyhit.workflow import planning
from luckyhit.workflow.planning import blocks_to_add, seen_enough

CASE = (Path(__file__).parents[2] / "data" / "cases" / "placebo.yml").read_text()
ALONE = Guard(id="declared-difference-only", ok=True, detail="one environment variable differs")


def a_run(tmp_path: Path, simulated: Any, plan: str, block: str = "40s") -> CaseRun:
    """A run that has measured all of `simulated` but the block after its rollback."""
    file = tmp_path / "placebo.yml"
    file.write_text(CASE.replace("  blocks: 14", f"  blocks: {plan}").replace("  block: 4s", f"  block: {block}"))
    run = CaseRun.create(
        tmp_path / "runs", file, now=datetime(2026, 11, 23), manifest={"design": "side-by-side", "guards": []}
    )
    simulated.write(run.path)
    blocks = [entry for entry in simulated.blocks if entry["stage"] != "after-rollback"]
    # Each block had processes of its own.
    run.update(blocks=[{**entry, "start": dict.fromkeys(entry["arms"], entry["block"])} for entry in blocks])
    return run


def measuring(*looks: Guard) -> Any:
    """What of the measuring a look needs: the guard on all that was compared so far."""
    shown: list[str] = []
    return SimpleNamespace(
        looks=SimpleNamespace(guard=lambda: looks[0]), show=shown.append, shown=shown, total_s=0.0, rows_so_far=None
    )


@pytest.fixture
def calm(simulate: Any) -> Any:
    return simulate(3, blocks=3)


def test_a_decided_run_stops_and_notes_its_look(tmp_path: Path, calm: Any) -> None:
    run, beside = a_run(tmp_path, calm, "8"), measuring(ALONE)
    assert seen_enough(run, beside)
    (look,) = run.manifest.looks
    assert look.blocks == 3 and look.stopped and look.verdict == "EQUIVALENT", look
    assert len(beside.shown) == 1
    assert run.result is None  # a look leaves no result behind


def test_an_undeclared_change_is_no_reason_to_stop(tmp_path: Path, calm: Any) -> None:
    run = a_run(tmp_path, calm, "8")
    other = ALONE.model_copy(update={"ok": False, "detail": "two packages differ", "remedy": "Pin them."})
    assert not seen_enough(run, measuring(other))
    (look,) = run.manifest.looks
    assert look.verdict == "INVALID" and not look.stopped


@pytest.mark.parametrize("plan", ["8\n  stop_early: false", "3"])
def test_there_is_no_look_where_it_makes_no_difference(plan: str, tmp_path: Path, calm: Any) -> None:
    """A case that may not stop; and one that is at its last block."""
    run = a_run(tmp_path, calm, plan)
    assert not seen_enough(run, measuring(ALONE))
    assert not run.manifest.looks


def test_few_missing_blocks_are_added_once(tmp_path: Path, calm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run, beside = a_run(tmp_path, calm, "3"), measuring(ALONE)
    open_goal(monkeypatch, expected=1.2)
    assert blocks_to_add(run, beside) == 1
    (look,) = run.manifest.looks
    assert look.blocks == 3 and look.added == 1 and not look.stopped
    assert blocks_to_add(run, beside) == 0  # once is all
    assert len(run.manifest.looks) == 1


def test_short_blocks_are_added_for_a_minute(tmp_path: Path, calm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of the plan that is: here, twice as much as was planned."""
    open_goal(monkeypatch, expected=2.9)
    assert blocks_to_add(a_run(tmp_path, calm, "3", block="7500ms"), measuring(ALONE)) == 6


@pytest.mark.parametrize(
    ("expected", "plan", "block"),
    [(1.5, "3", "40s"), (3.1, "3", "7500ms"), (None, "3", "40s"), (1.2, "3\n  stop_early: false", "40s")],
)
def test_no_block_is_added_where_it_would_not_decide(
    expected: float | None, plan: str, block: str, tmp_path: Path, calm: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many are missing, nobody knows how many, or the intervals are those of one look."""
    open_goal(monkeypatch, expected=expected)
    assert blocks_to_add(a_run(tmp_path, calm, plan, block), measuring(ALONE)) == 0


def test_a_decided_run_gets_no_block_more(tmp_path: Path, calm: Any) -> None:
    assert blocks_to_add(a_run(tmp_path, calm, "3"), measuring(ALONE)) == 0


def open_goal(monkeypatch: pytest.MonkeyPatch, expected: float | None) -> None:
    """The judge finds one goal open, which is forecast to need `expected` times its pairs."""
    really = planning.judge

    def judged(*args: Any, **named: Any) -> Any:
        result = really(*args, **named)
        name = next(name for name, metric in result.metrics.items() if metric.verdict is not None and metric.pairs)
        metric = result.metrics[name]
        pairs = None if expected is None else round(metric.pairs * expected)
        metric = metric.model_copy(update={"verdict": "INCONCLUSIVE", "expected_pairs": pairs})
        return result.model_copy(update={"verdict": "INCONCLUSIVE", "metrics": {**result.metrics, name: metric}})

    monkeypatch.setattr(planning, "judge", judged)
