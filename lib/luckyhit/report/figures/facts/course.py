"""The course of a run on its time axis: its blocks, the wash-outs before them, the intended pace, the looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from luckyhit.records import Stage
from luckyhit.records.manifest import NotedBlock
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import number

if TYPE_CHECKING:
    from luckyhit.case.workload import Workload

WASH_OUT: Stage = "wash-out"
PACE_BIN_S = 1.0
"""Of a log's pace, at the finest: within less, a second's few requests are noise."""
MOST_PACE_BINS = 60
"""Of one block."""
MOST_STAGES = 6
"""That are put into words one by one."""

Points = list[tuple[float, float]]
"""(seconds, requests a second): straight lines between them."""


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
class PaceCurve:
    """`lines`: by block, on the run's time axis. `text`: the same in a sentence."""

    lines: dict[int, Points]
    text: str

    def rates(self, block: int) -> str:
        """`50 to 500`, or `100` where it stays the same; empty for a block without a known pace."""
        known = [rate for _, rate in self.lines.get(block, [])]
        low, high = (number(edge(known)) if known else "" for edge in (min, max))
        return low if low == high else f"{low} to {high}"


@dataclass(frozen=True)
class Course:
    """`spans`: what was measured. `washouts`: load before it that is not counted, a span for each stretch. `looks_s`:
    when the judge checked whether the data suffice; `stopped_s`: when that ended the run, with `stopped_by` (`look`, or
    `limit` for one of the target's). `due`: requests by block, over all its arms."""

    spans: list[Span]
    washouts: list[Span] = field(default_factory=list)
    pace: PaceCurve | None = None
    looks_s: tuple[float, ...] = ()
    stopped_s: float | None = None
    stopped_by: str = ""
    due: Mapping[int, int] = field(default_factory=dict)

    @property
    def origin_s(self) -> float:
        """The start of the first block: time 0 everywhere in the report, so an earlier wash-out has negative times."""
        return min((span.start_s for span in self.spans), default=0.0)


def course(recorded: Recorded) -> Course:
    where, washed = spans(recorded), washouts(recorded)
    both = [(span.block, span.start_s, span.end_s) for span in (*where, *washed)]
    blocks, counts = np.unique(recorded.rows.block, return_counts=True)
    looks, stop = _looks(recorded, where)
    stopped_s, stopped_by = (stop, "look") if stop is not None else _limit(recorded, (*where, *washed))
    due = dict(zip(blocks.astype(int).tolist(), counts.tolist(), strict=True))
    return Course(where, washed, _pace_of(recorded, both), looks, stopped_s, stopped_by, due)


def spans(recorded: Recorded) -> list[Span]:
    """Every measured block; its times come from its rows where the manifest has none."""
    return _sorted(_span(block, block.stage, recorded) for block in recorded.blocks if block.stage is not None)


def washouts(recorded: Recorded) -> list[Span]:
    """Every stretch of load that washed out what the arm before had left."""
    return _sorted(_span(block, WASH_OUT, recorded) for block in recorded.manifest.stage(WASH_OUT))


def joined(stretches: list[Span]) -> list[Span]:
    """Consecutive stretches of the same arms as one wash-out."""
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
    """None if neither the manifest nor the rows have its times."""
    noted = [time_ns for time_ns in (block.start_ns, block.measure_ns, block.end_ns) if time_ns is not None]
    times_ns = [float(time_ns) for time_ns in noted]
    if len(times_ns) < 3:
        rows = recorded.rows.take(recorded.rows.block == block.block)
        due = rows.due_ns
        measured = due[rows.measured]
        due = due[np.isfinite(due)]
        if not len(due):
            return None
        begin = float(measured.min()) if len(measured) else float(due.max())
        times_ns = [float(due.min()), begin, float(due.max())]
    cleared = sum(report.cleared or 0 for report in block.clear.values()) if block.clear else None
    arms = tuple(arm for arm in ARMS if arm in block.arms)
    start_s, measure_s, end_s = (time_ns / 1e9 for time_ns in times_ns)
    return Span(block.block, stage, arms, start_s, measure_s, end_s, cleared)


