"""What guards look at: the records of a run on their way to a verdict, and its files beside what was noted of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pandas as pd

from luckyhit.case import Case
from luckyhit.errors import RunUnreadable
from luckyhit.judge.compare.blockwise import goal_values
from luckyhit.judge.compare.process_starts import Starts
from luckyhit.judge.guards.carryover import carry_over
from luckyhit.judge.guards.record_guards import Stretch, stretches_of
from luckyhit.judge.stats.boundary import Boundary
from luckyhit.judge.table.record import Record
from luckyhit.judge.table.samples import ARMS, Comparison, Rows, rows_together
from luckyhit.records import GoalName, Guard, Note, UnreadPart
from luckyhit.records.manifest import Manifest, NotedBlock
from luckyhit.run import Run


@dataclass(frozen=True)
class RunFiles:
    """`unread`: what of the manifest can't be read. `under_way`: the run did not get to its end; `going_on`: it is the
    run itself that looks. `damaged`: what reading a table raised; rows that are missing are those of the damaged
    file then."""

    run: Run
    case: Case
    manifest: Manifest
    unread: Sequence[UnreadPart]
    rows: Rows
    reads: pd.DataFrame
    writes: pd.DataFrame
    under_way: bool
    interim: bool
    damaged: Sequence[RunUnreadable] = ()


@dataclass(frozen=True)
class Records:
    """`pair_of`: the pair of each block of the change, where arms take turns. `boundary`, `starts` and `rate_fraction`
    are those of the comparison's intervals. `before`: what each metric is before the change; `collected`:
    the guards that were collected while measuring; `ended`: why the run ended before its time."""

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

    @property
    def blocks(self) -> Sequence[NotedBlock]:
        return self.record.blocks

    @cached_property
    def changed(self) -> Sequence[NotedBlock]:
        """The blocks of the change."""
        return self.record.entries("change")

    @cached_property
    def stretches(self) -> Sequence[Stretch]:
        return list(stretches_of(self.record.rows))

    @cached_property
    def carry_over(self) -> tuple[Guard, list[Note]]:
        """The guard on what one arm leaves for the next, and notes on the order of the blocks."""
        both = rows_together(*(side.rows for side in self.comparison.sides))
        values = goal_values(both, [self.record.probed("change", arm) for arm in ARMS], self.case)
        return carry_over(values, self.record.arms("change"), self.case, self.before)
