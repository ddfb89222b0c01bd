"""The course of a run on its time axis: its blocks, the wash-outs before them, the pace of the load, the looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from luckyhit.records import Stage
from luckyhit.records.manifest import NotedBlock
from luckyhit.report.figures.pace import PaceCurve, pace_of
from luckyhit.report.recorded import ARMS, Recorded

WASH_OUT: Stage = "wash-out"


@dataclass(frozen=True)
class Span:
    """One block on the run's time axis, in seconds."""

    block: int
    stage: Stage
    arms: tuple[str, ...]
    start_s: float
    measure_s: float
    end_s: float
    cleared: int | None
    """Keys cleared before it; None where no clear was noted."""


@dataclass(frozen=True)
class Course:
    """`spans`: what was measured. `washouts`: load before it that counts for nothing, a span for each stretch.
    `looks_s`: when the judge looked whether it was enough; `stopped_s`: when that ended it, with `stopped_by` (`look`,
    or `limit` for one of the target's). `due`: requests by block, of all its arms."""

    spans: list[Span]
    washouts: list[Span] = field(default_factory=list)
    pace: PaceCurve | None = None
    looks_s: tuple[float, ...] = ()
    stopped_s: float | None = None
    stopped_by: str = ""
    due: Mapping[int, int] = field(default_factory=dict)

    @property
    def origin_s(self) -> float:
        """The start of the first block: what other parts of the report count from, so that a wash-out before it lies
        at negative times."""
        return min((span.start_s for span in self.spans), default=0.0)


def course(recorded: Recorded) -> Course:
    where, washed = spans(recorded), washouts(recorded)
    both = [(span.block, span.start_s, span.end_s) for span in (*where, *washed)]
    blocks, counts = np.unique(recorded.rows.block, return_counts=True)
    looks, stop = _looks(recorded, where)
    stopped_s, stopped_by = (stop, "look") if stop is not None else _limit(recorded, (*where, *washed))
    due = dict(zip(blocks.astype(int).tolist(), counts.tolist(), strict=True))
    return Course(where, washed, pace_of(recorded, both), looks, stopped_s, stopped_by, due)


def spans(recorded: Recorded) -> list[Span]:
    """Every block that is measured; its times from its rows, where the manifest does not tell them."""
    return _sorted(_span(block, block.stage, recorded) for block in recorded.blocks if block.stage is not None)


def washouts(recorded: Recorded) -> list[Span]:
    """Every stretch of load that washed out what the arm before had left."""
    return _sorted(_span(block, WASH_OUT, recorded) for block in recorded.manifest.stage(WASH_OUT))


def joined(stretches: list[Span]) -> list[Span]:
    """Wash-outs as a reader sees them: stretches of the same arms that follow each other are one."""
    whole: list[Span] = []
    for stretch in stretches:
        last = whole[-1] if whole else None
        if last is not None and last.arms == stretch.arms and stretch.block == last.block + 1:
            whole[-1] = replace(last, block=stretch.block, end_s=stretch.end_s)
        else:
            whole.append(stretch)
    return whole


def _sorted(spans: Iterator[Span | None]) -> list[Span]:
    return sorted((span for span in spans if span is not None), key=lambda span: span.start_s)


def _span(block: NotedBlock, stage: Stage, recorded: Recorded) -> Span | None:
    """None where neither the manifest nor the rows tell when it was."""
    noted = [time_ns for time_ns in (block.start_ns, block.measure_ns, block.end_ns) if time_ns is not None]
    times_ns = [float(time_ns) for time_ns in noted]
    if len(times_ns) < 3:
        rows = recorded.rows
        due = rows.due_ns[rows.block == block.block]
        due = due[np.isfinite(due)]
        if not len(due):
            return None
        measured = rows.due_ns[(rows.block == block.block) & rows.measured]
        begin = float(measured.min()) if len(measured) else float(due.max())
        times_ns = [float(due.min()), begin, float(due.max())]
    cleared = sum(report.cleared or 0 for report in block.clear.values()) if block.clear else None
    arms = tuple(arm for arm in ARMS if arm in block.arms)
    start_s, measure_s, end_s = (time_ns / 1e9 for time_ns in times_ns)
    return Span(block.block, stage, arms, start_s, measure_s, end_s, cleared)


def _looks(recorded: Recorded, where: list[Span]) -> tuple[tuple[float, ...], float | None]:
    """(when it was looked at, when that ended it): at the end of the block of the change that was the last one then."""
    changed = [span for span in where if span.stage == "change"]
    at_s: list[float] = []
    stopped = None
    for look in recorded.manifest.looks:
        if look.blocks is None or not 1 <= look.blocks <= len(changed):
            continue
        at_s.append(changed[look.blocks - 1].end_s)
        if look.stopped:
            stopped = at_s[-1]
    return tuple(at_s), stopped


def _limit(recorded: Recorded, where: tuple[Span, ...]) -> tuple[float | None, str]:
    """(when, by what) a limit of the target ended the run."""
    ends = {span.block: span.end_s for span in where}
    for block in recorded.manifest.blocks:
        if block.limits.stopped and block.block in ends:
            return ends[block.block], "limit"
    return None, ""
