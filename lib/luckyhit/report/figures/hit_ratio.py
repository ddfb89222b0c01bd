"""The hit ratio over the time of a run: blocks apart, warm-ups and wash-outs marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from luckyhit.records import Result, Stage
from luckyhit.report import style
from luckyhit.report.figures.course import WASH_OUT, Span, joined, spans, washouts
from luckyhit.report.figures.timeline import HATCH
from luckyhit.report.figures.verdict_words import unreliable_status, washouts_text, with_verdict
from luckyhit.report.recorded import ARMS, STAGES, Recorded
from luckyhit.report.style import COLOURS, DASHES, INK, MARKERS, new_figure, styled
from luckyhit.text.numbers import listed, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BINS = 500
"""Time bins of the hit ratio over the whole run."""
FEWEST_IN_BIN = 40
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
    bins = _bins(recorded, sorted([*where, *washed], key=lambda span: span.start_s))
    warmup = {}
    for arm, part in bins[bins["stage"] != WASH_OUT].groupby("arm"):
        ends = part.sort_values("at_s").groupby("block")["share"].agg(["first", "last"]).mean()
        warmup[str(arm)] = (float(ends["first"]), float(ends["last"]))
    events = recorded.result.events if recorded.result else []
    shifts_s = tuple(sorted({event.at_s for event in events if event.kind == "shift"}))
    return HitSeries(bins, where, _measured(recorded), warmup, shifts_s, washed)


def _bins(recorded: Recorded, shown: Sequence[Span]) -> pd.DataFrame:
    """In each span as many bins as its requests fill, and as the whole run has room for."""
    rows, hit = recorded.rows, recorded.hit
    visible = np.flatnonzero(np.isfinite(hit) & np.isfinite(rows.due_ns))
    visible = visible[np.argsort(rows.block[visible], kind="stable")]
    block_of = rows.block[visible]
    total_s = sum(max(span.end_s - span.start_s, 0.0) for span in shown)
    lanes = max((len(span.arms) for span in shown), default=1) or 1
    parts: list[pd.DataFrame] = []
    for span in shown:
        seconds = max(span.end_s - span.start_s, 1e-9)
        inside = visible[slice(*np.searchsorted(block_of, [span.block, span.block + 1]))]
        room = max(int(MOST_BINS / lanes * seconds / max(total_s, 1e-9)), 2)
        count = int(np.clip(len(inside) / lanes / FEWEST_IN_BIN, 1, min(room, 60)))
        bin_of = np.clip(((rows.due_ns[inside] / 1e9 - span.start_s) / seconds * count).astype(int), 0, count - 1)
        for code, arm in enumerate(ARMS):
            own = rows.arm[inside] == code
            requests = np.bincount(bin_of[own], minlength=count)
            hits = np.bincount(bin_of[own], weights=hit[inside][own], minlength=count)
            filled = np.flatnonzero(requests)
            at_s = span.start_s + (filled + 0.5) / count * seconds
            cells = (span.block, arm, span.stage, at_s, hits[filled] / requests[filled], requests[filled])
            if len(filled):
                parts.append(pd.DataFrame(dict(zip(COLUMNS, cells, strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def _measured(recorded: Recorded) -> dict[tuple[Stage, str], float]:
    measured: dict[tuple[Stage, str], float] = {}
    for stage in STAGES:
        for arm in ARMS:
            values = recorded.hit[recorded.mask(stage, arm)]
            values = values[np.isfinite(values)]
            if len(values):
                measured[stage, arm] = float(values.mean())
    metric = recorded.result.metrics.get("hit_ratio") if recorded.result else None
    if metric is not None and recorded.changed:
        # One number in the whole report: the metric's.
        values_of = {"before": metric.before, "after": metric.after}
        measured |= {("change", arm): value for arm, value in values_of.items() if value is not None}
    return measured


def draw(series: HitSeries) -> Figure:
    """Hit ratio over time: blocks apart, warm-ups shaded, wash-outs hatched, clears marked, each stage named above."""
    with styled():
        figure = new_figure()
        axes = figure.add_subplot()
        origin = min((span.start_s for span in series.spans), default=0.0)
        _shade_warmups(axes, series.spans, origin)
        _hatch_washouts(axes, series.washouts, origin)
        named: set[str] = set()
        for (_, arm), part in series.bins.groupby(["block", "arm"], sort=False):
            label = None if arm in named else str(arm)
            named.add(str(arm))
            axes.plot(
                part["at_s"] - origin, part["share"], color=COLOURS[arm], linestyle=DASHES[arm], label=label,
                marker=MARKERS[arm] if len(part) == 1 else None, markersize=4, zorder=3 if arm == "after" else 2.5,
            )  # fmt: skip
        cleared = [span.start_s - origin for span in series.spans if span.cleared is not None]
        if cleared:
            axes.plot(
                cleared, [0.0] * len(cleared), linestyle="none", marker=7, markersize=7, color=INK, clip_on=False,
                label="keys cleared", zorder=4,
            )  # fmt: skip
        for index, at_s in enumerate(series.shifts_s):
            label = "shift inside an arm" if index == 0 else None
            axes.axvline(at_s, color=INK, linewidth=0.8, linestyle=(0, (2, 2)), label=label, zorder=2)
        axes.set(ylim=(0, 1.0), xlabel="seconds since the first block", ylabel="hit ratio")
        style.percent_axis(axes.yaxis)
        _stages(axes, series.spans, origin)
        axes.grid(visible=False, axis="x")
        style.legend(figure, axes, columns=3)
        return figure


def _shade_warmups(axes: Axes, spans: Sequence[Span], origin: float) -> None:
    bars = [(span.start_s - origin, max(span.measure_s - span.start_s, 0.0)) for span in spans]
    if bars:
        axes.broken_barh(
            bars, (0, 1), transform=axes.get_xaxis_transform(), facecolor="#e3e7ed", zorder=0.5,
            label="warm-up",
        )  # fmt: skip


def _hatch_washouts(axes: Axes, stretches: Sequence[Span], origin: float) -> None:
    bars = [(span.start_s - origin, max(span.end_s - span.start_s, 0.0)) for span in joined(list(stretches))]
    if bars:
        axes.broken_barh(
            bars, (0, 1), transform=axes.get_xaxis_transform(), facecolor="white", edgecolor="#c3cad3", hatch=HATCH,
            linewidth=0, zorder=0.4, label="wash-out",
        )  # fmt: skip


def _stages(axes: Axes, spans: Sequence[Span], origin: float) -> None:
    """The name of each stage above its blocks, with a rule under it."""
    for stage, name in {"baseline": "baseline", "change": "both arms", "after-rollback": "restored"}.items():
        inside = [span for span in spans if span.stage == stage]
        if not inside:
            continue
        start, end = inside[0].start_s - origin, inside[-1].end_s - origin
        if stage == "change" and not any(len(span.arms) > 1 for span in inside):
            name = "arms in turn"
        axes.plot(
            [start, end], [1.02, 1.02], transform=axes.get_xaxis_transform(), color=INK, linewidth=1.2, clip_on=False,
            solid_capstyle="butt",
        )  # fmt: skip
        axes.text(
            (start + end) / 2, 1.035, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom",
            fontsize=8.5, color=INK,
        )  # fmt: skip


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
