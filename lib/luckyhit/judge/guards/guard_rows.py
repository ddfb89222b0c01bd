"""GUARDS: what would overturn a verdict, a row each, in the order in which a result lists them.

A new guard is one function, on the records it needs, and one row here. The function returns None where there is nothing
to guard, and fails where evidence is missing. `applies` says for which runs a guard is checked at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, Literal, TypeVar

import pandas as pd

from luckyhit.case import Case
from luckyhit.designs import design_of
from luckyhit.errors import RunUnreadable
from luckyhit.judge.compare.blockwise import goal_values
from luckyhit.judge.compare.process_starts import Starts
from luckyhit.judge.guards.block_guards import cache_state_guard, engine_guard, limits_guard, washed_out_guard
from luckyhit.judge.guards.carryover import carry_over
from luckyhit.judge.guards.comparison_guards import (
    answers_guard,
    dropped_guard,
    keys_guard,
    same_slots_guard,
    sample_guard,
    stationary_guard,
)
from luckyhit.judge.guards.negative_controls import controls_guard
from luckyhit.judge.guards.probe_guards import probe_guard, writes_seen_guard
from luckyhit.judge.guards.record_guards import (
    BlockArm,
    accounting_guard,
    block_arms_of,
    clock_guard,
    warmed_up_guard,
)
from luckyhit.judge.guards.run_guards import blocks_guard, case_guard, difference_guard, records_guard, rollback_guard
from luckyhit.judge.guards.shard_guards import hosts_clocks_guard
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.record import Record
from luckyhit.judge.table.samples import ARMS, Comparison, RequestTable, rows_together
from luckyhit.records import GoalName, Guard, Note, UnreadPart
from luckyhit.records.manifest import Manifest, NotedBlock
from luckyhit.run import Run


@dataclass(frozen=True)
class RunFiles:
    """A run's files, and what was noted of them. `unread`: what of the manifest can't be read. `under_way`: the run is
    not finished; `interim`: it is the run itself that looks. `damaged`: what reading a table raised; missing rows are
    those of the damaged file then."""

    run: Run
    case: Case
    manifest: Manifest
    unread: Sequence[UnreadPart]
    rows: RequestTable
    reads: pd.DataFrame
    writes: pd.DataFrame
    under_way: bool
    interim: bool
    damaged: Sequence[RunUnreadable] = ()


@dataclass(frozen=True)
class RunRecords:
    """A run's records on their way to a verdict. `pair_of`: the pair of each block of the change, where arms take
    turns. `boundary`, `starts` and `rate_fraction` are those of the comparison's intervals. `before`: what each metric
    is before the change; `collected`: the guards that were collected while measuring; `ended`: why the run ended
    early; `listed`: how many keys are in a file, by route."""

    record: Record
    case: Case
    comparison: Comparison
    pair_of: Mapping[int, int]
    boundary: Boundary
    starts: Starts
    rate_fraction: float = 1.0
    before: Mapping[GoalName, float | None] = field(default_factory=dict)
    collected: Sequence[Guard] = ()
    ended: str = ""
    listed: Mapping[str, int] = field(default_factory=dict)

    @property
    def blocks(self) -> Sequence[NotedBlock]:
        return self.record.blocks

    @cached_property
    def changed(self) -> Sequence[NotedBlock]:
        """The blocks of the change."""
        return self.record.entries("change")

    @cached_property
    def block_arms(self) -> Sequence[BlockArm]:
        return list(block_arms_of(self.record.rows))

    @cached_property
    def carry_over(self) -> tuple[Guard, list[Note]]:
        """The guard on what one arm leaves for the next, and notes on the order of the blocks."""
        both = rows_together(*(side.rows for side in self.comparison.sides))
        values = goal_values(both, [self.record.probed("change", arm) for arm in ARMS], self.case)
        return carry_over(values, self.record.arms("change"), self.case, self.before)


At = Literal["case", "files", "record", "comparison", "controls", "probe", "collected", "turns"]
"""Where in the judging a guard is checked: on the case and the files of a run; on all its records; and, where the
change was measured, on its comparison, its negative controls, its probe, what was collected meanwhile, and the turns
of its arms."""
Input = TypeVar("Input", RunFiles, RunRecords)


def _always(inputs: object) -> bool:
    return True


@dataclass(frozen=True)
class GuardRow(Generic[Input]):
    """`id` is that of the guard: its title in lower case, with hyphens; docs/troubleshooting.md has a line for each.
    `remedy`: what to do where it failed; empty where the guard itself says that, by what it found."""

    id: str
    at: At
    check: Callable[[Input], Guard | None]
    applies: Callable[[Input], bool] = _always
    remedy: str = ""


_PUT_BACK = "Records are damaged or incomplete: put back what is missing, or measure again."
ON_FILES: tuple[GuardRow[RunFiles], ...] = (
    GuardRow("records-readable", "case", lambda at: records_guard(at.damaged)),
    GuardRow(
        "case-as-it-was-run",
        "case",
        lambda at: case_guard(at.run, at.manifest, at.case),
        remedy="Put the case back as it was run and judge that, or make a new run of the edited case.",
    ),
    GuardRow(
        "blocks-as-noted",
        "files",
        lambda at: blocks_guard(at.manifest, at.unread, at.rows, at.case, interim=at.under_way),
        applies=lambda at: not at.damaged,
        remedy=_PUT_BACK,
    ),
    GuardRow(
        "the-probes-records-are-whole",
        "files",
        lambda at: probe_guard(at.manifest, at.reads, at.writes, interim=at.under_way),
        applies=lambda at: not at.damaged,
        remedy=_PUT_BACK,
    ),
    GuardRow(
        "rolled-back",
        "files",
        lambda at: rollback_guard(at.manifest),
        applies=lambda at: not at.interim,
        remedy="`luckyhit revert RUN` takes it back, or says what to do by hand. Then measure again.",
    ),
)
ON_RECORDS: tuple[GuardRow[RunRecords], ...] = (
    GuardRow(
        "accounting-exact",
        "record",
        lambda at: accounting_guard(at.record.rows, at.block_arms, at.blocks),
        remedy="Records are damaged or incomplete: measure again.",
    ),
    GuardRow(
        "clock-monotonic",
        "record",
        lambda at: clock_guard(at.record.rows, at.block_arms),
        remedy="Times come from more than one clock, or records are damaged: measure again.",
    ),
    GuardRow(
        "clocks-of-the-hosts-agree",
        "record",
        lambda at: hosts_clocks_guard(at.blocks),
        remedy="Use hosts that are nearer or less busy, and look at what sets their clocks. Then measure again.",
    ),
    GuardRow(
        "arms-warmed-up-alike",
        "record",
        lambda at: warmed_up_guard(at.block_arms, at.changed, at.case),
        applies=lambda at: bool(at.changed),
        remedy="Measure again: an arm that was sent less starts from a colder cache.",
    ),
    GuardRow(
        "engine-trustworthy",
        "record",
        # Nothing of a wash-out is timed.
        lambda at: engine_guard([block for block in at.blocks if block.stage != "wash-out"]),
    ),
    GuardRow("within-the-targets-limits", "record", lambda at: limits_guard(at.blocks)),
    GuardRow("washed-out", "record", lambda at: washed_out_guard(at.changed)),
    GuardRow(
        "arms-exposed-to-the-same-slots",
        "comparison",
        lambda at: same_slots_guard(at.comparison, at.case, at.pair_of),
        remedy="Measure both arms again, from the same seed.",
    ),
    GuardRow("same-cache-state-at-block-start", "comparison", lambda at: cache_state_guard(at.changed, at.case)),
    GuardRow(
        "hit-ratio-stationary-after-warm-up",
        "comparison",
        lambda at: stationary_guard(at.comparison, at.case),
        remedy="Raise plan.warmup until the hit ratio no longer climbs (or falls) inside a block.",
    ),
    GuardRow("enough-distinct-keys", "comparison", lambda at: keys_guard(at.comparison, at.case, at.listed)),
    GuardRow(
        "sample-size-sane",
        "comparison",
        lambda at: sample_guard(at.comparison),
        remedy="Measure longer (plan.block, plan.blocks) or at a higher workload.rate.",
    ),
    GuardRow(
        "dropped-share-small",
        "comparison",
        lambda at: dropped_guard(at.comparison),
        remedy="Lower workload.rate, or give the service more room: what was never sent was never measured.",
    ),
    GuardRow(
        "answers-as-expected",
        "comparison",
        lambda at: answers_guard(at.comparison, at.case),
        applies=lambda at: "error_rate" not in at.case.goals,
        remedy="Look at the failed requests; set a goal for error_rate, so that they are judged.",
    ),
    GuardRow(
        "negative-controls-still",
        "controls",
        lambda at: controls_guard(at.comparison, at.case, at.boundary, at.starts, at.rate_fraction),
    ),
    GuardRow(
        "the-probes-writes-are-seen",
        "probe",
        lambda at: writes_seen_guard(*at.record.probe("change"), at.case),
        applies=lambda at: at.case.freshness is not None,
    ),
    GuardRow(
        "declared-difference-only",
        "collected",
        lambda at: difference_guard(at.collected, at.ended),
        remedy="Measure again.",
    ),
    GuardRow(
        "no-carry-over",
        "turns",
        lambda at: at.carry_over[0],
        applies=lambda at: design_of(at.case).may_carry_over,
    ),
)
GUARDS: tuple[GuardRow[RunFiles] | GuardRow[RunRecords], ...] = (*ON_FILES, *ON_RECORDS)


def check_guards(rows: Sequence[GuardRow[Input]], at: At, inputs: Input) -> list[Guard]:
    """The guards of one place, in their order, without those that have nothing to guard. A failed guard without a
    remedy of its own gets that of its row."""
    made = [(row, row.check(inputs)) for row in rows if row.at == at and row.applies(inputs)]
    return [
        guard if guard.ok or guard.remedy else guard.model_copy(update={"remedy": row.remedy})
        for row, guard in made
        if guard is not None
    ]
