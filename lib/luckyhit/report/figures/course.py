"""The course of a run on its time axis: its blocks, the wash-outs before them, the pace of the load, the looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from luckyhit.records import Stage
from luckyhit.report.figures.pace import Pace, pace_of
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
    pace: Pace | None = None
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
    return _sorted(_span(entry, recorded) for entry in recorded.blocks)


def washouts(recorded: Recorded) -> list[Span]:
    """Every stretch of load that washed out what the arm before had left."""
    noted = recorded.manifest.get("blocks")
    entries = [entry for entry in noted if isinstance(entry, Mapping)] if isinstance(noted, list) else []
    mine = [entry for entry in entries if entry.get("stage") == WASH_OUT and _is_whole(entry.get("block"))]
    return _sorted(_span(entry, recorded) for entry in mine)


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


def _sorted(found: Iterator[Span | None]) -> list[Span]:
    return sorted((span for span in found if span is not None), key=lambda span: span.start_s)


def _span(entry: Mapping[str, Any], recorded: Recorded) -> Span | None:
    """None where neither the manifest nor the rows tell when it was."""
    times: list[Any] = [entry.get(name) for name in ("start_ns", "measure_ns", "end_ns")]
    if not all(_is_number(time) for time in times):
        rows = recorded.rows
        due = rows.due[rows.block == entry["block"]]
        due = due[np.isfinite(due)]
        if not len(due):
            return None
        measured = rows.due[(rows.block == entry["block"]) & rows.measured]
        begin = float(measured.min()) if len(measured) else float(due.max())
        times = [float(due.min()), begin, float(due.max())]
    clear = entry.get("clear")
    reports = [report for report in clear.values() if isinstance(report, dict)] if isinstance(clear, dict) else []
    cleared = sum(report["cleared"] for report in reports if _is_number(report.get("cleared"))) if reports else None
    arms = tuple(arm for arm in ARMS if arm in (entry.get("arms") or ()))
    start_s, measure_s, end_s = (float(time) / 1e9 for time in times)
    return Span(entry["block"], entry["stage"], arms, start_s, measure_s, end_s, cleared)


def _looks(recorded: Recorded, where: list[Span]) -> tuple[tuple[float, ...], float | None]:
    """(when it was looked at, when that ended it): at the end of the block of the change that was the last one then."""
    changed = [span for span in where if span.stage == "change"]
    noted = recorded.manifest.get("looks")
    at_s: list[float] = []
    stopped = None
    for look in noted if isinstance(noted, list) else []:
        blocks = look.get("blocks") if isinstance(look, Mapping) else None
        if blocks is None or not _is_whole(blocks) or not 1 <= blocks <= len(changed):
            continue
        at_s.append(changed[blocks - 1].end_s)
        if look.get("stopped") is True:
            stopped = at_s[-1]
    return tuple(at_s), stopped


def _limit(recorded: Recorded, where: tuple[Span, ...]) -> tuple[float | None, str]:
    """(when, by what) a limit of the target ended the run."""
    ends = {span.block: span.end_s for span in where}
    noted = recorded.manifest.get("blocks")
    for entry in noted if isinstance(noted, list) else []:
        limits = entry.get("limits") if isinstance(entry, Mapping) else None
        if isinstance(limits, Mapping) and limits.get("stopped") and entry.get("block") in ends:
            return ends[entry["block"]], "limit"
    return None, ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
