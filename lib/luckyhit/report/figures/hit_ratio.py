"""The hit ratio over the time of a run: blocks apart, warm-ups and wash-outs marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pandas as pd

from luckyhit.records import Result, Stage
from luckyhit.report.charts.axis import Axis
from luckyhit.report.charts.chart import ARM_DASHES, Chart, Line, Panel, Points, Rule, Tone
from luckyhit.report.figures.facts.course import WASH_OUT, Span, spans, washouts
from luckyhit.report.figures.facts.stage_marks import STAGE_ROOM, TIME_LABEL, shaded, stage_names
from luckyhit.report.figures.facts.time_bins import ArmBins, time_bins
from luckyhit.report.figures.facts.verdict_words import unreliable_status, washouts_text, with_verdict
from luckyhit.report.recorded import ARMS, STAGES, Recorded
from luckyhit.text.numbers import listed, number, percent

COLUMNS = ["block", "arm", "stage", "at_s", "share", "requests"]


@dataclass(frozen=True)
class HitSeries:
    """Hit ratio over time: `bins` has a row under COLUMNS per block, arm and bin."""

    bins: pd.DataFrame
    spans: list[Span]
    measured: dict[tuple[Stage, str], float]
    """Hit ratio of the measured phase, by stage and arm (in the change's blocks that of the metric), where the status
    is visible."""
    warmup: dict[str, tuple[float, float]]
    """By arm: the mean hit ratio in the first bin of its blocks, and in the last."""
    shifts_s: tuple[float, ...] = ()
    """Shifts inside an arm, in seconds since the first block."""
    washouts: list[Span] = field(default_factory=list)


def data(recorded: Recorded) -> HitSeries:
    where, washed = spans(recorded), washouts(recorded)
    bins = _frame(time_bins(recorded))
    warmup = {}
    for arm, part in bins[bins["stage"] != WASH_OUT].groupby("arm"):
        ends = part.sort_values("at_s").groupby("block")["share"].agg(["first", "last"]).mean()
        warmup[str(arm)] = (float(ends["first"]), float(ends["last"]))
    events = recorded.result.events if recorded.result else []
    shifts_s = tuple(sorted({event.at_s for event in events if event.kind == "shift"}))
    return HitSeries(bins, where, _measured(recorded), warmup, shifts_s, washed)


def _frame(bins: Sequence[ArmBins]) -> pd.DataFrame:
    parts = []
    for part in bins:
        filled = np.flatnonzero(part.visible)
        if len(filled):
            cells = (part.span.block, part.arm, part.span.stage, part.at_s[filled],
                     part.hits[filled] / part.visible[filled], part.visible[filled])  # fmt: skip
            parts.append(pd.DataFrame(dict(zip(COLUMNS, cells, strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def _measured(recorded: Recorded) -> dict[tuple[Stage, str], float]:
    measured: dict[tuple[Stage, str], float] = {}
    for stage in STAGES:
        for arm in ARMS:
            values = recorded.rows.take(recorded.mask(stage, arm)).hit
            values = values[np.isfinite(values)]
            if len(values):
                measured[stage, arm] = float(values.mean())
    metric = recorded.result.metrics.get("hit_ratio") if recorded.result else None
    if metric is not None and recorded.changed:
        # One number in the whole report: the metric's.
        values_of = {"before": metric.before, "after": metric.after}
        measured |= {("change", arm): value for arm, value in values_of.items() if value is not None}
    return measured


def draw(series: HitSeries) -> Chart:
    """Hit ratio over time: blocks apart, warm-ups shaded, wash-outs hatched, clears marked, each stage named above."""
    origin_s = min((span.start_s for span in series.spans), default=0.0)
    marks = shaded(series.spans, series.washouts, origin_s)
    for (_, arm), part in series.bins.groupby(["block", "arm"], sort=False):
        tone, label = cast(Tone, arm), str(arm)
        at_s = part["at_s"].to_numpy(dtype=float) - origin_s
        marks.append(Line(at_s, part["share"].to_numpy(dtype=float), tone, label, ARM_DASHES[label]))
    marks.sort(key=lambda mark: getattr(mark, "name", "") == "after")  # on top: its line has no gaps
    cleared = [span.start_s - origin_s for span in series.spans if span.cleared is not None]
    if cleared:
        marks.append(Points(cleared, [0.0] * len(cleared), name="keys cleared", shape="up", size=3.4, quiet=True))
    marks += [Rule(x=at_s, tone="ink", name="shift inside an arm", dashes="short") for at_s in series.shifts_s]
    marks += stage_names(series.spans, origin_s, 1.0)
    ends = [time_s - origin_s for span in (*series.spans, *series.washouts) for time_s in (span.start_s, span.end_s)]
    x = Axis.around([*ends, *(series.bins["at_s"] - origin_s)], TIME_LABEL, many=8)
    y = Axis(0.0, 1.0, "hit ratio", form="percent").with_ticks(0, 0.2, 0.4, 0.6, 0.8, 1)
    return Chart([Panel(replace(x, grid=False), y, marks, height=190, top=STAGE_ROOM)])


def say(series: HitSeries, result: Result | None) -> str:
    if series.bins.empty and result is not None and result.unseen_status:
        return f"There is no hit ratio to show. {unreliable_status(result)}"
    if series.bins.empty:
        return "No response shows its cache status, so there is no hit ratio to show."
    parts = []
    stages = (("baseline", "in the baseline"), ("change", ""), ("after-rollback", "after the rollback"))
    for stage, words in stages:
        for arm in ("before", "after"):
            share = series.measured.get((stage, arm))  # type: ignore[arg-type]
            if share is None:
                continue
            where = words or ("without the change" if arm == "before" else "with it")
            parts.append(f"{percent(share)} {where}")
    text = "Only warm-ups were recorded, so there is no hit ratio to rely on."
    if parts:
        text = f"Measured after the warm-ups, the hit ratio was {listed(parts)}."
    ramps = [(arm, first, last) for arm, (first, last) in series.warmup.items() if last - first > 0.1]
    if ramps:
        arm, first, last = max(ramps, key=lambda ramp: ramp[2] - ramp[1])
        text += (
            f" Within a block of the {arm} arm it rises from {percent(first)} to {percent(last)} on average: the first "
            "seconds alone would mistake the warming cache for an effect."
        )
    if series.washouts:
        text += f" Hatched: {washouts_text(series.washouts)}; not counted."
    if series.shifts_s:
        text += f" Thin lines mark shifts inside an arm (at {listed([number(at_s) for at_s in series.shifts_s])} s)."
    if result is not None and result.unseen_status:
        return f"{text.strip()} {unreliable_status(result)}"
    return with_verdict(text.strip(), "hit_ratio", result)


def is_empty(series: HitSeries) -> bool:
    return bool(series.bins.empty)
