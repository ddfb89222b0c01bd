"""The input of findings: everything that a run recorded, of the compared blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from luckyhit.case import Case
from luckyhit.errors import RunUnreadable
from luckyhit.judge.cache_events.write_events import events_around_writes
from luckyhit.judge.compared_answers import ComparedAnswers, compared_answers
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.table.columns import rows_of_parts
from luckyhit.judge.table.record import Record, read
from luckyhit.judge.table.rows import RequestTable
from luckyhit.records import (
    COUNTERS,
    EVENTS,
    READS,
    REQUESTS,
    WRITES,
    Arm,
    CountOf,
    Doubt,
    FreshnessFacts,
    GoalName,
    Metric,
    Preflight,
    Result,
    Stage,
)
from luckyhit.records.manifest import Manifest, NotedBlock

if TYPE_CHECKING:
    from luckyhit.case_run import CaseRun

ALWAYS = ("arm", "block", "phase")


@dataclass(frozen=True)
class Evidence:
    """`load`: the requests of all stages in some columns (`records.REQUESTS`), repeated texts as dictionaries; `reads`,
    `writes`, `events`: whole tables; `facts`, `doubts`, `miss_calls`, `replayed`: as in the result (in an arm in doubt
    the column `cache` is `unknown`); `counters`: the cache's own, with their `block`; `stage`: whose blocks count: the
    change's, or the baseline's where no change was measured."""

    case: Case
    blocks: Sequence[NotedBlock]
    load: Callable[[Sequence[str]], pa.Table]
    reads: pd.DataFrame = field(default_factory=READS.empty_table().to_pandas)
    writes: pd.DataFrame = field(default_factory=WRITES.empty_table().to_pandas)
    events: pd.DataFrame = field(default_factory=EVENTS.empty_table().to_pandas)
    facts: Mapping[Arm, FreshnessFacts] = field(default_factory=dict)
    parts: Callable[[Sequence[str]], Iterable[pa.Table]] | None = None
    """The requests in parts, for findings that keep a few of them."""
    length: int = 0
    """The number of requests in all stages; 0 if not counted."""
    preflight: Preflight = field(default_factory=Preflight)
    doubts: Mapping[Arm, Sequence[Doubt]] = field(default_factory=dict)
    miss_calls: Mapping[str, int] = field(default_factory=dict)
    replayed: Mapping[Arm, Mapping[str, CountOf]] = field(default_factory=dict)
    routes: Mapping[str, Mapping[GoalName, Metric]] = field(default_factory=dict)
    """The metrics of each route, as the result has them."""
    rows: RequestTable | None = None
    """The requests of all stages as the judge has them, where it does; of an arm in doubt with its status."""
    has_values: Callable[[str], bool] = lambda _: True
    """False for a column of requests without a value."""
    counters: pd.DataFrame = field(default_factory=lambda: COUNTERS.empty_table().to_pandas().assign(block=0))

    @cached_property
    def stage(self) -> Stage:
        return "change" if any(block.stage == "change" for block in self.blocks) else "baseline"

    @property
    def entries(self) -> list[NotedBlock]:
        """The manifest's blocks of the stage."""
        return [block for block in self.blocks if block.stage == self.stage]

    @property
    def arms(self) -> list[Arm]:
        """The arms measured in these blocks."""
        measured = {arm for block in self.entries for arm in block.arms}
        both: tuple[Arm, Arm] = ("before", "after")
        return [arm for arm in both if arm in measured]

    def requests(self, *columns: str) -> pa.Table:
        """The rows of these blocks, warm-up included, in these columns and ALWAYS."""
        wanted = [name for name in REQUESTS.names if name in {*ALWAYS, *columns}]
        table = self.load(wanted)
        inside = pc.is_in(table["block"], pa.array([block.block for block in self.entries], pa.int32()))
        return self._as_believed(table.filter(inside))

    def in_parts(self, *columns: str) -> Iterator[pa.Table]:
        """The same, a part at a time, to bound memory in a long run."""
        if self.parts is None:
            yield self.requests(*columns)
            return
        wanted = [name for name in REQUESTS.names if name in {*ALWAYS, *columns}]
        blocks = pa.array([block.block for block in self.entries], pa.int32())
        for part in self.parts(wanted):
            inside = pc.is_in(part["block"], blocks)
            wanted_rows = part if pc.all(inside).as_py() else part.filter(inside)
            yield self._as_believed(wanted_rows.unify_dictionaries())

    def rows_with(self, *columns: str) -> RequestTable:
        """The measured rows of these blocks; they have these columns of the requests, and ALWAYS."""
        rows = rows_of_parts(self.in_parts(*columns)) if self.rows is None else self.rows
        runs = rows.runs()
        return rows.of_runs(runs, np.isin(runs.block, [block.block for block in self.entries]) & runs.measured)

    def _as_believed(self, table: pa.Table) -> pa.Table:
        """Without the cache status of arms in doubt."""
        if not self.doubts or "cache" not in table.column_names or not len(table):
            return table
        doubted = pc.is_in(table["arm"].cast(pa.string()), pa.array([*self.doubts], pa.string()))
        place = table.schema.get_field_index("cache")
        column = table.schema.field(place)
        cache = pc.if_else(doubted, "unknown", table["cache"].cast(pa.string())).cast(column.type)
        return table.set_column(place, column, cache)

    @cached_property
    def answers(self) -> ComparedAnswers | None:
        """The responses whose bodies can be compared; None without any."""
        if not self.has_values("body_hash"):
            return None
        probed = frozenset(self.writes["key"].tolist())
        return compared_answers(self.case, self.entries, self.in_parts, length=self.length, probed=probed)

    @cached_property
    def record(self) -> Record:
        """The probe's side of the same: `record.probed(stage, arm)`."""
        return read(REQUESTS.empty_table().to_pandas(), None, self.reads, self.writes, self.blocks)

    @cached_property
    def write_events(self) -> pd.DataFrame:
        """What the cache did around each probed write of these blocks (see `cache_events.write_events`)."""
        reads, writes = self.record.probe(self.stage)
        return events_around_writes(writes, reads, self.events)

    def probed(self, arm: Arm) -> Probed:
        """The probe of one arm in these blocks."""
        return self.record.probed(self.stage, arm)


