"""WARMUPS: each row is a rule; the first that applies warms up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

from luckyhit.case.docs.template import new_case
from luckyhit.case.load import parse_case
from luckyhit.case_run import CaseRun
from luckyhit.load.block import BlockPlan
from luckyhit.records.parts.block_numbers import block_after, next_block
from luckyhit.workflow import measuring, warmups
from luckyhit.workflow.warmups import WARMUPS, WarmupId, warm_up
from luckyhit.workflow.warmups.warmup_rule import ComingBlock, WashOut
from luckyhit.workflow.warmups.washout import UntilStill

CASE = parse_case(new_case("slow"))


class Counted:
    """A rule that takes so many stretches."""

    def __init__(self, stretches: int, applies: bool) -> None:
        self._stretches, self._applies = stretches, applies

    def applies(self, coming):
        return self._applies

    def run(self, run, coming, stretch):
        for _ in range(self._stretches):
            stretch(1.0)
        return WashOut(self._stretches, float(self._stretches), True, ())


def test_each_rule_has_its_parts() -> None:
    assert set(WARMUPS) == set(get_args(WarmupId))
    for rule in WARMUPS.values():
        assert callable(rule.applies) and callable(rule.run)


@pytest.mark.parametrize(
    ("owned", "changeable", "applies"), [(False, True, True), (True, True, False), (False, False, False)]
)
def test_a_service_that_goes_on_warms_up_until_still(owned: bool, changeable: bool, applies: bool) -> None:
    assert UntilStill().applies(ComingBlock(CASE, owned, changeable)) is applies


def test_the_first_rule_that_applies_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"a": Counted(1, False), "b": Counted(2, True), "c": Counted(3, True)}
    monkeypatch.setattr(warmups, "WARMUPS", rules)
    sent: list[float] = []
    facts = warm_up(
        None, ComingBlock(CASE, False, True), lambda seconds: len(sent) if sent.append(seconds) is None else 0
    )
    assert facts["stretches"] == len(sent) == 2


def test_without_a_rule_that_applies_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmups, "WARMUPS", {"a": Counted(1, False)})
    assert warm_up(None, ComingBlock(CASE, False, True), lambda seconds: 1 // 0) == {}


def test_stretches_are_noted_apart_from_the_numbers_of_blocks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    case_file = tmp_path / "slow.yml"
    case_file.write_text(new_case("slow"))
    run = CaseRun.create(tmp_path / "runs", case_file, now=datetime(2026, 1, 2, tzinfo=UTC), manifest={})
    plans: list[BlockPlan] = []

    def measured(run: CaseRun, plan: BlockPlan) -> SimpleNamespace:
        plans.append(plan)
        return SimpleNamespace(as_facts=dict)

    monkeypatch.setattr(measuring, "measure_block", measured)
    monkeypatch.setattr(measuring, "authorities", lambda *_: None)
    monkeypatch.setattr(warmups, "WARMUPS", {"two": Counted(2, True)})
    step = SimpleNamespace(
        run=run, stacks=SimpleNamespace(callback=lambda _: None), headers={}, originals={}, journal=None
    )
    stack = SimpleNamespace(
        owned=False, changeable=True, base_url="http://127.0.0.1:1", project=tmp_path, name="found", start_values={},
        log_of_signals=None,
    )  # fmt: skip
    measures = measuring.Measuring(step, lambda *_: None, 1.0)
    for number, stage in enumerate(("baseline", "change", "change")):
        measures._warm_up({"before": stack}, "measuring")
        assert next_block(block.block for block in run.manifest.blocks) == number
        run.add_block(number, stage, ["before"])
    assert run.blocks("baseline") == [0] and run.blocks("change") == [1, 2]
    stretches = run.blocks("wash-out")
    assert [plan.block for plan in plans] == stretches and [block_after(one) for one in stretches] == [0, 0, 1, 1, 2, 2]
    assert len({plan.seed for plan in plans}) == len(plans), "each sends requests of its own"