def _looks(recorded: Recorded, where: list[Span]) -> tuple[tuple[float, ...], float | None]:
    """(times of the looks, the look that ended the run): each at the end of the last block of the change by then."""
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
    """When a limit of the target ended the run, and `limit`."""
    ends = {span.block: span.end_s for span in where}
    for block in recorded.manifest.blocks:
        if block.limits.stopped and block.block in ends:
            return ends[block.block], "limit"
    return None, ""


def _pace_of(recorded: Recorded, blocks: Sequence[tuple[int, float, float]]) -> PaceCurve | None:
    """The pace in these blocks (number, start and end in seconds); None where one rate holds all the time."""
    case = recorded.case
    if case is None:
        return None
    if case.workload.stages:
        lines = {block: staged(case.workload, start_s, end_s - start_s) for block, start_s, end_s in blocks}
        return PaceCurve({block: points for block, points in lines.items() if points}, _stages_text(case.workload))
    if case.workload.replay is not None and case.workload.replay.timing == "log":
        lines = {block: _counted(recorded, block, start_s, end_s) for block, start_s, end_s in blocks}
        lines = {block: points for block, points in lines.items() if points}
        rates = [rate for points in lines.values() for _, rate in points]
        if not rates:
            return None
        between = f"between {number(min(rates))} and {number(max(rates))} requests a second were due to each arm"
        return PaceCurve(lines, f"The log sets the pace: {between}.")
    return None


def staged(workload: Workload, start_s: float, lasts_s: float) -> Points:
    """The pace that the stages declare for one block: they begin with it, and after the last one its rate holds."""
    points: Points = []
    at, rate = 0.0, 0.0
    for stage in workload.stages:
        if at >= lasts_s:
            break
        rate = stage.rate if stage.to is None else stage.to
        part = min(stage.lasts, lasts_s - at)
        reached = stage.rate + (rate - stage.rate) * part / stage.lasts
        points += [(start_s + at, stage.rate), (start_s + at + part, reached)]
        at += stage.lasts
    if 0 < at < lasts_s:
        points += [(start_s + at, rate), (start_s + lasts_s, rate)]
    return points


def _stages_text(workload: Workload) -> str:
    parts = []
    for stage in workload.stages[:MOST_STAGES]:
        rate = number(stage.rate) if stage.to is None else f"from {number(stage.rate)} to {number(stage.to)}"
        parts.append(f"{rate} {'for' if stage.to is None else 'within'} {number(stage.lasts)} s")
    more = len(workload.stages) - MOST_STAGES
    rest = f", and {more} more stages" if more > 0 else ""
    text = f"{', then '.join(parts)}{rest}"
    return f"The load changes within each block, as declared; requests a second to each arm: {text}."


def _counted(recorded: Recorded, block: int, start_s: float, end_s: float) -> Points:
    """How many requests were due in each bin of a block, to one of its arms: both have the same."""
    rows = recorded.rows
    in_block = rows.block == block
    arms = [code for code in range(len(ARMS)) if np.any(in_block & (rows.arm == code))]
    seconds = end_s - start_s
    if not arms or seconds <= 0:
        return []
    due_s = rows.due_ns[in_block & (rows.arm == arms[0])] / 1e9
    bins = int(np.clip(seconds / PACE_BIN_S, 1, MOST_PACE_BINS))
    counts, edges = np.histogram(due_s[np.isfinite(due_s)], bins=bins, range=(start_s, end_s))
    rates = counts / (seconds / bins)
    steps = zip(edges[:-1], edges[1:], rates, strict=True)
    return [(float(at), float(rate)) for left, right, rate in steps for at in (left, right)]
