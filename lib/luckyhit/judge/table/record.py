"""What one run recorded, by the stages of its work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.background import ANSWER_SCHEMA, background_reads
from luckyhit.judge.table.probe_frames import probe_frame, request_frame
from luckyhit.judge.table.samples import ARMS, RequestTable, rows_of
from luckyhit.records import READS, WRITES
from luckyhit.records.manifest import NotedBlock

BEFORE, AFTER = 0, 1


@dataclass(frozen=True)
class Record:
    """One run's rows and probe events, by stage; `answers`: see `decide`. One record is asked about one case."""

    rows: RequestTable
    reads: pd.DataFrame
    writes: pd.DataFrame
    blocks: Sequence[NotedBlock]
    answers: pd.DataFrame | None
    _probed: dict[tuple[str, str], Probed] = field(default_factory=dict, init=False, repr=False, compare=False)
    _background: list[pd.DataFrame] = field(default_factory=list, init=False, repr=False, compare=False)

    def numbers(self, stage: str) -> list[int]:
        return [block.block for block in self.entries(stage)]

    def entries(self, stage: str) -> list[NotedBlock]:
        return [block for block in self.blocks if block.stage == stage]

    @property
    def controls(self) -> list[int]:
        """Blocks of the change that ran without the probe, to see what the load alone does."""
        return [block.block for block in self.entries("change") if block.control]

    def arms(self, stage: str) -> dict[int, int]:
        """The arm of each block that has one arm."""
        return {block.block: ARMS.index(block.arms[0]) for block in self.entries(stage) if len(block.arms) == 1}

    def measured(self, stage: str, arm: int) -> RequestTable:
        runs = self.rows.runs()
        return self.rows.of_runs(runs, np.isin(runs.block, self.numbers(stage)) & (runs.arm == arm) & runs.measured)

    def probed_rows(self, arm: int) -> RequestTable:
        """What was measured in the change's blocks with the probe beside the load."""
        rows = self.measured("change", arm)
        runs = rows.runs()
        return rows.of_runs(runs, ~np.isin(runs.block, self.controls)) if self.controls else rows

    def probe(self, stage: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(reads, writes) of the probe in the blocks of one stage."""
        numbers = self.numbers(stage)
        reads, writes = (frame[frame["block"].isin(numbers)] for frame in (self.reads, self.writes))
        return reads, writes

    def probed(self, stage: str, arm: str) -> Probed:
        """The same of one arm, with what it means."""
        if (stage, arm) not in self._probed:
            reads, writes = (frame[frame["arm"] == arm] for frame in self.probe(stage))
            # Of two threads that ask at the same time, both get the same one.
            self._probed.setdefault((stage, arm), Probed(reads, writes))
        return self._probed[stage, arm]

    def background(self, case: Case, stage: str) -> pd.DataFrame | None:
        """The workload's own reads in the blocks of one stage (see `background.background_reads`); None where no answer
        shows a version. From all arms and blocks together: a write of another one may be what a read shows."""
        answers = self.answers
        if all(route.version is None for route in case.workload.routes):
            return None
        if answers is None or "version" not in answers.columns or not answers["version"].notna().any():
            return None
        if not self._background:
            apart_ns = {block.block: block.clocks_apart_ns for block in self.blocks if block.shards}
            self._background.append(background_reads(request_frame(answers, ANSWER_SCHEMA), case, apart_ns))
        reads = self._background[0]
        return reads[reads["block"].isin(self.numbers(stage))]


def read(
    requests: pd.DataFrame | RequestTable,
    answers: pd.DataFrame | None,
    reads: pd.DataFrame,
    writes: pd.DataFrame,
    blocks: Sequence[NotedBlock],
) -> Record:
    rows = requests if isinstance(requests, RequestTable) else rows_of(requests)
    numbers = [block.block for block in blocks]
    runs = rows.runs()
    finished = np.isin(runs.block, numbers) | (runs.block < 0)
    if not finished.all():
        rows = rows.of_runs(runs, finished)
    placed = [probe_frame(reads, READS), probe_frame(writes, WRITES)]
    reads, writes = (frame[frame["block"].isin(numbers)] for frame in placed)
    return Record(rows, reads, writes, blocks, answers)
