"""The intended pace of a run: how many requests a second were due, where that is not the same all the time.

Steps and ramps come from the case; where a log sets the pace, from the requests that were due by it. What was sent, and
when, is another matter: the engine's own guard looks after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import number

if TYPE_CHECKING:
    from luckyhit.case import Case
    from luckyhit.case.workload import Workload

BIN_S = 1.0
"""Of a log's pace, at the finest: within less, a second's few requests are noise."""
MOST_BINS = 60
"""Of one block."""
MOST_STAGES = 6
"""That are put into words one by one."""

Points = list[tuple[float, float]]
"""(seconds, requests a second): straight lines between them."""


@dataclass(frozen=True)
class PaceCurve:
    """`lines`: by block, on the run's time axis. `text`: the same in a sentence."""

    lines: dict[int, Points]
    text: str

    def told(self, block: int) -> str:
        """`50 to 500`, or `100` where it stays the same; empty where nothing is known of the block."""
        rates = [rate for _, rate in self.lines.get(block, [])]
        low, high = (number(edge(rates)) if rates else "" for edge in (min, max))
        return low if low == high else f"{low} to {high}"


def pace_of(recorded: Recorded, blocks: Sequence[tuple[int, float, float]]) -> PaceCurve | None:
    """The pace in these blocks (number, start and end in seconds); None where one rate holds all the time."""
    case = recorded.case
    if case is None:
        return None
    if case.workload.stages:
        lines = {block: staged(case.workload, start_s, end_s - start_s) for block, start_s, end_s in blocks}
        return PaceCurve({block: points for block, points in lines.items() if points}, _stages_text(case.workload))
    if by_its_log(case):
        lines = {block: _counted(recorded, block, start_s, end_s) for block, start_s, end_s in blocks}
        lines = {block: points for block, points in lines.items() if points}
        rates = [rate for points in lines.values() for _, rate in points]
        if not rates:
            return None
        between = f"between {number(min(rates))} and {number(max(rates))} requests a second were due to each arm"
        return PaceCurve(lines, f"The log sets the pace: {between}.")
    return None


def by_its_log(case: Case) -> bool:
    """Whether the gaps of a replayed log are kept."""
    replay = case.workload.replay
    return replay is not None and replay.timing == "log"


def staged(workload: Workload, start_s: float, lasts_s: float) -> Points:
    """The pace that the stages declare for one block: they begin with it, and behind the last one its rate holds."""
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
    return f"The load is meant to change, in each block anew; requests a second to each arm: {text}."


def _counted(recorded: Recorded, block: int, start_s: float, end_s: float) -> Points:
    """How many requests were due in each bin of a block, to one of its arms: both have the same."""
    rows = recorded.rows
    in_block = rows.block == block
    arms = [code for code in range(len(ARMS)) if np.any(in_block & (rows.arm == code))]
    seconds = end_s - start_s
    if not arms or seconds <= 0:
        return []
    due_s = rows.due_ns[in_block & (rows.arm == arms[0])] / 1e9
    bins = int(np.clip(seconds / BIN_S, 1, MOST_BINS))
    counts, edges = np.histogram(due_s[np.isfinite(due_s)], bins=bins, range=(start_s, end_s))
    rates = counts / (seconds / bins)
    steps = zip(edges[:-1], edges[1:], rates, strict=True)
    return [(float(at), float(rate)) for left, right, rate in steps for at in (left, right)]
