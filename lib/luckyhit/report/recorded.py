"""What a run recorded, in the columns that figures and tables need; damaged or missing parts are named, not fatal.

The judge is strict: a damaged file makes a run INVALID. A report shows what there is, and says what is missing. What
counts as a hit, a latency or a database call is defined in `luckyhit.judge.table.samples` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from luckyhit import records
from luckyhit.errors import LuckyHitError
from luckyhit.judge.facade import RequestTable, believed_rows, classify_reads, probe_frame, read_rows
from luckyhit.records import Arm, Stage
from luckyhit.records.manifest import Manifest, NotedBlock
from luckyhit.records.parquet import block_of, read_what_can_be
from luckyhit.records.schemas import SCHEMAS, Table
from luckyhit.records.trace import TRACE, Trace
from luckyhit.run import Run

if TYPE_CHECKING:
    from luckyhit.case import Case
    from luckyhit.case_run import CaseRun
    from luckyhit.records import Result
    from luckyhit.report.charts.chart import Chart

_OF_THE_PROBE = ("probe", "probe_events", "classified")
ARMS: tuple[Arm, Arm] = ("before", "after")
STAGES: tuple[Stage, ...] = ("baseline", "change", "after-rollback")
MOST_EARLIER = 24
"""Runs in the history of a case: what a page can show in one line each."""
_COLUMNS = ["arm", "block", "phase", "route", "due_ns", "done_ns", "error", "cache", *records.NUMBER_COLUMNS]
"""Of the requests, what is drawn."""


@dataclass(frozen=True)
class Recorded:
    """One run as the report sees it. `problems`: what could not be read, one sentence each."""

    requests: RequestTable | pd.DataFrame = field(default_factory=records.REQUESTS.empty_table().to_pandas)
    """A frame of what can be read, if the judge would refuse them."""
    reads: pd.DataFrame = field(default_factory=records.READS.empty_table().to_pandas)
    writes: pd.DataFrame = field(default_factory=records.WRITES.empty_table().to_pandas)
    events: pd.DataFrame = field(default_factory=records.EVENTS.empty_table().to_pandas)
    counters: pd.DataFrame = field(default_factory=lambda: _no_counters())
    """The cache's own, with the number of their block."""
    blocks: Sequence[NotedBlock] = ()
    """Those that are measured: of a stage in STAGES."""
    case: Case | None = None
    result: Result | None = None
    manifest: Manifest = field(default_factory=Manifest)
    trace: Trace | None = None
    problems: Sequence[str] = ()
    runs_before: Sequence[Run] = ()
    """Earlier runs of the case in the same folder, the newest first."""
    kept: dict[Any, Any] = field(default_factory=dict, compare=False)
    """What was made of the rows, by what it depends on: another result of the same rows needs no second look."""

    @cached_property
    def rows(self) -> RequestTable:
        """The requests as arrays, by the judge's definitions, without values that its result calls unreliable."""
        if not isinstance(self.requests, pd.DataFrame):
            return believed_rows(self.requests, self.result)
        # Columns that nobody draws were not read (see _frame); numbers in their place are cheap.
        unread: dict[str, Any] = {name: 0 for name in ("slot", "key", "route") if name not in self.requests.columns}
        unread |= {name: np.nan for name in ("sent_ns", "first_byte_ns") if name not in self.requests.columns}
        return believed_rows(self.requests.assign(**unread), self.result)

    @property
    def within_s(self) -> float | None:
        """The declared bound of freshness; None without a probe."""
        return self.case.freshness.within if self.case and self.case.freshness else None

    def numbers(self, stage: Stage) -> list[int]:
        return [block.block for block in self.blocks if block.stage == stage]

    @property
    def changed(self) -> bool:
        """Whether anything was measured with the change in place."""
        return bool(self.numbers("change"))

    def mask(self, stage: Stage, arm: Arm) -> np.ndarray:
        """Rows of the measured phase of one arm in the blocks of one stage."""
        rows = self.rows
        inside = np.isin(rows.block, self.numbers(stage))
        return inside & rows.measured & (rows.arm == ARMS.index(arm))

    @cached_property
    def arms(self) -> dict[str, np.ndarray]:
        """The rows that are compared, by label: `before` and `after` in the change's blocks, or the `baseline` alone if
        nothing was changed. Labels without rows are left out."""
        if self.changed:
            masks: dict[str, np.ndarray] = {arm: self.mask("change", arm) for arm in ARMS}
        else:
            masks = {"baseline": self.mask("baseline", "before")}
        return {label: mask for label, mask in masks.items() if mask.any()}

    @property
    def probed(self) -> bool:
        """False where the case is known to declare no freshness probe."""
        return self.case is None or self.case.freshness is not None

    def label(self, arm: str) -> str:
        """What an arm is called: as in `arms`."""
        return arm if self.changed else "baseline"

    def by_arm(self, frame: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
        """(label, rows) of each arm with rows in a frame of the compared blocks."""
        for arm in ARMS:
            own_rows = frame[(frame["arm"] == arm).to_numpy(dtype=bool)]
            if len(own_rows):
                yield self.label(arm), own_rows

    @cached_property
    def probe(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(reads, writes) of the probe in the compared blocks."""
        return self.probe_of(self._compared)

    def probe_of(self, stage: Stage) -> tuple[pd.DataFrame, pd.DataFrame]:
        """(reads, writes) of the probe in the blocks of one stage, without rows that the judge can't take."""
        numbers = self.numbers(stage)
        return _clean(self.reads, records.READS, numbers), _clean(self.writes, records.WRITES, numbers)

    @property
    def _compared(self) -> Stage:
        return "change" if self.changed else "baseline"

    @cached_property
    def probe_events(self) -> pd.DataFrame:
        """What the cache did with the probed keys in the compared blocks; no rows if nobody watched."""
        return _clean(self.events, records.EVENTS, self.numbers(self._compared))

    @cached_property
    def classified(self) -> pd.DataFrame:
        """The reads of `probe`, classified (see `luckyhit.judge.freshness.classify.classify_reads`)."""
        return classify_reads(*self.probe)

    @cached_property
    def aggregates(self) -> dict[str, Any]:
        """The numbers of figures, by name: the same ones make the figure and its sentence."""
        return {}

    @cached_property
    def earlier(self) -> Sequence[Result]:
        """The results of MOST_EARLIER earlier runs of the case that can be read, the oldest first."""
        results: list[Result] = []
        for run in self.runs_before:
            with suppress(LuckyHitError, OSError):
                if len(results) < MOST_EARLIER and run.result is not None:
                    results.append(run.result)
        return results[::-1]

    @cached_property
    def charts(self) -> dict[str, Chart]:
        """The figures drawn so far, by name."""
        return {}

    def with_result(self, result: Result | None) -> Recorded:
        other = replace(self, result=result)
        # A result says nothing about the probe's records.
        other.__dict__.update({name: made for name, made in self.__dict__.items() if name in _OF_THE_PROBE})
        return other


def recorded(run: CaseRun, result: Result | None = None) -> Recorded:
    """Read a run as far as it can be read; never raises for what is in its directory."""
    problems: list[str] = []
    manifest = manifest_of(run, problems)
    requests = _requests(run, problems)
    frames = {name: _frame(run, name, problems) for name in _PROBE_TABLES}
    blocks = [block for block in manifest.blocks if block.stage in STAGES]
    if not blocks and len(requests):
        # The run died before its first block was noted: its rows are the baseline's.
        numbers = requests["block"] if isinstance(requests, pd.DataFrame) else requests.block
        blocks = [NotedBlock(block=int(np.min(numbers)), stage="baseline", arms=["before"])]
        problems.append("The first block was not finished; its numbers are those until then.")
    return Recorded(
        requests=requests,
        kept={} if isinstance(requests, pd.DataFrame) else _made_of_kept,
        reads=frames["reads"],
        writes=frames["writes"],
        events=frames["events"],
        counters=_counters(run, problems),
        blocks=blocks,
        case=_case(run, problems),
        result=result,
        manifest=manifest,
        trace=_trace(run, problems),
        problems=problems,
        runs_before=_runs_before(run),
    )


def _runs_before(run: CaseRun) -> list[Run]:
    if not run.path.parent.is_dir():
        return []
    before = [Run(path) for path in run.path.parent.iterdir() if path.is_dir() and path.name < run.id]
    return sorted(before, key=lambda other: other.id, reverse=True)


_PROBE_TABLES: tuple[Table, ...] = ("reads", "writes", "events")


def _clean(frame: pd.DataFrame, schema: pa.Schema, numbers: Sequence[int]) -> pd.DataFrame:
    clean = probe_frame(frame, schema)
    return clean[clean["block"].isin(numbers).to_numpy(dtype=bool)].reset_index(drop=True)


def manifest_of(run: Run, problems: list[str] | None = None) -> Manifest:
    """The manifest, or an empty one; what is wrong with it is added to `problems`."""
    try:
        return run.manifest
    except LuckyHitError as error:
        if problems is not None:
            problems.append(error.message)
        return Manifest()


def _trace(run: Run, problems: list[str]) -> Trace | None:
    try:
        trace, unread = run.load_trace()
    except LuckyHitError as error:
        problems.append(f"{error.message}.")
        return None
    problems += [f"{TRACE}: {part}." for part in unread]
    return trace


def _case(run: CaseRun, problems: list[str]) -> Case | None:
    try:
        return run.case
    except LuckyHitError as error:
        problems.append(f"The case of this run can't be read: {error.message}")
    except OSError as error:
        problems.append(f"The case of this run can't be read: {error.strerror}.")
    return None


def _no_counters() -> pd.DataFrame:
    return records.COUNTERS.empty_table().to_pandas().assign(block=np.zeros(0, dtype=np.int64))


def _counters(run: Run, problems: list[str]) -> pd.DataFrame:
    """The counters of all blocks; the names of part files hold the block."""
    frames = [_no_counters()]
    paths = sorted((run.path / "counters").glob("*.parquet"))
    for block in dict.fromkeys(map(block_of, paths)):
        if block is not None:
            frame = _frame(run, "counters", problems, block)
            frames.append(frame.astype({"arm": object, "name": object}).assign(block=block))
    return pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True)


def _requests(run: Run, problems: list[str]) -> RequestTable | pd.DataFrame:
    """As the judge reads them, in a fraction of the time and memory of a frame; if it refuses, a frame of what can be
    read."""
    try:
        return _rows(run)
    except (LuckyHitError, OSError):  # also a link that leads nowhere
        return _frame(run, "requests", problems)


_kept: dict[tuple[Any, ...], RequestTable] = {}
_made_of_kept: dict[Any, Any] = {}
"""What was made of them (Recorded.kept)."""


def _rows(run: Run) -> RequestTable:
    """The requests, read once as long as their files stay the same: the notebooks of a run share a process, and ten
    million rows take four seconds to read. Those of one run are kept."""
    files = [(path.name, path.stat()) for path in sorted((run.path / "requests").glob("*.parquet"))]
    key = (run.path, *((name, status.st_size, status.st_mtime_ns) for name, status in files))
    if key not in _kept:
        _made_of_kept.clear()
        _kept.clear()  # first, since memory may hold only one of them
        _kept[key] = read_rows(run)
    return _kept[key]


def _frame(run: Run, name: Table, problems: list[str], block: int | None = None) -> pd.DataFrame:
    """One table from the part files (of this block) that can be read. Of the requests only the columns that are drawn,
    since keys alone would take most of the time."""
    columns = _COLUMNS if name == "requests" else SCHEMAS[name].names
    whole, damaged = read_what_can_be(run.path / name, name, columns, block=block)
    problems += [f"{name}/{file} can't be read ({error}); it is left out." for file, error in damaged.items()]
    # The probe's versions and times keep whole numbers; the requests' become floats, exact up to 104 days.
    whole_numbers = {} if name == "requests" else {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype()}
    return whole.to_pandas(types_mapper=whole_numbers.get)
