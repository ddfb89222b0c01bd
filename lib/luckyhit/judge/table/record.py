"""What one run recorded, by the stages of its work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from luckyhit.case import Case
from luckyhit.judge.freshness.probed import Probed
from luckyhit.judge.stale.background import ANSWERS, background_reads
from luckyhit.judge.table.probe_frames import probe_frame, request_frame
from luckyhit.judge.table.samples import ARMS, Rows, among, rows_of
from luckyhit.records import READS, WRITES

BEFORE, AFTER = 0, 1


@dataclass(frozen=True)
class Record:
    """One run's rows and probe events, by stage; `answers`: see `decide`. One record is asked about one case."""

    rows: Rows
    reads: pd.DataFrame
    writes: pd.DataFrame
    blocks: list[dict[str, Any]]
    answers: pd.DataFrame | None
    _probed: dict[tuple[str, str], Probed] = field(default_factory=dict, init=False, repr=False, compare=False)
    _background: list[pd.DataFrame] = field(default_factory=list, init=False, repr=False, compare=False)

    def numbers(self, stage: str) -> list[int]:
        return [entry["block"] for entry in self.blocks if entry.get("stage") == stage]

    def entries(self, stage: str) -> list[dict[str, Any]]:
        return [entry for entry in self.blocks if entry.get("stage") == stage]

    @property
    def controls(self) -> list[int]:
        """Blocks of the change that ran without the probe, to see what the load alone does."""
        return [entry["block"] for entry in self.entries("change") if entry.get("control") is True]

    def arms(self, stage: str) -> dict[int, int]:
        """The arm of each block that has one arm."""
        told = {entry["block"]: listed_arms(entry.get("arms")) for entry in self.entries(stage)}
        return {block: ARMS.index(str(arms[0])) for block, arms in told.items() if len(arms) == 1 and arms[0] in ARMS}

    def measured(self, stage: str, arm: int) -> Rows:
        inside = among(self.rows.block, self.numbers(stage)) & (self.rows.arm == arm)
        return self.rows.take(inside & self.rows.measured)

    def probed_rows(self, arm: int) -> Rows:
        """What was measured in the change's blocks with the probe beside the load."""
        rows = self.measured("change", arm)
        return rows.take(~among(rows.block, self.controls)) if self.controls else rows

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
        tells a version. From all arms and blocks together: a write of another one may be what a read shows."""
        answers = self.answers
        if all(route.version is None for route in case.workload.routes):
            return None
        if answers is None or "version" not in answers.columns or not answers["version"].notna().any():
            return None
        if not self._background:
            self._background.append(background_reads(request_frame(answers, ANSWERS), case))
        reads = self._background[0]
        return reads[reads["block"].isin(self.numbers(stage))]


def read(
    requests: pd.DataFrame | Rows,
    answers: pd.DataFrame | None,
    reads: pd.DataFrame,
    writes: pd.DataFrame,
    blocks: Sequence[Mapping[str, Any]],
) -> Record:
    known = [dict(entry) for entry in blocks if isinstance(entry, Mapping) and is_whole(entry.get("block"))]
    rows = requests if isinstance(requests, Rows) else rows_of(requests)
    numbers = [entry["block"] for entry in known]
    finished = among(rows.block, numbers) | (rows.block < 0)
    if not finished.all():
        rows = rows.take(finished)
    placed = [probe_frame(reads, READS), probe_frame(writes, WRITES)]
    told, wrote = (frame[frame["block"].isin(numbers)] for frame in placed)
    return Record(rows, told, wrote, known, answers)


def listed_arms(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def mapped(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What an entry of the manifest notes under a name; empty where that is no object."""
    noted = entry.get(name)
    return noted if isinstance(noted, Mapping) else {}


def is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


__all__ = ["AFTER", "BEFORE", "Record", "is_whole", "listed_arms", "mapped", "read"]
