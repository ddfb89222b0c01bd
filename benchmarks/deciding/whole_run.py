"""A whole run of a scenario in this build, as `luckyhit run` conducts it: the plan sized, a baseline, blocks of the
change with a look after each until it is enough, one block after the rollback, the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pandas as pd
from deciding_cases import Scenario
from simulated_block import PAUSE_S, Block, simulate
from simulated_service import Behaviour, S

from luckyhit.case import Case
from luckyhit.judge import decide
from luckyhit.judge.early_stopping import may_stop
from luckyhit.records import Guard, Result, Rollback
from luckyhit.records.manifest import NotedBlock, load_blocks

DECLARED = Guard(id="declared-difference-only", ok=True, detail="one environment variable differs")
SHOWN = ("verdict", "pairs", "before", "after", "effect", "low", "high", "margin")
ROLLED_BACK = Rollback(confirmed=True, detail="The variable is as it was.")


def noted(blocks: Sequence[Block]) -> list[NotedBlock]:
    """The blocks as a run's manifest notes them."""
    return load_blocks([block.entry for block in blocks])[0]


@dataclass
class Recorded:
    """What was measured so far."""

    case: Case
    seed: int
    scenario: Scenario
    blocks: list[Block] = field(default_factory=list)
    ends_ns: int = 0

    def measure(
        self, stage: str, pair: int, seconds: float, arms: dict[str, Behaviour], *, probed: bool = True
    ) -> None:
        block = simulate(
            self.case, arms, self.scenario.noise, number=len(self.blocks), stage=stage, pair=pair, seconds=seconds,
            start_ns=self.ends_ns, seed=self.seed, probed=probed,
        )  # fmt: skip
        if stage == "change":  # each block has processes of its own, in both arms
            block.entry["start"] = dict.fromkeys(arms, len(self.blocks))
        self.blocks.append(block)
        self.ends_ns += round((self.case.plan.warmup + seconds + PAUSE_S) * S)

    def judge(self, *, interim: bool) -> Result:
        requests, reads, writes = (
            pd.concat([getattr(block, name) for block in self.blocks], ignore_index=True)
            for name in ("requests", "reads", "writes")
        )
        return decide(requests, reads, writes, self.case, noted(self.blocks), [DECLARED], ROLLED_BACK, interim=interim)


def run(scenario: Scenario, seed: int) -> dict[str, Any]:
    """What came of it: verdict, blocks, pairs, and each goal with its pairs."""
    started = time.monotonic()
    written = scenario.case(seed)
    before, both = {"before": scenario.before}, {"before": scenario.before, "after": scenario.after}
    sized = _sizing()
    record = Recorded(sized(written, None), seed, scenario)
    record.measure("baseline", 0, record.case.plan.baseline, before)
    record.case = sized(written, record)
    starts_seen = _starts_seen()
    pairs, controls = _controls(record.case, record.blocks[0].entry["probe"]["share"])
    for pair in range(1, pairs + 1):
        control = pair in controls
        # The requests of the pair before: what differs between the two comes from the probe, or from chance.
        record.measure("change", pair - control, record.case.plan.block, both, probed=not control)
        record.blocks[-1].entry["pair"] = pair
        seen_control = pair >= min(controls, default=0)
        if pair < pairs and seen_control and starts_seen(record) and may_stop(record.judge(interim=True), record.case):
            break
    record.measure("after-rollback", 1, record.case.plan.after_rollback, before)
    result = record.judge(interim=False)
    failed = [guard for guard in result.guards if not guard.ok]
    goals = {name: result.metrics[name] for name in record.case.goals}
    return {
        "verdict": result.verdict,
        "reason": result.reason,
        "blocks": sum(block.entry["stage"] == "change" for block in record.blocks),
        "planned": pairs,
        "load_s": sum(record.case.plan.warmup + seconds for seconds in _seconds(record)),
        "pairs": int(sum((block.requests["arm"] == "after").sum() for block in record.blocks)),
        "guards": [guard.id for guard in failed],
        "goals": {str(name): {what: getattr(metric, what) for what in SHOWN} for name, metric in goals.items()},
        "took_s": time.monotonic() - started,
    }


def _seconds(record: Recorded) -> list[float]:
    plan = record.case.plan
    stages = {"baseline": plan.baseline, "after-rollback": plan.after_rollback}
    return [stages.get(block.entry["stage"], plan.block) for block in record.blocks]


def _controls(case: Case, share: float) -> tuple[int, set[int]]:
    """How many pairs of blocks, and which of them without the probe; none of a build that has no such blocks."""
    module = "luckyhit.workflow.probe_controls"
    if find_spec(module) is None:
        return case.plan.blocks, set()
    pairs, controls = import_module(module).with_controls(case.plan.blocks, share, on_top=True)
    return pairs, controls


def _starts_seen() -> Callable[[Recorded], bool]:
    """Whether a run has seen starts enough to end; always, in a build that doesn't ask."""
    if find_spec("luckyhit.judge.compare") is None:
        return lambda record: True
    enough_starts = import_module("luckyhit.judge.compare.process_starts").enough_starts

    def seen(record: Recorded) -> bool:
        changed = [block for block in record.blocks if block.entry["stage"] == "change"]
        return bool(enough_starts(noted(changed), record.case))

    return seen


def _sizing() -> Callable[[Case, Recorded | None], Case]:
    """How this build gives a case the numbers of its plan, before the baseline and after it; as they are, in one that
    sizes none."""
    if find_spec("luckyhit.judge.power") is None:
        return lambda case, record: case
    power, planning = import_module("luckyhit.judge.power"), import_module("luckyhit.workflow.planning")
    read, rows = import_module("luckyhit.judge.table.record"), import_module("luckyhit.judge.table.samples")

    def sized(case: Case, record: Recorded | None) -> Case:
        if not case.plan.auto:
            return case
        if record is None:
            return planning.planning_of(case).case
        first = record.blocks[0]
        known = read.read(rows.rows_of(first.requests), first.requests, first.reads, first.writes, noted([first]))
        shown = power.baseline_of(known.measured("baseline", read.BEFORE), known.probed("baseline", "before"), case)
        fields = [name for name in power.to_size(case) if name != "plan.baseline"]
        plan = case.plan.model_copy(update={"baseline": record.case.plan.baseline})
        measured = case.model_copy(update={"plan": plan})
        return power.plan_for(power.unsized(measured, fields), planning.ProbePlanner(), shown).case

    return sized