def evidence_of(
    run: CaseRun, manifest: Manifest, result: Result | None = None, rows: RequestTable | None = None
) -> Evidence:
    """Of a run directory; `result`: its result, if there is one; `rows`: its requests, if they are read. Raises
    RunUnreadable where one of the probe's files is
    damaged; a damaged file of requests raises when it is read."""

    def load(columns: Sequence[str]) -> pa.Table:
        parts = list(run.parts("requests", columns))
        whole = pa.concat_tables(parts) if parts else REQUESTS.empty_table()
        return whole.select(list(columns)).unify_dictionaries()

    events, counters = EVENTS.empty_table().to_pandas(), COUNTERS.empty_table().to_pandas().assign(block=0)
    with suppress(RunUnreadable):  # no verdict depends on them; the report names the damaged file
        events = run.events()
    with suppress(RunUnreadable):
        counters = run.counters_by_block()

    def parts(columns: Sequence[str]) -> Iterable[pa.Table]:
        return run.parts("requests", columns)

    made = Evidence(run.case, manifest.blocks, load, run.reads(), run.writes(), events, counters=counters)
    made = replace(made, parts=parts, length=run.length("requests"), preflight=manifest.preflight, rows=rows)
    made = replace(made, has_values=partial(run.has_values, "requests"))
    if result is None:
        return made
    made = replace(made, facts=result.freshness, doubts=result.doubts, replayed=result.replayed)
    return replace(made, miss_calls=result.miss_calls, routes=result.routes)
